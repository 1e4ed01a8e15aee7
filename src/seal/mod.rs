//! Everything that security rests on: keys, recipients, AEAD, headers, records, packets, cipher pictures, replay.
//!
//! In: frames as bytes, with a record of their times and metas. Out: packets or cipher pictures; and back. Read next:
//! the format below, then `writer` (counters and headers), `sealer` (one frame), `reader`, `packet` (finding packets in
//! a byte stream), `picture` (the extra rows), `index` (where a file's streams can be entered).
//!
//! **What rests on what.** Confidentiality and integrity rest on the AEAD (AES-256-GCM or ChaCha20-Poly1305) under a key
//! that is independent of the chaos key. The chaotic stage over the sealed bytes is defence in depth and a subject of
//! study: nothing found against its maps lowers what the AEAD gives, and it adds nothing that is claimed here. Profile
//! `chaos` has no AEAD on the frame: its integrity rests on keyed BLAKE3, its confidentiality on chaotic maps, which
//! means none against known or flat content. Nothing here has been audited.
#![doc = include_str!("THREATS.md")]
#![doc = include_str!("FORMAT.md")]

mod bytes;
mod camera;
mod description;
mod end_record;
mod epochs;
mod frame_header;
mod identities;
mod index;
mod index_draft;
mod key_files;
mod keys;
pub mod limits;
mod packet;
mod picture;
mod reader;
mod recipients;
mod record;
mod refusal;
mod replay;
mod sealer;
mod stream_header;
mod suite;
mod writer;

pub use camera::{CameraId, CameraKey};
pub use description::{Description, Segment};
pub use end_record::EndRecord;
pub use frame_header::{FRAME_HEADER_BYTES, FRAME_MAGIC, FrameHeader, Kind};
pub use identities::Identities;
pub use index::{
    INDEX_HEADER_BYTES, INDEX_MAGIC, INDEX_TRAILER_BYTES, Index, IndexHeader, IndexPoint, IndexedDescription,
};
pub use index_draft::IndexDraft;
pub use key_files::{create_camera, create_identity, create_preshared};
pub use keys::{Secret, StreamKeys, random_bytes};
pub use packet::{FREE_WORK, Found, Offset, PacketScanner, Verifier, WORK_PER_BYTE, find_magic, is_magic};
pub use picture::{CipherPicture, PICTURE_RECORD_BYTES, PictureLayout};
pub use reader::{DEFAULT_REPLAY_WINDOW, HeaderNews, KeySource, ReaderPolicy, Session, StreamReader};
pub use recipients::Recipients;
pub use record::{Meta, RECORD_FIXED_BYTES, Record};
pub use replay::{ReplayWindow, Verdict};
pub use sealer::{Engine, FrameOpener, FrameSealer, Plaintext};
pub use stream_header::{GROUP_PASSPHRASE, GROUP_PRESHARED, GROUP_RECIPIENTS, KeyGroup, RawStreamHeader, STREAM_MAGIC};
pub use suite::{Aead, DIGEST_BYTES, Profile, SEGMENT_BYTES, TAG_BYTES, segments};
pub use writer::{RekeyPolicy, StreamSecrets, StreamWriter, Ticket};

#[cfg(test)]
mod tests;
