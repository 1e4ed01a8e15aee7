//! `doctor`: what this machine offers.

use std::{fmt::Write, fs, path::PathBuf};

use serde::Serialize;

use super::{
    elements::{self, ELEMENTS},
    error::{Exit, Failure},
    output,
};
use crate::{
    backend::{
        self, Choice, Parallel,
        calibration::{self, Verdict},
    },
    frame::{Format, FrameLayout},
};

/// Tell what this machine offers: backends, instruction sets, plugins, cameras
#[derive(clap::Args)]
pub struct Doctor {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Doctor {
    /// Prints the report. A missing element that is needed is a failure after it.
    pub fn run(self) -> Result<(), Failure> {
        let report = Report::of_this_machine();
        let text = match self.json {
            true => serde_json::to_string_pretty(&report).map(|json| json + "\n").unwrap_or_default(),
            false => report.text(),
        };
        output::print(&text)?;
        report.verdict()
    }
}

#[derive(Serialize)]
struct Report {
    version: &'static str,
    backends: Vec<&'static str>,
    backend: BackendReport,
    architecture: &'static str,
    cpu_features: Vec<FeatureReport>,
    processors: usize,
    cuda: String,
    /// What `auto` has been found to take for streams.
    calibration: Vec<Verdict>,
    gstreamer: Option<String>,
    elements: Vec<ElementReport>,
    cameras: Vec<CameraReport>,
}

#[derive(Serialize)]
struct BackendReport {
    name: Option<&'static str>,
    reason: String,
}

#[derive(Serialize)]
struct FeatureReport {
    name: &'static str,
    present: bool,
}

#[derive(Serialize)]
struct ElementReport {
    name: &'static str,
    present: bool,
    required: bool,
    package: &'static str,
    purpose: &'static str,
}

#[derive(Serialize)]
struct CameraReport {
    device: PathBuf,
    name: String,
}

impl Report {
    fn of_this_machine() -> Report {
        let (cuda, calibration) = cuda();
        let gstreamer = gst::init().ok().map(|()| gst::version_string().to_string());
        let elements = ELEMENTS.iter().map(|needed| ElementReport {
            name: needed.name,
            present: gstreamer.is_some() && elements::is_present(needed.name),
            required: needed.required,
            package: needed.package,
            purpose: needed.purpose,
        });
        Report {
            version: env!("CARGO_PKG_VERSION"),
            backends: backend::available().iter().map(|backend| backend.name()).collect(),
            backend: BackendReport::of_this_machine(),
            architecture: std::env::consts::ARCH,
            cpu_features: cpu_features(),
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            cuda,
            calibration,
            elements: elements.collect(),
            gstreamer,
            cameras: cameras(),
        }
    }

    fn missing(&self) -> impl Iterator<Item = &ElementReport> {
        self.elements.iter().filter(|element| !element.present)
    }

    fn verdict(&self) -> Result<(), Failure> {
        if let (None, reason) = (self.backend.name, &self.backend.reason) {
            return Err(Failure::new(Exit::Missing, reason.clone()));
        }
        if self.gstreamer.is_none() {
            return Err(Failure::new(Exit::Missing, "GStreamer does not start")
                .advise("apt-get install gstreamer1.0-tools gstreamer1.0-plugins-base"));
        }
        let missing: Vec<_> = self.missing().filter(|element| element.required).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let names: Vec<_> = missing.iter().map(|element| element.name).collect();
        let mut packages: Vec<_> = missing.iter().map(|element| element.package).collect();
        packages.dedup();
        Err(Failure::new(Exit::Missing, format!("elements are missing that are needed: {}", names.join(", ")))
            .advise(format!("apt-get install {}", packages.join(" "))))
    }

    fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) -> std::fmt::Result {
        writeln!(text, "chaosveil    {}", self.version)?;
        writeln!(text, "backends     {}", self.backends.join(", "))?;
        writeln!(text, "chosen       {}: {}", self.backend.name.unwrap_or("none"), self.backend.reason)?;
        writeln!(text, "processor    {}, {} threads", self.architecture, self.processors)?;
        let features = self.cpu_features.iter().map(|feature| match feature.present {
            true => feature.name.to_owned(),
            false => format!("(no {})", feature.name),
        });
        writeln!(text, "features     {}", features.collect::<Vec<_>>().join(" "))?;
        writeln!(text, "CUDA         {}", self.cuda)?;
        for verdict in &self.calibration {
            writeln!(text, "  auto       {verdict}")?;
        }
        writeln!(text, "GStreamer    {}", self.gstreamer.as_deref().unwrap_or("does not start"))?;
        let present = self.elements.iter().filter(|element| element.present).count();
        writeln!(text, "elements     {present} of {} present", self.elements.len())?;
        for element in self.missing() {
            let need = if element.required { "needed" } else { "wanted" };
            writeln!(
                text,
                "  missing    {} ({need} for {}): package {}",
                element.name, element.purpose, element.package
            )?;
        }
        match self.cameras.is_empty() {
            true => writeln!(text, "cameras      none"),
            false => self
                .cameras
                .iter()
                .try_for_each(|camera| writeln!(text, "camera       {}: {}", camera.device.display(), camera.name)),
        }
    }
}

impl BackendReport {
    fn of_this_machine() -> BackendReport {
        match backend::choose(Choice::Auto) {
            Ok(backend) => {
                let reason = match std::env::var(backend::ENVIRONMENT) {
                    Ok(asked) if !asked.is_empty() => format!("{} asks for {asked}", backend::ENVIRONMENT),
                    _ => "the fastest of this processor's".to_owned(),
                };
                BackendReport { name: Some(backend.name()), reason }
            }
            Err(error) => BackendReport { name: None, reason: error.to_string() },
        }
    }
}

/// Sizes of I420 that are measured where there is a GPU.
const CALIBRATED: [(u32, u32); 3] = [(640, 480), (1920, 1080), (3840, 2160)];

/// The GPU, or why there is none, and what is known of its speed: measured now for the usual sizes, and what streams have
/// found out before.
fn cuda() -> (String, Vec<Verdict>) {
    let found = backend::choose(Choice::Cuda).and_then(|cuda| {
        let parallel = Parallel { workers: Parallel::usual_workers(), pool: None };
        for (width, height) in CALIBRATED {
            let frame = FrameLayout::new(Format::from_name("I420")?, width, height, false)?;
            backend::calibrate(0, frame.payload_bytes(), &parallel)?;
        }
        Ok(cuda.device().map_or(String::new(), |device| device.identity().to_string()))
    });
    let known = calibration::verdicts().known().to_vec();
    (found.unwrap_or_else(|error| error.to_string()), known)
}

/// The instruction sets that backends and ciphers use.
#[cfg(target_arch = "x86_64")]
fn cpu_features() -> Vec<FeatureReport> {
    macro_rules! features {
        ($($name:tt),*) => { vec![$(FeatureReport { name: $name, present: is_x86_feature_detected!($name) }),*] };
    }
    features!("ssse3", "avx2", "fma", "avx512f", "avx512vbmi", "aes", "vaes", "vpclmulqdq")
}

#[cfg(not(target_arch = "x86_64"))]
fn cpu_features() -> Vec<FeatureReport> {
    Vec::new()
}

/// The video devices that the kernel knows.
fn cameras() -> Vec<CameraReport> {
    let entries = fs::read_dir("/sys/class/video4linux").into_iter().flatten().flatten();
    let mut cameras: Vec<_> = entries
        .map(|entry| CameraReport {
            device: PathBuf::from("/dev").join(entry.file_name()),
            name: fs::read_to_string(entry.path().join("name")).unwrap_or_default().trim().to_owned(),
        })
        .collect();
    cameras.sort_by(|a, b| a.device.cmp(&b.device));
    cameras
}
