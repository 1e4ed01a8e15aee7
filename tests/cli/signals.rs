//! Runs that somebody ends: Ctrl-C, SIGTERM, `--duration`, kill -9.

use std::{
    cell::OnceCell,
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use gst::prelude::*;

use crate::{
    clips::{self, CLIP, Kind, Playing},
    process::{DEADLINE, Running},
    workplace::{Program, Workplace, code},
};

/// A live source without an end, for each that connects from its beginning: MJPEG and Opus in Matroska.
fn live_source() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = format!("tcp://{}", listener.local_addr().expect("bound"));
    thread::spawn(move || {
        // Each plays on until the test ends.
        let _playing: Vec<_> = listener.incoming().flatten().map(play_into).collect();
    });
    address
}

fn play_into(mut socket: TcpStream) -> Playing {
    let pipeline = "videotestsrc is-live=true ! video/x-raw,format=I420,width=96,height=64,framerate=20/1 ! jpegenc \
                    ! queue ! matroskamux name=mux streamable=true ! appsink name=out sync=false \
                    audiotestsrc is-live=true ! opusenc ! queue ! mux.";
    Playing::new(pipeline, |pipeline| {
        let sink = pipeline.by_name("out").and_downcast::<gst_app::AppSink>().expect("just made");
        let write = move |sink: &gst_app::AppSink| {
            let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
            let bytes = sample.buffer().and_then(|buffer| buffer.map_readable().ok()).ok_or(gst::FlowError::Error)?;
            // A receiver that has gone does not matter.
            socket.write_all(&bytes).map(|()| gst::FlowSuccess::Ok).map_err(|_| gst::FlowError::Eos)
        };
        sink.set_callbacks(gst_app::AppSinkCallbacks::builder().new_sample(write).build());
    })
}

/// A sender that gives each that connects the same bytes, and then nothing more, but stays.
fn silent_after(content: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = format!("tcp://{}", listener.local_addr().expect("bound"));
    thread::spawn(move || {
        let mut kept: Vec<TcpStream> = Vec::new();
        for mut socket in listener.incoming().flatten() {
            // A receiver that has gone does not matter.
            let _ = socket.write_all(&content);
            kept.push(socket);
        }
    });
    address
}

fn start(place: &Workplace, program: Program) -> Running {
    Running::start(program.into_command(), &place.path(""))
}

fn len(path: &Path) -> u64 {
    path.metadata().map_or(0, |file| file.len())
}

#[test]
fn a_live_source_ends_in_good_order() {
    let (place, source) = (Workplace::new(), live_source());
    let whole = ["audio/x-opus", "image/jpeg"];
    for (number, (output, arguments, signal, expected)) in [
        ("cveil", &[][..], Some("-INT"), &whole[..]),
        ("cveil", &[], Some("-TERM"), &whole),
        ("cveil", &["--video-only"], Some("-INT"), &whole[1..]),
        ("cveil", &["--duration", "0.7"], None, &whole),
        ("cveil", &["--duration", "0.7", "--video-only"], None, &whole[1..]),
        ("mkv", &["--duration", "0.7", "--video-only"], None, &["video/x-ffv"]),
    ]
    .into_iter()
    .enumerate()
    {
        let output = place.path(&format!("{number}.{output}"));
        let mut running = start(&place, place.encrypt(source.as_ref(), &output).args(arguments));
        if let Some(signal) = signal {
            let partial = output.with_added_extension("partial");
            running.wait_for("some packets", || len(&partial) > 20_000);
            running.signal(signal);
        }
        running.finish().success();
        let back = place.path(&format!("{number}.back.mkv"));
        place.done(place.decrypt(&output, &back));
        let mut tracks = clips::tracks(&back);
        tracks.sort_by(|a, b| a.media.cmp(&b.media));
        let media: Vec<_> = tracks.iter().map(|track| track.media.as_str()).collect();
        assert_eq!(media, expected, "{arguments:?}");
        assert!(tracks.iter().all(|track| track.frames.len() > 5), "{arguments:?}");
    }
}

#[test]
fn a_track_that_has_not_begun_by_then_is_not_missing() {
    let place = Workplace::new();
    let clip = place.path("clip.mkv");
    clips::make(
        &clip,
        "videotestsrc num-buffers=40 ! video/x-raw,format=I420,width=96,height=64,framerate=10/1 ! jpegenc ! queue \
         ! matroskamux name=mux audiotestsrc num-buffers=5 timestamp-offset=30000000000 ! queue ! mux.",
    );
    let bytes = fs::read(&clip).expect("there");
    let source = silent_after(bytes[..bytes.len() / 2].to_vec());
    let (output, back) = (place.path("clip.cveil"), place.path("back.mkv"));
    let mut running = start(&place, place.encrypt(source.as_ref(), &output));
    running.wait_for("some packets", || len(&place.path("clip.cveil.partial")) > 10_000);
    running.interrupt();
    running.finish().success();
    place.done(place.decrypt(&output, &back));
    assert!(clips::tracks(&back).iter().any(|track| track.frames.len() > 10));
}

#[test]
fn a_receiver_ends_in_good_order_in_the_middle_of_a_packet() {
    let place = Workplace::new();
    clips::make(&place.path("clip.mkv"), CLIP);
    place.done(place.encrypt(&place.path("clip.mkv"), &place.path("clip.cveil")));
    let bytes = fs::read(place.path("clip.cveil")).expect("written");
    let packets = clips::packets(&bytes);
    let torn = &packets[packets.len() * 2 / 3].range;
    let frames = packets.iter().filter(|packet| packet.kind == Kind::Frame && packet.range.end <= torn.start).count();
    // The torn packet has a verified length, or not even a whole header; or one before it is damaged, which is damage
    // all the same.
    let mut damaged = bytes[..torn.start + 100].to_vec();
    damaged[packets[40].range.end - 5] ^= 1;
    let sent = [bytes[..torn.start + 100].to_vec(), bytes[..torn.start + 20].to_vec(), damaged];
    let mut receivers: Vec<_> = sent
        .into_iter()
        .enumerate()
        .map(|(number, sent)| {
            let output = place.path(&format!("{number}.mkv"));
            let mut running = start(&place, place.decrypt(silent_after(sent).as_ref(), &output));
            running.wait_for("its start", || output.with_added_extension("partial").exists());
            (running, output)
        })
        .collect();
    thread::sleep(Duration::from_secs(1));
    receivers.iter_mut().for_each(|(running, _)| running.interrupt());
    let (spoiled, output) = receivers.pop().expect("the last of three");
    let said = spoiled.finish().failure(code::CONTENT).stderr;
    assert!(said.contains("1 frames rejected") && said.contains("2.mkv.partial") && !output.exists(), "{said}");
    for (running, output) in receivers {
        running.finish().success();
        let found: usize = clips::tracks(&output).iter().map(|track| track.frames.len()).sum();
        assert_eq!(found, frames);
    }
}

/// The muxer writes nothing later than the track that has come least far.
#[test]
fn a_track_that_has_ended_holds_back_no_other() {
    let place = Workplace::new();
    let (clip, cipher) = (place.path("clip.mkv"), place.path("clip.cveil"));
    clips::make(
        &clip,
        "videotestsrc num-buffers=40 pattern=ball ! video/x-raw,format=I420,width=96,height=64,framerate=10/1 \
         ! jpegenc ! queue ! matroskamux name=mux \
         audiotestsrc num-buffers=20 samplesperbuffer=2400 ! audio/x-raw,rate=48000 ! opusenc ! queue ! mux.",
    );
    place.done(place.encrypt(&clip, &cipher));
    let bytes = clips::take_index(&cipher);
    let packets = clips::packets(&bytes);
    let late =
        clips::tracks(&clip).into_iter().find(|track| track.media == "image/jpeg").expect("video").frames.remove(30);
    // The video's last packet is the one that is not sent.
    let video = packets.iter().rfind(|packet| packet.kind == Kind::Frame).expect("frames").stream;
    let (mut video, sound): (Vec<_>, Vec<_>) = packets.into_iter().partition(|packet| packet.stream == video);
    assert_eq!(video.pop().map(|packet| packet.kind), Some(Kind::End));
    let sent = sound.into_iter().chain(video).flat_map(|packet| bytes[packet.range].to_vec()).collect();
    let (output, partial) = (place.path("back.mkv"), place.path("back.mkv.partial"));
    let mut running = start(&place, place.decrypt(silent_after(sent).as_ref(), &output));
    let written = || fs::read(&partial).unwrap_or_default();
    running.wait_for("a late picture", || written().windows(late.bytes.len()).any(|bytes| bytes == late.bytes));
}

#[test]
fn nothing_is_left_of_what_never_began() {
    let place = Workplace::new();
    let source = silent_after(Vec::new());
    let encrypt = place.encrypt(source.as_ref(), &place.path("x.cveil"));
    let decrypt = place.decrypt(source.as_ref(), &place.path("x.mkv"));
    for (program, partial) in [(encrypt, "x.cveil.partial"), (decrypt, "x.mkv.partial")] {
        let mut running = start(&place, program);
        running.wait_for("its start", || place.path(partial).exists());
        thread::sleep(Duration::from_millis(100));
        running.interrupt();
        let said = running.finish().failure(code::OTHER).stderr;
        assert!(said.contains("interrupted"), "{said}");
        assert!(!place.path(partial).exists() && !place.path(partial).with_extension("").exists());
    }
}

#[test]
fn fail_when_a_file_is_interrupted() {
    let place = Workplace::new();
    clips::make(
        &place.path("long.mkv"),
        "audiotestsrc wave=silence num-buffers=30 samplesperbuffer=38400 \
         ! audio/x-raw,format=F64LE,layout=interleaved,rate=384000,channels=8,channel-mask=(bitmask)0xff \
         ! matroskamux name=mux",
    );
    place.done(place.encrypt(&place.path("long.mkv"), &place.path("long.cveil")).args(["--profile", "aead"]));
    let decrypt = place.decrypt(&place.path("long.cveil"), "-".as_ref()).args(["--output-form", "mkv"]);
    let said = interrupted(decrypt);
    assert!(said.contains("interrupted") && !said.contains("damaged"), "{said}");
}

/// Who deletes what was encrypted must not lose the rest of it.
#[test]
fn fail_when_the_encryption_of_a_file_is_interrupted() {
    let place = Workplace::new();
    clips::make(
        &place.path("long.mkv"),
        "videotestsrc num-buffers=400 pattern=snow ! video/x-raw,format=GRAY8,width=640,height=480,framerate=30/1 \
         ! matroskamux name=mux",
    );
    let said = interrupted(place.encrypt(&place.path("long.mkv"), "-".as_ref()).args(["--output-form", "cveil"]));
    assert!(said.contains("interrupted before its end"), "{said}");
}

/// What a program says that fails because it is interrupted while it has to wait for who reads its output.
fn interrupted(program: Program) -> String {
    let mut running = program.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("runs");
    let mut stdout = running.stdout.take().expect("a pipe");
    stdout.read_exact(&mut [0; 1000]).expect("something");
    let killed = Command::new("kill").args(["-INT", &running.id().to_string()]).status().expect("kill runs");
    assert!(killed.success());
    let (sender, ended) = mpsc::channel();
    thread::spawn(move || {
        let _ = std::io::copy(&mut stdout, &mut std::io::sink());
        let _ = sender.send(running.wait_with_output().expect("our child"));
    });
    let ran = ended.recv_timeout(DEADLINE).expect("an end in time");
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert_eq!(ran.status.code(), Some(code::OTHER), "{said}");
    said
}

#[test]
fn what_a_killed_run_has_written_decrypts_up_to_its_last_packet() {
    let (place, source) = (Workplace::new(), live_source());
    let partial = place.path("x.cveil.partial");
    let mut running = start(&place, place.encrypt(source.as_ref(), &place.path("x.cveil")));
    running.wait_for("some packets", || len(&partial) > 30_000);
    running.signal("-KILL");
    drop(running);
    assert!(!place.path("x.cveil").exists());
    let packets = clips::packets(&fs::read(&partial).expect("left"));
    let frames = packets.iter().filter(|packet| packet.kind == Kind::Frame).count();
    let back = place.path("back.mkv");
    place.failed(
        place.decrypt(&partial, &back).arg("--salvage"),
        code::CONTENT,
        "truncated: the end record is missing",
    );
    assert_eq!(clips::tracks(&back).iter().map(|track| track.frames.len()).sum::<usize>(), frames);
}

#[test]
fn a_whole_recording_stays_where_it_cannot_get_its_name() {
    let (place, source) = (Workplace::new(), live_source());
    let (output, partial) = (place.path("x.cveil"), place.path("x.cveil.partial"));
    let mut running = start(&place, place.encrypt(source.as_ref(), &output).arg("--force"));
    running.wait_for("some packets", || len(&partial) > 10_000);
    fs::create_dir(&output).expect("the name is free");
    running.interrupt();
    let said = running.finish().failure(code::MISSING).stderr;
    assert!(said.contains("everything is in") && said.contains("x.cveil.partial"), "{said}");
    place.done(place.decrypt(&partial, &place.path("back.mkv")));
}

#[test]
fn work_that_is_broken_off_leaves_no_place_for_its_results() {
    let place = Workplace::new();
    let input = place.path("picture.png");
    assert!(Command::new("mkfifo").arg(&input).status().expect("mkfifo runs").success());
    let attack = place.chaosveil("attack").arg("lane").arg("--input").arg(&input);
    let attack = attack.arg("-o").arg(place.path("sheet.png")).arg("--json").arg(place.path("rows.json"));
    let mut running = start(&place, attack);
    // It waits for its picture, the names of the results being tried.
    let writer = OnceCell::new();
    let open = || fs::OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(&input);
    running.wait_for("a reader", || open().is_ok_and(|file| writer.set(file).is_ok()));
    running.interrupt();
    running.finish();
    assert!(!place.names(&place.path("")).iter().any(|name| name.contains("sheet") || name.contains("rows")));
}

#[test]
fn a_second_signal_ends_at_once() {
    let place = Workplace::new();
    clips::make(&place.path("clip.mkv"), CLIP);
    // Nobody reads, so it cannot end in good order.
    let encrypt = place.encrypt(&place.path("clip.mkv"), "-".as_ref()).args(["--output-form", "mkv", "--video-only"]);
    let mut running = encrypt.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("runs");
    let mut first = [0; 1];
    running.stdout.as_mut().expect("a pipe").read_exact(&mut first).expect("something");
    let interrupt = || Command::new("kill").args(["-INT", &running.id().to_string()]).status().expect("kill runs");
    interrupt();
    thread::sleep(Duration::from_millis(100));
    interrupt();
    let deadline = Instant::now() + DEADLINE;
    let status = loop {
        match running.try_wait().expect("our child") {
            Some(status) => break status,
            None if Instant::now() > deadline => {
                let _ = running.kill();
                panic!("no end after {DEADLINE:?}");
            }
            None => thread::sleep(Duration::from_millis(20)),
        }
    };
    assert_eq!(status.code(), Some(code::OTHER));
}
