//! `classify`: what pictures and the frames of videos are, as a network sees them: plain, encrypted, or something between.

use std::{
    ffi::OsString,
    io::Read,
    path::{Path, PathBuf},
};

use serde_json::json;

use super::{
    analyze::inputs,
    byte_source::ByteSource,
    container::Container,
    endpoint::{self, Input},
    error::{Exit, Failure},
    folder,
    graph::Interrupt,
    output,
    picture_type::PictureType,
    video_frames::{self, Taken},
    video_source::{Camera, VideoSource},
};
use crate::{analysis::picture::Picture, gst::viewer::Viewer, nn::Model};

/// Tell what pictures and frames of videos are: plain, encrypted, or encrypted badly
///
/// One line for each picture or frame: the label, what the network gives for it between 0 and 1, the file, and of a video
/// the frame's number from 0. Labels: plain, permuted, low-planes, high-planes, ecb-like, encrypted. `encrypted` means that
/// it looks like uniform noise, which proves nothing; no network tells a good cipher from another. Of cipher pictures of ours
/// only the picture itself counts, not the headers below it.
///
/// Another classifier is taken as an ONNX model that fits one of the shapes [1, 1, HEIGHT, WIDTH] (gray) and
/// [1, 3, HEIGHT, WIDTH] (RGB), in floats between 0 and 1, and gives one number for each of its labels. It sees the middle
/// of each picture, which is never resized.
#[derive(clap::Args)]
pub struct Classify {
    /// Pictures, videos, folders of them, `v4l2:///dev/video0`, any other address that GStreamer reads, or `-` for stdin
    #[arg(required = true)]
    inputs: Vec<OsString>,
    /// Print an object for each picture or frame: {path, frame, label, confidence}
    #[arg(long)]
    json: bool,
    /// A model that `train classifier` has made, or an ONNX classifier, in place of the one that comes with the program
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Labels of an ONNX classifier's outputs, one a line
    #[arg(long, value_name = "FILE", requires = "model")]
    labels: Option<PathBuf>,
    /// Threads that a network of ours takes, and no more
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: u16,
    /// Who runs the network; cuda takes a build with the feature nn-cuda, a GPU and the CUDA toolkit
    #[arg(long, value_name = "D", default_value = "cpu", value_parser = ["cpu", "cuda"])]
    device: String,
    /// End a video after so many frames have been classified; so does Ctrl-C at any time
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), help_heading = "Video")]
    frames: Option<u64>,
    /// Classify one frame in so many of a video
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..), help_heading = "Video")]
    every: u64,
}

impl Classify {
    /// Classifies one input after the other; one that cannot be read does not stop the others.
    ///
    /// # Errors
    /// If the model or an input cannot be used.
    pub fn run(self) -> Result<(), Failure> {
        let mut model = Model::open(self.model.as_deref(), self.labels.as_deref(), self.threads.into())?;
        if self.device == "cuda"
            && let Err(error) = model.use_cuda()
        {
            tell!("chaosveil: warning: {error}; the processor runs the network");
        }
        let arguments: Vec<PathBuf> = self.inputs.iter().map(PathBuf::from).collect();
        let is_taken = |name: &Path| PictureType::of_path(name).is_some() || Container::of_path(name).is_some();
        let paths = inputs::collect_where(&arguments, is_taken, "picture or video")?;
        let mut work = Work { command: &self, model, interrupt: Interrupt::watch()? };
        let done = match &paths[..] {
            [path] => work.input(path),
            _ => folder::for_each(&paths, |path| work.input(path)),
        };
        if let Some(trouble) = work.model.trouble() {
            tell!("chaosveil: warning: {trouble}; the processor ran the network from then on");
        }
        done
    }
}

struct Work<'a> {
    command: &'a Classify,
    model: Model,
    interrupt: Interrupt,
}

impl Work<'_> {
    fn input(&mut self, path: &Path) -> Result<(), Failure> {
        if self.interrupt.has_come() {
            return Err(Failure::new(Exit::Other, format!("{}: interrupted before it", path.display())));
        }
        let input = Input::parse(path.as_os_str())?;
        let name = input.name();
        match input {
            Input::Uri(uri) => self.video(&name, source_of(uri)),
            Input::Stdin => self.open(&name, None, std::io::stdin()),
            Input::File(path) | Input::Folder(path) => self.open(&name, Some(&path), endpoint::open(&path)?),
        }
    }

    fn open(&mut self, name: &str, path: Option<&Path>, source: impl Read + Send + 'static) -> Result<(), Failure> {
        let (start, source) = endpoint::peek(name, source)?;
        if path.and_then(PictureType::of_path).is_some() || PictureType::of_content(&start).is_some() {
            let picture = inputs::shown(name, source)?;
            return self.tell(name, 0, &picture, false);
        }
        self.video(
            name,
            match path {
                Some(path) if path.is_file() => VideoSource::File(path.to_owned()),
                // A pipe cannot be opened again.
                _ => VideoSource::Bytes(ByteSource::of_read(source)),
            },
        )
    }

    /// Line by line, as the frames come.
    fn video(&mut self, name: &str, source: VideoSource) -> Result<(), Failure> {
        let taken = Taken { every: self.command.every, most: self.command.frames };
        let interrupt = self.interrupt;
        let mut viewer: Option<(gst::Caps, Viewer)> = None;
        let mut picture = Picture { width: 0, height: 0, channels: 1, bytes: Vec::new() };
        let done = video_frames::for_each(source, taken, interrupt, |number, caps, buffer| {
            if viewer.as_ref().is_none_or(|(known, _)| known != caps) {
                viewer = Some((caps.to_owned(), Viewer::new(caps, self.model.view())?));
            }
            if let Some((_, viewer)) = &mut viewer {
                viewer.look(buffer, &mut picture)?;
            }
            self.tell(name, number, &picture, true)
        });
        done.map_err(|failure| failure.about(name))
    }

    /// Prints the line that tells what a picture is.
    fn tell(&mut self, name: &str, frame: u64, picture: &Picture, is_video: bool) -> Result<(), Failure> {
        let told = self.model.classify(picture).map_err(|error| match is_video {
            true => Failure::from(error),
            false => Failure::from(error).about(name),
        })?;
        let (label, confidence) = (told.label, told.confidence);
        output::print(&match (self.command.json, is_video) {
            (true, _) => {
                format!("{}\n", json!({"path": name, "frame": frame, "label": label, "confidence": confidence}))
            }
            (false, true) => format!("{label:11} {confidence:.4} {name} {frame}\n"),
            (false, false) => format!("{label:11} {confidence:.4} {name}\n"),
        })
    }
}

/// A camera as it comes, or what GStreamer has for an address.
fn source_of(uri: String) -> VideoSource {
    match uri.strip_prefix("v4l2://") {
        Some(device) => VideoSource::Camera(Camera { device: device.to_owned(), ..Camera::default() }),
        None => VideoSource::Uri(uri),
    }
}
