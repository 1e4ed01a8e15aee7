//! Chaosveil encrypts live video.
//!
//! START HERE. A frame's trip, and the modules in the order of the flow:
//!
//! ```text
//!  frame            seal                 chaos + backend               pipeline            gst, cli
//!  rows without     AEAD per segment     permutation and keystream     ordered workers     elements,
//!  padding      ->  tags, record     ->  keyed by the tags         ->  bounded queue   ->  command line
//!                                                                                       packet | cipher picture
//! ```
//!
//! [`frame`] knows raw formats and rows; [`seal`] holds keys, headers, packets, the written format and everything that
//! security rests on; [`chaos`] is the chaotic stage as specified and [`backend`] who runs it; [`pipeline`] moves frames
//! through threads; [`mod@gst`] holds the elements `chaosenc` and `chaosdec`; [`analysis`] judges what comes out, and
//! [`nn`](nn/index.html) tells what a frame looks like. Data flows one way: a module never imports
//! one to its right.
//!
//! **Security.** Confidentiality and integrity rest on the AEAD with an independent key. The chaotic stage is defence in
//! depth and a subject of study. Nothing here has been audited. See [`seal`].

pub mod analysis;
pub mod backend;
pub mod chaos;
pub mod cli;
pub mod error;
pub mod frame;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod gst;
#[cfg(feature = "nn")]
pub mod nn;
pub mod pipeline;
pub mod seal;

pub use error::{Error, Result};
