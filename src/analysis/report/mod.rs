//! The report: one HTML file that needs nothing else, on a screen or on paper.
//!
//! In: judgements of pictures. Out: pictures, histograms, neighbours' scatter, tables with value, sample size, ideal,
//! critical value and verdict, and what the literature states of its own ciphers. Read next: `charts`, `published`.

mod charts;
mod page;
mod published;

use super::{picture::Picture, suite::Judgement};

/// Pictures that are shown; of further ones only figures are told.
pub const PICTURES_SHOWN: usize = 4;

/// What is reported.
pub struct Report<'a> {
    /// Of each test by itself.
    pub alpha: f64,
    /// Pixels changed for NPCR and UACI.
    pub trials: u32,
    /// One for each picture.
    pub chapters: Vec<Chapter<'a>>,
}

/// One picture.
pub struct Chapter<'a> {
    /// Its name.
    pub name: &'a str,
    /// The picture.
    pub plain: &'a Picture,
    /// What each cipher has made of it, controls last.
    pub parts: Vec<Part<'a>>,
}

/// One cipher's part.
pub struct Part<'a> {
    /// Name of the cipher.
    pub cipher: &'static str,
    /// What its figures come from, where that is not the cipher under study.
    pub note: Option<&'static str>,
    /// What was found.
    pub judgement: &'a Judgement,
}

/// The report as an HTML file.
pub fn html(report: &Report) -> String {
    page::of(report)
}
