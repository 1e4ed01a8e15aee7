//! The signal `request-key` of `chaosdec`: the application is asked for the key of a stream that no key at hand opens.
//!
//! ```text
//! GstStructure *request-key (element, gchar *stream_id, gchar *key_groups)
//! ```
//!
//! `stream_id` has 32 hexadecimal digits; `key_groups` are the ways to open the stream, separated by commas:
//! `recipients`, `passphrase`, `pre-shared`. None of it has been verified. The answer is NULL, or a structure of any name
//! with any of `key` (GBytes, 32 bytes), `key-file`, `identity-file`, `passphrase-file` (strings). It is called on the streaming
//! thread, at most once a second: a handler may take its time and read properties, and must not seek or change states.

use std::{ops::ControlFlow, path::Path};

use gst::{
    glib::{self, subclass::Signal},
    prelude::*,
};

use crate::{
    Error, Result,
    seal::{GROUP_PASSPHRASE, GROUP_PRESHARED, GROUP_RECIPIENTS, Identities, RawStreamHeader, Secret},
};

const NAME: &str = "request-key";

/// The signal, for the element's class.
pub fn signal() -> Signal {
    Signal::builder(NAME)
        .param_types([String::static_type(), String::static_type()])
        .return_type::<Option<gst::Structure>>()
        .run_last()
        // The first handler that knows a key ends the search.
        .accumulator(|_, _, answer| {
            let known = answer.get::<Option<gst::Structure>>().is_ok_and(|answer| answer.is_some());
            if known { ControlFlow::Break(answer.clone()) } else { ControlFlow::Continue(answer.clone()) }
        })
        .build()
}

/// Whether anybody would answer.
pub fn is_answered(element: &gst::Element) -> bool {
    let id = glib::subclass::SignalId::lookup(NAME, element.type_()).expect("the element's class has it");
    glib::signal::signal_has_handler_pending(element, id, None, true)
}

/// Asks for what opens a stream.
///
/// # Errors
/// [`Error::KeyFile`] and the like where the answer names a key that cannot be read.
pub fn ask(element: &gst::Element, header: &RawStreamHeader) -> Result<Option<Identities>> {
    let id = header.stream_id().map(|byte| format!("{byte:02x}")).concat();
    let groups: Vec<&str> = header
        .key_groups()?
        .into_iter()
        .filter_map(|(kind, _)| match kind {
            GROUP_RECIPIENTS => Some("recipients"),
            GROUP_PASSPHRASE => Some("passphrase"),
            GROUP_PRESHARED => Some("pre-shared"),
            _ => None,
        })
        .collect();
    let answer = element.emit_by_name::<Option<gst::Structure>>(NAME, &[&id, &groups.join(",")]);
    answer.map(|answer| identities(&answer)).transpose()
}

fn identities(answer: &gst::StructureRef) -> Result<Identities> {
    let mut identities = Identities::default();
    if let Ok(key) = answer.get::<glib::Bytes>("key") {
        identities.set_preshared(Secret::new(key[..].try_into().map_err(|_| Error::KeyLength(key.len()))?));
    }
    if let Ok(path) = answer.get::<&str>("key-file") {
        identities.set_preshared_file(Path::new(path))?;
    }
    if let Ok(path) = answer.get::<&str>("identity-file") {
        identities.add_file(Path::new(path))?;
    }
    if let Ok(path) = answer.get::<&str>("passphrase-file") {
        identities.set_passphrase_file(Path::new(path))?;
    }
    match identities.is_empty() {
        true => Err(Error::NoKey("an answer to request-key names key, key-file, identity-file or passphrase-file")),
        false => Ok(identities),
    }
}
