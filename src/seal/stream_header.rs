//! The stream header: HEAD (who can open the stream, with what) and TAIL (commitment, sealed description).
//! FORMAT.md, section 2.

use aws_lc_rs::constant_time::verify_slices_are_equal;

use super::{
    bytes::Fields,
    camera::{CameraId, CameraKey, SIGNATURE_BYTES},
    description::Description,
    frame_header::check_size,
    keys::{DESCRIPTION_INDEX, EpochKeys, Secret, StreamKeys},
    limits,
    suite::{Aead, Profile, SEGMENT_BYTES, TAG_BYTES},
};
use crate::{Error, Result};

/// First bytes of a stream header.
pub const STREAM_MAGIC: &[u8; 8] = b"CVEILHDR";
/// Bytes of a HEAD before its key groups.
const HEAD_FIXED_BYTES: usize = 40;
/// Bytes of a TAIL before the sealed description.
const TAIL_FIXED_BYTES: usize = 72;
/// Bytes of the commitment at the start of a TAIL.
const COMMITMENT_BYTES: usize = 32;
/// Bytes of a TAIL that its MAC covers.
const TAIL_MACED_BYTES: usize = 56;

/// One way to unwrap the root: a type and its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyGroup {
    /// Type of the group (FORMAT.md, section 3).
    pub kind: u8,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// Key group of age recipients.
pub const GROUP_RECIPIENTS: u8 = 1;
/// Key group of an age passphrase.
pub const GROUP_PASSPHRASE: u8 = 2;
/// Key group of a pre-shared key.
pub const GROUP_PRESHARED: u8 = 3;

/// Writes a HEAD.
///
/// # Errors
/// [`Error::TooLarge`] if the key groups do not fit.
pub(super) fn encode_head(profile: Profile, aead: Aead, stream_id: &[u8; 16], groups: &[KeyGroup]) -> Result<Vec<u8>> {
    check_size("key groups", groups.len(), limits::KEY_GROUPS)?;
    let mut out = STREAM_MAGIC.to_vec();
    out.extend_from_slice(&[1, profile.code(), aead.code(), 0]);
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(stream_id);
    out.extend_from_slice(&(SEGMENT_BYTES as u32).to_le_bytes());
    out.extend_from_slice(&(groups.len() as u16).to_le_bytes());
    out.extend_from_slice(&[0; 2]);
    for group in groups {
        check_size("bytes of a key group", group.bytes.len(), u16::MAX.into())?;
        out.extend_from_slice(&[group.kind, 0]);
        out.extend_from_slice(&(group.bytes.len() as u16).to_le_bytes());
        out.extend_from_slice(&group.bytes);
    }
    check_size("bytes of a stream header", out.len(), limits::STREAM_HEADER_BYTES - TAIL_FIXED_BYTES - TAG_BYTES)?;
    let len = out.len() as u32;
    out[12..16].copy_from_slice(&len.to_le_bytes());
    Ok(out)
}

/// Writes HEAD and TAIL with `description`, signed by a camera if there is one, sealed in an epoch under `counter`.
///
/// # Errors
/// [`Error::TooLarge`] if both do not fit into a stream header.
pub(super) fn encode(
    head: &[u8],
    keys: &StreamKeys,
    epoch: &EpochKeys,
    counter: u64,
    description: &Description,
    camera: Option<&CameraKey>,
) -> Result<Vec<u8>> {
    let mut sealed = description.encode();
    let signature_len = camera.map_or(0, |_| SIGNATURE_BYTES);
    let total = len(head, description, camera);
    check_size("bytes of a stream header", total, limits::STREAM_HEADER_BYTES)?;
    let mut out = Vec::with_capacity(total);
    out.extend_from_slice(head);
    out.extend_from_slice(&keys.commitment);
    out.extend_from_slice(&counter.to_le_bytes());
    out.extend_from_slice(&((sealed.len() + signature_len) as u32).to_le_bytes());
    out.extend_from_slice(&epoch.epoch.to_le_bytes());
    out.extend_from_slice(&(signature_len as u32).to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    let fixed: [u8; TAIL_MACED_BYTES] = Fields(&out[head.len()..]).array()?;
    out.extend_from_slice(&keys.header_mac(&[b"tail", &keys.head_hash, &fixed]));
    if let Some(camera) = camera {
        sealed.extend_from_slice(&camera.sign(&keys.head_hash, &fixed, &sealed));
    }
    let tag = epoch.seal(counter, DESCRIPTION_INDEX, &description_aad(keys, &fixed), &mut sealed)?;
    out.extend_from_slice(&sealed);
    out.extend_from_slice(&tag);
    Ok(out)
}

/// Bytes of HEAD and TAIL with `description`.
pub(super) fn len(head: &[u8], description: &Description, camera: Option<&CameraKey>) -> usize {
    let signature_len = camera.map_or(0, |_| SIGNATURE_BYTES);
    head.len() + TAIL_FIXED_BYTES + description.encode().len() + signature_len + TAG_BYTES
}

/// A description that has verified, and what stands around it.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenedDescription {
    /// Its counter.
    pub counter: u64,
    /// The epoch that it was sealed in: frames that name it are of the same.
    pub epoch: u32,
    /// The camera that signed it, if it is signed.
    pub camera: Option<CameraId>,
    /// What it says.
    pub description: Description,
}

fn description_aad(keys: &StreamKeys, fixed: &[u8; TAIL_MACED_BYTES]) -> Vec<u8> {
    [&b"description"[..], &keys.head_hash, fixed].concat()
}

/// A stream header whose lengths have been checked, and nothing else.
#[derive(Clone, Copy, Debug)]
pub struct RawStreamHeader<'a> {
    head: &'a [u8],
    tail: &'a [u8],
}

impl<'a> RawStreamHeader<'a> {
    /// How many bytes a stream header at the start of `bytes` has in all: `None` while that cannot be told yet.
    ///
    /// # Errors
    /// [`Error::NotOurs`] for another magic, [`Error::Refused`] or [`Error::TooLarge`] for impossible lengths.
    pub fn total_len(bytes: &[u8]) -> Result<Option<usize>> {
        let mut fields = Fields(bytes);
        let Ok(magic) = fields.array::<8>() else { return Ok(None) };
        if magic != *STREAM_MAGIC {
            return Err(Error::NotOurs);
        }
        let Ok(start) = fields.array::<8>() else { return Ok(None) };
        if start[0] != 1 {
            return Err(Error::Refused("unknown version of the stream header"));
        }
        let head_len = u32::from_le_bytes([start[4], start[5], start[6], start[7]]) as usize;
        if head_len < HEAD_FIXED_BYTES {
            return Err(Error::Refused("a stream header shorter than its fields"));
        }
        check_size("bytes of a stream header", head_len, limits::STREAM_HEADER_BYTES)?;
        let Some(mut tail) = bytes.get(head_len..).map(Fields) else { return Ok(None) };
        let Ok(fixed) = tail.array::<TAIL_FIXED_BYTES>() else { return Ok(None) };
        let description_len = u32::from_le_bytes([fixed[40], fixed[41], fixed[42], fixed[43]]) as usize;
        let total = head_len.saturating_add(TAIL_FIXED_BYTES + TAG_BYTES).saturating_add(description_len);
        check_size("bytes of a stream header", total, limits::STREAM_HEADER_BYTES)?;
        Ok(Some(total))
    }

    /// Splits a whole stream header.
    ///
    /// # Errors
    /// As [`RawStreamHeader::total_len`], and [`Error::Refused`] if `bytes` has another length.
    pub fn split(bytes: &'a [u8]) -> Result<RawStreamHeader<'a>> {
        if RawStreamHeader::total_len(bytes)? != Some(bytes.len()) {
            return Err(Error::Refused("a stream header ends too early"));
        }
        let head_len = u32::from_le_bytes(Fields(&bytes[12..]).array()?) as usize;
        let (head, tail) = bytes.split_at(head_len);
        Ok(RawStreamHeader { head, tail })
    }

    /// The bytes that never change in a stream.
    pub fn head(&self) -> &'a [u8] {
        self.head
    }

    /// Stands for all that decides whether a key fits: HEAD and commitment.
    pub(super) fn lock_hash(&self) -> blake3::Hash {
        blake3::Hasher::new().update(self.head).update(&self.tail[..COMMITMENT_BYTES]).finalize()
    }

    /// The stream id claimed.
    pub fn stream_id(&self) -> [u8; 16] {
        Fields(&self.head[16..]).array().unwrap_or_default()
    }

    /// The counter claimed for the description.
    pub fn claimed_counter(&self) -> u64 {
        Fields(&self.tail[COMMITMENT_BYTES..]).u64().unwrap_or_default()
    }

    /// The profile claimed.
    ///
    /// # Errors
    /// [`Error::Refused`] for one that this version does not know.
    pub fn profile(&self) -> Result<Profile> {
        Profile::from_code(self.head[9])
    }

    /// The AEAD claimed.
    ///
    /// # Errors
    /// [`Error::Refused`] for one that this version does not know.
    pub fn aead(&self) -> Result<Aead> {
        Aead::from_code(self.head[10])
    }

    /// The key groups claimed. Nothing of them has been verified.
    ///
    /// # Errors
    /// [`Error::Refused`] if they do not fill the HEAD exactly.
    pub fn key_groups(&self) -> Result<Vec<(u8, &'a [u8])>> {
        let count = u16::from_le_bytes(Fields(&self.head[36..]).array()?) as usize;
        check_size("key groups", count, limits::KEY_GROUPS)?;
        let mut fields = Fields(&self.head[HEAD_FIXED_BYTES..]);
        let mut groups = Vec::with_capacity(count);
        for _ in 0..count {
            let kind = fields.u8()?;
            fields.zeros(1)?;
            let len = fields.u16()?;
            groups.push((kind, fields.take(len.into())?));
        }
        fields.end()?;
        match groups.is_empty() {
            true => Err(Error::Refused("a stream header without key groups")),
            false => Ok(groups),
        }
    }

    /// Checks the commitment of a candidate root; only then reads the rest of the HEAD.
    ///
    /// # Errors
    /// [`Error::WrongKey`] if the root is not this stream's, [`Error::Refused`] for fields this version does not know.
    pub fn keys(&self, root: &Secret) -> Result<StreamKeys> {
        let (profile, aead) = (self.profile()?, self.aead()?);
        let keys = StreamKeys::derive(root, self.head, self.stream_id(), profile, aead);
        verify_slices_are_equal(&keys.commitment, &self.tail[..COMMITMENT_BYTES]).map_err(|_| Error::WrongKey)?;
        let mut fields = Fields(&self.head[11..HEAD_FIXED_BYTES]);
        fields.zeros(1)?;
        fields.take(20)?;
        if fields.u32()? as usize != SEGMENT_BYTES {
            return Err(Error::Refused("another segment length than this version's"));
        }
        fields.take(2)?;
        fields.zeros(2)?;
        Ok(keys)
    }

    /// The epoch claimed.
    pub(super) fn claimed_epoch(&self) -> u32 {
        Fields(&self.tail[44..]).u32().unwrap_or_default()
    }

    /// Verifies the TAIL, and opens the description in it.
    ///
    /// # Errors
    /// [`Error::Forged`] or [`Error::Refused`].
    pub fn description(&self, keys: &StreamKeys) -> Result<OpenedDescription> {
        let mut fields = Fields(self.tail);
        let fixed: [u8; TAIL_MACED_BYTES] = fields.array()?;
        let mac: [u8; 16] = fields.array()?;
        keys.check_header_mac(&[b"tail", &keys.head_hash, &fixed], &mac, "a stream header")?;
        let (commitment, rest) = fixed.split_at(COMMITMENT_BYTES);
        verify_slices_are_equal(&keys.commitment, commitment).map_err(|_| Error::Forged("a stream header"))?;
        let mut rest = Fields(rest);
        let counter = rest.u64()?;
        rest.take(4)?;
        let epoch = rest.u32()?;
        let signature_len = rest.u32()? as usize;
        rest.zeros(4)?;
        let (sealed, tag) = fields.0.split_at(fields.0.len() - TAG_BYTES);
        let mut plain = vec![0; sealed.len()];
        let aad = description_aad(keys, &fixed);
        keys.epoch(epoch)?.open(counter, DESCRIPTION_INDEX, &aad, sealed, tag, &mut plain)?;
        if signature_len != 0 && signature_len != SIGNATURE_BYTES {
            return Err(Error::Refused("a signature of another length than a camera's"));
        }
        let (text, signature) = plain
            .split_at_checked(plain.len().wrapping_sub(signature_len))
            .ok_or(Error::Refused("a signature longer than what it stands in"))?;
        let camera = match signature {
            [] => None,
            _ => Some(CameraId::of_signature(signature, &keys.head_hash, &fixed, text)?),
        };
        Ok(OpenedDescription { counter, epoch, camera, description: Description::decode(text)? })
    }
}
