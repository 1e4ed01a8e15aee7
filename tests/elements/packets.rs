//! Packets as FORMAT.md describes them, read here from the page and not with the library.

use super::{
    common::Keys,
    pictures::{bytes, caps},
    rig::{Item, Rig, buffers, stream},
};

/// What a packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet {
    /// A stream header and the counter of the description in it.
    Header(u64),
    /// A frame and its counter.
    Frame(u64),
    /// An end record and its counter.
    End(u64),
}

impl Packet {
    /// Reads the start of a packet.
    pub fn read(packet: &[u8]) -> Packet {
        match &packet[..8] {
            b"CVEILHDR" => Packet::Header(number(&packet[number(&packet[12..16]) as usize + 32..][..8])),
            b"CVEILFRM" if packet[9] == 0 => Packet::Frame(number(&packet[32..40])),
            b"CVEILFRM" if packet[9] == 1 => Packet::End(number(&packet[32..40])),
            other => panic!("no packet begins with {other:?}"),
        }
    }

    /// The counter, whatever it numbers.
    pub fn counter(self) -> u64 {
        let (Packet::Header(counter) | Packet::Frame(counter) | Packet::End(counter)) = self;
        counter
    }
}

/// Reads the start of a packet in a buffer.
pub fn packet_of(buffer: &gst::BufferRef) -> Packet {
    Packet::read(&bytes(buffer))
}

/// The stream id of a packet of any kind.
pub fn stream_id(packet: &gst::BufferRef) -> Vec<u8> {
    bytes(packet)[16..32].to_vec()
}

fn number(little_endian: &[u8]) -> u64 {
    little_endian.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

/// The packets that frames become: a stream header with counter 0, frames from counter 1 on, an end record.
pub fn packets_of(
    keys: &Keys,
    settings: &str,
    info: &gst_video::VideoInfo,
    frames: &[gst::Buffer],
) -> Vec<gst::Buffer> {
    let rig = Rig::new(&format!("chaosenc {} {settings}", keys.psk()));
    let items = rig.run(stream(&caps(info), frames.to_vec()));
    let mut packets: Vec<gst::Buffer> = buffers(&items).into_iter().cloned().collect();
    // A slow machine repeats the header.
    let mut first = true;
    packets.retain(|packet| packet_of(packet) != Packet::Header(0) || std::mem::take(&mut first));
    let wanted = (0..frames.len() as u64 + 2).map(|counter| match counter {
        0 => Packet::Header(0),
        counter if counter <= frames.len() as u64 => Packet::Frame(counter),
        counter => Packet::End(counter),
    });
    assert!(packets.iter().map(|packet| packet_of(packet)).eq(wanted));
    packets
}

/// Caps of packets, as they come from a file or a socket.
pub fn packet_caps() -> gst::Caps {
    gst::Caps::new_empty_simple("application/x-chaosveil")
}

/// What came of packets that were fed to a decrypter.
pub struct Decrypted {
    /// Everything that left.
    pub items: Vec<Item>,
    /// Reasons and counters of the events posted.
    pub posted: Vec<(String, Option<u64>)>,
    /// The error posted, if there was one.
    pub error: Option<String>,
    /// The decrypter, for its statistics.
    rig: Rig,
}

impl Decrypted {
    /// A counter of the decrypter.
    pub fn stat(&self, name: &str) -> u64 {
        self.rig.stat("chaosdec", name)
    }

    /// Whether an end record was the last of the stream.
    pub fn end_seen(&self) -> bool {
        use gst::prelude::*;
        self.rig.element("chaosdec").property::<gst::Structure>("stats").get("end-seen").expect("always there")
    }

    /// The camera that signed the last stream.
    pub fn camera(&self) -> Option<String> {
        use gst::prelude::*;
        self.rig.element("chaosdec").property::<gst::Structure>("stats").get("camera").ok()
    }

    /// Lost, reordered, replayed, rejected.
    pub fn losses(&self) -> [u64; 4] {
        ["lost", "reordered", "replayed", "rejected"].map(|name| self.stat(name))
    }

    /// Numbers of the frames that came, by comparing them with those that were sent; fails on any other buffer.
    pub fn frames(&self, info: &gst_video::VideoInfo, sent: &[gst::Buffer]) -> Vec<u64> {
        let sent: Vec<Vec<u8>> = sent.iter().map(|frame| super::pictures::visible(frame, info)).collect();
        let number = |came: &gst::Buffer| {
            let came = super::pictures::visible(came, info);
            sent.iter().position(|sent| *sent == came).expect("every buffer that leaves is a frame that was sent")
                as u64
        };
        buffers(&self.items).into_iter().map(number).collect()
    }
}

/// Feeds buffers of packets to a `chaosdec` and waits for its end.
pub fn decrypt(keys: &Keys, settings: &str, packets: impl IntoIterator<Item = gst::Buffer>) -> Decrypted {
    decrypt_caps(keys, settings, &packet_caps(), packets)
}

/// The same for any caps.
pub fn decrypt_caps(
    keys: &Keys,
    settings: &str,
    caps: &gst::Caps,
    input: impl IntoIterator<Item = gst::Buffer>,
) -> Decrypted {
    let rig = Rig::new(&format!("chaosdec {} {settings}", keys.psk()));
    let items = rig.run(stream(caps, input));
    let (posted, error) = rig.told();
    Decrypted { items, posted, error, rig }
}

/// Packets end to end, as a file holds them.
pub fn joined(packets: &[gst::Buffer]) -> Vec<u8> {
    packets.iter().flat_map(|packet| bytes(packet)).collect()
}
