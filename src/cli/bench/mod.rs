//! `bench`: how fast each stage is here, beside memcpy and AES-256-GCM, in alternating rounds.
//!
//! In: sizes and formats, or a file. Out: a table or JSON, a comparison with an older run, a plot. Read next: `stages`
//! (what is measured), `on_device` (a GPU by itself), `element` (the same through GStreamer), `rounds` (how), `report`
//! (what is told of it).

mod compare;
mod element;
mod input;
mod on_device;
mod plot;
pub(super) mod report;
mod rounds;
mod stages;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use clap::builder::PossibleValuesParser;
use indicatif::{ProgressBar, ProgressStyle};

use self::{
    input::Picture,
    report::{Report, Row},
    stages::Case,
};
use super::{
    endpoint,
    error::Failure,
    output,
    sealing::{BackendArgument, warn_of_trouble},
};
use crate::{
    backend::Backend,
    frame::{Format, FrameLayout},
    seal::Profile,
};

/// Of synthetic frames, which are all held.
const MOST_BYTES: u64 = 8 << 30;

/// Measure every stage on this machine, beside memcpy and AES-256-GCM
///
/// The stages of all sizes, formats and thread counts take turns, in ten rounds, so that whatever else the machine does
/// hits all of them alike. Frames are synthetic, or the first of a file. `threads` are those that share one frame; the
/// element, which is the whole `chaosenc` in a pipeline, works on so many frames at once instead, and a GPU by itself has
/// so many in flight.
#[derive(clap::Args)]
pub struct Bench {
    /// Picture or video whose first frames are taken
    input: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Sizes of synthetic frames
    #[arg(long, value_name = "WxH,...", value_delimiter = ',', value_parser = super::video_arguments::parse_size,
          default_value = "1920x1080")]
    sizes: Vec<(i32, i32)>,
    /// Formats of synthetic frames, as GStreamer names them
    #[arg(long, value_name = "F,...", value_delimiter = ',', default_value = "I420")]
    formats: Vec<String>,
    /// Profile of `encrypt`, `decrypt` and `element`
    #[arg(long, value_name = "P", default_value = Profile::default().name(),
          value_parser = PossibleValuesParser::new(Profile::ALL.map(Profile::name)))]
    profile: String,
    #[command(flatten)]
    backend: BackendArgument,
    /// Different frames that take turns. One stays in the cache, as published speeds are mostly taken; a pool's worth of
    /// them does not
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    frames: u16,
    /// Threads that share a frame
    #[arg(long, value_name = "N,...", value_delimiter = ',', default_value = "1",
          value_parser = clap::value_parser!(u16).range(1..=64))]
    threads: Vec<u16>,
    /// Time for each row
    #[arg(long, value_name = "S", default_value = "1", value_parser = super::video_arguments::parse_seconds)]
    seconds: Duration,
    /// Write the JSON to a file too
    #[arg(long, value_name = "JSON")]
    save: Option<PathBuf>,
    /// Tell ratios to an older `--json` output
    #[arg(long, value_name = "JSON")]
    compare: Option<PathBuf>,
    /// Draw throughput
    #[arg(long, value_name = "SVG")]
    plot: Option<PathBuf>,
    /// Overwrite what is saved or drawn
    #[arg(long)]
    force: bool,
}

impl Bench {
    /// Measures, and tells.
    ///
    /// # Errors
    /// What goes wrong with files, formats and GStreamer.
    pub fn run(self) -> Result<(), Failure> {
        let old = self.compare.as_deref().map(compare::read).transpose()?;
        let inputs: Vec<&Path> = self.input.iter().map(PathBuf::as_path).collect();
        endpoint::refuse_clashes(&inputs, &[self.plot.as_deref(), self.save.as_deref()])?;
        [&self.plot, &self.save].into_iter().flatten().try_for_each(|path| output::check_writable(path, self.force))?;
        let backend = self.backend.choose()?;
        let pictures = self.pictures()?;
        let mut report = Report::of_this_machine();
        report.device = backend.device().map(|device| device.identity().to_string());
        report.rows = self.measure(&pictures, &backend)?;
        warn_of_trouble(&*backend);
        if let Some(path) = &self.save {
            output::write_file(path, report.json().as_bytes(), self.force)?;
        }
        if let Some(path) = &self.plot {
            output::write_file(path, plot::draw(&report)?.as_bytes(), self.force)?;
        }
        output::print(&match self.json {
            true => report.json(),
            false => report.table(),
        })?;
        if let Some(old) = old {
            tell!("{}", compare::table(&old, &report).trim_end());
        }
        Ok(())
    }

    fn pictures(&self) -> Result<Vec<Picture>, Failure> {
        if let Some(path) = &self.input {
            return Ok(vec![input::first_frames(path, self.frames.into())?]);
        }
        let mut layouts = Vec::new();
        for name in &self.formats {
            let format = Format::from_name(name)?;
            for &(width, height) in &self.sizes {
                layouts.push(FrameLayout::new(format, width as u32, height as u32, false)?);
            }
        }
        let bytes: u64 = layouts.iter().map(|layout| layout.payload_bytes() as u64 * u64::from(self.frames)).sum();
        if bytes > MOST_BYTES {
            return Err(Failure::usage(format!("frames of {bytes} bytes, and no more than {MOST_BYTES} are made"))
                .advise("name fewer --sizes and --formats in one run, or lower --frames"));
        }
        Ok(layouts.into_iter().map(|layout| Picture::synthetic(layout, self.frames.into())).collect())
    }

    fn measure(&self, pictures: &[Picture], backend: &Arc<dyn Backend>) -> Result<Vec<Row>, Failure> {
        let profile = Profile::from_name(&self.profile).unwrap_or_default();
        let mut stages = Vec::new();
        let mut cases = Vec::new();
        for picture in pictures {
            for &threads in &self.threads {
                let case = Case { picture, profile, backend: backend.clone(), threads: threads.into() };
                let before = stages.len();
                stages.extend(stages::all(&case)?);
                stages.push(element::stage(&case, &self.backend)?);
                cases.resize(cases.len() + stages.len() - before, case);
            }
        }
        let progress = progress(rounds::ROUNDS.into());
        let measured = rounds::measure(&mut stages, self.seconds, || progress.inc(1))?;
        progress.finish_and_clear();
        let rows = cases.iter().zip(&stages).zip(&measured);
        Ok(rows.map(|((case, stage), samples)| Row::of(case, &**stage, samples)).collect())
    }
}

fn progress(rounds: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {elapsed} round {pos} of {len}").expect("a valid template");
    let bar = ProgressBar::new(rounds).with_style(style);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
