//! Settings, keys, caps and buffers that cannot be: each is refused with an error that says what to do, and nothing
//! leaves.

use gst::{glib, prelude::*};

use super::{
    common::{Keys, in_time, pipeline, play_to_end, until_end},
    packets::{decrypt_caps, packet_caps, packets_of},
    pictures::{self, frame, frames, info, noise},
    rig::{Item, Rig, all_caps, buffers, start, stream},
};

/// The error with which a bin refuses to start.
fn refusal(line: &str) -> String {
    refusal_of(&Rig::stopped(line))
}

fn refusal_of(rig: &Rig) -> String {
    assert!(rig.pipeline().set_state(gst::State::Playing).is_err(), "started");
    rig.told().1.expect("an error says why it does not start")
}

#[track_caller]
fn assert_says(error: &str, words: &[&str]) {
    for word in words {
        assert!(error.contains(word), "`{error}` does not say `{word}`");
    }
}

#[test]
fn no_start_without_a_key() {
    in_time(|| {
        assert_says(&refusal("chaosenc"), &["no key given", "recipients", "key-file"]);
        assert_says(&refusal("chaosdec"), &["no key given", "identity-file", "key-file"]);
        assert_says(&refusal("chaosenc recipients=,"), &["no key given"]);
    });
}

#[test]
fn no_start_with_unusable_key_files() {
    in_time(|| {
        let keys = Keys::new();
        let garbage = keys.path("garbage");
        std::fs::write(&garbage, noise(1, 200)).expect("written");
        let empty = keys.path("empty");
        std::fs::write(&empty, "").expect("written");
        let files = [keys.path("does-not-exist"), keys.folder().to_owned(), garbage, empty];
        for path in files.iter().map(|path| path.display().to_string()) {
            for line in [
                format!("chaosenc key-file={path}"),
                format!("chaosenc recipient-file={path}"),
                format!("chaosenc passphrase-file={path}"),
                format!("chaosdec key-file={path}"),
                format!("chaosdec identity-file={path}"),
                format!("chaosdec passphrase-file={path}"),
                format!("chaosenc {} recipient-file={path}", keys.psk()),
            ] {
                assert_says(&refusal(&line), &[&path]);
            }
        }
    });
}

#[test]
fn no_start_with_a_key_of_another_length() {
    in_time(|| {
        let keys = Keys::new();
        for factory in ["chaosenc", "chaosdec"] {
            for (bytes, file) in [(0, false), (31, false), (33, false), (64, true)] {
                let file = if file { keys.psk() } else { String::new() };
                let rig = Rig::stopped(&format!("{factory} {file}"));
                rig.element(factory).set_property("key", glib::Bytes::from_owned(vec![b'k'; bytes]));
                let error = refusal_of(&rig);
                assert_says(&error, &["`key`", "32 bytes", &bytes.to_string()]);
                assert!(!error.contains("kkkk"));
                // No key at all takes it back.
                rig.element(factory).set_property("key", None::<glib::Bytes>);
                assert_eq!(rig.pipeline().set_state(gst::State::Playing).is_ok(), !file.is_empty());
            }
        }
    });
}

#[test]
fn no_start_with_recipients_that_are_none() {
    in_time(|| {
        let keys = Keys::new();
        let text = keys.text("cam.key");
        let secret = text.lines().find(|line| line.starts_with("AGE-SECRET-KEY-")).expect("the identity");
        let error = refusal(&format!("chaosenc recipients={secret}"));
        assert_says(&error, &["secret identity", "age1"]);
        assert!(!error.contains(&secret[20..]));
        assert_says(&refusal("chaosenc recipients=age1nonsense"), &["recipient"]);
        assert_says(&refusal(&format!("chaosenc {} track=2 tracks=2", keys.psk())), &["track must be below tracks"]);
        assert_says(&refusal(&format!("chaosenc {} recording=abc", keys.psk())), &["32 hexadecimal digits"]);
    });
}

#[test]
fn the_research_profile_has_to_be_allowed_twice() {
    in_time(|| {
        let keys = Keys::new();
        assert_says(&refusal(&format!("chaosenc {} profile=chaos", keys.psk())), &["research", "allow-insecure=true"]);
        let info = info("I420", 32, 24);
        let sent = frames(&info, 2);
        let packets = packets_of(&keys, "profile=chaos allow-insecure=true", &info, &sent);
        let came = super::packets::decrypt(&keys, "", packets);
        assert!(buffers(&came.items).is_empty());
        assert_eq!(came.posted[0].0, "profile-not-accepted");
        assert_says(&came.error.expect("nothing was opened"), &["`chaos`", "accepted profiles"]);
        // Who accepts one profile has not accepted the others.
        let came = super::packets::decrypt(&keys, "accept-profiles=aead", packets_of(&keys, "", &info, &sent));
        assert!(buffers(&came.items).is_empty());
        assert_says(&came.error.expect("nothing was opened"), &["`hardened`"]);
    });
}

#[test]
fn other_keys_open_nothing() {
    in_time(|| {
        let (keys, others) = (Keys::new(), Keys::new());
        std::fs::write(others.path("passphrase"), "another\n").expect("written");
        let info = info("I420", 32, 24);
        let path = |name: &str| others.path(name).display().to_string();
        for (encrypter, decrypter) in [
            (keys.psk(), others.psk()),
            (format!("recipients={}", keys.text("recipients.txt")), format!("identity-file={}", path("cam.key"))),
            (
                format!("passphrase-file={}", keys.path("passphrase").display()),
                format!("passphrase-file={}", path("passphrase")),
            ),
            (keys.psk(), format!("identity-file={}", keys.path("cam.key").display())),
        ] {
            for output in ["packets", "picture"] {
                let cipher = Rig::new(&format!("chaosenc {encrypter} output={output}"))
                    .run(stream(&pictures::caps(&info), frames(&info, 3)));
                let rig = Rig::new(&format!("chaosdec {decrypter}"));
                let came = rig.run(cipher);
                assert!(buffers(&came).is_empty());
                assert!(all_caps(&came).is_empty(), "not even caps leave");
                let (posted, error) = rig.told();
                assert_eq!(posted[0], ("wrong-key".to_owned(), None), "{decrypter} {output}");
                assert_says(&error.expect("nothing was opened"), &["none of the given keys"]);
            }
        }
    });
}

#[test]
fn what_is_not_ours_opens_nothing() {
    in_time(|| {
        let keys = Keys::new();
        let rig = |caps: &gst::Caps, input: Vec<gst::Buffer>| decrypt_caps(&keys, "", caps, input);
        let clear = info("I420", 64, 48);
        let none: Vec<gst::Buffer> = Vec::new();
        for (what, came) in [
            ("noise", rig(&packet_caps(), vec![gst::Buffer::from_slice(noise(3, 100_000))])),
            ("nothing", rig(&packet_caps(), none)),
            ("empty buffers", rig(&packet_caps(), vec![gst::Buffer::new(), gst::Buffer::new()])),
            ("clear pictures", rig(&pictures::caps(&clear), frames(&clear, 3))),
            ("tiny pictures", rig(&pictures::caps(&info("GRAY8", 3, 3)), frames(&info("GRAY8", 3, 3), 3))),
        ] {
            assert!(buffers(&came.items).is_empty(), "{what}");
            assert!(all_caps(&came.items).is_empty(), "{what}");
            assert_says(&came.error.expect("nothing was opened"), &["not a Chaosveil stream"]);
        }
        // A recording without its beginning is ours all the same.
        let packets = packets_of(&keys, "", &clear, &frames(&clear, 3));
        let came = rig(&packet_caps(), packets[1..].to_vec());
        assert!(buffers(&came.items).is_empty());
        assert_says(&came.error.expect("nothing was opened"), &["stream header"]);
    });
}

/// The error for caps that come without having been asked for.
fn caps_error(settings: &str, caps: &gst::Caps) -> String {
    let keys = Keys::new();
    let rig = Rig::new(&format!("chaosenc {} {settings}", keys.psk()));
    rig.feed(start(caps));
    assert!(rig.push(Item::Buffer(gst::Buffer::from_slice([0; 64 * 64 * 4]))).is_err());
    assert!(buffers(&rig.take_when(|_| true)).is_empty());
    rig.told().1.expect("an error tells")
}

#[test]
fn formats_that_pictures_cannot_carry_are_refused_with_advice() {
    in_time(|| {
        for (format, advice) in [
            ("BGRx", &["BGRx", "packets", "transport=exact"][..]),
            ("v210", &["v210", "packets", "transport=exact"]),
            ("RGBA", &["RGBA", "alpha", "packets", "transport=exact"]),
            ("NV12_64Z32", &["NV12_64Z32", "packets"]),
            ("RGB8P", &["RGB8P", "packets"]),
        ] {
            let caps = pictures::caps(&info(format, 64, 48));
            assert_says(&caps_error("output=picture", &caps), advice);
        }
        // The second pixel of the last pair lies outside.
        let caps = pictures::caps(&info("YUY2", 33, 24));
        assert_says(&caps_error("output=picture", &caps), &["YUY2", "outside the picture", "transport=exact"]);
    });
}

/// A source that asks beforehand finds no common format: a warning tells why.
#[test]
fn negotiation_that_finds_nothing_is_explained() {
    in_time(|| {
        let keys = Keys::new();
        let line = format!(
            "videotestsrc ! video/x-raw,format=BGRx ! chaosenc {} output=picture ! fakesink name=sink",
            keys.psk()
        );
        let pipeline = pipeline(&line);
        pipeline.set_state(gst::State::Playing).expect("starts");
        let messages = until_end(&pipeline);
        let warning = messages.iter().find_map(|message| match message.view() {
            gst::MessageView::Warning(warning) => Some(warning.error().message().to_owned()),
            _ => None,
        });
        assert_says(&warning.expect("posted"), &["BGRx", "packets", "transport=exact"]);
        pipeline.set_state(gst::State::Null).expect("stops");
    });
}

/// A converter in front chooses a format that can be carried.
#[test]
fn a_converter_finds_a_format_that_pictures_carry() {
    in_time(|| {
        let keys = Keys::new();
        let line = format!(
            "videotestsrc num-buffers=2 ! video/x-raw,format=BGRx ! videoconvert ! chaosenc {} output=picture \
             ! chaosdec {} ! fakesink name=sink",
            keys.psk(),
            keys.psk()
        );
        play_to_end(&pipeline(&line));
    });
}

#[test]
fn encoded_caps_cannot_become_pictures() {
    in_time(|| {
        let error = caps_error("output=picture", &gst::Caps::new_empty_simple("video/x-h264"));
        assert_says(&error, &["video/x-h264", "output=packets"]);
    });
}

#[test]
fn memory_that_is_no_memory_is_refused() {
    in_time(|| {
        let mut caps = pictures::caps(&info("RGBA", 64, 48));
        caps.make_mut().set_features_simple(Some(gst::CapsFeatures::new(["memory:GLMemory"])));
        for output in ["packets", "picture"] {
            let error = caps_error(&format!("output={output}"), &caps);
            assert_says(&error, &["outside system memory", "download"]);
        }
    });
}

#[test]
fn buffers_smaller_than_their_caps_are_refused() {
    in_time(|| {
        let info = info("I420", 64, 48);
        for output in ["packets", "picture"] {
            for size in [0, 1, info.size() / 2, info.size() - 1] {
                let keys = Keys::new();
                let rig = Rig::new(&format!("chaosenc {} output={output}", keys.psk()));
                rig.feed(start(&pictures::caps(&info)));
                let mut last = rig.push(Item::Buffer(gst::Buffer::from_slice(vec![1; size])));
                while last.is_ok() {
                    last = rig.push(Item::Buffer(gst::Buffer::from_slice(vec![1; size])));
                }
                assert_eq!(last, Err(gst::FlowError::Error));
                assert!(buffers(&rig.take_when(|_| true)).len() <= 1, "at most a header leaves");
                assert_says(&rig.told().1.expect("an error tells"), &["geometry"]);
            }
        }
    });
}

#[test]
fn video_metas_that_lie_are_refused() {
    in_time(|| {
        let info = info("I420", 64, 48);
        let lies: [(&[usize], &[i32]); 6] = [
            (&[0, 3072, 3840], &[64, 32, 64]),
            (&[0, 3072, 1 << 40], &[64, 32, 32]),
            (&[0, 3072, 3840], &[64, 32, i32::MAX]),
            (&[0, 3072, 3840], &[-64, 32, 32]),
            (&[0, 3072, 3840], &[0, 32, 32]),
            (&[0, 3072, usize::MAX], &[63, 32, 32]),
        ];
        for (offsets, strides) in lies {
            let keys = Keys::new();
            let rig = Rig::new(&format!("chaosenc {}", keys.psk()));
            rig.feed(start(&pictures::caps(&info)));
            let mut buffer = frame(&info, 0);
            let owned = buffer.make_mut();
            let flags = gst_video::VideoFrameFlags::empty();
            gst_video::VideoMeta::add_full(owned, flags, info.format(), 64, 48, offsets, strides).expect("added");
            while rig.push(Item::Buffer(buffer.clone())).is_ok() {}
            assert!(buffers(&rig.take_when(|_| true)).len() <= 1, "at most a header leaves");
            assert_says(&rig.told().1.expect("an error tells"), &["geometry"]);
        }
    });
}

#[test]
fn frames_before_caps_are_refused() {
    in_time(|| {
        let keys = Keys::new();
        let rig = Rig::new(&format!("chaosenc {}", keys.psk()));
        let mut items = start(&pictures::caps(&info("I420", 64, 48)));
        items.remove(1);
        rig.feed(items);
        assert!(rig.push(Item::Buffer(gst::Buffer::from_slice([1; 10]))).is_err());
        assert_says(&rig.told().1.expect("an error tells"), &["before its caps"]);
        assert!(buffers(&rig.take_when(|_| true)).is_empty());
    });
}

/// Caps that are refused in the middle of a stream stop it: no frame leaves under the caps before.
#[test]
fn refused_caps_stop_the_stream() {
    in_time(|| {
        let keys = Keys::new();
        let (good, bad) = (info("I420", 64, 48), info("BGRx", 64, 48));
        let rig = Rig::new(&format!("chaosenc {} output=picture", keys.psk()));
        rig.feed(start(&pictures::caps(&good)));
        rig.feed([Item::Buffer(frame(&good, 0))]);
        rig.until_buffers(1);
        let sink = rig.element("chaosenc").static_pad("sink").expect("always there");
        sink.send_event(gst::event::Caps::new(&pictures::caps(&bad)));
        assert!(sink.chain(frame(&bad, 1)).is_err());
        assert_says(&rig.told().1.expect("an error tells"), &["BGRx"]);
        assert!(buffers(&rig.take_when(|_| true)).is_empty());
    });
}

/// A picture has room for two kilobytes of metas; what does not fit is an error, not a frame without them.
#[test]
fn metas_that_a_picture_has_no_room_for_are_refused() {
    in_time(|| {
        let keys = Keys::new();
        let info = info("I420", 640, 480);
        let mut crowded = frame(&info, 0);
        for number in 0..100 {
            gst_video::VideoRegionOfInterestMeta::add(crowded.make_mut(), "face", (number, 0, 10, 10));
        }
        let packets = Rig::new(&format!("chaosenc {} ! chaosdec {}", keys.psk(), keys.psk()))
            .run(stream(&pictures::caps(&info), [crowded.clone()]));
        let regions = buffers(&packets)[0].iter_meta::<gst_video::VideoRegionOfInterestMeta>().count();
        assert_eq!(regions, 100, "packets have room");
        let rig = Rig::new(&format!("chaosenc {} output=picture", keys.psk()));
        rig.feed(start(&pictures::caps(&info)));
        rig.feed([Item::Buffer(crowded)]);
        while rig.push(Item::Buffer(frame(&info, 1))).is_ok() {}
        assert!(buffers(&rig.take_when(|_| true)).is_empty());
        assert_says(&rig.told().1.expect("an error tells"), &["packets have no such limit"]);
    });
}
