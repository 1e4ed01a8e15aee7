//! A cipher video becomes video again: `source ! decodebin ! chaosdec ! muxer ! file`.

use gst::prelude::*;

use super::{
    branch::{profile_of, tally_of},
    endpoint::Output,
    error::{Exit, Failure},
    graph::{Graph, Interrupt, News},
    matroska::{End, Extent},
    streams::{Damage, Tally},
    summary::Summary,
    troubles::{Trouble, Troubles},
    video_decrypt::VideoDecrypt,
    video_encrypt::stat,
    video_file::VideoFile,
    video_progress::VideoProgress,
    video_source::{Split, Tracks, VideoSource},
};

impl VideoDecrypt<'_> {
    /// Decrypts a cipher video; `extent` tells whether all of it has come.
    ///
    /// # Errors
    /// What goes wrong, damage included.
    pub fn pictures(&self, source: VideoSource, extent: &Extent, output: &Output) -> Result<(), Failure> {
        let interrupt = Interrupt::watch()?;
        let mut summary = Summary::start();
        let graph = Graph::new()?;
        let file = VideoFile::create(&graph, output, self.force)?;
        let mut mux = self.container.add(&graph, file.sink(), file.is_seekable())?;
        let decrypter = self.add_decrypter(&graph)?;
        let tracks = Tracks::of_source(&graph, source, Split::Decode)?;
        let mut run = PictureRun::new(&graph, &decrypter);
        let lead = |caps: &gst::Caps| {
            mux.lead(&graph, &decrypter, caps, true)?;
            mux.start()
        };
        let progress = VideoProgress::new();
        let done = run.until_end(&tracks, &progress, lead, || interrupt.has_come());
        drop(progress);
        let (stopped, opened) = (run.ending, run.has_opened());
        let orientations = mux.orientations();
        graph.stop();
        let done = done.and_then(|()| mux.complete(file.partial(), &orientations));
        summary.add_stats(&decrypter);
        let done = done.map_err(|failure| failure.about(self.name));
        let settled = match (stopped && !self.endless, done) {
            (true, Ok(())) => file.settle(Err(self.interrupted())),
            // A container with nothing in it is not kept.
            (_, Err(failure)) if !opened => Err(failure),
            (_, done) => {
                let end = extent.end(done.is_ok() && !stopped)?;
                warn_of_unseen_ends(self.name, &decrypter, end);
                self.settle(file, done, damage(&tally_of_pictures(&decrypter), end, opened), summary.frames)
            }
        };
        summary.print();
        settled
    }
}

/// Tells on stderr that the beginning is not there, and that nobody knows whether the end is, where that is so.
pub fn warn_of_unseen_ends(name: &str, decrypter: &gst::Element, end: Option<End>) {
    let first: u64 = decrypter.property::<gst::Structure>("stats").get("first-counter").unwrap_or(1);
    if first > 1 {
        tell!("chaosveil: warning: {name} begins with counter {first} of its stream: what came before is not in it");
    }
    if end == Some(End::Untold) {
        tell!("chaosveil: warning: {name} does not tell how long it is: if its end was cut off, nobody can see it");
    }
}

/// What a decrypter of cipher pictures has counted.
pub fn tally_of_pictures(decrypter: &gst::Element) -> Tally {
    let tally = tally_of(decrypter);
    // Every counter between the first and the last belongs to a picture.
    Tally { sealed_frames: Some(tally.frames + stat(decrypter, "lost")), ..tally }
}

/// Judges what has come. Of what was never opened it is not known that it is ours.
pub fn damage(tally: &Tally, end: Option<End>, opened: bool) -> Option<Damage> {
    Damage::of_pictures(tally, end).filter(|_| opened)
}

/// A cipher video on its way.
pub struct PictureRun<'a> {
    graph: &'a Graph,
    decrypter: &'a gst::Element,
    /// A signal has come.
    pub ending: bool,
    /// Why the decrypter does not open it.
    refusal: Option<crate::Error>,
    /// What is wrong, and where.
    pub troubles: Troubles,
}

impl PictureRun<'_> {
    /// Nothing runs yet.
    pub fn new<'a>(graph: &'a Graph, decrypter: &'a gst::Element) -> PictureRun<'a> {
        PictureRun { graph, decrypter, ending: false, refusal: None, troubles: Troubles::default() }
    }

    /// Plays until the end, or until what was there when it `stopped` is through. `lead` takes what the decrypter gives
    /// out, once the caps are known.
    ///
    /// # Errors
    /// What goes wrong.
    pub fn until_end(
        &mut self,
        tracks: &Tracks,
        progress: &VideoProgress,
        mut lead: impl FnMut(&gst::Caps) -> Result<(), Failure>,
        stopped: impl Fn() -> bool,
    ) -> Result<(), Failure> {
        self.graph.play()?;
        loop {
            match self.graph.news() {
                Ok(News::End) => return Ok(()),
                Ok(News::Message(message)) if Tracks::are_known(&message) => self.connect(tracks, &mut lead)?,
                Ok(News::Message(message)) => self.hear(&message),
                Ok(News::Quiet) => progress.show(self.graph),
                Err(failure) => {
                    return Err(self.refusal.take().filter(|_| !self.has_opened()).map_or(failure, Failure::from));
                }
            }
            if stopped() && !std::mem::replace(&mut self.ending, true) {
                self.decrypter.call_async(|decrypter| {
                    let sink = decrypter.static_pad("sink").expect("chaosdec has a sink pad");
                    sink.send_event(gst::event::Eos::new());
                });
            }
        }
    }

    /// Whether a key has opened it.
    pub fn has_opened(&self) -> bool {
        !profile_of(self.decrypter).is_empty()
    }

    fn connect(
        &mut self,
        tracks: &Tracks,
        lead: &mut impl FnMut(&gst::Caps) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut tracks = tracks.take(false)?;
        let [track] = &mut tracks[..] else {
            return Err(Failure::new(Exit::Content, format!("{} tracks; a cipher video has one", tracks.len())));
        };
        let sink = self.decrypter.static_pad("sink").expect("chaosdec has a sink pad");
        track.pad.link(&sink).map_err(|_| crate::Error::NotOurs)?;
        // What is inside has the format of what carries it.
        lead(&track.caps)?;
        track.release();
        Ok(())
    }

    fn hear(&mut self, message: &gst::Message) {
        let Some(event) = message.structure().filter(|event| event.name() == "chaosveil-event") else { return };
        match event.get::<&str>("reason") {
            Ok("wrong-key") => self.refusal = Some(crate::Error::WrongKey),
            Ok("camera-not-accepted") => {
                self.refusal = Some(crate::Error::Camera("the stream is not signed by a camera that is accepted"));
            }
            Ok("profile-not-accepted") => self.refusal = Some(crate::Error::ProfileNotAccepted("chaos")),
            Ok(what @ ("rejected" | "worker-panic" | "replayed" | "reordered" | "lost")) => {
                let what = match what {
                    "lost" => "missing",
                    "worker-panic" => "rejected",
                    what => what,
                };
                self.troubles.note(Trouble {
                    what: what.to_owned(),
                    counter: event.get("counter").ok(),
                    detail: event.get("detail").ok(),
                    ..Trouble::default()
                });
            }
            _ => {}
        }
    }
}
