//! Keys stay inside: nothing reads them back, and no log at any level shows them.

use std::{path::PathBuf, process::Command};

use gst::{glib, prelude::*};

use super::{
    common::{Keys, have, in_time},
    rig::Rig,
};

#[test]
fn keys_cannot_be_read_back() {
    in_time(|| {
        let keys = Keys::new();
        let passphrase = format!("passphrase-file={}", keys.path("passphrase").display());
        let identity = format!("identity-file={}", keys.path("cam.key").display());
        let secrets = Secrets::of(&keys);
        for (factory, more) in [("chaosenc", String::new()), ("chaosdec", identity)] {
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

/// What must not be seen of a folder of keys.
struct Secrets(Vec<(&'static str, Vec<u8>)>);

impl Secrets {
    fn of(keys: &Keys) -> Secrets {
        let psk = keys.text("psk.key");
        let digits = psk.trim_end().rsplit(':').next().expect("the key").to_owned();
        assert_eq!(digits.len(), 64);
        let raw = (0..32).map(|i| u8::from_str_radix(&digits[2 * i..2 * i + 2], 16).expect("digits")).collect();
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
             ! chaosenc key-file={0} recipient-file={1} ! chaosdec key-file={0} \
             ! chaosenc recipients={2} ! chaosdec identity-file={3} \
             ! chaosenc passphrase-file={4} ! chaosdec passphrase-file={4} ! fakesink silent=false",
            path("psk.key"),
            path("recipients.txt"),
            keys.text("recipients.txt"),
            path("cam.key"),
            path("passphrase"),
        );
        let output = Command::new("gst-launch-1.0")
            .arg("-v")
            .args(line.split_whitespace())
            .env("GST_PLUGIN_SYSTEM_PATH_1_0", &plugins)
            .env_remove("GST_PLUGIN_PATH")
            .env("GST_REGISTRY_1_0", keys.path("registry"))
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

fn which(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.exists())
}
