//! Keys stay inside: nothing reads them back, and no log at any level shows them.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use gst::{glib, prelude::*};

use super::{
    common::{FOLDER, Keys, have, hex_key, in_time, init},
    pictures::{caps, frames, info},
    rig::{Rig, all_caps, buffers, stream},
};

/// A carrier such as RTP sends caps in the clear.
#[test]
fn caps_of_packets_tell_the_rate_alone() {
    in_time(|| {
        let keys = Keys::new();
        let sealed = caps(&info("GRAY8", 64, 24));
        for (sealed, told) in [
            (sealed.to_string(), "application/x-chaosveil, framerate=(fraction)25/1"),
            ("video/x-h264, stream-format=avc, codec_data=(buffer)01, width=64".into(), "application/x-chaosveil"),
        ] {
            let sealed: gst::Caps = sealed.parse().expect("caps");
            let came = Rig::new(&format!("chaosenc {}", keys.psk())).run(stream(&sealed, []));
            let came: Vec<String> = all_caps(&came).iter().map(|caps| caps.to_string()).collect();
            assert_eq!(came, [told], "{sealed}");
        }
    });
}

#[test]
fn keys_cannot_be_read_back() {
    in_time(|| {
        let keys = Keys::new();
        let passphrase = format!("passphrase-file={}", keys.path("passphrase").display());
        let camera = format!("camera-key-file={}", keys.path("signing.key").display());
        let identity = format!("identity-file={}", keys.path("cam.key").display());
        let secrets = Secrets::of(&keys);
        for (factory, more) in [("chaosenc", camera), ("chaosdec", identity)] {
            let rig = Rig::stopped(&format!("{factory} {} {passphrase} {more}", keys.psk()));
            let element = rig.element(factory);
            let key = element.find_property("key").expect("a property");
            assert!(!key.flags().contains(glib::ParamFlags::READABLE));
            element.set_property("key", glib::Bytes::from_owned(vec![0x5A; 32]));
            for state in [gst::State::Null, gst::State::Playing] {
                rig.pipeline().set_state(state).expect("starts");
                let mut told = String::new();
                for property in element.list_properties().iter() {
                    if property.flags().contains(glib::ParamFlags::READABLE) {
                        let value = element.property_value(property.name());
                        told += &format!("{}={value:?}\n", property.name());
                    }
                }
                assert!(told.contains("psk.key") && told.contains("passphrase"), "paths are no secret: {told}");
                secrets.assert_absent(told.as_bytes(), "properties");
                assert!(!told.contains("ZZZZ") && !told.contains("5a5a5a5a") && !told.contains("90, 90, 90"), "{told}");
            }
        }
    });
}

/// GStreamer takes bytes in base64 there, and everybody sees a program's arguments in the list of processes.
#[test]
fn fail_keys_on_a_launch_line() {
    in_time(|| {
        if !have(&["videotestsrc", "fakesink"]) || which("gst-launch-1.0").is_none() {
            println!("skipped: no gst-launch-1.0");
            return;
        }
        let keys = Keys::new();
        let plugins = plugin_folder(&keys, &["coreelements", "videotestsrc"]);
        let (key, _) = keys.hex_key("psk.key");
        let text = glib::base64_encode(&key);
        let unpadded = text.trim_end_matches('=');
        for factory in ["chaosenc", "chaosdec"] {
            for setting in [
                format!("key={text}"),
                format!("key=\"{text}\""),
                format!("key=\\{text}"),
                format!("key={}-{}", &text[..20], &text[20..]),
            ] {
                let ran = launch(&keys, &plugins)
                    .args(["videotestsrc", "num-buffers=1", "!", factory, &setting, "!", "fakesink"])
                    .output();
                let ran = ran.expect("runs");
                let said = String::from_utf8_lossy(&ran.stderr);
                assert!(!ran.status.success(), "{factory} {setting}");
                assert!(said.contains("on the command line") && !said.contains(unpadded), "{said}");
            }
        }
    });
}

/// What must not be seen of a folder of keys.
struct Secrets(Vec<(&'static str, Vec<u8>)>);

impl Secrets {
    fn of(keys: &Keys) -> Secrets {
        let (raw, digits) = keys.hex_key("psk.key");
        let (camera_raw, camera_digits) = keys.hex_key("signing.key");
        let identity = keys.text("cam.key");
        let identity = identity.lines().find(|line| line.starts_with("AGE-SECRET-KEY-")).expect("the identity");
        let passphrase = keys.text("passphrase").trim_end().to_owned();
        Secrets(vec![
            ("key in hexadecimal", digits.to_uppercase().into_bytes()),
            ("half of the key in hexadecimal", digits.as_bytes()[..32].to_vec()),
            ("key", digits.into_bytes()),
            ("key's bytes", raw),
            ("identity", identity.as_bytes()[..40].to_vec()),
            ("passphrase", passphrase.into_bytes()),
            ("camera's key in hexadecimal", camera_digits.into_bytes()),
            ("camera's key", camera_raw),
        ])
    }

    #[track_caller]
    fn assert_absent(&self, output: &[u8], place: &str) {
        for (name, secret) in &self.0 {
            let found = output.windows(secret.len()).any(|window| window == secret);
            assert!(!found, "the {name} stands in the {place}");
        }
    }
}

/// The plugin beside this program.
fn plugin() -> PathBuf {
    let folder = std::env::current_exe().expect("this program").parent().expect("in a folder").to_owned();
    folder.join("libgstchaosveil.so")
}

/// A folder with links to the plugins that a launch line needs, and nothing else to scan.
fn plugin_folder(keys: &Keys, names: &[&str]) -> PathBuf {
    let folder = keys.path("plugins");
    std::fs::create_dir(&folder).expect("made");
    let registry = gst::Registry::get();
    let files = names.iter().map(|name| registry.find_plugin(name).and_then(|plugin| plugin.filename()).expect(name));
    for file in files.chain([plugin()]) {
        let link = folder.join(file.file_name().expect("a file"));
        std::os::unix::fs::symlink(&file, &link).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    }
    folder
}

/// `gst-launch-1.0` with those plugins.
fn launch(keys: &Keys, plugins: &Path) -> Command {
    let mut command = Command::new("gst-launch-1.0");
    command.env("GST_PLUGIN_SYSTEM_PATH_1_0", plugins).env_remove("GST_PLUGIN_PATH");
    command.env("GST_REGISTRY_1_0", keys.path("registry"));
    command
}

/// A real process at the highest debug level, with every kind of key: its log and its output show none of them.
#[test]
fn no_log_shows_keys() {
    in_time(|| {
        if !have(&["videotestsrc", "fakesink", "capsfilter"]) || which("gst-launch-1.0").is_none() {
            println!("skipped: no gst-launch-1.0");
            return;
        }
        let keys = Keys::new();
        let plugins = plugin_folder(&keys, &["coreelements", "videotestsrc"]);
        let path = |name: &str| keys.path(name).display().to_string();
        let line = format!(
            "videotestsrc num-buffers=3 ! video/x-raw,format=I420,width=32,height=24 \
             ! chaosenc key-file={0} recipient-file={1} camera-key-file={5} ! chaosdec key-file={0} \
             ! chaosenc recipients={2} ! chaosdec identity-file={3} \
             ! chaosenc passphrase-file={4} ! chaosdec passphrase-file={4} ! fakesink silent=false",
            path("psk.key"),
            path("recipients.txt"),
            keys.text("recipients.txt"),
            path("cam.key"),
            path("passphrase"),
            path("signing.key"),
        );
        let output = launch(&keys, &plugins)
            .arg("-v")
            .args(line.split_whitespace())
            .env("GST_DEBUG", "*:9")
            .env("GST_DEBUG_NO_COLOR", "1")
            .env("GST_DEBUG_FILE", keys.path("log"))
            .env("RUST_BACKTRACE", "1")
            .output()
            .expect("runs");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{told}");
        let secrets = Secrets::of(&keys);
        secrets.assert_absent(&output.stdout, "output");
        secrets.assert_absent(&output.stderr, "errors");
        let log = std::fs::read(keys.path("log")).expect("a log");
        assert!(log.windows(8).any(|window| window == b"chaosenc") && log.len() > 100_000, "the log is at work");
        secrets.assert_absent(&log, "log");
    });
}

/// A process whose application answers `request-key` with the bytes of the key, in its own process: at the highest debug
/// level its log and its output do not show them.
#[test]
fn no_log_shows_an_answered_key() {
    in_time(|| {
        let keys = Keys::new();
        let output = Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", "secrets::answering_process", "--ignored", "--nocapture"])
            .env(FOLDER, keys.folder())
            .env("GST_DEBUG", "*:9")
            .env("GST_DEBUG_NO_COLOR", "1")
            .env("GST_DEBUG_FILE", keys.path("log"))
            .output()
            .expect("runs");
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && told.contains("1 passed"), "{told}");
        let log = std::fs::read(keys.path("log")).expect("a log");
        assert!(log.windows(8).any(|window| window == b"chaosdec") && log.len() > 10_000, "the log is at work");
        let secrets = Secrets::of(&keys);
        for (output, place) in [(&output.stdout, "output"), (&output.stderr, "errors"), (&log, "log")] {
            secrets.assert_absent(output, place);
        }
    });
}

#[test]
#[ignore = "another test runs it"]
fn answering_process() {
    init();
    let folder = PathBuf::from(std::env::var_os(FOLDER).expect("a folder"));
    let (key, _) = hex_key(&folder.join("psk.key"));
    let rig = Rig::stopped("chaosenc ! chaosdec");
    rig.element("chaosenc").set_property("key", glib::Bytes::from(&key));
    rig.element("chaosdec").connect("request-key", false, move |_| {
        Some(Some(gst::Structure::builder("answer").field("key", glib::Bytes::from(&key)).build()).to_value())
    });
    rig.pipeline().set_state(gst::State::Playing).expect("starts without a key: somebody answers");
    let small = info("GRAY8", 64, 24);
    let came = rig.run(stream(&caps(&small), frames(&small, 3)));
    assert_eq!(buffers(&came).len(), 3);
}

fn which(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.exists())
}
