//! The index at the end of a file: where a stream can be entered, so that a reader need not read all of it (FORMAT.md,
//! section 6). It is sealed, for times are; and it is a hint: what it points to has to verify by itself.

use super::{
    bytes::{ABSENT, Fields},
    frame_header::check_size,
    keys::{StreamKeys, random_bytes},
    limits,
    suite::TAG_BYTES,
};
use crate::{Error, Result};

/// First bytes of an index packet.
pub const INDEX_MAGIC: &[u8; 8] = b"CVEILIDX";
/// Bytes of an index packet before its sealed content.
pub const INDEX_HEADER_BYTES: usize = 88;
/// Bytes at the end of an index packet, from which its beginning is found.
pub const INDEX_TRAILER_BYTES: usize = 16;
/// Last bytes of an index packet.
const TRAILER_MAGIC: &[u8; 8] = b"CVEILEND";
const MACED_BYTES: usize = 72;
/// Bytes of the content before its lists.
const CONTENT_FIXED_BYTES: usize = 24;
const DESCRIPTION_BYTES: usize = 16;
const POINT_BYTES: usize = 24;
/// Bytes of the largest content.
const MOST_CONTENT_BYTES: usize =
    CONTENT_FIXED_BYTES + limits::INDEX_DESCRIPTIONS * DESCRIPTION_BYTES + limits::INDEX_POINTS * POINT_BYTES;

/// Where a stream can be entered. Offsets are bytes of the file that the index stands in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Index {
    /// Running time at which the last frame ends, ns.
    pub end: Option<u64>,
    /// Where each description is told first, in the order of their counters.
    pub descriptions: Vec<IndexedDescription>,
    /// Some of the frames that need no other one, in order.
    pub points: Vec<IndexPoint>,
}

/// A description, and the stream header packet that tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexedDescription {
    /// Counter of the description.
    pub counter: u64,
    /// Offset of the packet.
    pub offset: u64,
}

/// A frame from which on a stream can be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexPoint {
    /// Counter of the frame.
    pub counter: u64,
    /// Offset of its packet.
    pub offset: u64,
    /// Its running time, ns.
    pub time: u64,
}

impl Index {
    /// The last point at or before a running time, in ns.
    pub fn point_at(&self, time: u64) -> Option<&IndexPoint> {
        self.points[..self.points.partition_point(|point| point.time <= time)].last()
    }

    /// The description in force for the frame with that counter.
    pub fn description_of(&self, counter: u64) -> Option<&IndexedDescription> {
        self.descriptions[..self.descriptions.partition_point(|told| told.counter < counter)].last()
    }

    /// The index packet, under a key of its own.
    ///
    /// # Errors
    /// [`Error::Refused`] for an index that no reader would take, [`Error::Random`].
    pub fn seal(&self, keys: &StreamKeys) -> Result<Vec<u8>> {
        let mut content = self.encode();
        Index::decode(&content)?;
        let header_offset = self.descriptions[0].offset;
        let header = IndexHeader { stream_id: keys.stream_id, header_offset, content_len: content.len() };
        let salt: [u8; 32] = random_bytes()?;
        let header_bytes = header.encode(&salt, keys);
        let tag = keys.seal_index(&salt, &header_bytes, &mut content)?;
        Ok([&header_bytes[..], &content, &tag, &header.trailer()].concat())
    }

    /// Opens an index packet.
    ///
    /// # Errors
    /// As [`IndexHeader::decode`]; [`Error::Forged`] if the content does not verify, [`Error::Refused`] for what
    /// contradicts the format.
    pub fn open(packet: &[u8], keys: &StreamKeys) -> Result<Index> {
        let header_bytes: &[u8; INDEX_HEADER_BYTES] =
            packet.first_chunk().ok_or(Error::Refused("an index ends too early"))?;
        let header = IndexHeader::decode(header_bytes, keys)?;
        let rest = &packet[INDEX_HEADER_BYTES..];
        if packet.len() != header.packet_len() || !rest.ends_with(&header.trailer()) {
            return Err(Error::Refused("an index whose end is not where its header says"));
        }
        let salt: [u8; 32] = Fields(&header_bytes[40..]).array()?;
        let (sealed, tag) = rest[..header.content_len + TAG_BYTES].split_at(header.content_len);
        let mut content = vec![0; sealed.len()];
        keys.open_index(&salt, header_bytes, sealed, tag, &mut content)?;
        Index::decode(&content)
    }

    /// The index of the stream that `keys` belong to, among those that a file ends with, in its last bytes.
    pub fn find(tail: &[u8], keys: &StreamKeys) -> Option<Index> {
        let mut rest = tail;
        loop {
            let len = rest.last_chunk().and_then(IndexHeader::claimed_packet_len)?;
            let (before, packet) = rest.split_at(rest.len().checked_sub(usize::try_from(len).ok()?)?);
            match IndexHeader::claimed_stream(packet.first_chunk()?)? == keys.stream_id {
                true => return Index::open(packet, keys).ok(),
                false => rest = before,
            }
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = vec![1, 0, 0, 0];
        out.extend_from_slice(&(self.descriptions.len() as u32).to_le_bytes());
        out.extend_from_slice(&(self.points.len() as u32).to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.end.unwrap_or(ABSENT).to_le_bytes());
        let descriptions = self.descriptions.iter().flat_map(|told| [told.counter, told.offset]);
        let points = self.points.iter().flat_map(|point| [point.counter, point.offset, point.time]);
        out.extend(descriptions.chain(points).flat_map(u64::to_le_bytes));
        out
    }

    /// Reads a verified content.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Index> {
        let mut fields = Fields(bytes);
        if fields.u8()? != 1 {
            return Err(Error::Refused("unknown version of the index"));
        }
        fields.zeros(3)?;
        let (descriptions, points) = (fields.u32()? as usize, fields.u32()? as usize);
        fields.zeros(4)?;
        check_size("descriptions in an index", descriptions, limits::INDEX_DESCRIPTIONS)?;
        check_size("points in an index", points, limits::INDEX_POINTS)?;
        if bytes.len() != CONTENT_FIXED_BYTES + descriptions * DESCRIPTION_BYTES + points * POINT_BYTES {
            return Err(Error::Refused("an index with other lists than it says"));
        }
        let end = fields.optional()?;
        let mut index = Index { end, ..Index::default() };
        for _ in 0..descriptions {
            index.descriptions.push(IndexedDescription { counter: fields.u64()?, offset: fields.u64()? });
        }
        for _ in 0..points {
            let (counter, offset, time) = (fields.u64()?, fields.u64()?, fields.u64()?);
            index.points.push(IndexPoint { counter, offset, time });
        }
        match index.is_in_order() {
            true => Ok(index),
            false => Err(Error::Refused("an index that is not in order, or tells no description")),
        }
    }

    fn is_in_order(&self) -> bool {
        let (told, points) = (&self.descriptions, &self.points);
        !told.is_empty()
            && told.is_sorted_by(|a, b| a.counter < b.counter && a.offset < b.offset)
            && points.is_sorted_by(|a, b| a.counter < b.counter && a.offset < b.offset && a.time < b.time)
            && points.first().is_none_or(|first| told[0].counter < first.counter && told[0].offset < first.offset)
    }
}

/// What stands before the sealed content, verified or about to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexHeader {
    /// Id of the stream.
    pub stream_id: [u8; 16],
    /// Offset of a stream header packet, by which the stream can be opened.
    pub header_offset: u64,
    content_len: usize,
}

impl IndexHeader {
    /// Bytes of the whole packet.
    pub fn packet_len(&self) -> usize {
        INDEX_HEADER_BYTES + self.content_len + TAG_BYTES + INDEX_TRAILER_BYTES
    }

    fn encode(&self, salt: &[u8; 32], keys: &StreamKeys) -> [u8; INDEX_HEADER_BYTES] {
        let mut out = [0; INDEX_HEADER_BYTES];
        out[..8].copy_from_slice(INDEX_MAGIC);
        out[8] = 1;
        out[12..16].copy_from_slice(&(self.content_len as u32).to_le_bytes());
        out[16..32].copy_from_slice(&self.stream_id);
        out[32..40].copy_from_slice(&self.header_offset.to_le_bytes());
        out[40..72].copy_from_slice(salt);
        let mac = keys.header_mac(&[b"index", &out[..MACED_BYTES]]);
        out[MACED_BYTES..].copy_from_slice(&mac);
        out
    }

    fn trailer(&self) -> [u8; INDEX_TRAILER_BYTES] {
        let mut out = [0; INDEX_TRAILER_BYTES];
        out[..8].copy_from_slice(&(self.packet_len() as u64).to_le_bytes());
        out[8..].copy_from_slice(TRAILER_MAGIC);
        out
    }

    /// Verifies the MAC first, then reads and checks every field.
    ///
    /// # Errors
    /// [`Error::OtherStream`], [`Error::Forged`], or as [`IndexHeader::claimed`].
    pub fn decode(bytes: &[u8; INDEX_HEADER_BYTES], keys: &StreamKeys) -> Result<IndexHeader> {
        match IndexHeader::claimed_stream(bytes) {
            None => return Err(Error::NotOurs),
            Some(id) if id != keys.stream_id => return Err(Error::OtherStream),
            Some(_) => {}
        }
        keys.check_header_mac(&[b"index", &bytes[..MACED_BYTES]], &bytes[MACED_BYTES..], "the header of an index")?;
        IndexHeader::claimed(bytes)
    }

    /// What 88 bytes claim to be, within the limits of the format and unverified. Nothing may be opened by it.
    ///
    /// # Errors
    /// [`Error::NotOurs`], [`Error::Refused`] or [`Error::TooLarge`].
    pub fn claimed(bytes: &[u8; INDEX_HEADER_BYTES]) -> Result<IndexHeader> {
        let mut fields = Fields(bytes);
        if fields.array()? != *INDEX_MAGIC {
            return Err(Error::NotOurs);
        }
        if fields.u8()? != 1 {
            return Err(Error::Refused("unknown version of the index"));
        }
        fields.zeros(3)?;
        let content_len = fields.u32()? as usize;
        check_size("bytes of an index", content_len, MOST_CONTENT_BYTES)?;
        Ok(IndexHeader { stream_id: fields.array()?, header_offset: fields.u64()?, content_len })
    }

    /// The stream id that 88 bytes claim, before anything is verified; `None` if they do not begin an index packet.
    pub fn claimed_stream(bytes: &[u8; INDEX_HEADER_BYTES]) -> Option<[u8; 16]> {
        (bytes[..8] == *INDEX_MAGIC).then(|| Fields(&bytes[16..]).array().unwrap_or_default())
    }

    /// The length of the index packet that ends with these bytes, as they claim; `None` if none does.
    pub fn claimed_packet_len(trailer: &[u8; INDEX_TRAILER_BYTES]) -> Option<u64> {
        let (len, magic) = (Fields(trailer).u64().ok()?, &trailer[8..]);
        let most = INDEX_HEADER_BYTES + MOST_CONTENT_BYTES + TAG_BYTES + INDEX_TRAILER_BYTES;
        (magic == TRAILER_MAGIC && len <= most as u64).then_some(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal::{Aead, Profile, Secret};

    fn keys(root: u8, aead: Aead) -> StreamKeys {
        StreamKeys::derive(&Secret::new([root; 32]), b"a head", [7; 16], Profile::Hardened, aead)
    }

    fn index() -> Index {
        let point = |counter, time| IndexPoint { counter, offset: 1000 + 10 * counter, time };
        Index {
            end: Some(9_000),
            descriptions: vec![
                IndexedDescription { counter: 0, offset: 5 },
                IndexedDescription { counter: 6, offset: 1050 },
            ],
            points: vec![point(1, 0), point(4, 3_000), point(7, 6_000)],
        }
    }

    #[test]
    fn survives_the_trip_and_never_twice_alike() {
        for aead in Aead::ALL {
            let keys = keys(1, aead);
            let (first, second) = (index().seal(&keys).expect("valid"), index().seal(&keys).expect("valid"));
            assert_eq!(Index::open(&first, &keys).expect("ours"), index());
            assert_ne!(first[40..], second[40..]);
            assert!(first[88..].windows(24).all(|window| second[88..].windows(24).all(|other| window != other)));
            let trailer = first.last_chunk().expect("long enough");
            assert_eq!(IndexHeader::claimed_packet_len(trailer), Some(first.len() as u64));
        }
    }

    #[test]
    fn fail_every_flipped_bit_and_every_truncation() {
        let keys = keys(1, Aead::Aes256Gcm);
        let packet = index().seal(&keys).expect("valid");
        for bit in 0..8 * packet.len() {
            let mut flipped = packet.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Index::open(&flipped, &keys).is_err(), "bit {bit}");
        }
        for len in 0..packet.len() {
            assert!(Index::open(&packet[..len], &keys).is_err(), "{len} bytes");
        }
        assert!(Index::open(&[&packet[..], &[0]].concat(), &keys).is_err());
        assert!(matches!(Index::open(&packet, &self::keys(2, Aead::Aes256Gcm)), Err(Error::Forged(_))));
    }

    #[test]
    fn the_index_of_a_stream_is_found_from_the_end() {
        let keys = keys(1, Aead::Aes256Gcm);
        let other = StreamKeys::derive(&Secret::new([1; 32]), b"", [8; 16], Profile::Hardened, Aead::Aes256Gcm);
        let (ours, theirs) = (index().seal(&keys).expect("valid"), index().seal(&other).expect("valid"));
        for tail in [&[b"frames", &ours[..], &theirs].concat()[..], &[&theirs[..], &ours].concat(), &ours] {
            assert_eq!(Index::find(tail, &keys), Some(index()));
            assert_eq!(Index::find(&tail[..tail.len() - 1], &keys), None);
        }
        for tail in [&theirs[..], b"", b"CVEILEND", &ours[1..], &[&ours[..], b"more"].concat()] {
            assert_eq!(Index::find(tail, &keys), None);
        }
    }

    #[test]
    fn fail_lists_out_of_order_and_sizes_over_the_limits() {
        let keys = keys(1, Aead::Aes256Gcm);
        let spoil: [fn(&mut Index); 6] = [
            |index| index.descriptions.clear(),
            |index| index.descriptions.reverse(),
            |index| index.points[1].time = 0,
            |index| index.points[1].counter = 1,
            |index| index.points[2].offset = 0,
            |index| index.descriptions[0].counter = 1,
        ];
        for spoil in spoil {
            let mut spoiled = index();
            spoil(&mut spoiled);
            assert!(spoiled.seal(&keys).is_err(), "{spoiled:?}");
            assert!(Index::decode(&spoiled.encode()).is_err(), "{spoiled:?}");
        }
        let mut claims = index().encode();
        claims[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(matches!(Index::decode(&claims), Err(Error::TooLarge { .. })));
        let mut header: [u8; INDEX_HEADER_BYTES] =
            *index().seal(&keys).expect("valid").first_chunk().expect("long enough");
        header[12..16].copy_from_slice(&(MOST_CONTENT_BYTES as u32 + 1).to_le_bytes());
        assert!(matches!(IndexHeader::claimed(&header), Err(Error::TooLarge { .. })));
    }

    #[test]
    fn the_last_point_before_a_time_is_found() {
        let index = index();
        let counter = |time| index.point_at(time).map(|point| point.counter);
        assert_eq!([0, 2_999, 3_000, u64::MAX].map(counter), [1, 1, 4, 7].map(Some));
        let told = |counter| index.description_of(counter).map(|told| told.counter);
        assert_eq!([0, 1, 6, 7].map(told), [None, Some(0), Some(0), Some(6)]);
    }
}
