//! Memory for frames: megabytes that are walked in no order, where small pages cost a fifth of the time.

/// Below this size huge pages are not worth asking for.
const WORTH_HUGE_PAGES: usize = 1 << 20;
/// Size of a huge page on the machines that have them.
const HUGE_PAGE: usize = 2 << 20;

/// Gives `bytes` a length; what is in them afterwards is unspecified. Memory is allocated only for a frame larger than
/// all before, and then on huge pages, where the system grants them on request.
pub fn resize(bytes: &mut Vec<u8>, len: usize) {
    if len > bytes.capacity() && len >= WORTH_HUGE_PAGES {
        // The whole frame then lies on huge pages, wherever the allocation begins.
        *bytes = Vec::with_capacity(len.next_multiple_of(HUGE_PAGE) + HUGE_PAGE);
        ask_for_huge_pages(bytes);
    }
    bytes.resize(len, 0);
}

#[cfg(target_os = "linux")]
fn ask_for_huge_pages(bytes: &mut Vec<u8>) {
    let spare = bytes.spare_capacity_mut();
    let start = spare.as_ptr().addr().next_multiple_of(HUGE_PAGE);
    let end = (spare.as_ptr().addr() + spare.len()) / HUGE_PAGE * HUGE_PAGE;
    if start < end {
        let first = spare.as_mut_ptr().wrapping_byte_add(start - spare.as_ptr().addr());
        // SAFETY: the range lies within the vector's own allocation, and the advice changes no content. Where the
        // system refuses, small pages serve as well.
        unsafe { libc::madvise(first.cast(), end - start, libc::MADV_HUGEPAGE) };
    }
}

#[cfg(not(target_os = "linux"))]
fn ask_for_huge_pages(_bytes: &mut Vec<u8>) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_length_after_any_length() {
        let mut bytes = Vec::new();
        for len in [0, 5, 3 << 20, 1000, (3 << 20) + 1, 9 << 20, 0] {
            resize(&mut bytes, len);
            assert_eq!(bytes.len(), len);
            bytes.fill(1);
        }
        let capacity = bytes.capacity();
        resize(&mut bytes, 9 << 20);
        assert_eq!(bytes.capacity(), capacity, "nothing is allocated for a frame no larger than one before");
    }
}
