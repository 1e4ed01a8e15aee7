//! Limits of the format (FORMAT.md, section 8). A reader checks them before it allocates anything.

/// Bytes of a stream header.
pub const STREAM_HEADER_BYTES: usize = 65_536;
/// Key groups of a stream header.
pub const KEY_GROUPS: usize = 64;
/// Stanzas of all age files in a stream header together.
pub const AGE_STANZAS: usize = 64;
/// log2 of scrypt's cost.
pub const SCRYPT_LOG_N: u8 = 20;
/// Bytes of a frame.
pub const FRAME_BYTES: usize = 536_870_912;
/// Bytes of a frame's record.
pub const RECORD_BYTES: usize = 65_535;
/// Bytes of a classification's label.
pub const LABEL_BYTES: usize = 255;
/// Streams that one file may interleave.
pub const STREAMS: usize = 256;
/// Points of a stream's index.
pub const INDEX_POINTS: usize = 65_536;
/// Descriptions of a stream's index.
pub const INDEX_DESCRIPTIONS: usize = 4_096;
/// Bytes of all index packets of a file.
pub const INDEX_BYTES: u64 = 33_554_432;

/// The highest number of an epoch: a reader ratchets no further.
pub const EPOCHS: u32 = 1 << 20;
/// AEAD invocations of a writer under one key: the count that NIST SP 800-38D, section 8.3, sets for one key.
pub const EPOCH_INVOCATIONS: u64 = 1 << 32;
/// Payload bytes of a writer under one key: 2^42 blocks keep GCM's distinguishing advantage below 2^-44.
pub const EPOCH_BYTES: u64 = 1 << 46;
