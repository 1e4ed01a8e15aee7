//! A frame header, as it comes and under a MAC that holds.

use super::genuine::STREAMS;
use crate::seal::{FRAME_HEADER_BYTES, FrameHeader, limits};

/// `u8 stream | the 48 bytes before the MAC`, the last of which may be missing.
pub fn run(bytes: &[u8]) {
    let Some((number, fields)) = bytes.split_first() else { return };
    let genuine = &STREAMS[usize::from(*number) % STREAMS.len()];
    let keys = genuine.keys();
    let mut header = [0; FRAME_HEADER_BYTES];
    let len = fields.len().min(FRAME_HEADER_BYTES);
    header[..len].copy_from_slice(&fields[..len]);
    let sealed = |header: &[u8]| genuine.packets.iter().any(|packet| packet.starts_with(header));
    if FrameHeader::decode(&header, &keys).is_ok() {
        assert!(sealed(&header), "a header that nobody wrote");
    }
    if FrameHeader::claimed(&header).is_ok() {
        assert!(FrameHeader::claimed_stream(&header).is_some());
    }
    let mac = keys.header_mac(&[b"frame", &header[..48]]);
    header[48..].copy_from_slice(&mac);
    if let Ok(decoded) = FrameHeader::decode(&header, &keys) {
        assert!(decoded.payload_len <= limits::FRAME_BYTES && decoded.record_len <= limits::RECORD_BYTES);
        assert!(decoded.encode(&keys) == header, "a header that is written otherwise than it was read");
        // Its lengths add up, whatever they are.
        assert!(decoded.packet_len() > decoded.payload_len + decoded.record_len);
    }
}
