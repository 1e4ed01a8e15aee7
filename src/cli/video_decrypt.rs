//! Packets become video again: each stream through `appsrc ! chaosdec`, all of them into one muxer.
//!
//! The command line verifies headers itself ([`Streams`]), for it has to know which packet is whose and which bytes are
//! damaged; frames are opened by the elements, in parallel.

use std::{cell::RefCell, collections::BTreeMap, io, ops::Range, path::PathBuf, rc::Rc, time::Duration};

use gst::prelude::*;
use gst_app::AppSrc;

use super::{
    backlog::Backlog,
    branch::Branch,
    byte_source::ByteSource,
    container::{self, Container, Mux, Times},
    elements,
    endpoint::Output,
    error::{Exit, Failure},
    excerpt::{Cut, Excerpt},
    graph::{Graph, Interrupt, News},
    output,
    packets::{Extent, PacketReader, note_range, read_packets},
    sealing::{BackendArgument, Opening},
    streams::{Damage, Stream, StreamHandler, Streams},
    summary::Summary,
    track_times::TrackTimes,
    video_encrypt::stat,
    video_file::VideoFile,
    video_progress::VideoProgress,
    video_source,
};
use crate::{
    gst::{chaosdec::ChaosDec, sealed_text},
    seal::{FrameHeader, Kind, Offset, RawStreamHeader, Verifier},
};

/// How to decrypt, and what to make.
pub struct VideoDecrypt<'a> {
    /// Keys, and the profiles that are accepted.
    pub opening: &'a Opening,
    /// Who runs the chaotic stage.
    pub backend: &'a BackendArgument,
    /// Name of INPUT, for messages.
    pub name: &'a str,
    /// INPUT goes on until somebody ends it: that is no damage.
    pub endless: bool,
    /// INPUT is an address: what comes is due when it comes.
    pub live: bool,
    /// Size of INPUT, where that is known.
    pub bytes: Option<u64>,
    /// What to make.
    pub container: &'static Container,
    /// Leave out tracks that are no video.
    pub video_only: bool,
    /// What of INPUT is decrypted, where that is not all.
    pub excerpt: Option<Excerpt>,
    /// Give a damaged file its name.
    pub salvage: bool,
    /// Overwrite OUTPUT.
    pub force: bool,
}

/// Bytes that wait before all decrypters together; what has to wait beyond that does so on the disk.
const MOST_QUEUED: u64 = 32 << 20;

/// How reading has ended.
enum Ending {
    /// At the end of INPUT.
    Whole,
    /// By a signal, as is meant for what has no end.
    Stopped,
    /// Before the end.
    Failed(Failure),
}

impl VideoDecrypt<'_> {
    /// Decrypts a packet file.
    ///
    /// # Errors
    /// What goes wrong, damage included.
    pub fn packets(&self, source: ByteSource, output: &Output) -> Result<(), Failure> {
        let interrupt = Interrupt::watch()?;
        let mut summary = Summary::start();
        let graph = Graph::new()?;
        let file = VideoFile::create(&graph, output, self.force)?;
        let failure = Rc::default();
        let mux = self.container.add(&graph, file.sink(), file.is_seekable())?;
        let router = Router::new(self, &graph, mux, file.backlog(), &failure);
        let mut streams = Streams::new(self.opening, router);
        self.show_headers(&mut streams);
        let stopped = || interrupt.has_come() || failure.borrow().is_some();
        let at = self.excerpt.as_ref().map_or(0, |excerpt| excerpt.bytes.start);
        let (mut extent, read) = read_packets(source.reader(stopped), at, &mut streams);
        let ending = self.ending(read, &interrupt);
        let (mut streams, mut router) = match streams.finish() {
            Ok(opened) => opened,
            Err(refusal) => return Err(self.nothing_opened(refusal, ending)),
        };
        let given_up = || interrupt.has_come() && !self.endless;
        let done = router.finish(given_up);
        let (whole, orientations) = (router.over, router.mux.orientations());
        graph.stop();
        let Router { branches, damaged, progress, mux, .. } = router;
        drop(progress);
        let done = done.and_then(|()| if whole { mux.complete(file.partial(), &orientations) } else { Ok(()) });
        let done = done.map_err(|failure| self.advise_container(failure).about(self.name));
        for (id, branch) in &branches {
            self.warn_of_gaps(branch);
            summary.add_stats(&branch.decrypter);
            streams.entry(*id).and_modify(|stream| stream.tally = branch.tally());
        }
        extent.add_damage(damaged);
        let ending = if whole { ending } else { Ending::Failed(self.interrupted()) };
        let (done, damage) = match (done, ending) {
            (Ok(()), Ending::Failed(failure)) => match Damage::so_far(&extent, streams.values()) {
                Some(damage) => (Err(failure.note(format!("what came before is damaged: {damage}"))), None),
                None => (Err(failure), None),
            },
            (Ok(()), Ending::Whole) => (Ok(()), self.damage(&extent, &streams)),
            (done, _) => (done, Damage::so_far(&extent, streams.values())),
        };
        if damage.is_none() && !extent.bad_index.is_empty() {
            tell!("chaosveil: {}: its index is damaged; `chaosveil index` makes another", self.name);
        }
        let settled = self.settle(file, done, damage, summary.frames);
        summary.print();
        settled
    }

    /// Shows what an excerpt begins with, which stands elsewhere in the file.
    fn show_headers(&self, streams: &mut Streams<Router>) {
        for (id, cut) in self.excerpt.iter().flat_map(|excerpt| &excerpt.cuts) {
            // One that does not verify opens nothing, and is told of at the end.
            if streams.stream_header(&cut.header).is_ok() {
                streams.header(&cut.header);
            }
            if let Ok(stream) = streams.stream(Some(*id)) {
                stream.want_from(cut.frames.start);
            }
        }
    }

    fn damage(&self, extent: &Extent, streams: &BTreeMap<[u8; 16], Stream>) -> Option<Damage> {
        match &self.excerpt {
            None => Damage::of(extent, streams.values()),
            Some(excerpt) => Damage::of_excerpt(extent, streams.values(), |stream| excerpt.has_end_of(stream.id())),
        }
    }

    /// How many frames there are in all the end record says, but not how many in an excerpt.
    fn warn_of_gaps(&self, branch: &Branch) {
        let lost = stat(&branch.decrypter, "lost");
        if self.excerpt.is_some() && lost > 0 {
            tell!(
                "chaosveil: {}: {lost} counters are missing in track {}; whether frames are, only `chaosveil verify` can tell",
                self.name,
                branch.track + 1
            );
        }
    }

    fn cut(&self, stream: [u8; 16]) -> Option<&Cut> {
        self.excerpt.as_ref()?.cuts.get(&stream)
    }

    fn ending(&self, read: io::Result<()>, interrupt: &Interrupt) -> Ending {
        match read {
            Ok(()) => Ending::Whole,
            Err(_) if interrupt.has_come() && self.endless => Ending::Stopped,
            Err(_) if interrupt.has_come() => Ending::Failed(self.interrupted()),
            Err(error) => Ending::Failed(Failure::io(self.name, error)),
        }
    }

    /// What has not been read might have opened, unless it is for the keys or the arguments to say why nothing did.
    fn nothing_opened(&self, refusal: Failure, ending: Ending) -> Failure {
        match (refusal.exit(), ending) {
            (Exit::Content, Ending::Failed(failure)) => failure,
            (Exit::Content, Ending::Stopped) => self.interrupted(),
            _ => refusal.about(self.name),
        }
    }

    /// Some muxers find out late what they do not take.
    fn advise_container(&self, failure: Failure) -> Failure {
        match failure.exit() == Exit::Other && self.container != container::MATROSKA {
            true => failure.note("if it is the container that does not take it: name an OUTPUT that ends in .mkv"),
            false => failure,
        }
    }

    /// A signal has come before the end.
    pub fn interrupted(&self) -> Failure {
        Failure::new(Exit::Other, "interrupted").about(self.name)
    }

    /// Adds what opens packets or cipher pictures.
    ///
    /// # Errors
    /// If it is none of this program's own.
    pub fn add_decrypter(&self, graph: &Graph) -> Result<gst::Element, Failure> {
        let decrypter = graph.add("chaosdec")?;
        self.opening.apply(&decrypter, self.backend)?;
        if !self.live {
            elements::own::<ChaosDec>(&decrypter)?.keep_times();
        }
        elements::own::<ChaosDec>(&decrypter)?.say_all();
        Ok(decrypter)
    }

    /// Gives the file its name if nothing is wrong, or if it shall be salvaged. A failure may come of the damage that
    /// there is; one of the disk or of the arguments does not.
    pub fn settle(
        &self,
        file: VideoFile,
        done: Result<(), Failure>,
        damage: Option<Damage>,
        frames: u64,
    ) -> Result<(), Failure> {
        let Some(damage) = damage.filter(|_| !done.as_ref().is_err_and(Failure::stands_alone)) else {
            return file.settle(done);
        };
        let failure = damage.failure(self.name);
        match done {
            _ if frames == 0 => Err(failure.note("nothing in it is intact")),
            Err(other) => file.settle(Err(failure.note(other.to_string()))),
            Ok(()) if self.salvage => file.finish().and(Err(failure)),
            Ok(()) => Err(match file.keep() {
                Some(kept) => {
                    failure.note(format!("what is intact is in {}; --salvage gives it the final name", kept.display()))
                }
                None => failure,
            }),
        }
    }
}

/// Leads every packet to its stream's decrypter. A muxer takes no more tracks once it has begun, so all of them have to
/// show their first frame before they are led into it.
struct Router<'a> {
    job: &'a VideoDecrypt<'a>,
    graph: &'a Graph,
    mux: Mux,
    /// Where what waits on the disk gets its place.
    backlog: PathBuf,
    branches: BTreeMap<[u8; 16], Branch>,
    /// How many there are to be.
    tracks: usize,
    connected: bool,
    damaged: Vec<Range<u64>>,
    /// Bytes of INPUT that have been taken.
    read: u64,
    progress: VideoProgress,
    over: bool,
    /// Why there is no use in reading on.
    failure: &'a Rc<RefCell<Option<Failure>>>,
}

impl<'a> Router<'a> {
    fn new(
        job: &'a VideoDecrypt,
        graph: &'a Graph,
        mux: Mux,
        backlog: PathBuf,
        failure: &'a Rc<RefCell<Option<Failure>>>,
    ) -> Router<'a> {
        Router {
            job,
            graph,
            mux,
            backlog,
            branches: BTreeMap::new(),
            tracks: 1,
            connected: false,
            damaged: Vec::new(),
            read: 0,
            progress: VideoProgress::new(),
            over: false,
            failure,
        }
    }

    fn note_failure(&self, done: Result<(), Failure>) {
        if let Err(failure) = done {
            self.failure.borrow_mut().get_or_insert(failure);
        }
    }

    /// Makes a way for a stream that is met for the first time.
    fn meet(&mut self, stream: &Stream) -> Result<(), Failure> {
        let description = stream.description();
        self.tracks = description.tracks.into();
        if self.connected || self.branches.contains_key(&stream.id()) {
            return Ok(());
        }
        let branch = self.add_branch(description.track, &description.caps)?;
        let branch = self.branches.entry(stream.id()).insert_entry(branch).into_mut();
        self.graph.play()?;
        branch.tell_caps();
        Ok(())
    }

    fn add_branch(&self, track: u16, caps: &str) -> Result<Branch, Failure> {
        let not_understood =
            || Failure::new(Exit::Content, format!("caps that are not understood: {}", output::printable(caps)));
        let caps: gst::Caps = sealed_text::parse(caps).ok_or_else(not_understood)?;
        let decrypter = self.job.add_decrypter(self.graph)?;
        let origin = self.job.excerpt.as_ref().map_or(0, |excerpt| excerpt.origin);
        let source_pad = decrypter.static_pad("src").expect("chaosdec has a source pad");
        let times = TrackTimes::block(&source_pad, gst::ClockTime::from_nseconds(origin));
        let source = self.graph.add_chain(&["appsrc"], &decrypter)?.remove(0);
        for element in [&decrypter, &source] {
            element.sync_state_with_parent().map_err(|error| Failure::new(Exit::Other, error.to_string()))?;
        }
        let source: AppSrc = source.downcast().expect("appsrc is what it is called");
        source.set_caps(Some(&gst::Caps::new_empty_simple("application/x-chaosveil")));
        // The branch knows how much may wait in it.
        source.set_max_bytes(0);
        Ok(Branch::new(source, decrypter, track, caps, times, Backlog::new(&self.backlog)))
    }

    /// Tells whether the packet was taken.
    fn route(&mut self, stream: [u8; 16], packet: &[u8], place: Option<(u64, Range<u64>)>, is_end: bool) -> bool {
        let room = self.room();
        let Some(branch) = self.branches.get_mut(&stream) else { return false };
        if let Some((counter, place)) = place {
            self.read = place.end;
            branch.note_place(counter, place);
        }
        let pushed = branch.push(packet, room);
        if is_end {
            branch.claim_end();
        }
        let taken = pushed.as_ref().is_ok_and(|taken| *taken);
        let done = pushed.map(drop).map_err(|error| self.no_room(error)).and_then(|()| self.wait_for_room());
        self.note_failure(done);
        taken
    }

    /// How much may wait before each decrypter.
    fn room(&self) -> u64 {
        MOST_QUEUED / self.branches.len().max(1) as u64
    }

    fn no_room(&self, error: io::Error) -> Failure {
        Failure::io(format_args!("what waits for the other tracks, {}", self.backlog.display()), error)
    }

    fn refill(&mut self) -> Result<(), Failure> {
        let room = self.room();
        let refilled = self.branches.values_mut().try_for_each(|branch| branch.refill(room));
        refilled.map_err(|error| self.no_room(error))
    }

    /// Leads the tracks into the muxer once all have shown their first frame, or there is nothing more to come.
    fn connect_if_ready(&mut self, at_any_rate: bool) -> Result<(), Failure> {
        let is_here = |b: &Branch| b.times.first().is_some() || video_source::is_sparse(&b.caps);
        let ready = self.branches.len() >= self.tracks && self.branches.values().all(is_here);
        if self.connected || !(ready || at_any_rate) {
            return Ok(());
        }
        self.connected = true;
        let video_only = self.job.video_only;
        let (mut branches, left): (Vec<_>, Vec<_>) =
            self.branches.values_mut().partition(|branch| !video_only || video_source::is_video(&branch.caps));
        if branches.is_empty() {
            return Err(Failure::new(Exit::Content, "there is no video in it"));
        }
        for branch in left {
            video_source::leave_out(self.graph, &branch.decrypter.static_pad("src").expect("it has a source pad"))?;
            branch.times.release(gst::ClockTime::ZERO, Times::None, false);
        }
        let later = branches.iter().map(|branch| branch.times.early()).max().unwrap_or_default();
        branches.sort_by_key(|branch| branch.track);
        let mut ways = Vec::new();
        for branch in &branches {
            let first = branch.times.first().unwrap_or_default();
            ways.push(self.mux.lead(self.graph, &branch.decrypter, &branch.caps, first.dts.is_some())?);
        }
        self.mux.start()?;
        for (branch, way) in branches.into_iter().zip(ways) {
            branch.times.release(later, self.job.container.times, !way.finds_times);
            branch.announce();
        }
        Ok(())
    }

    /// Lets the pipeline go on, and waits while much waits already, unless a decrypter has nothing to do: the muxer may be
    /// waiting for just that.
    fn wait_for_room(&mut self) -> Result<(), Failure> {
        loop {
            let mut news = self.graph.news_at_hand()?;
            let quiet = matches!(news, News::Quiet);
            while !matches!(news, News::Quiet) {
                self.hear(&news);
                news = self.graph.news_at_hand()?;
            }
            self.progress.show_bytes(self.read, self.job.bytes);
            self.check_times()?;
            self.connect_if_ready(false)?;
            self.refill()?;
            let room = self.room();
            if self.job.endless || self.branches.values().any(|branch| branch.queued() >= room) {
                // The muxer waits for every track that has not ended. Of a file that hurts only where much waits already,
                // and a stream may go on after its end.
                self.branches.values_mut().filter(|branch| branch.seems_to_end()).for_each(Branch::end);
            }
            let waiting = self.branches.values().filter(|branch| !branch.seems_to_end());
            let levels: Vec<u64> = waiting.map(Branch::queued).collect();
            let full = levels.iter().any(|&level| level >= room) && !levels.contains(&0);
            if self.over || !self.connected || !full {
                return Ok(());
            }
            if quiet {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }

    fn check_times(&self) -> Result<(), Failure> {
        match self.branches.values().any(|branch| branch.times.is_untimed()) {
            false => Ok(()),
            true => Err(Failure::usage("its frames do not have the times that such a file keeps")
                .advise("name an OUTPUT that ends in .avi, .h264 or .h265, as in what was encrypted")),
        }
    }

    fn hear(&mut self, news: &News) {
        match news {
            News::Quiet => {}
            News::End => self.over = true,
            News::Message(message) => {
                if let Some(range) = self.place_of_rejected(message) {
                    note_range(&mut self.damaged, range);
                }
            }
        }
    }

    /// Where the packet stands that a decrypter has rejected.
    fn place_of_rejected(&mut self, message: &gst::Message) -> Option<Range<u64>> {
        let event = message.structure().filter(|event| event.name() == "chaosveil-event")?;
        if !matches!(event.get::<&str>("reason"), Ok("rejected" | "worker-panic")) {
            return None;
        }
        let counter = event.get::<u64>("counter").ok()?;
        let source = message.src()?;
        let branch =
            self.branches.values_mut().find(|branch| branch.decrypter.upcast_ref::<gst::Object>() == source)?;
        branch.place(counter)
    }

    /// Everything has been read: lets the pipeline come to its end, unless it is given up before.
    fn finish(&mut self, given_up: impl Fn() -> bool) -> Result<(), Failure> {
        if let Some(failure) = self.failure.borrow_mut().take() {
            return Err(failure);
        }
        self.branches.values_mut().for_each(Branch::end);
        while !self.over && !given_up() {
            self.refill()?;
            let arriving = self.branches.values().any(|branch| branch.times.first().is_none());
            self.connect_if_ready(!arriving)?;
            let news = self.graph.news()?;
            self.hear(&news);
            self.progress.show_bytes(self.read, self.job.bytes);
            self.check_times()?;
        }
        Ok(())
    }
}

impl StreamHandler for Router<'_> {
    fn header(&mut self, stream: &mut Stream, bytes: &[u8]) {
        let counter = RawStreamHeader::split(bytes).map_or(0, |raw| raw.claimed_counter());
        if self.job.cut(stream.id()).is_some_and(|cut| !cut.takes_description(counter)) {
            return;
        }
        let met = self.meet(stream);
        self.note_failure(met);
        self.route(stream.id(), bytes, None, false);
    }

    fn frame(&mut self, stream: &mut Stream, offset: Offset, header: &FrameHeader, packet: &[u8]) -> bool {
        if self.job.cut(stream.id()).is_some_and(|cut| !cut.frames.contains(&header.counter)) {
            return true;
        }
        let place = Some((header.counter, offset..offset + packet.len() as u64));
        self.route(stream.id(), packet, place, header.kind == Kind::End)
    }

    fn idle(&mut self) -> bool {
        let done = self.wait_for_room();
        self.note_failure(done);
        true
    }
}
