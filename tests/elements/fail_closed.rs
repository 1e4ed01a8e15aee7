//! What goes wrong around an encrypter while it works: sealed or dropped and reported, never clear. Worker panics are
//! tested beside the elements, where a stage can be broken; a GPU that fails, in `tests/kernels`.

use std::{
    io::Read,
    net::{Shutdown, TcpListener},
    thread,
    time::Duration,
};

use gst::prelude::*;

use super::{
    common::{Keys, have, in_time, pipeline, until_end},
    pictures::stamped,
    rig::Rig,
};

/// Stands all over every frame.
const PATTERN: &[u8] = b"nobody but the receiver reads this. ";

fn frame(number: u64) -> gst::Buffer {
    stamped(PATTERN.repeat(300), number)
}

/// Sends frames until the pipeline fails; returns the error.
fn until_failure(line: &str) -> String {
    let pipeline = pipeline(&format!("appsrc name=src format=time block=true max-buffers=4 ! {line}"));
    let source = pipeline.by_name("src").expect("in the line").downcast::<gst_app::AppSrc>().expect("an appsrc");
    source.set_caps(Some(&gst::Caps::new_empty_simple("application/x-anything")));
    pipeline.set_state(gst::State::Playing).expect("starts");
    let feeding = thread::spawn(move || {
        let mut numbers = 0..;
        while source.push_buffer(frame(numbers.next().expect("endless"))).is_ok() {}
    });
    let last = until_end(&pipeline).pop().expect("it fails");
    let gst::MessageView::Error(error) = last.view() else { panic!("no failure: {last:?}") };
    pipeline.set_state(gst::State::Null).expect("stops");
    feeding.join().expect("no panic");
    error.error().message().to_owned()
}

#[track_caller]
fn assert_sealed(bytes: &[u8]) {
    assert!(bytes.starts_with(b"CVEILHDR"));
    let clear = bytes.windows(12).any(|window| window == &PATTERN[..12]);
    assert!(!clear, "clear bytes left");
}

#[test]
fn a_peer_that_goes_away_has_seen_nothing_clear() {
    in_time(|| {
        if !have(&["tcpclientsink"]) {
            return;
        }
        let keys = Keys::new();
        for enough in [1000, 100_000] {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
            let port = listener.local_addr().expect("bound").port();
            let peer = thread::spawn(move || {
                let (mut socket, _) = listener.accept().expect("the sink connects");
                let mut came = vec![0; enough];
                socket.read_exact(&mut came).expect("it sends");
                socket.shutdown(Shutdown::Both).expect("open until now");
                came
            });
            let line = format!("chaosenc {} ! tcpclientsink host=127.0.0.1 port={port} sync=false", keys.psk());
            until_failure(&line);
            assert_sealed(&peer.join().expect("no panic"));
        }
    });
}

#[test]
fn a_full_disk_is_told() {
    in_time(|| {
        let keys = Keys::new();
        let error = until_failure(&format!("chaosenc {} ! filesink location=/dev/full buffer-mode=2", keys.psk()));
        assert!(error.to_lowercase().contains("space") || error.contains("/dev/full"), "{error}");
    });
}

/// Whoever tries to start without a key, and goes on feeding, gets nothing out.
#[test]
fn without_a_key_nothing_leaves() {
    in_time(|| {
        for factory in ["chaosenc", "chaosenc output=picture", "chaosdec"] {
            let rig = Rig::stopped(factory);
            assert!(rig.pipeline().set_state(gst::State::Playing).is_err(), "{factory} starts");
            for number in 0..3 {
                assert!(rig.input().push(frame(number)).is_err(), "{factory} takes a frame");
            }
            thread::sleep(Duration::from_millis(20));
            assert!(rig.take_when(|_| true).is_empty(), "{factory}");
        }
    });
}
