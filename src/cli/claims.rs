//! What a file claims to hold, to who has no key: nothing of it is verified.

use std::collections::BTreeMap;

use super::packets::PacketReader;
use crate::{
    Error, Result,
    seal::{
        Aead, FRAME_HEADER_BYTES, FrameHeader, GROUP_PASSPHRASE, GROUP_PRESHARED, GROUP_RECIPIENTS, INDEX_HEADER_BYTES,
        IndexHeader, Kind, Offset, Profile, RawStreamHeader, Verifier, limits,
    },
};

/// What a stream claims to be.
#[derive(Debug)]
pub struct Claim {
    /// Profile of the stream.
    pub profile: Profile,
    /// AEAD of the stream.
    pub aead: Aead,
    /// Who can open it.
    pub key_groups: Vec<KeyGroupClaim>,
    /// Stream headers, repetitions included.
    pub headers: u64,
    /// Frames.
    pub frames: u64,
    /// End records.
    pub end_records: u64,
    /// Bytes of its packets.
    pub bytes: u64,
}

/// One way to open a stream.
#[derive(Debug, PartialEq, Eq, serde::Serialize)]
pub struct KeyGroupClaim {
    /// Recipients, passphrase, pre-shared key, or the number of a kind that this version does not know.
    pub kind: String,
    /// Recipients of each kind of key, as age names them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub recipients: BTreeMap<String, u64>,
}

impl Claim {
    /// Reads a whole stream header.
    ///
    /// # Errors
    /// If it contradicts the format.
    pub fn of_header(bytes: &[u8]) -> Result<Claim> {
        let raw = RawStreamHeader::split(bytes)?;
        let key_groups = raw.key_groups()?.into_iter().map(|(kind, bytes)| KeyGroupClaim::of(kind, bytes)).collect();
        let (profile, aead) = (raw.profile()?, raw.aead()?);
        Ok(Claim { profile, aead, key_groups, headers: 0, frames: 0, end_records: 0, bytes: 0 })
    }

    /// One more header.
    pub fn count_header(&mut self, packet: &[u8]) {
        self.headers += 1;
        self.bytes += packet.len() as u64;
    }

    /// One more frame or end record.
    pub fn count(&mut self, kind: Kind, packet: &[u8]) {
        match kind {
            Kind::Frame => self.frames += 1,
            Kind::End => self.end_records += 1,
        }
        self.bytes += packet.len() as u64;
    }
}

impl KeyGroupClaim {
    fn of(kind: u8, bytes: &[u8]) -> KeyGroupClaim {
        let (kind, recipients) = match kind {
            GROUP_RECIPIENTS => ("recipients".to_owned(), stanza_counts(bytes)),
            GROUP_PASSPHRASE => ("passphrase".to_owned(), BTreeMap::new()),
            GROUP_PRESHARED => ("pre-shared key".to_owned(), BTreeMap::new()),
            other => (format!("unknown ({other})"), BTreeMap::new()),
        };
        KeyGroupClaim { kind, recipients }
    }
}

/// Counts the recipients of an age file by kind. age adds stanzas for nobody, whose kind ends in `-grease`.
fn stanza_counts(age_file: &[u8]) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    let lines = age_file.split(|&byte| byte == b'\n').take_while(|line| !line.starts_with(b"---"));
    for stanza in lines.filter_map(|line| line.strip_prefix(b"-> ")) {
        let kind = String::from_utf8_lossy(stanza.split(|&byte| byte == b' ').next().unwrap_or_default());
        let printable = kind.bytes().all(|byte| byte.is_ascii_graphic());
        if printable && !kind.ends_with("-grease") {
            *counts.entry(kind.into_owned()).or_default() += 1;
        }
    }
    counts
}

/// Reads a packet file without a key: every length is believed.
#[derive(Debug, Default)]
pub struct Claims {
    /// The streams, by their ids.
    pub streams: BTreeMap<[u8; 16], Claim>,
}

impl Verifier for Claims {
    fn stream_header(&mut self, bytes: &[u8]) -> Result<()> {
        let id = RawStreamHeader::split(bytes)?.stream_id();
        let claim = Claim::of_header(bytes)?;
        if self.streams.len() == limits::STREAMS && !self.streams.contains_key(&id) {
            return Err(Error::Refused("more streams than a file may hold"));
        }
        self.streams.entry(id).or_insert(claim);
        Ok(())
    }

    fn frame_header(&mut self, bytes: &[u8; FRAME_HEADER_BYTES]) -> Result<FrameHeader> {
        let header = FrameHeader::claimed(bytes)?;
        match self.streams.contains_key(&header.stream_id) {
            true => Ok(header),
            false => Err(Error::OtherStream),
        }
    }

    fn index_header(&mut self, bytes: &[u8; INDEX_HEADER_BYTES]) -> Result<IndexHeader> {
        let header = IndexHeader::claimed(bytes)?;
        match self.streams.contains_key(&header.stream_id) {
            true => Ok(header),
            false => Err(Error::OtherStream),
        }
    }

    fn opens(&mut self, _: &[u8]) -> bool {
        true
    }
}

impl PacketReader for Claims {
    fn header(&mut self, bytes: &[u8]) {
        let id = RawStreamHeader::split(bytes).map(|raw| raw.stream_id()).unwrap_or_default();
        if let Some(claim) = self.streams.get_mut(&id) {
            claim.count_header(bytes);
        }
    }

    fn frame(&mut self, _: Offset, header: FrameHeader, packet: &[u8]) -> bool {
        if let Some(claim) = self.streams.get_mut(&header.stream_id) {
            claim.count(header.kind, packet);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recipients_are_counted_by_kind() {
        let file = b"age-encryption.org/v1\n-> X25519 abc\nbody\n-> ssh-ed25519 a b\nbody\n-> X25519 def\nbody\n\
                     -> %3-grease x\nbody\n--- mac\n-> X25519 payload";
        let counts = stanza_counts(file);
        assert_eq!(counts, BTreeMap::from([("X25519".to_owned(), 2), ("ssh-ed25519".to_owned(), 1)]));
    }
}
