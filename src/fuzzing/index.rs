//! An index: the end of a file as it comes, and contents that somebody with the key has sealed.

use super::genuine::{INDEXES, STREAMS};
use crate::seal::{INDEX_HEADER_BYTES, Index, IndexHeader, limits};

/// `u8 how | bytes`: with an even `how` the bytes are the end of a file, with an odd one the content of an index. Half of
/// `how` is the number of the stream.
pub fn run(bytes: &[u8]) {
    let Some((how, bytes)) = bytes.split_first() else { return };
    let keys = STREAMS[usize::from(how / 2) % STREAMS.len()].keys();
    if how % 2 == 0 {
        if Index::find(bytes, &keys).is_some() {
            let stands_there = |packet: &[u8]| bytes.windows(packet.len()).any(|place| place == packet);
            assert!(INDEXES.iter().any(|packet| stands_there(packet)), "an index that nobody wrote");
        }
        if let Some(header) = bytes.first_chunk::<INDEX_HEADER_BYTES>()
            && IndexHeader::decode(header, &keys).is_ok()
        {
            assert!(INDEXES.iter().any(|packet| packet.starts_with(header)), "a header that nobody wrote");
        }
        return;
    }
    let Ok(index) = Index::decode(bytes) else { return };
    assert!(index.encode() == bytes, "an index that is written otherwise than it was read");
    assert!(index.points.len() <= limits::INDEX_POINTS && index.descriptions.len() <= limits::INDEX_DESCRIPTIONS);
    let packet = index.seal(&keys).expect("it was read");
    assert!(Index::open(&packet, &keys).is_ok_and(|opened| opened == index));
    assert!(Index::find(&packet, &keys).is_some_and(|found| found == index));
    for point in &index.points {
        assert!(index.point_at(point.time) == Some(point));
        assert!(index.description_of(point.counter).is_some_and(|told| told.counter < point.counter));
    }
}
