//! The properties of `chaosenc`, and what they ask for.

use std::{path::PathBuf, sync::Arc, time::Duration};

use gst::{glib, prelude::*};

use super::{
    encrypter::Place,
    settings::{CommonSettings, number, path, path_of, path_value, text_of},
    types::{Aead, Output, Profile, Transport},
};
use crate::{
    Error, Result,
    seal::{CameraKey, Recipients, RekeyPolicy},
};

/// Those who may decrypt, and who signs.
pub type EncryptKeys = (Arc<Recipients>, Option<Arc<CameraKey>>);

/// Settings of the encrypter.
#[derive(Debug, Clone)]
pub struct EncryptSettings {
    /// What decryption has, too.
    pub common: CommonSettings,
    /// What protects a frame.
    pub profile: Profile,
    /// The authenticated cipher.
    pub aead: Aead,
    /// Packets or cipher pictures.
    pub output: Output,
    /// What carries cipher pictures.
    pub transport: Transport,
    /// Recipients, separated by commas.
    pub recipients: Option<String>,
    /// A recipient a line.
    pub recipient_file: Option<PathBuf>,
    /// Who signs the stream.
    pub camera_key_file: Option<PathBuf>,
    /// In place of the file.
    pub given_camera: Option<Arc<CameraKey>>,
    /// In place of all that names keys.
    pub given: Option<Arc<Recipients>>,
    /// The profile that is for research may be used.
    pub allow_insecure: bool,
    /// Number of the track among those of the recording.
    pub track: u32,
    /// Number of tracks.
    pub tracks: u32,
    /// Id that the tracks share, in hexadecimal digits.
    pub recording: Option<String>,
    /// When the next epoch begins.
    pub rekey: RekeyPolicy,
    /// Frames are looked at before they leave.
    pub guard: bool,
    /// Time from one frame that the network looks at to the next.
    pub guard_interval: Duration,
    /// Where the stream can be entered is noted.
    pub keep_index: bool,
}

impl Default for EncryptSettings {
    fn default() -> Self {
        EncryptSettings {
            common: CommonSettings::default(),
            profile: Profile::default(),
            aead: Aead::default(),
            output: Output::default(),
            transport: Transport::default(),
            recipients: None,
            recipient_file: None,
            camera_key_file: None,
            given_camera: None,
            given: None,
            allow_insecure: false,
            track: 0,
            tracks: 1,
            recording: None,
            rekey: RekeyPolicy::default(),
            guard: false,
            keep_index: false,
            guard_interval: Duration::from_millis(100),
        }
    }
}

impl EncryptSettings {
    /// The parameters of the element, those that both elements have among them.
    pub fn parameters() -> Vec<glib::ParamSpec> {
        let mut list = CommonSettings::parameters();
        list.extend([
            glib::ParamSpecEnum::builder_with_default("profile", Profile::default())
                .nick("Profile")
                .blurb("What protects a frame")
                .mutable_ready()
                .build(),
            glib::ParamSpecEnum::builder_with_default("aead", Aead::default())
                .nick("AEAD")
                .blurb("The authenticated cipher")
                .mutable_ready()
                .build(),
            glib::ParamSpecEnum::builder_with_default("output", Output::default())
                .nick("Output")
                .blurb("Packets, or cipher pictures that any raw video element takes")
                .mutable_ready()
                .build(),
            glib::ParamSpecEnum::builder_with_default("transport", Transport::default())
                .nick("Transport")
                .blurb("What carries cipher pictures; formats that it would damage are refused")
                .mutable_ready()
                .build(),
            glib::ParamSpecString::builder("recipients")
                .nick("Recipients")
                .blurb("Who may decrypt: age1... or SSH public keys, separated by commas")
                .mutable_ready()
                .build(),
            path("recipient-file", "Recipient file", "File with recipients, one a line"),
            path("camera-key-file", "Camera key file", "Sign the stream with this key (chaosveil keygen --camera)"),
            glib::ParamSpecBoolean::builder("allow-insecure")
                .nick("Allow insecure")
                .blurb("Allow profile=chaos, which is for research and protects no secrets")
                .mutable_ready()
                .build(),
            number("track", "Track", "Number of this track among those of the recording", 0, 255, 0),
            number("tracks", "Tracks", "Number of tracks of the recording", 1, 256, 1),
            glib::ParamSpecString::builder("recording")
                .nick("Recording")
                .blurb("Id shared by all tracks of a recording, 32 hexadecimal digits (default: random)")
                .mutable_ready()
                .build(),
            glib::ParamSpecUInt64::builder("rekey-bytes")
                .nick("Rekey after bytes")
                .blurb("A new key after so many bytes of frames (0 = not because of bytes)")
                .default_value(RekeyPolicy::default().bytes)
                .mutable_ready()
                .build(),
            glib::ParamSpecUInt64::builder("rekey-frames")
                .nick("Rekey after frames")
                .blurb("A new key after so many frames (0 = not because of frames)")
                .default_value(RekeyPolicy::default().frames)
                .mutable_ready()
                .build(),
            glib::ParamSpecUInt64::builder("rekey-interval")
                .nick("Rekey interval")
                .blurb("A new key after so many nanoseconds (0 = not because of time)")
                .default_value(RekeyPolicy::default().interval.as_nanos() as u64)
                .mutable_ready()
                .build(),
            glib::ParamSpecBoolean::builder("guard")
                .nick("Guard")
                .blurb("Check each frame before it is pushed, and stop with an error where it looks plain")
                .mutable_ready()
                .build(),
            glib::ParamSpecUInt64::builder("guard-interval")
                .nick("Guard interval")
                .blurb("Nanoseconds from one frame that the guard's network looks at to the next, at least (0 = as fast as it can)")
                .default_value(EncryptSettings::default().guard_interval.as_nanos() as u64)
                .mutable_ready()
                .build(),
        ]);
        list
    }

    /// Sets a property.
    pub fn set(&mut self, name: &str, value: &glib::Value) {
        if self.common.set(name, value) {
            return;
        }
        let get = "type checked by GObject";
        match name {
            "profile" => self.profile = value.get().expect(get),
            "aead" => self.aead = value.get().expect(get),
            "output" => self.output = value.get().expect(get),
            "transport" => self.transport = value.get().expect(get),
            "recipients" => self.recipients = text_of(value),
            "recipient-file" => self.recipient_file = path_of(value),
            "camera-key-file" => self.camera_key_file = path_of(value),
            "allow-insecure" => self.allow_insecure = value.get().expect(get),
            "track" => self.track = value.get().expect(get),
            "tracks" => self.tracks = value.get().expect(get),
            "recording" => self.recording = text_of(value),
            "rekey-bytes" => self.rekey.bytes = value.get().expect(get),
            "rekey-frames" => self.rekey.frames = value.get().expect(get),
            "rekey-interval" => self.rekey.interval = Duration::from_nanos(value.get().expect(get)),
            "guard" => self.guard = value.get().expect(get),
            "guard-interval" => self.guard_interval = Duration::from_nanos(value.get().expect(get)),
            name => unreachable!("no property {name}"),
        }
    }

    /// Reads a property.
    pub fn get(&self, name: &str) -> glib::Value {
        if let Some(value) = self.common.get(name) {
            return value;
        }
        match name {
            "profile" => self.profile.to_value(),
            "aead" => self.aead.to_value(),
            "output" => self.output.to_value(),
            "transport" => self.transport.to_value(),
            "recipients" => self.recipients.to_value(),
            "recipient-file" => path_value(&self.recipient_file),
            "camera-key-file" => path_value(&self.camera_key_file),
            "allow-insecure" => self.allow_insecure.to_value(),
            "track" => self.track.to_value(),
            "tracks" => self.tracks.to_value(),
            "recording" => self.recording.to_value(),
            "rekey-bytes" => self.rekey.bytes.to_value(),
            "rekey-frames" => self.rekey.frames.to_value(),
            "rekey-interval" => (self.rekey.interval.as_nanos() as u64).to_value(),
            "guard" => self.guard.to_value(),
            "guard-interval" => (self.guard_interval.as_nanos() as u64).to_value(),
            name => unreachable!("no property {name}"),
        }
    }

    /// All that is read from files.
    ///
    /// # Errors
    /// [`Error::NoKey`] if nobody could decrypt, and what is wrong with a key or its file.
    pub fn keys(&self) -> Result<EncryptKeys> {
        Ok((self.recipients()?, self.camera()?))
    }

    /// Those who may decrypt.
    ///
    /// # Errors
    /// [`Error::NoKey`] if there are none, and what is wrong with a key or its file.
    fn recipients(&self) -> Result<Arc<Recipients>> {
        if let Some(given) = &self.given {
            return Ok(given.clone());
        }
        let mut recipients = Recipients::default();
        for recipient in self.recipients.iter().flat_map(|list| list.split(',')).filter(|r| !r.trim().is_empty()) {
            recipients.add(recipient)?;
        }
        if let Some(path) = &self.recipient_file {
            recipients.add_file(path)?;
        }
        if let Some(path) = &self.common.key_file {
            recipients.set_preshared_file(path)?;
        }
        if let Some(path) = &self.common.passphrase_file {
            recipients.set_passphrase_file(path)?;
        }
        if let Some(key) = self.common.preshared()? {
            recipients.set_preshared(key);
        }
        match recipients.is_empty() {
            true => Err(Error::NoKey(
                "set recipients, recipient-file, key-file or passphrase-file (`chaosveil keygen` makes keys)",
            )),
            false => Ok(Arc::new(recipients)),
        }
    }

    /// The camera's key, if the stream is to be signed.
    ///
    /// # Errors
    /// What is wrong with its file.
    fn camera(&self) -> Result<Option<Arc<CameraKey>>> {
        match (&self.given_camera, &self.camera_key_file) {
            (Some(given), _) => Ok(Some(given.clone())),
            (None, path) => Ok(path.as_deref().map(CameraKey::read).transpose()?.map(Arc::new)),
        }
    }

    /// Refuses the profile that is for research unless it was allowed.
    ///
    /// # Errors
    /// [`Error::Refused`].
    pub fn check_profile(&self) -> Result<()> {
        match self.profile == Profile::Chaos && !self.allow_insecure {
            true => Err(Error::Refused(
                "profile=chaos is for research: it hides nothing from whoever knows or guesses content; \
                 use profile=hardened, or set allow-insecure=true",
            )),
            false => Ok(()),
        }
    }

    /// Where the stream stands in its recording.
    ///
    /// # Errors
    /// [`Error::Refused`].
    pub fn place(&self) -> Result<Place> {
        let track = u16::try_from(self.track).ok().filter(|&track| u32::from(track) < self.tracks);
        let recording = match self.recording.as_deref() {
            None | Some("") => None,
            Some(digits) => Some(
                u128::from_str_radix(digits, 16)
                    .ok()
                    .filter(|_| digits.len() == 32)
                    .ok_or(Error::Refused("recording takes 32 hexadecimal digits"))?,
            ),
        };
        Ok(Place {
            track: track.ok_or(Error::Refused("track must be below tracks"))?,
            tracks: self.tracks as u16,
            recording: recording.map(u128::to_be_bytes),
        })
    }
}
