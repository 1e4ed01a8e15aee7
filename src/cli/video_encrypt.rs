//! Video becomes packets or a cipher video: `source ! parsebin ! chaosenc (one for each track) ! funnel ! file`, or
//! `source ! decodebin ! chaosenc output=picture ! avenc_ffv1 ! matroskamux ! file`.

use std::time::{Duration, Instant};

use gst::prelude::*;

use super::{
    container::Container,
    elements,
    endpoint::{Form, Output},
    error::{Exit, Failure},
    graph::{Graph, Interrupt, News},
    index_file::IndexWriter,
    sealing::{Sealing, SealingArguments},
    summary::Summary,
    video_arguments::RekeyArguments,
    video_file::VideoFile,
    video_progress::VideoProgress,
    video_source::{self, Split, Track, Tracks, VideoSource},
};
use crate::{gst::chaosenc::ChaosEnc, seal::random_bytes};

/// What to encrypt, and how.
pub struct VideoEncrypt<'a> {
    /// Profile, backend.
    pub sealing: &'a SealingArguments,
    /// Who will be able to decrypt, and who signs.
    pub read: &'a Sealing,
    /// What to make.
    pub form: Form,
    /// Seal raw frames.
    pub decode: bool,
    /// Leave out tracks that are no video.
    pub video_only: bool,
    /// When to take a new key.
    pub rekey: RekeyArguments,
    /// End after this time.
    pub duration: Option<Duration>,
    /// Overwrite OUTPUT.
    pub force: bool,
}

impl VideoEncrypt<'_> {
    /// Encrypts `source` until it ends, the time is over, or a signal comes.
    ///
    /// # Errors
    /// What goes wrong; what has been written by then is kept under the partial name.
    pub fn run(&self, source: VideoSource, output: &Output) -> Result<(), Failure> {
        let interrupt = Interrupt::watch()?;
        let mut summary = Summary::start();
        let graph = Graph::new()?;
        let file = VideoFile::create(&graph, output, self.force)?;
        let has_end = source.path().is_some();
        let entrance = self.add_entrance(&graph, &file)?;
        let split = if self.decode || self.form == Form::Mkv { Split::Decode } else { Split::Parse };
        let mut run = Run {
            job: self,
            graph: &graph,
            entrance,
            index: IndexWriter::watch(file.sink()),
            encoders: Vec::new(),
            pads: Vec::new(),
            started: None,
            ending: false,
        };
        let done = Tracks::of_source(&graph, source, split).and_then(|tracks| {
            graph.play()?;
            run.until_end(&tracks, &interrupt)
        });
        graph.stop();
        let done = done.and_then(|()| run.check_complete());
        let cut_short = has_end && run.ending && interrupt.has_come();
        let done = done.and_then(|()| file.partial().map_or(Ok(()), |path| run.index.append_to(path)));
        run.encoders.iter().for_each(|encoder| summary.add_stats(encoder));
        // The rest is still there: who takes the result for all of it may delete it.
        let interrupted = || Err(Failure::new(Exit::Other, "interrupted before its end"));
        let settled = file.settle(if cut_short { done.and_then(|()| interrupted()) } else { done });
        if settled.is_ok() || !run.encoders.is_empty() {
            summary.print();
        }
        settled
    }

    /// Where tracks come together.
    fn add_entrance(&self, graph: &Graph, file: &VideoFile) -> Result<gst::Element, Failure> {
        if self.form == Form::Cveil {
            let funnel = graph.add("funnel")?;
            elements::link(&funnel, file.sink())?;
            return Ok(funnel);
        }
        let chain = graph.add_chain(&["avenc_ffv1", "matroskamux"], file.sink())?;
        if !file.is_seekable() {
            chain[1].set_property("streamable", true);
        }
        Ok(chain[0].clone())
    }
}

/// A track's way to the entrance.
struct Way {
    /// What stands before its encrypter.
    before: Vec<gst::Element>,
    /// Its encrypter.
    last: gst::Element,
}

struct Run<'a> {
    job: &'a VideoEncrypt<'a>,
    graph: &'a Graph,
    entrance: gst::Element,
    index: IndexWriter,
    encoders: Vec<gst::Element>,
    /// Where the tracks come from, those that are left out too.
    pads: Vec<gst::Pad>,
    started: Option<Instant>,
    ending: bool,
}

impl Run<'_> {
    fn until_end(&mut self, tracks: &Tracks, interrupt: &Interrupt) -> Result<(), Failure> {
        let progress = VideoProgress::new();
        loop {
            match self.graph.news()? {
                News::End => return Ok(()),
                News::Message(message) if Tracks::are_known(&message) => self.seal(tracks)?,
                News::Message(_) => {}
                News::Quiet => progress.show(self.graph),
            }
            let over = self.started.zip(self.job.duration).is_some_and(|(started, most)| started.elapsed() >= most);
            if (over || interrupt.has_come()) && !self.ending {
                self.end()?;
            }
        }
    }

    /// Gives every track its encrypter.
    fn seal(&mut self, tracks: &Tracks) -> Result<(), Failure> {
        let mut tracks = tracks.take(self.job.video_only)?;
        let (taken, left): (Vec<_>, Vec<_>) = tracks.iter().partition(|track| !self.job.video_only || track.is_video());
        if self.job.form == Form::Mkv {
            check_one_video(&taken)?;
        }
        let recording = random_bytes::<16>()?.map(|byte| format!("{byte:02x}")).concat();
        for (number, track) in taken.iter().enumerate() {
            if self.job.form == Form::Cveil {
                Container::warn_of(track);
            }
            let encoder = self.add_encoder(track.is_raw_audio())?;
            encoder.last.set_property("tracks", taken.len() as u32);
            encoder.last.set_property("track", number as u32);
            encoder.last.set_property("recording", &recording);
            self.encoders.push(encoder.last.clone());
            self.connect(track, &encoder)?;
        }
        for track in left {
            video_source::leave_out(self.graph, &track.pad)?;
        }
        tracks.iter_mut().for_each(Track::release);
        self.pads = tracks.into_iter().map(|track| track.pad).collect();
        self.started = Some(Instant::now());
        Ok(())
    }

    fn add_encoder(&self, interleaved: bool) -> Result<Way, Failure> {
        let encoder = self.graph.add("chaosenc")?;
        self.job.sealing.apply(&encoder, self.job.read)?;
        self.job.rekey.apply(&encoder);
        encoder.set_property_from_str("output", if self.job.form == Form::Mkv { "picture" } else { "packets" });
        if self.job.form == Form::Cveil {
            elements::own::<ChaosEnc>(&encoder)?.keep_index();
        }
        elements::link(&encoder, &self.entrance)?;
        let mut before = Vec::new();
        if interleaved {
            // Where the channels of planar audio begin stands in a meta, which is not sealed.
            before = self.graph.add_chain(&["audioconvert", "capsfilter"], &encoder)?;
            before[1].set_property_from_str("caps", "audio/x-raw, layout=interleaved");
        }
        Ok(Way { before, last: encoder })
    }

    /// Leads a track into its encrypter, which runs by then: not everything that a track tells is blocked, and what it
    /// told to an element that does not run would end it.
    fn connect(&self, track: &Track, way: &Way) -> Result<(), Failure> {
        self.start(&way.last)?;
        self.index.add(elements::own::<ChaosEnc>(&way.last)?.index());
        way.before.iter().rev().try_for_each(|element| self.start(element))?;
        let sink = way.before.first().unwrap_or(&way.last).static_pad("sink").expect("it has a sink pad");
        track.pad.link(&sink).map(drop).map_err(|_| not_carried(track, &sink))
    }

    fn start(&self, element: &gst::Element) -> Result<(), Failure> {
        element.sync_state_with_parent().map_err(|error| match self.graph.news_at_hand() {
            Err(failure) => failure,
            Ok(_) => Failure::new(Exit::Other, error.to_string()),
        })
    }

    /// Ends every track in good order: end records are written, the file is closed.
    fn end(&mut self) -> Result<(), Failure> {
        self.ending = true;
        if self.encoders.is_empty() {
            return Err(Failure::new(Exit::Other, "interrupted before anything came"));
        }
        for pad in self.pads.clone() {
            // On a thread of its own: a track that is just being written holds the pad. Through the pad that it comes
            // from, for of a track that has not begun the encrypter does not know yet what it is.
            self.graph.pipeline.call_async(move |_| {
                pad.push_event(gst::event::Eos::new());
            });
        }
        Ok(())
    }

    /// Nothing may have been dropped on the way.
    fn check_complete(&self) -> Result<(), Failure> {
        let dropped: u64 = self.encoders.iter().map(|encoder| stat(encoder, "dropped")).sum();
        match dropped {
            0 => Ok(()),
            dropped => Err(Failure::new(Exit::Other, format!("{dropped} frames could not be sealed"))),
        }
    }
}

/// A counter of an element of ours.
pub fn stat(element: &gst::Element, name: &str) -> u64 {
    element.property::<gst::Structure>("stats").get(name).unwrap_or(0)
}

fn check_one_video(tracks: &[&Track]) -> Result<(), Failure> {
    let names = || tracks.iter().map(|track| track.name()).collect::<Vec<_>>().join(", ");
    match tracks {
        [track] if track.is_video() => Ok(()),
        _ if tracks.iter().filter(|track| track.is_video()).count() == 1 => {
            Err(Failure::usage(format!("a cipher video holds one video track and nothing else, not {}", names()))
                .advise("leave the others out with --video-only, or name an OUTPUT that ends in .cveil"))
        }
        _ => Err(Failure::usage(format!("a cipher video holds one video track, not {}", names()))
            .advise("name an OUTPUT that ends in .cveil")),
    }
}

/// Why a track cannot become cipher pictures in the lossless codec, and which formats can.
fn not_carried(track: &Track, sink: &gst::Pad) -> Failure {
    let format = |caps: &gst::Caps| {
        let format = caps.structure(0).and_then(|caps| caps.value("format").ok()?.serialize().ok());
        format.map_or("unknown".to_owned(), |format| format.replace("(string)", ""))
    };
    let known = sink.query_caps(None);
    Failure::usage(format!(
        "a cipher video does not carry the format {}; it carries {}",
        format(&track.caps),
        format(&known)
    ))
    .advise("name an OUTPUT that ends in .cveil")
}
