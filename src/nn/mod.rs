//! Tells what a frame is: a picture, a picture that was encrypted badly, or one that looks encrypted well.
//!
//! The frame classifier of Liu et al. 2022 (RITEM-CF-AN), trained on our own schemes and on weakened ones. In: pictures.
//! Out: a [`Label`] and how sure the network is of it. That a picture is called `encrypted` is no proof of anything: it
//! looks like uniform noise to this network, and no network tells a good cipher from another, or from noise.
//!
//! ```text
//!  data: photographs -> plain and weakened frames -> crops -+
//!                                                           +-> preprocessing -> network -> label, confidence
//!  frames of a user ------------------> crops --------------+
//! ```
//!
//! A [`Model`] is that network, one that a user has trained, or a classifier in ONNX that somebody else has made, for other
//! labels.
//!
//! Read next: [`label`] (what is told apart), [`data`] (of what the network learns), [`preprocessing`], [`network`] (the
//! model; the only place that knows burn), [`model`] (what elements and commands use), [`training`] (epoch after epoch),
//! [`evaluation`] (how well it does), [`comparison`] (how well its peers do).

pub mod comparison;
pub mod data;
pub mod evaluation;
pub mod label;
pub mod model;
pub mod network;
#[cfg(feature = "onnx")]
mod onnx;
pub mod preprocessing;
pub mod training;

pub use label::Label;
pub use model::{Model, Told, View};
pub use network::{Architecture, Classifier, Prediction, crop, crop_places};
