//! From one pipeline to another: files, TCP, RTP, UDP, and lossless video codecs.

use std::sync::{
    Arc, Condvar, Mutex,
    atomic::{AtomicU64, Ordering},
};

use gst::prelude::*;

use super::{
    common::{Keys, chaosveil_events, have, in_time, pipeline, play_to_end, stat, until_end},
    pictures::{self, assert_same, bytes, frames, info},
};

/// A pipeline whose `appsrc name=src` is fed by the test.
struct Sender {
    pipeline: gst::Pipeline,
    source: gst_app::AppSrc,
}

impl Sender {
    fn new(line: &str, caps: &gst::Caps) -> Sender {
        let pipeline = pipeline(&format!("appsrc name=src format=time max-bytes=0 ! {line}"));
        let source = pipeline.by_name("src").expect("in the line").downcast::<gst_app::AppSrc>().expect("an appsrc");
        source.set_caps(Some(caps));
        Sender { pipeline, source }
    }

    fn push(&self, buffer: &gst::Buffer) {
        self.source.push_buffer(buffer.clone()).expect("takes buffers");
    }

    /// Sends everything and ends.
    fn send(line: &str, caps: &gst::Caps, frames: &[gst::Buffer]) {
        let sender = Sender::new(line, caps);
        frames.iter().for_each(|frame| sender.push(frame));
        sender.source.end_of_stream().expect("ends");
        play_to_end(&sender.pipeline);
    }
}

/// A pipeline with a `chaosdec name=dec` and an `appsink name=out` whose buffers are collected.
struct Receiver {
    pipeline: gst::Pipeline,
    came: Arc<(Mutex<Vec<gst::Buffer>>, Condvar)>,
}

impl Receiver {
    fn new(line: &str) -> Receiver {
        let pipeline = pipeline(&format!("{line} ! appsink name=out sync=false"));
        let sink = pipeline.by_name("out").expect("in the line").downcast::<gst_app::AppSink>().expect("an appsink");
        let came: Arc<(Mutex<Vec<gst::Buffer>>, Condvar)> = Arc::default();
        let collected = came.clone();
        let callbacks = gst_app::AppSinkCallbacks::builder().new_sample(move |sink| {
            let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
            collected.0.lock().expect("not poisoned").extend(sample.buffer_owned());
            collected.1.notify_all();
            Ok(gst::FlowSuccess::Ok)
        });
        sink.set_callbacks(callbacks.build());
        Receiver { pipeline, came }
    }

    fn wait_for(&self, count: usize) {
        let came = self.came.0.lock().expect("not poisoned");
        drop(self.came.1.wait_while(came, |came| came.len() < count).expect("not poisoned"));
    }

    fn taken(&self) -> Vec<gst::Buffer> {
        std::mem::take(&mut self.came.0.lock().expect("not poisoned"))
    }

    fn stat(&self, name: &str) -> u64 {
        stat(&self.pipeline.by_name("dec").expect("in the line"), name)
    }

    /// Receives until EOS.
    fn receive(line: &str) -> Vec<gst::Buffer> {
        let receiver = Receiver::new(line);
        let messages = play_to_end(&receiver.pipeline);
        let told = chaosveil_events(&messages);
        assert_eq!(told, [("new-stream".to_owned(), None)], "{line}");
        receiver.taken()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        // A failure here would only hide the one that the test is about.
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

fn compare(case: &str, info: &gst_video::VideoInfo, came: &[gst::Buffer], sent: &[gst::Buffer]) {
    assert_same(case, info, &came.iter().collect::<Vec<_>>(), sent);
}

#[test]
fn files() {
    in_time(|| {
        for (format, width, height) in [("I420", 320, 240), ("v210", 50, 37), ("RGBA", 33, 21), ("NV12_4L4", 64, 64)] {
            let keys = Keys::new();
            let (info, file) = (info(format, width, height), keys.path("test.cveil").display().to_string());
            let sent = frames(&info, 25);
            Sender::send(&format!("chaosenc {} ! filesink location={file}", keys.psk()), &pictures::caps(&info), &sent);
            // In blocks that know nothing of packets, and recognised by content.
            for source in [
                format!("filesrc location={file}"),
                format!("filesrc location={file} blocksize=777"),
                format!("filesrc location={file} ! typefind"),
                format!("filesrc location={file} ! queue ! application/x-chaosveil"),
            ] {
                let came = Receiver::receive(&format!("{source} ! chaosdec name=dec {}", keys.psk()));
                compare(&source, &info, &came, &sent);
            }
        }
    });
}

/// What chance calls a free port, until somebody takes it.
fn port_of(element: &gst::Element, property: &str) -> i32 {
    let port = element.property::<i32>(property);
    assert!(port > 0, "{property} of {}", element.name());
    port
}

#[test]
fn tcp_from_client_to_server() {
    in_time(|| {
        if !have(&["tcpserversrc", "tcpclientsink"]) {
            return;
        }
        let keys = Keys::new();
        let info = info("I420", 320, 240);
        let sent = frames(&info, 40);
        let line = format!("tcpserversrc name=tcp host=127.0.0.1 port=0 ! chaosdec name=dec {}", keys.psk());
        let receiver = Receiver::new(&line);
        receiver.pipeline.set_state(gst::State::Playing).expect("starts");
        let port = port_of(&receiver.pipeline.by_name("tcp").expect("in the line"), "current-port");
        let line = format!("chaosenc {} ! tcpclientsink host=127.0.0.1 port={port} sync=false", keys.psk());
        Sender::send(&line, &pictures::caps(&info), &sent);
        let last = until_end(&receiver.pipeline).pop().expect("ends");
        assert_eq!(last.type_(), gst::MessageType::Eos, "{last:?}");
        compare("tcp", &info, &receiver.taken(), &sent);
    });
}

/// Clients come when they like: the second one joins in the middle and waits for the next stream header.
#[test]
fn tcp_from_server_to_clients() {
    in_time(|| {
        if !have(&["tcpserversink", "tcpclientsrc"]) {
            return;
        }
        let keys = Keys::new();
        let info = info("I420", 160, 120);
        // Half a minute of stream, sent as fast as it goes: a header a second at least.
        let sent = frames(&info, 750);
        let line = format!("chaosenc {} ! tcpserversink name=tcp host=127.0.0.1 port=0 sync=false", keys.psk());
        let sender = Sender::new(&line, &pictures::caps(&info));
        let clients = Arc::new(AtomicU64::new(0));
        let counted = clients.clone();
        let server = sender.pipeline.by_name("tcp").expect("in the line");
        server.connect("client-added", false, move |_| {
            counted.fetch_add(1, Ordering::SeqCst);
            None
        });
        sender.pipeline.set_state(gst::State::Playing).expect("starts");
        let port = port_of(&server, "current-port");
        let join = |number: u64| {
            let line = format!("tcpclientsrc host=127.0.0.1 port={port} ! chaosdec name=dec {}", keys.psk());
            let receiver = Receiver::new(&line);
            receiver.pipeline.set_state(gst::State::Playing).expect("starts");
            while clients.load(Ordering::SeqCst) < number {
                std::thread::yield_now();
            }
            receiver
        };
        let first = join(1);
        sent[..30].iter().for_each(|frame| sender.push(frame));
        first.wait_for(30);
        let second = join(2);
        sent[30..].iter().for_each(|frame| sender.push(frame));
        sender.source.end_of_stream().expect("ends");
        first.wait_for(sent.len());
        compare("from the start", &info, &first.taken(), &sent);
        second.wait_for(1);
        until_caught_up(&second, &sent);
        let came = second.taken();
        let joined_at = sent.len() - came.len();
        assert!((30..=80).contains(&joined_at), "joined at frame {joined_at}: headers come each second");
        compare("joined late", &info, &came, &sent[joined_at..]);
        assert_eq!(second.stat("lost") + second.stat("rejected"), 0);
        sender.pipeline.set_state(gst::State::Null).expect("stops");
    });
}

/// Waits until the last frame has come.
fn until_caught_up(receiver: &Receiver, sent: &[gst::Buffer]) {
    let last = sent.last().and_then(|frame| frame.pts());
    let behind = |came: &mut Vec<gst::Buffer>| came.last().is_none_or(|frame| frame.pts() != last);
    let came = receiver.came.0.lock().expect("not poisoned");
    drop(receiver.came.1.wait_while(came, behind).expect("not poisoned"));
}

#[test]
fn rtp_payloader_and_depayloader() {
    in_time(|| {
        if !have(&["rtpgstpay", "rtpgstdepay"]) {
            return;
        }
        for (format, width, height) in [
            ("I420", 320, 240),
            ("I420", 17, 13),
            ("NV12", 641, 479),
            ("RGB", 50, 3),
            ("Y444_12BE", 64, 48),
            ("ARGB64", 100, 40),
            ("GRAY8", 1, 1),
            ("RGB8P", 16, 16),
        ] {
            for mtu in [200, 1400, 60_000] {
                let keys = Keys::new();
                let info = info(format, width, height);
                let sent = frames(&info, 4);
                let line = format!(
                    "chaosenc {} ! rtpgstpay mtu={mtu} ! rtpgstdepay ! chaosdec name=dec {} \
                     ! appsink name=out sync=false",
                    keys.psk(),
                    keys.psk()
                );
                let sender = Sender::new(&line, &pictures::caps(&info));
                sent.iter().for_each(|frame| sender.push(frame));
                sender.source.end_of_stream().expect("ends");
                let out = sender.pipeline.by_name("out").and_downcast::<gst_app::AppSink>().expect("in the line");
                sender.pipeline.set_state(gst::State::Playing).expect("starts");
                let came: Vec<gst::Buffer> =
                    std::iter::from_fn(|| out.pull_sample().ok()).filter_map(|sample| sample.buffer_owned()).collect();
                compare(&line, &info, &came, &sent);
                sender.pipeline.set_state(gst::State::Null).expect("stops");
            }
        }
    });
}

/// Real datagrams. Nothing paces a test source, so the next frame is sent when the last has come.
fn over_udp(caps: &gst::Caps, sent: &[gst::Buffer]) -> Vec<gst::Buffer> {
    let keys = Keys::new();
    let rtp = "application/x-rtp,media=application,clock-rate=90000,encoding-name=X-GST,payload=96";
    let line = format!(
        "udpsrc name=udp address=127.0.0.1 port=0 buffer-size=4194304 caps=\"{rtp}\" ! rtpjitterbuffer latency=50 \
         ! rtpgstdepay ! chaosdec name=dec {}",
        keys.psk()
    );
    let receiver = Receiver::new(&line);
    receiver.pipeline.set_state(gst::State::Playing).expect("starts");
    let port = port_of(&receiver.pipeline.by_name("udp").expect("in the line"), "port");
    let line = format!(
        "chaosenc {} ! rtpgstpay config-interval=1 ! udpsink host=127.0.0.1 port={port} sync=false buffer-size=4194304",
        keys.psk()
    );
    let sender = Sender::new(&line, caps);
    sender.pipeline.set_state(gst::State::Playing).expect("starts");
    for (number, frame) in sent.iter().enumerate() {
        sender.push(frame);
        receiver.wait_for(number + 1);
    }
    assert_eq!(receiver.stat("lost") + receiver.stat("rejected"), 0);
    sender.pipeline.set_state(gst::State::Null).expect("stops");
    receiver.taken()
}

const UDP: [&str; 5] = ["udpsrc", "udpsink", "rtpgstpay", "rtpgstdepay", "rtpjitterbuffer"];

#[test]
fn raw_video_over_udp() {
    in_time(|| {
        if have(&UDP) {
            let info = info("I420", 320, 240);
            let sent = frames(&info, 12);
            compare("udp", &info, &over_udp(&pictures::caps(&info), &sent), &sent);
        }
    });
}

#[test]
fn h264_over_udp() {
    in_time(|| {
        if !have(&UDP) || !have(&["x264enc", "h264parse"]) {
            return;
        }
        let source = Receiver::new(
            "videotestsrc num-buffers=20 ! video/x-raw,format=I420,width=1920,height=1080,framerate=25/1 \
             ! x264enc bitrate=4000 speed-preset=ultrafast tune=zerolatency key-int-max=10 ! h264parse \
             ! video/x-h264,stream-format=avc,alignment=au",
        );
        play_to_end(&source.pipeline);
        let units = source.taken();
        let caps = gst::Caps::builder("video/x-h264").field("stream-format", "avc").field("alignment", "au").build();
        let came = over_udp(&caps, &units);
        let all =
            |buffers: &[gst::Buffer]| buffers.iter().map(|buffer| (bytes(buffer), buffer.pts())).collect::<Vec<_>>();
        assert!(all(&came) == all(&units));
    });
}

/// Cipher pictures in a container, through codecs that keep every sample.
fn through_codec(format: &str, encoder: &str, decoder: &str) {
    for (width, height) in [(320, 240), (64, 48), (34, 22)] {
        let keys = Keys::new();
        let (info, file) = (info(format, width, height), keys.path("test.mkv").display().to_string());
        let sent = frames(&info, 6);
        let line =
            format!("chaosenc {} output=picture ! {encoder} ! matroskamux ! filesink location={file}", keys.psk());
        Sender::send(&line, &pictures::caps(&info), &sent);
        let line = format!("filesrc location={file} ! matroskademux ! {decoder} ! chaosdec name=dec {}", keys.psk());
        let came = Receiver::receive(&line);
        let case = format!("{format} {width} x {height} {encoder}");
        assert_eq!(came.len(), sent.len(), "{case}");
        compare(&case, &info, &came, &sent);
    }
}

#[test]
fn ffv1_in_matroska() {
    in_time(|| {
        if have(&["avenc_ffv1", "avdec_ffv1", "matroskamux", "matroskademux"]) {
            for format in ["I420", "Y42B", "Y444", "Y41B", "GRAY8", "GRAY16_LE"] {
                through_codec(format, "avenc_ffv1", "avdec_ffv1");
            }
        }
    });
}

#[test]
fn lossless_h264_in_matroska() {
    in_time(|| {
        if have(&["x264enc", "avdec_h264", "h264parse", "matroskamux", "matroskademux"]) {
            for format in ["I420", "Y42B", "Y444"] {
                let encoder = "x264enc pass=quant quantizer=0 speed-preset=ultrafast ! h264parse";
                through_codec(format, encoder, "h264parse ! avdec_h264");
            }
        }
    });
}
