//! The properties of `chaosdec`, and what they ask for.

use std::{path::PathBuf, sync::Arc};

use gst::{glib, prelude::*};

use super::{
    settings::{CommonSettings, path, path_of, path_value, text_of},
    types::Profiles,
};
use crate::{
    Result,
    seal::{CameraId, DEFAULT_REPLAY_WINDOW, Identities, ReaderPolicy},
};

/// Settings of the decrypter.
#[derive(Debug, Clone)]
pub struct DecryptSettings {
    /// What encryption has, too.
    pub common: CommonSettings,
    /// age identities, or an SSH private key.
    pub identity_file: Option<PathBuf>,
    /// In place of all that names keys.
    pub given: Option<Arc<Identities>>,
    /// Frames are due when they were sealed to be, also of a stream that was joined late.
    pub keep_times: bool,
    /// Profiles that a stream may have.
    pub accept_profiles: Profiles,
    /// Another stream may follow the first.
    pub accept_new_stream: bool,
    /// Counters that are remembered.
    pub replay_window: u32,
    /// Cameras, separated by commas.
    pub verify_camera: Option<String>,
}

impl Default for DecryptSettings {
    fn default() -> Self {
        DecryptSettings {
            common: CommonSettings::default(),
            identity_file: None,
            given: None,
            keep_times: false,
            accept_profiles: Profiles::HARDENED | Profiles::AEAD,
            accept_new_stream: false,
            replay_window: DEFAULT_REPLAY_WINDOW,
            verify_camera: None,
        }
    }
}

impl DecryptSettings {
    /// The parameters of the element, those that both elements have among them.
    pub fn parameters() -> Vec<glib::ParamSpec> {
        let mut list = CommonSettings::parameters();
        list.extend([
            path("identity-file", "Identity file", "File with age identities or an SSH private key"),
            glib::ParamSpecFlags::builder::<Profiles>("accept-profiles")
                .default_value(Profiles::HARDENED | Profiles::AEAD)
                .nick("Accepted profiles")
                .blurb("Profiles that a stream may have")
                .mutable_ready()
                .build(),
            glib::ParamSpecBoolean::builder("accept-new-stream")
                .nick("Accept new stream")
                .blurb("Let another stream that the keys open take the place of the first")
                .mutable_ready()
                .build(),
            glib::ParamSpecUInt::builder("replay-window")
                .nick("Replay window")
                .blurb("Counters remembered to tell late frames from replayed ones")
                .minimum(1)
                .maximum(1 << 20)
                .default_value(DEFAULT_REPLAY_WINDOW)
                .mutable_ready()
                .build(),
            glib::ParamSpecString::builder("verify-camera")
                .nick("Verify camera")
                .blurb("Accept only a stream that one of these cameras signed: camera-1:..., separated by commas")
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
            "identity-file" => self.identity_file = path_of(value),
            "accept-profiles" => self.accept_profiles = value.get().expect(get),
            "accept-new-stream" => self.accept_new_stream = value.get().expect(get),
            "replay-window" => self.replay_window = value.get().expect(get),
            "verify-camera" => self.verify_camera = text_of(value),
            name => unreachable!("no property {name}"),
        }
    }

    /// Reads a property.
    pub fn get(&self, name: &str) -> glib::Value {
        if let Some(value) = self.common.get(name) {
            return value;
        }
        match name {
            "identity-file" => path_value(&self.identity_file),
            "accept-profiles" => self.accept_profiles.to_value(),
            "accept-new-stream" => self.accept_new_stream.to_value(),
            "replay-window" => self.replay_window.to_value(),
            "verify-camera" => self.verify_camera.to_value(),
            name => unreachable!("no property {name}"),
        }
    }

    /// Keys to open streams with; there may be none.
    ///
    /// # Errors
    /// What is wrong with a key or its file.
    pub fn identities(&self) -> Result<Arc<Identities>> {
        if let Some(given) = &self.given {
            return Ok(given.clone());
        }
        let mut identities = Identities::default();
        if let Some(path) = &self.identity_file {
            identities.add_file(path)?;
        }
        if let Some(path) = &self.common.key_file {
            identities.set_preshared_file(path)?;
        }
        if let Some(path) = &self.common.passphrase_file {
            identities.set_passphrase_file(path)?;
        }
        if let Some(key) = self.common.preshared()? {
            identities.set_preshared(key);
        }
        Ok(Arc::new(identities))
    }

    /// What a stream must be like to be opened.
    ///
    /// # Errors
    /// What is wrong with the name of a camera.
    pub fn policy(&self) -> Result<ReaderPolicy> {
        let cameras = self.verify_camera.iter().flat_map(|list| list.split(','));
        Ok(ReaderPolicy {
            profiles: self.accept_profiles.list(),
            accept_new_stream: self.accept_new_stream,
            replay_window: self.replay_window,
            cameras: cameras.map(CameraId::parse).collect::<Result<_>>()?,
        })
    }
}
