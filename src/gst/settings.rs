//! Properties that both elements have, and how they become an engine.

use std::{path::PathBuf, sync::Arc};

use gst::{glib, prelude::*};

use super::types::{Backend, Leaky};
use crate::{
    Error, Result,
    backend::{self, Parallel},
    seal::{Engine, Secret},
};

/// Settings that encrypter and decrypter share.
#[derive(Debug, Default, Clone)]
pub struct CommonSettings {
    /// Pre-shared key file.
    pub key_file: Option<PathBuf>,
    /// Passphrase file.
    pub passphrase_file: Option<PathBuf>,
    /// Pre-shared key, set from code only; in place of a key of another length than 32 bytes, that length.
    pub key: Option<Result<Secret, usize>>,
    /// Who runs the chaotic stage.
    pub backend: Backend,
    /// Number of the GPU.
    pub cuda_device: u32,
    /// Worker threads; 0 stands for as many as there are cores, at most four.
    pub workers: u32,
    /// Threads for each frame.
    pub threads_per_frame: u32,
    /// Frames in flight; 0 stands for two more than workers.
    pub queue_depth: u32,
    /// What to do when the queue is full.
    pub leaky: Leaky,
    /// In place of the real one: lets a test break the stage.
    #[cfg(test)]
    pub given_backend: Option<Arc<dyn backend::Backend>>,
}

impl CommonSettings {
    /// The parameters, for the element's own list.
    pub fn parameters() -> Vec<glib::ParamSpec> {
        vec![
            path("key-file", "Pre-shared key file", "File with the pre-shared key (chaosveil keygen --preshared)"),
            path("passphrase-file", "Passphrase file", "File whose first line is the passphrase"),
            glib::ParamSpecBoxed::builder::<glib::Bytes>("key")
                .nick("Pre-shared key")
                .blurb(
                    "The pre-shared key, 32 bytes; from code only: what stands on a command line is read by others, and refused",
                )
                .write_only()
                .mutable_ready()
                .build(),
            glib::ParamSpecEnum::builder_with_default("backend", Backend::Auto)
                .nick("Backend")
                .blurb("Who runs the chaotic stage")
                .mutable_ready()
                .build(),
            number("cuda-device", "CUDA device", "Number of the GPU for backend=cuda and backend=auto", 0, 63, 0),
            number("workers", "Workers", "Frames worked on at the same time (0 = cores, at most 4)", 0, 64, 0),
            number("threads-per-frame", "Threads per frame", "Threads that share the work on one frame", 1, 64, 1),
            number("queue-depth", "Queue depth", "Frames in flight at most (0 = two more than workers)", 0, 256, 0),
            glib::ParamSpecEnum::builder_with_default("leaky", Leaky::No)
                .nick("Leaky")
                .blurb("What to do when the queue is full")
                .mutable_ready()
                .build(),
            glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
                .nick("Statistics")
                .blurb("Frames and bytes in and out, dropped, lost, reordered, replayed, rejected, panics, latency, backend")
                .read_only()
                .build(),
        ]
    }

    /// Sets a property; false if it is none of these.
    pub fn set(&mut self, name: &str, value: &glib::Value) -> bool {
        let get = "type checked by GObject";
        match name {
            "key-file" => self.key_file = path_of(value),
            "passphrase-file" => self.passphrase_file = path_of(value),
            "key" => self.set_key(value.get::<Option<glib::Bytes>>().expect(get)),
            "backend" => self.backend = value.get().expect(get),
            "cuda-device" => self.cuda_device = value.get().expect(get),
            "workers" => self.workers = value.get().expect(get),
            "threads-per-frame" => self.threads_per_frame = value.get().expect(get),
            "queue-depth" => self.queue_depth = value.get().expect(get),
            "leaky" => self.leaky = value.get().expect(get),
            _ => return false,
        }
        true
    }

    /// Reads a property; `None` if it is none of these. The key is never among them.
    pub fn get(&self, name: &str) -> Option<glib::Value> {
        Some(match name {
            "key-file" => path_value(&self.key_file),
            "passphrase-file" => path_value(&self.passphrase_file),
            "backend" => self.backend.to_value(),
            "cuda-device" => self.cuda_device.to_value(),
            "workers" => self.workers.to_value(),
            "threads-per-frame" => self.threads_per_frame.max(1).to_value(),
            "queue-depth" => self.queue_depth.to_value(),
            "leaky" => self.leaky.to_value(),
            _ => return None,
        })
    }

    fn set_key(&mut self, bytes: Option<glib::Bytes>) {
        self.key = bytes.map(|bytes| <[u8; 32]>::try_from(&bytes[..]).map(Secret::new).map_err(|_| bytes.len()));
    }

    /// The pre-shared key that was set from code.
    ///
    /// # Errors
    /// [`Error::KeyLength`] if it has another length than 32 bytes, [`Error::KeyOnCommandLine`] if it stands on the command line.
    pub fn preshared(&self) -> Result<Option<Secret>> {
        let key = self.key.clone().transpose().map_err(Error::KeyLength)?;
        match key.as_ref().is_some_and(stands_on_the_command_line) {
            true => Err(Error::KeyOnCommandLine),
            false => Ok(key),
        }
    }

    /// Number of worker threads.
    pub fn worker_count(&self) -> usize {
        match self.workers {
            0 => Parallel::usual_workers(),
            workers => workers as usize,
        }
    }

    /// Number of frames in flight at most.
    pub fn capacity(&self) -> usize {
        match self.queue_depth {
            0 => self.worker_count() + 2,
            depth => depth as usize,
        }
    }

    /// Number of frames worked on at once at most.
    pub fn most_at_once(&self) -> usize {
        self.worker_count().min(self.capacity())
    }

    /// The engine that the settings ask for.
    ///
    /// # Errors
    /// [`Error::BackendUnavailable`], [`Error::Io`] if threads cannot be had.
    pub fn engine(&self) -> Result<Engine> {
        let pool = match self.threads_per_frame {
            0 | 1 => None,
            threads => Some(Arc::new(
                rayon::ThreadPoolBuilder::new()
                    .num_threads(threads as usize)
                    .thread_name(|index| format!("chaosveil-frame:{index}"))
                    .build()
                    .map_err(|error| Error::Io {
                        what: "starting threads".into(),
                        source: std::io::Error::other(error),
                    })?,
            )),
        };
        let parallel = Parallel { workers: self.most_at_once(), pool: pool.clone() };
        let backend = backend::choose_for_stream(self.backend.into(), self.cuda_device as usize, parallel)?;
        #[cfg(test)]
        let backend = self.given_backend.clone().unwrap_or(backend);
        Ok(Engine { backend, pool })
    }
}

/// Whether a launch line has set the key: GStreamer takes bytes there in base64, and passes over all that is none. Where
/// there is no /proc it is not known.
fn stands_on_the_command_line(key: &Secret) -> bool {
    let mut line = String::from_utf8_lossy(&std::fs::read("/proc/self/cmdline").unwrap_or_default()).into_owned();
    line.retain(|letter| letter.is_ascii_alphanumeric() || "+/".contains(letter));
    let decoded = |start: usize| glib::base64_decode(&format!("{}=", &line[start..start + 43]));
    (0..(line.len() + 1).saturating_sub(43)).any(|start| decoded(start)[..] == key.bytes()[..])
}

/// A parameter that names a file.
pub fn path(name: &'static str, nick: &'static str, blurb: &'static str) -> glib::ParamSpec {
    glib::ParamSpecString::builder(name).nick(nick).blurb(blurb).mutable_ready().build()
}

/// A parameter that is a number.
pub fn number(
    name: &'static str,
    nick: &'static str,
    blurb: &'static str,
    min: u32,
    max: u32,
    default: u32,
) -> glib::ParamSpec {
    glib::ParamSpecUInt::builder(name)
        .nick(nick)
        .blurb(blurb)
        .minimum(min)
        .maximum(max)
        .default_value(default)
        .mutable_ready()
        .build()
}

/// The path in a parameter's value. Any bytes may name a file.
pub fn path_of(value: &glib::Value) -> Option<PathBuf> {
    value.get::<Option<PathBuf>>().expect("type checked by GObject")
}

/// The text in a parameter's value. GObject does not see to it that it is one: what is none is replaced, and refused later.
pub fn text_of(value: &glib::Value) -> Option<String> {
    path_of(value).map(|text| text.to_string_lossy().into_owned())
}

/// The value of a parameter that names a file.
pub fn path_value(path: &Option<PathBuf>) -> glib::Value {
    path.to_value()
}
