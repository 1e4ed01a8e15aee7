//! A cipher video becomes video again: `source ! decodebin ! chaosdec ! muxer ! file`.

use gst::prelude::*;

use super::{
    branch::tally_of,
    container::Mux,
    endpoint::Output,
    error::{Exit, Failure},
    graph::{Graph, Interrupt, News},
    matroska::{End, Extent},
    streams::{Damage, Tally},
    summary::Summary,
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
        let mux = self.container.add(&graph, file.sink(), file.is_seekable())?;
        let decrypter = self.add_decrypter(&graph)?;
        let tracks = Tracks::of_source(&graph, source, Split::Decode)?;
        let mut run =
            PictureRun { graph: &graph, mux, decrypter: &decrypter, ending: false, opened: false, refusal: None };
        let done = graph.play().and_then(|()| run.until_end(&tracks, &interrupt));
        let orientations = run.mux.orientations();
        graph.stop();
        let done = done.and_then(|()| run.mux.complete(file.partial(), &orientations));
        summary.add_stats(&decrypter);
        let (stopped, opened) = (run.ending, run.opened);
        let done = done.map_err(|failure| failure.about(self.name));
        let settled = match (stopped && !self.endless, done) {
            (true, Ok(())) => file.settle(Err(self.interrupted())),
            (_, done) => {
                let end = extent.end(done.is_ok() && !stopped)?;
                self.warn_of_unseen_end(end);
                self.settle(file, done, damage(&decrypter, end, opened), summary.frames)
            }
        };
        summary.print();
        settled
    }

    fn warn_of_unseen_end(&self, end: Option<End>) {
        if end == Some(End::Untold) {
            eprintln!(
                "chaosveil: warning: {} does not tell how long it is: if its end was cut off, nobody can see it",
                self.name
            );
        }
    }
}

/// Judges what has come. Of what was never opened it is not known that it is ours.
fn damage(decrypter: &gst::Element, end: Option<End>, opened: bool) -> Option<Damage> {
    let tally = tally_of(decrypter);
    // Every counter between the first and the last belongs to a picture.
    let sealed_frames = Some(tally.frames + stat(decrypter, "lost"));
    Damage::of_pictures(&Tally { sealed_frames, ..tally }, end).filter(|_| opened)
}

/// A cipher video on its way.
struct PictureRun<'a> {
    graph: &'a Graph,
    mux: Mux,
    decrypter: &'a gst::Element,
    /// A signal has come.
    ending: bool,
    opened: bool,
    /// Why the decrypter does not open it.
    refusal: Option<crate::Error>,
}

impl PictureRun<'_> {
    fn until_end(&mut self, tracks: &Tracks, interrupt: &Interrupt) -> Result<(), Failure> {
        let progress = VideoProgress::new();
        loop {
            match self.graph.news() {
                Ok(News::End) => return Ok(()),
                Ok(News::Message(message)) if Tracks::are_known(&message) => self.connect(tracks)?,
                Ok(News::Message(message)) => self.hear(&message),
                Ok(News::Quiet) => progress.show(self.graph),
                Err(failure) => {
                    return Err(self.refusal.take().filter(|_| !self.opened).map_or(failure, Failure::from));
                }
            }
            if interrupt.has_come() && !std::mem::replace(&mut self.ending, true) {
                self.decrypter.call_async(|decrypter| {
                    let sink = decrypter.static_pad("sink").expect("chaosdec has a sink pad");
                    sink.send_event(gst::event::Eos::new());
                });
            }
        }
    }

    fn connect(&mut self, tracks: &Tracks) -> Result<(), Failure> {
        let mut tracks = tracks.take(false)?;
        let [track] = &mut tracks[..] else {
            return Err(Failure::new(Exit::Content, format!("{} tracks; a cipher video has one", tracks.len())));
        };
        let sink = self.decrypter.static_pad("sink").expect("chaosdec has a sink pad");
        track.pad.link(&sink).map_err(|_| crate::Error::NotOurs)?;
        // What is inside has the format of what carries it.
        self.mux.lead(self.graph, self.decrypter, &track.caps, true)?;
        self.mux.start()?;
        track.release();
        Ok(())
    }

    fn hear(&mut self, message: &gst::Message) {
        let Some(event) = message.structure().filter(|event| event.name() == "chaosveil-event") else { return };
        match event.get::<&str>("reason") {
            Ok("new-stream") => self.opened = true,
            Ok("wrong-key") => self.refusal = Some(crate::Error::WrongKey),
            Ok("profile-not-accepted") => self.refusal = Some(crate::Error::ProfileNotAccepted("chaos")),
            _ => {}
        }
    }
}
