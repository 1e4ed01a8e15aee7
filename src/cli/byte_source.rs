//! Bytes from a file, a pipe or an address, read by a thread of its own: whoever waits for them can be interrupted.

use std::{
    collections::VecDeque,
    io::{self, Read},
    time::Duration,
};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use gst::prelude::*;
use gst_app::{AppSink, AppSinkCallbacks, AppSrc};

use super::{
    error::Failure,
    graph::{self, Graph},
    video_source,
};

/// Bytes of a chunk.
const CHUNK_BYTES: usize = 1 << 18;
/// Chunks in flight: enough to keep a disk busy while one is worked on.
const CHUNKS: usize = 4;
/// How long a reader waits before it says that nothing comes.
const PATIENCE: Duration = Duration::from_millis(50);

/// Some bytes; none at all are the end.
type Chunk = io::Result<Vec<u8>>;

/// Where bytes come from.
pub struct ByteSource {
    chunks: Receiver<Chunk>,
    /// Keeps the pipeline of an address alive. Dropped after the channel, so that its thread never waits in vain.
    _graph: Option<Graph>,
}

impl ByteSource {
    /// Reads something that is open.
    pub fn of_read(mut source: impl Read + Send + 'static) -> ByteSource {
        let (sender, chunks) = bounded(CHUNKS);
        // It ends with its source, or when nobody listens any more; nothing waits for it.
        std::thread::spawn(move || while send_chunk(&mut source, &sender) {});
        ByteSource { chunks, _graph: None }
    }

    /// Reads an address, through the source element that GStreamer has for it.
    ///
    /// # Errors
    /// If there is none, or it does not start.
    pub fn of_uri(uri: &str) -> Result<ByteSource, Failure> {
        let graph = Graph::new()?;
        let source = video_source::element_for_uri(uri)?;
        let (sender, chunks) = bounded(CHUNKS);
        let sink = sink_into(sender.clone());
        let impossible = |error: gst::glib::BoolError| Failure::new(super::error::Exit::Other, error.to_string());
        graph.pipeline.add_many([&source, sink.upcast_ref()]).map_err(impossible)?;
        source.link(&sink).map_err(impossible)?;
        let bus = graph.pipeline.bus().expect("a pipeline has a bus");
        bus.set_sync_handler(move |_, message| {
            if let gst::MessageView::Error(error) = message.view() {
                // Whoever does not listen any more does not need to know.
                let _ = sender.send(Err(io::Error::other(graph::failure_of(error))));
            }
            gst::BusSyncReply::Pass
        });
        graph.play()?;
        Ok(ByteSource { chunks, _graph: Some(graph) })
    }

    /// Hands everything on to an element, from a thread of its own. What cannot be read is that element's error: an end
    /// would pass for the end of INPUT.
    pub fn feed(self, element: &AppSrc) {
        element.set_property("block", true);
        element.set_max_bytes((CHUNKS * CHUNK_BYTES) as u64);
        let element = element.clone();
        std::thread::spawn(move || {
            loop {
                match self.chunks.recv().unwrap_or_else(|_| Err(stopped())) {
                    Ok(chunk) if chunk.is_empty() => break,
                    Ok(chunk) => {
                        if element.push_buffer(gst::Buffer::from_mut_slice(chunk)).is_err() {
                            return;
                        }
                    }
                    Err(error) => {
                        gst::element_error!(element, gst::ResourceError::Read, ("{error}"));
                        return;
                    }
                }
            }
            // An element that is not running any more has no use for it.
            let _ = element.end_of_stream();
        });
    }

    /// A reader that fails when `stop` says so: what comes next will not be read. Where nothing comes for a moment it says
    /// [`io::ErrorKind::WouldBlock`].
    pub fn reader(self, stop: impl Fn() -> bool) -> impl Read {
        Chunks { source: self, at_hand: VecDeque::new(), ended: false, stop }
    }
}

/// Reading has ended before the end.
fn stopped() -> io::Error {
    io::Error::other("reading has been stopped")
}

/// A source that would block is one that cannot be read, and not one from which nothing comes at the moment.
fn of_the_source(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock => io::Error::other(error),
        _ => error,
    }
}

/// Reads once; false when there is no more to do.
fn send_chunk(source: &mut impl Read, sender: &Sender<Chunk>) -> bool {
    let mut chunk = vec![0; CHUNK_BYTES];
    let read = source.read(&mut chunk).map(|len| {
        chunk.truncate(len);
        chunk
    });
    let last = match &read {
        Ok(chunk) => chunk.is_empty(),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => return true,
        Err(_) => true,
    };
    sender.send(read).is_ok() && !last
}

/// The end of an address's pipeline.
fn sink_into(sender: Sender<Chunk>) -> AppSink {
    let sink = AppSink::builder().sync(false).build();
    let at_end = sender.clone();
    let callbacks = AppSinkCallbacks::builder().new_sample(move |sink| {
        let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
        let buffer = sample.buffer().ok_or(gst::FlowError::Error)?;
        let bytes = buffer.map_readable().map_err(|_| gst::FlowError::Error)?.to_vec();
        // An empty buffer is no end.
        match bytes.is_empty() || sender.send(Ok(bytes)).is_ok() {
            true => Ok(gst::FlowSuccess::Ok),
            false => Err(gst::FlowError::Eos),
        }
    });
    sink.set_callbacks(callbacks.eos(move |_| drop(at_end.send(Ok(Vec::new())))).build());
    sink
}

struct Chunks<F> {
    source: ByteSource,
    at_hand: VecDeque<u8>,
    ended: bool,
    stop: F,
}

impl<F: Fn() -> bool> Read for Chunks<F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at_hand.is_empty() && !self.ended {
            match self.source.chunks.recv_timeout(PATIENCE) {
                _ if (self.stop)() => return Err(stopped()),
                Ok(chunk) => {
                    self.at_hand = chunk.map_err(of_the_source)?.into();
                    self.ended = self.at_hand.is_empty();
                }
                Err(RecvTimeoutError::Timeout) => return Err(io::ErrorKind::WouldBlock.into()),
                Err(RecvTimeoutError::Disconnected) => return Err(stopped()),
            }
        }
        self.at_hand.read(buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_comes_through_in_order() {
        let bytes: Vec<u8> = (0..3 * CHUNK_BYTES + 7).map(|i| (i % 251) as u8).collect();
        let mut reader = ByteSource::of_read(io::Cursor::new(bytes.clone())).reader(|| false);
        let (mut read, mut piece) = (Vec::new(), [0; 5000]);
        loop {
            match reader.read(&mut piece) {
                Ok(0) => break,
                Ok(len) => read.extend_from_slice(&piece[..len]),
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
            }
        }
        assert!(read == bytes);
    }

    #[test]
    fn waiting_can_be_interrupted() {
        let (silent, _never_written) = std::os::unix::net::UnixStream::pair().expect("sockets");
        let mut stopped = ByteSource::of_read(silent).reader(|| true);
        let error = stopped.read(&mut [0; 8]).expect_err("no end, which would pass for that of the source");
        assert_eq!(error.kind(), io::ErrorKind::Other, "not that nothing comes at the moment");
    }
}
