//! What is encrypted: raw video pictures as bytes.
//!
//! A picture arrives as up to four planes, each with its own stride and with padding at the end of its rows. What is
//! sealed is the *payload*: the rows of all planes, one after the other, without the padding. This module knows every
//! raw format's shape and moves pictures in and out of payloads. It knows nothing of ciphers, and nothing of GStreamer
//! beyond the names of its formats.
//!
//! - comes in: a format name, a width, a height, and planes with strides;
//! - goes out: a [`FrameLayout`] (where each plane lies in the payload, how tall a cipher picture becomes), and the
//!   payload itself.
//!
//! Read [`mod@format`] first (the table of formats, what a transport does to each), then [`layout`] (sizes and
//! offsets), then [`mod@pack`] (the copies), [`view`] (parts of a payload where it stands).

pub mod format;
pub mod layout;
pub mod pack;
pub mod view;

#[cfg(test)]
mod tests;

pub use format::{Carriage, Format, PlaneShape};
pub use layout::{FrameLayout, MAX_PAYLOAD_BYTES, MAX_PLANES, MAX_SIDE, PlaneLayout};
pub use pack::{Plane, PlaneMut, pack, unpack};
pub use view::View;
