//! What goes wrong around a video: names, pipes, disks, readers that fail. Each failure is told as what it is, and what
//! is there already stays.

use std::{
    fs,
    io::Write,
    net::{TcpListener, TcpStream},
    os::{fd::OwnedFd, unix::fs::symlink},
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use crate::{
    clips::{self, CLIP, Kind},
    workplace::{Program, Workplace, code, stderr},
};

/// A place with `clip.mkv` and its cipher `clip.cveil`.
fn sealed_clip() -> Workplace {
    let place = Workplace::new();
    clips::make(&place.path("clip.mkv"), CLIP);
    place.done(place.encrypt(&place.path("clip.mkv"), &place.path("clip.cveil")));
    place
}

/// A pipe with a name, out of which `content` comes once.
fn pipe(place: &Workplace, name: &str, content: Vec<u8>) -> PathBuf {
    let path = place.path(name);
    assert!(Command::new("mkfifo").arg(&path).status().expect("mkfifo runs").success());
    let to = path.clone();
    // A reader that has seen enough closes it.
    thread::spawn(move || drop(fs::write(to, content)));
    path
}

fn pipe_of(place: &Workplace, name: &str) -> PathBuf {
    pipe(place, &format!("{name}.pipe"), fs::read(place.path(name)).expect("there"))
}

/// A socket that gives `content` and then fails: the other end is closed while something there has not been read.
fn breaking_socket(content: Vec<u8>) -> OwnedFd {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let mut ours = TcpStream::connect(listener.local_addr().expect("bound")).expect("somebody listens");
    let (mut other, _) = listener.accept().expect("just connected");
    ours.write_all(b"never read").expect("connected");
    thread::spawn(move || {
        other.write_all(&content).expect("connected");
        // Until the reader has dealt with it.
        thread::sleep(Duration::from_millis(700));
    });
    ours.into()
}

/// A file system of so many bytes; `None`, said aloud, where this is not allowed.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(place: &Workplace, bytes: usize) -> Option<SmallDisk> {
        let folder = place.path("disk");
        fs::create_dir(&folder).expect("made");
        let mount =
            Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "none"]).arg(&folder).output();
        match mount.is_ok_and(|ran| ran.status.success()) {
            true => Some(SmallDisk(folder)),
            false => {
                println!("skipped: no right to mount a small disk");
                None
            }
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn force_never_destroys_the_input() {
    let place = sealed_clip();
    let (input, output) = (place.path("cam.mkv.partial"), place.path("cam.mkv"));
    let cipher = fs::read(place.path("clip.cveil")).expect("written");
    fs::write(&input, &cipher).expect("written");
    symlink(&input, place.path("link.cveil")).expect("a link");
    let address = format!("file://{}", input.display());
    let stdin = || place.decrypt("-".as_ref(), &output).stdin(fs::File::open(&input).expect("there"));
    for decrypt in [
        place.decrypt(&input, &output),
        place.decrypt(&place.path("link.cveil"), &output),
        place.decrypt(address.as_ref(), &output),
        stdin(),
    ] {
        let said = place.failed(decrypt.arg("--force"), code::USAGE, "cam.mkv.partial");
        assert!(said.contains("move INPUT away"), "{said}");
        assert_eq!(fs::read(&input).expect("still there"), cipher);
    }
    place.failed(place.encrypt(address.as_ref(), &input).args(["--force", "--output-form", "cveil"]), code::USAGE, "");
    // An OUTPUT folder around the INPUT folder.
    fs::create_dir_all(place.path("out/in/in")).expect("made");
    let picture = place.path("out/in/p.png");
    image::RgbImage::new(4, 4).save(&picture).expect("written");
    fs::rename(&picture, place.path("out/in/in/p.png")).expect("moved");
    fs::copy(place.path("out/in/in/p.png"), &picture).expect("copied");
    let plain = fs::read(&picture).expect("there");
    let encrypt = place.encrypt(&place.path("out/in"), &place.path("out")).args(["--output-form", "png", "--force"]);
    place.failed(encrypt, code::USAGE, "lies in it");
    assert_eq!(fs::read(&picture).expect("still there"), plain);
}

#[test]
fn pipes_with_a_name_are_read_once() {
    let place = sealed_clip();
    let tracks = clips::tracks(&place.path("clip.mkv"));
    fs::write(place.path("recipients"), &place.recipient).expect("written");
    fs::write(place.path("words"), "correct horse battery staple\n").expect("written");
    let round_trip = |name: &str, to: &str, to_file: &str, with: &str, with_file: &str| {
        let (cipher, back) = (place.path(&format!("{name}.cveil")), place.path(&format!("{name}.mkv")));
        let encrypt = place.chaosveil("encrypt").arg(to).arg(pipe_of(&place, to_file));
        place.done(encrypt.arg(pipe_of(&place, "clip.mkv")).arg("-o").arg(&cipher));
        for used in [to_file, "clip.mkv", with_file] {
            let _ = fs::remove_file(place.path(&format!("{used}.pipe")));
        }
        let decrypt = place.chaosveil("decrypt").arg(with).arg(pipe_of(&place, with_file));
        place.done(decrypt.arg(pipe_of(&place, &format!("{name}.cveil"))).arg("-o").arg(&back));
        assert_eq!(clips::tracks(&back), tracks, "{name}");
        let _ = fs::remove_file(place.path(&format!("{with_file}.pipe")));
    };
    round_trip("identity", "-R", "recipients", "-i", "cam.key");
    round_trip("preshared", "-k", "psk.key", "-k", "psk.key");
    round_trip("passphrase", "--passphrase-file", "words", "--passphrase-file", "words");
    place.done(place.encrypt(&place.path("clip.mkv"), &place.path("video.mkv")).arg("--video-only"));
    place.done(place.decrypt(&pipe_of(&place, "video.mkv"), &place.path("video-back.mkv")));
    let inspect = place.chaosveil("inspect").arg("-i").arg(pipe_of(&place, "cam.key"));
    place.done(inspect.arg(pipe(&place, "again.pipe", fs::read(place.path("clip.cveil")).expect("there"))));
}

#[test]
fn fail_when_reading_fails_and_keep_what_was_read() {
    let place = sealed_clip();
    let cipher = fs::read(place.path("clip.cveil")).expect("written");
    let packets = clips::packets(&cipher);
    let cut = packets[packets.len() / 2].range.start + 50;
    let output = place.path("back.mkv");
    let decrypt = place.decrypt("-".as_ref(), &output).stdin(breaking_socket(cipher[..cut].to_vec()));
    let said = place.failed(decrypt, code::OTHER, "onnection reset");
    assert!(!said.contains("damaged") && said.contains("back.mkv.partial") && !output.exists(), "{said}");
    let mut spoiled = cipher[..cut].to_vec();
    spoiled[packets[20].range.end - 5] ^= 1;
    let decrypt = place.decrypt("-".as_ref(), &place.path("spoiled.mkv")).stdin(breaking_socket(spoiled));
    let said = place.failed(decrypt, code::OTHER, "onnection reset");
    assert!(said.contains("damaged: 1 frames rejected; damaged bytes"), "{said}");
    let kept: usize = clips::tracks(&place.path("back.mkv.partial")).iter().map(|track| track.frames.len()).sum();
    assert_eq!(kept, packets[..packets.len() / 2].iter().filter(|packet| packet.kind == Kind::Frame).count());

    let clip = fs::read(place.path("clip.mkv")).expect("there");
    let output = place.path("live.cveil");
    let encrypt = place.encrypt("-".as_ref(), &output).stdin(breaking_socket(clip[..clip.len() * 2 / 3].to_vec()));
    let said = place.failed(encrypt, code::OTHER, "onnection reset");
    assert!(said.contains("live.cveil.partial") && said.contains(" frames, ") && !output.exists(), "{said}");
    let salvage = place.decrypt(&place.path("live.cveil.partial"), &place.path("live.mkv")).arg("--salvage");
    place.failed(salvage, code::CONTENT, "truncated");
    assert!(clips::tracks(&place.path("live.mkv")).iter().all(|track| track.frames.len() > 5));
    place.failed(place.decrypt("tcp://127.0.0.1:1".as_ref(), &place.path("x.mkv")), code::MISSING, "tcp://127.0.0.1:1");
}

#[test]
fn fail_on_what_a_container_does_not_take_without_calling_it_damage() {
    let place = Workplace::new();
    let video = "videotestsrc num-buffers=10 ! video/x-raw,format=I420,width=96,height=64";
    let audio = "audiotestsrc num-buffers=20";
    for (number, pipeline) in [
        format!("{video} ! jpegenc ! matroskamux name=mux"),
        format!("{video} ! vp8enc ! matroskamux name=mux"),
        format!("{video} ! x264enc ! queue ! matroskamux name=mux {audio} ! avenc_aac ! queue ! mux."),
        format!("{audio} ! vorbisenc ! matroskamux name=mux"),
        format!("{audio} ! opusenc ! matroskamux name=mux"),
    ]
    .iter()
    .enumerate()
    {
        let (clip, cipher) = (place.path(&format!("{number}.mkv")), place.path(&format!("{number}.cveil")));
        clips::make(&clip, pipeline);
        place.done(place.encrypt(&clip, &cipher));
        for container in ["webm", "ts", "mp4", "avi", "h264"] {
            let ran = place.decrypt(&cipher, &place.path(&format!("{number}.{container}"))).output();
            let (exit, said) = (ran.status.code(), stderr(&ran));
            assert!(matches!(exit, Some(0..=2)), "{pipeline} to {container}: {exit:?} {said}");
            assert!(!said.contains("damaged"), "{pipeline} to {container}: {said}");
            assert!(
                exit == Some(0) || said.contains("name an OUTPUT that ends in"),
                "{pipeline} to {container}: {said}"
            );
        }
    }
}

#[test]
fn fail_on_a_full_pipe_or_disk_with_advice() {
    let place = sealed_clip();
    place.done(place.encrypt(&place.path("clip.mkv"), &place.path("video.mkv")).arg("--video-only"));
    let full = |program: Program| {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").expect("every Linux has it");
        let said = place.failed(program.stdout(full), code::MISSING, "make space");
        assert!(!said.contains("damaged"), "{said}");
        said
    };
    let stdout: &Path = "-".as_ref();
    full(place.decrypt(&place.path("clip.cveil"), stdout).args(["--output-form", "mkv"]));
    full(place.decrypt(&place.path("video.mkv"), stdout).args(["--output-form", "mkv"]));
    let said = full(place.encrypt(&place.path("clip.mkv"), stdout).args(["--output-form", "cveil"]));
    assert!(said.contains(" bytes in, "), "figures come also with a failure: {said}");
    let Some(disk) = SmallDisk::mount(&place, 32 << 10) else { return };
    let (sealed, plain) = (disk.0.join("clip.cveil"), disk.0.join("back.mkv"));
    place.failed(place.decrypt(&place.path("clip.cveil"), &plain), code::MISSING, "back.mkv.partial");
    assert!(!plain.exists(), "what is not whole has not its name");
    fs::remove_file(disk.0.join("back.mkv.partial")).expect("kept");
    place.failed(place.encrypt(&place.path("clip.mkv"), &sealed), code::MISSING, "clip.cveil.partial");
    assert!(!sealed.exists(), "what is not whole has not its name");
    let written = fs::read(disk.0.join("clip.cveil.partial")).expect("kept");
    let clear = clips::tracks(&place.path("clip.mkv"));
    let beginnings = clear.iter().flat_map(|track| &track.frames).filter_map(|frame| frame.bytes.first_chunk::<16>());
    for beginning in beginnings {
        assert!(!written.windows(16).any(|window| window == beginning), "a clear frame was written");
    }
    let partial = place.path("kept.cveil");
    fs::copy(disk.0.join("clip.cveil.partial"), &partial).expect("kept");
    let whole =
        clips::packets(&fs::read(&partial).expect("there")).into_iter().filter(|packet| packet.kind == Kind::Frame);
    let salvage = place.decrypt(&partial, &place.path("salvaged.mkv")).arg("--salvage");
    place.failed(salvage, code::CONTENT, "truncated");
    let salvaged = clips::tracks(&place.path("salvaged.mkv"));
    assert_eq!(salvaged.iter().map(|track| track.frames.len()).sum::<usize>(), whole.count());
}

#[test]
fn a_folder_stops_at_a_full_disk_and_at_no_pipe() {
    let place = Workplace::new();
    let folder = place.path("photos");
    fs::create_dir(&folder).expect("made");
    for name in ["a.png", "b.png", "c.png", "d.png"] {
        image::RgbImage::from_fn(60, 60, |x, y| [(x * y) as u8, x as u8, y as u8].into())
            .save(folder.join(name))
            .expect("written");
    }
    assert!(Command::new("mkfifo").arg(folder.join("b.jpg")).status().expect("mkfifo runs").success());
    let encrypt = place.encrypt(&folder, &place.path("sealed")).args(["--output-form", "png"]);
    let said = place.failed(encrypt, code::USAGE, "1 of 5 files failed");
    assert!(said.contains("b.jpg is no regular file"), "{said}");
    fs::remove_file(folder.join("b.jpg")).expect("there");
    assert!(Command::new("mkfifo").arg(place.path("sealed/e.cveil")).status().expect("mkfifo runs").success());
    place.failed(place.decrypt(&place.path("sealed"), &place.path("back")), code::USAGE, "1 of 5 files failed");
    let verify = place.chaosveil("verify").arg("-i").arg(place.path("cam.key")).arg(place.path("sealed"));
    let said = place.failed(verify, code::USAGE, "1 of 5 files failed");
    assert!(said.contains("e.cveil is no regular file"), "{said}");
    assert!(Command::new("mkfifo").arg(folder.join("b.png.jpg")).status().expect("mkfifo runs").success());
    let report = place.path("report.json");
    place.done(place.chaosveil("analyze").args(["--profile", "aead", "--json"]).arg(&report).arg(&folder));
    let judged: serde_json::Value = serde_json::from_slice(&fs::read(&report).expect("written")).expect("JSON");
    let names = judged["metrics"].as_array().expect("a list").iter().map(|metric| metric["input"].to_string());
    assert_eq!(names.collect::<std::collections::BTreeSet<_>>().len(), 4, "{judged}");
    fs::remove_file(folder.join("b.png.jpg")).expect("there");
    let Some(disk) = SmallDisk::mount(&place, 24 << 10) else { return };
    let encrypt = place.encrypt(&folder, &disk.0.join("out")).args(["--output-form", "png"]);
    let said = place.failed(encrypt, code::MISSING, "1 of 4 files failed");
    assert!(said.contains("not tried") && said.matches("make space").count() == 1, "{said}");
}

#[test]
fn a_track_may_begin_long_after_the_others() {
    let place = Workplace::new();
    // 320 megabytes of sound before the first picture.
    clips::make(
        &place.path("late.mkv"),
        "audiotestsrc wave=silence num-buffers=130 samplesperbuffer=38400 \
         ! audio/x-raw,format=F64LE,layout=interleaved,rate=384000,channels=8,channel-mask=(bitmask)0xff ! queue \
         ! matroskamux name=mux videotestsrc num-buffers=3 timestamp-offset=12900000000 \
         ! video/x-raw,format=I420,width=96,height=64,framerate=10/1 ! jpegenc ! queue ! mux.",
    );
    let (cipher, back) = (place.path("late.cveil"), place.path("back.mkv"));
    place.done(place.encrypt(&place.path("late.mkv"), &cipher).args(["--profile", "aead"]));
    fs::remove_file(place.path("late.mkv")).expect("there");
    place.done(place.decrypt(&cipher, &back));
    fs::remove_file(cipher).expect("there");
    let tracks = clips::tracks(&back);
    let mut frames: Vec<_> = tracks.iter().map(|track| track.frames.len()).collect();
    frames.sort();
    assert_eq!(frames, [3, 130]);
    assert_eq!(place.names(&place.path("")), ["back.mkv", "cam.key", "psk.key"], "nothing of what waited is left");
}

#[test]
fn inspect_counts_only_what_it_has_verified() {
    let place = sealed_clip();
    let mut bytes = fs::read(place.path("clip.cveil")).expect("written");
    let packets = clips::packets(&bytes);
    let frames = packets.iter().filter(|packet| packet.kind == Kind::Frame);
    let hit = frames.clone().nth(30).expect("more than that").range.clone();
    bytes[hit.end - 9] ^= 1;
    fs::write(place.path("damaged.cveil"), bytes).expect("written");
    let inspect = |key: bool| {
        let inspect = place.chaosveil("inspect").arg("--json").arg(place.path("damaged.cveil"));
        let mut inspect = if key { inspect.arg("-i").arg(place.path("cam.key")) } else { inspect };
        let ran = inspect.output();
        assert_eq!(ran.status.code(), Some(if key { code::CONTENT } else { 0 }), "{}", stderr(&ran));
        let report: serde_json::Value = serde_json::from_slice(&ran.stdout).expect("JSON");
        assert_eq!(report["verified"], key);
        report["streams"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|stream| stream["frames"].as_u64())
            .sum::<Option<u64>>()
    };
    assert_eq!(inspect(false), Some(frames.clone().count() as u64));
    assert_eq!(inspect(true), Some(frames.count() as u64 - 1));
    place.done(place.encrypt(&place.path("clip.mkv"), &place.path("video.mkv")).arg("--video-only"));
    place.failed(place.chaosveil("inspect").arg(place.path("video.mkv")), code::USAGE, "decrypt it to see");
}

#[test]
fn from_says_what_a_file_is() {
    let place = sealed_clip();
    let clip = place.path("clip.mkv");
    place.failed(
        place.encrypt(&clip, &place.path("x.cveil")).args(["--input-form", "png"]),
        code::CONTENT,
        "no picture",
    );
    place.failed(
        place.encrypt(&clip, &place.path("x.cveil")).args(["--input-form", "cveil"]),
        code::USAGE,
        "--input-form",
    );
    fs::rename(&clip, place.path("clip.png")).expect("moved");
    place.failed(place.encrypt(&place.path("clip.png"), &place.path("x.cveil")), code::CONTENT, "no picture");
    place.done(place.encrypt(&place.path("clip.png"), &place.path("x.cveil")).args(["--input-form", "mkv"]));
    let tracks = clips::packets(&fs::read(place.path("x.cveil")).expect("written"));
    assert!(tracks.len() > 100);
    let address = format!("file://{}", clip.display());
    place.failed(
        place.encrypt(address.as_ref(), &place.path("y.cveil")).args(["--input-form", "png"]),
        code::USAGE,
        "--input-form",
    );
}

#[test]
fn fail_without_the_camera_or_the_plugin() {
    let place = sealed_clip();
    let output = place.path("x.cveil");
    for camera in ["/dev/video987", "v4l2:///dev/video987"] {
        place.failed(place.encrypt(camera.as_ref(), &output), code::MISSING, "/dev/video987");
        assert!(place.names(&place.path("")).iter().all(|name| !name.starts_with("x.")));
    }
    let camera = place.path("video0");
    match Command::new("mknod").arg(&camera).args(["c", "81", "250"]).output().is_ok_and(|ran| ran.status.success()) {
        false => println!("skipped: no right to make a device"),
        true => {
            place.failed(place.encrypt(&camera, &output), code::USAGE, &format!("v4l2://{}", camera.display()));
        }
    }
    let registry = place.path("registry.bin");
    let without_plugins = |program: Program| {
        let program = program.env("GST_PLUGIN_SYSTEM_PATH_1_0", "").env("GST_PLUGIN_PATH_1_0", "");
        program.env("GST_REGISTRY", registry.to_str().expect("text"))
    };
    let encrypt = without_plugins(place.encrypt(&place.path("clip.mkv"), &output));
    assert!(place.failed(encrypt, code::MISSING, "no element").contains("apt-get install"));
    let decrypt = without_plugins(place.decrypt(&place.path("clip.cveil"), &place.path("x.mkv")));
    place.failed(decrypt, code::MISSING, "no element");
    assert!(place.names(&place.path("")).iter().all(|name| !name.starts_with("x.")));
}

#[test]
fn progress_is_shown_on_a_terminal() {
    let place = sealed_clip();
    let decrypt = place.decrypt(&place.path("clip.cveil"), &place.path("back.mkv"));
    let words: Vec<_> = std::iter::once(decrypt.get_program()).chain(decrypt.get_args()).collect();
    let line = words.join(std::ffi::OsStr::new(" "));
    // The terminal is that of `script`.
    let Ok(ran) = Command::new("script").arg("-qefc").arg(line).arg("/dev/null").env("TERM", "xterm").output() else {
        println!("skipped: no `script`");
        return;
    };
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(ran.status.success() && said.contains(" of 5"), "{said}");
}
