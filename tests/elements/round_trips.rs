//! Raw frames through `chaosenc ! chaosdec`: every visible byte comes back.

use gst::prelude::*;
use gst_video::VideoInterlaceMode;
use gstchaosveil::frame::Format;

use super::{
    common::{Keys, in_time, pipeline, play_to_end},
    pictures::{self, SENTINEL, assert_same, frame, frames, info, of_mode, padded_frame},
    rig::{Item, Rig, all_caps, buffers, start, stream},
};

/// All kinds of rows: packed, planar, semi-planar, subsampled, 8 to 16 bits, tiled, with a palette.
const FORMATS: [&str; 30] = [
    "I420",
    "YV12",
    "YUY2",
    "UYVY",
    "AYUV",
    "BGRx",
    "RGBA",
    "RGB",
    "Y41B",
    "Y42B",
    "Y444",
    "v210",
    "v216",
    "NV12",
    "NV21",
    "GRAY8",
    "GRAY16_LE",
    "RGB16",
    "UYVP",
    "A420",
    "YUV9",
    "IYU1",
    "ARGB64",
    "I420_10LE",
    "GBR",
    "NV24",
    "P010_10LE",
    "NV12_10LE32",
    "NV12_64Z32",
    "RGB8P",
];
const SIZES: [(u32, u32); 5] = [(16, 16), (17, 13), (320, 240), (641, 479), (50, 3)];
const PROFILES: [&str; 3] = ["hardened", "chaos", "aead"];
const AEADS: [&str; 2] = ["aes-256-gcm", "chacha20-poly1305"];

/// Case `number` of 60: each format as packets and, where it may, as cipher pictures; the rest varies so that all
/// pairs of settings meet.
struct Case {
    info: gst_video::VideoInfo,
    encrypter: String,
    decrypter: String,
}

fn case(number: usize) -> Case {
    let name = FORMATS[number % FORMATS.len()];
    let format = Format::from_name(name).expect("in the table");
    let (mut width, height) = SIZES[(number * 3 + number / FORMATS.len()) % SIZES.len()];
    if name == "UYVP" || name == "RGB8P" {
        width = width.next_multiple_of(4);
    }
    let wants_picture = number >= FORMATS.len();
    let output = if wants_picture && format.carriage().refusal(true).is_none() { "picture" } else { "packets" };
    let settings = |shift: usize| {
        format!(
            "workers={} threads-per-frame={} queue-depth={}",
            [1, 3][(number / 2 + shift) % 2],
            [1, 2][(number / 4 + shift) % 2],
            [0, 1, 7][(number / 5 + shift) % 3]
        )
    };
    let (profile, aead) = (PROFILES[number % 3], AEADS[number / 3 % 2]);
    Case {
        info: info(name, width, height),
        encrypter: format!(
            "output={output} transport=exact profile={profile} aead={aead} allow-insecure=true {}",
            settings(0)
        ),
        decrypter: format!("accept-profiles=hardened+chaos+aead {}", settings(1)),
    }
}

fn round_trip(case: &Case) {
    let keys = Keys::new();
    let line = format!("chaosenc {} {} ! chaosdec {} {}", keys.psk(), case.encrypter, keys.psk(), case.decrypter);
    let told = format!("{:?} {line}", case.info);
    let sent = frames(&case.info, 4);
    let rig = Rig::new(&line);
    let came = rig.run(stream(&pictures::caps(&case.info), sent.clone()));
    assert_same(&told, &case.info, &buffers(&came), &sent);
    assert_eq!(all_caps(&came), [pictures::caps(&case.info)], "{told}");
    let reasons: Vec<String> = rig.posted().into_iter().map(|(reason, _)| reason).collect();
    assert_eq!(reasons, ["new-stream"], "{told}");
    for (counter, value) in [("frames-in", 4), ("frames-out", 4), ("lost", 0), ("rejected", 0), ("dropped", 0)] {
        assert_eq!(rig.stat("chaosenc", counter), value, "{counter} of the encrypter, {told}");
    }
    assert_eq!(rig.stat("chaosdec", "frames-out"), 4, "{told}");
}

fn cases(numbers: std::ops::Range<usize>) {
    in_time(|| numbers.map(case).for_each(|case| round_trip(&case)));
}

#[test]
fn cases_0_to_14() {
    cases(0..15);
}

#[test]
fn cases_15_to_29() {
    cases(15..30);
}

#[test]
fn cases_30_to_44() {
    cases(30..45);
}

#[test]
fn cases_45_to_59() {
    cases(45..60);
}

/// The cases above are what they claim to be.
#[test]
fn the_cases_cover_all_settings() {
    super::common::init();
    let cases: Vec<Case> = (0..60).map(case).collect();
    let with = |text: &str| cases.iter().filter(|case| case.encrypter.contains(text)).count();
    assert!(with("output=picture") >= 25 && with("output=packets") >= 30);
    for (profile, aead) in PROFILES.iter().flat_map(|profile| AEADS.map(|aead| (profile, aead))) {
        assert!(with(&format!("profile={profile} aead={aead}")) >= 8, "{profile} {aead}");
    }
    for (workers, threads) in [(1, 1), (1, 2), (3, 1), (3, 2)] {
        assert!(with(&format!("workers={workers} threads-per-frame={threads}")) >= 8, "{workers} {threads}");
    }
    for size in SIZES {
        assert!(cases.iter().filter(|case| (case.info.width(), case.info.height()) == size).count() >= 8, "{size:?}");
    }
}

#[test]
fn padded_strides_are_read_by_rows() {
    in_time(|| {
        for (format, output) in [
            ("I420", "packets"),
            ("I420", "picture"),
            ("NV12", "picture"),
            ("BGRx", "packets"),
            ("Y444_10LE", "packets"),
            ("GRAY8", "picture"),
            ("A420", "packets"),
            ("RGB", "picture"),
        ] {
            let keys = Keys::new();
            let info = info(format, 33, 21);
            let sent: Vec<gst::Buffer> = (0..5).map(|n| padded_frame(&info, 16 + 4 * n as usize, n)).collect();
            let line = format!("chaosenc {} output={output} ! chaosdec {}", keys.psk(), keys.psk());
            let came = Rig::new(&line).run(stream(&pictures::caps(&info), sent.clone()));
            assert_same(&line, &info, &buffers(&came), &sent);
        }
    });
}

/// What an application left in the padding is nobody's picture: the packets hold the visible bytes and no more.
#[test]
fn padding_does_not_travel() {
    in_time(|| {
        let keys = Keys::new();
        let info = info("I420", 33, 21);
        let visible = 33 * 21 + 2 * 17 * 11;
        let rig = Rig::new(&format!("chaosenc {} profile=aead", keys.psk()));
        let came = rig.run(stream(&pictures::caps(&info), [padded_frame(&info, 64, 0), padded_frame(&info, 0, 1)]));
        let packets = buffers(&came);
        assert_eq!(packets.len(), 4, "header, two frames, end record");
        // 64 bytes of frame header, one tag, the record (12 and 8 for each time or offset that is there) with its tag.
        let buffer = padded_frame(&info, 64, 0);
        let offsets = [buffer.offset(), buffer.offset_end()].iter().filter(|&&offset| offset != u64::MAX).count();
        let times = [buffer.pts(), buffer.dts(), buffer.duration()].iter().flatten().count();
        assert_eq!(packets[1].size(), 64 + 16 + 12 + 8 * (offsets + times) + 16 + visible);
        assert_eq!(packets[2].size(), packets[1].size());
    });
}

/// Cipher pictures come in whatever strides the carrier chose.
#[test]
fn cipher_pictures_may_come_with_other_strides() {
    in_time(|| {
        for format in ["I420", "GRAY8", "NV12", "RGB"] {
            let keys = Keys::new();
            let info = info(format, 50, 37);
            let sent = frames(&info, 3);
            let cipher = Rig::new(&format!("chaosenc {} output=picture", keys.psk()))
                .run(stream(&pictures::caps(&info), sent.clone()));
            let caps = all_caps(&cipher).remove(0);
            let cipher_info = gst_video::VideoInfo::from_caps(&caps).expect("raw video");
            assert!(cipher_info.height() > info.height());
            let repacked: Vec<gst::Buffer> =
                buffers(&cipher).into_iter().map(|picture| with_padding(picture, &cipher_info, 24)).collect();
            let came = Rig::new(&format!("chaosdec {}", keys.psk())).run(stream(&caps, repacked));
            assert_same(format, &info, &buffers(&came), &sent);
        }
    });
}

/// The same picture in a buffer with longer rows, sentinels between them.
fn with_padding(picture: &gst::BufferRef, info: &gst_video::VideoInfo, padding: usize) -> gst::Buffer {
    let mut copy = padded_frame(info, padding, 0);
    let owned = copy.get_mut().expect("a new buffer has one owner");
    owned.map_writable().expect("a buffer in memory").fill(SENTINEL);
    let source = gst_video::VideoFrameRef::from_buffer_ref_readable(picture, info).expect("fits its caps");
    let mut target = gst_video::VideoFrameRef::from_buffer_ref_writable(owned, info).expect("fits its caps");
    source.copy(&mut target).expect("the same geometry");
    drop(target);
    owned.set_pts(picture.pts());
    owned.set_duration(picture.duration());
    copy
}

#[test]
fn interlaced_frames_of_486_rows() {
    in_time(|| {
        for mode in [VideoInterlaceMode::Interleaved, VideoInterlaceMode::Mixed] {
            for (format, output) in [
                ("I420", "packets"),
                ("I420", "picture"),
                ("NV12", "picture"),
                ("UYVY", "picture"),
                ("v210", "packets"),
            ] {
                let keys = Keys::new();
                let info = of_mode(format, 720, 486, mode);
                let sent = frames(&info, 3);
                let line = format!("chaosenc {} output={output} transport=exact ! chaosdec {}", keys.psk(), keys.psk());
                let came = Rig::new(&line).run(stream(&pictures::caps(&info), sent.clone()));
                assert_same(&format!("{mode:?} {format} {line}"), &info, &buffers(&came), &sent);
                assert_eq!(all_caps(&came), [pictures::caps(&info)]);
            }
        }
    });
}

/// Each buffer holds one field, and the caps say so with a feature.
#[test]
fn alternating_fields() {
    in_time(|| {
        for (format, height, output) in
            [("I420", 486, "packets"), ("I420", 480, "picture"), ("GRAY8", 13, "packets"), ("UYVY", 576, "picture")]
        {
            let keys = Keys::new();
            let info = of_mode(format, 720, height, VideoInterlaceMode::Alternate);
            let sent = frames(&info, 4);
            let line = format!("chaosenc {} output={output} ! chaosdec {}", keys.psk(), keys.psk());
            let came = Rig::new(&line).run(stream(&pictures::caps(&info), sent.clone()));
            assert_same(&format!("{format} {line}"), &info, &buffers(&came), &sent);
            assert_eq!(all_caps(&came), [pictures::caps(&info)]);
        }
    });
}

#[test]
fn pictures_are_chosen_where_downstream_takes_no_packets() {
    in_time(|| {
        let keys = Keys::new();
        let info = info("I420", 64, 48);
        let sent = frames(&info, 3);
        for (filter, name) in [("video/x-raw", "video/x-raw"), ("application/x-chaosveil", "application/x-chaosveil")] {
            let rig = Rig::new(&format!(
                "chaosenc {} ! {filter} ! identity name=middle ! chaosdec {}",
                keys.psk(),
                keys.psk()
            ));
            let came = rig.run(stream(&pictures::caps(&info), sent.clone()));
            assert_same(filter, &info, &buffers(&came), &sent);
            let middle = rig.element("identity").static_pad("sink").expect("always there");
            let caps = middle.current_caps().expect("negotiated");
            assert_eq!(caps.structure(0).expect("fixed").name(), name);
        }
    });
}

/// Packets of packets: nothing in the formats forbids it.
#[test]
fn encrypted_twice() {
    in_time(|| {
        let (inner, outer) = (Keys::new(), Keys::new());
        let info = info("I420", 64, 48);
        let sent = frames(&info, 3);
        let line = format!(
            "chaosenc {} ! chaosenc {} ! chaosdec {} ! chaosdec {}",
            inner.psk(),
            outer.psk(),
            outer.psk(),
            inner.psk()
        );
        let came = Rig::new(&line).run(stream(&pictures::caps(&info), sent.clone()));
        assert_same(&line, &info, &buffers(&came), &sent);
    });
}

#[test]
fn every_kind_of_key_opens() {
    in_time(|| {
        let keys = Keys::new();
        let path = |name: &str| keys.path(name).display().to_string();
        let recipient = keys.text("recipients.txt");
        let info = info("GRAY8", 64, 48);
        let sent = frames(&info, 2);
        for (encrypter, decrypter) in [
            (keys.psk(), keys.psk()),
            (format!("recipients={recipient}"), format!("identity-file={}", path("cam.key"))),
            (format!("recipient-file={}", path("recipients.txt")), format!("identity-file={}", path("cam.key"))),
            (format!("passphrase-file={}", path("passphrase")), format!("passphrase-file={}", path("passphrase"))),
            (format!("recipients={recipient} {}", keys.psk()), keys.psk()),
        ] {
            let line = format!("chaosenc {encrypter} ! chaosdec {decrypter}");
            let came = Rig::new(&line).run(stream(&pictures::caps(&info), sent.clone()));
            assert_same(&line, &info, &buffers(&came), &sent);
        }
        // From code, as bytes.
        let rig = Rig::stopped("chaosenc ! chaosdec");
        for factory in ["chaosenc", "chaosdec"] {
            rig.element(factory).set_property("key", gst::glib::Bytes::from_owned(vec![7; 32]));
        }
        rig.pipeline().set_state(gst::State::Playing).expect("starts");
        let came = rig.run(stream(&pictures::caps(&info), sent.clone()));
        assert_same("key from code", &info, &buffers(&came), &sent);
    });
}

/// An element that crops by a meta where it may has to crop for us: what it cut away must not be sealed.
#[test]
fn what_was_cropped_away_does_not_come_back() {
    in_time(|| {
        let keys = Keys::new();
        let cropped = |middle: &str, name: &str| {
            let file = keys.path(name);
            let source = "videotestsrc num-buffers=2 ! video/x-raw,format=I420,width=320,height=240";
            let crop = "videocrop left=100 top=20 right=4 bottom=4";
            play_to_end(&pipeline(&format!("{source} ! {crop} ! {middle} filesink location={}", file.display())));
            std::fs::read(file).expect("written")
        };
        let wanted = cropped("", "plain");
        assert_eq!(wanted.len(), 2 * 216 * 216 * 3 / 2);
        for output in ["packets", "picture"] {
            let middle = format!("chaosenc {} output={output} ! chaosdec {} !", keys.psk(), keys.psk());
            assert!(cropped(&middle, output) == wanted, "{output}");
        }
    });
}

#[test]
fn fail_a_buffer_larger_than_its_caps() {
    in_time(|| {
        let keys = Keys::new();
        let (small, large) = (info("I420", 64, 48), info("I420", 96, 64));
        let mut uncropped = frame(&large, 0);
        let (offsets, strides) = (&large.offset()[..3], &large.stride()[..3]);
        let owned = uncropped.make_mut();
        let flags = gst_video::VideoFrameFlags::empty();
        gst_video::VideoMeta::add_full(owned, flags, large.format(), 96, 64, offsets, strides).expect("fits");
        gst_video::VideoCropMeta::add(owned, (8, 8, 64, 48));
        let rig = Rig::new(&format!("chaosenc {}", keys.psk()));
        rig.feed(start(&pictures::caps(&small)));
        // The worker refuses it: the answer comes with a later push, or on the bus.
        let _ = rig.push(Item::Buffer(uncropped));
        let told = rig.bus().timed_pop_filtered(gst::ClockTime::from_seconds(10), &[gst::MessageType::Error]);
        let told = told.expect("an error");
        let gst::MessageView::Error(error) = told.view() else { unreachable!("filtered") };
        assert!(error.error().message().contains("cropped before"), "{}", error.error());
    });
}
