//! The GStreamer elements: thin, all work is done in the library.
//!
//! In: buffers on a sink pad. Out: buffers on a source pad. Each element is a pair of files: `chaosenc` and `chaosdec`
//! hold pads and state changes; `encrypter` and `decrypter` are one run of them. `runner` is what both do alike, `settings`
//! the properties that both have, `monitor` what both tell: counters, latency, and `events` on the bus (EVENTS.md lists them). `chaosanalyze`
//! passes frames and tells how random they look, `frameclassifier` what a network takes them for; `classification` is the
//! meta that says so, and `classificationtext` makes text of it. `guard` looks at what `chaosenc` is about to push, `watch`
//! is its network, `alarm` what both raise. `chaosfault` is a bad line for tests, `faults` what happens on it. `seeking` is
//! what a player's seek in a file becomes; `video` and `metas` translate between GStreamer's terms and this crate's. Read
//! next: `chaosenc`, `runner`, `encrypter`.

mod alarm;
pub mod chaosanalyze;
pub mod chaosdec;
pub mod chaosenc;
pub mod chaosfault;
pub mod classification;
pub mod classificationtext;
#[cfg(feature = "nn")]
mod classifying;
mod decrypt_settings;
mod decrypter;
mod encrypt_settings;
mod encrypter;
mod events;
mod faults;
mod first_channel;
#[cfg(feature = "nn")]
pub mod frameclassifier;
mod guard;
#[cfg(test)]
mod key_limits;
mod key_request;
mod latency;
pub(crate) mod metas;
mod monitor;
mod names;
mod runner;
pub(crate) mod sealed_text;
mod seeking;
mod settings;
mod typefind;
mod types;
mod video;
#[cfg(feature = "nn")]
pub(crate) mod viewer;
#[cfg(feature = "nn")]
mod watch;
#[cfg(test)]
mod worker_panics;

use gst::{glib, prelude::*};

#[cfg(feature = "nn")]
pub(crate) use video::raw_caps;
pub(crate) use video::{begun, restore_segment};

/// Registers elements, types and typefinder with a plugin.
fn plugin_init(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    for enumeration in [
        types::Profile::static_type(),
        types::Profiles::static_type(),
        types::Aead::static_type(),
        types::Backend::static_type(),
        types::Output::static_type(),
        types::Transport::static_type(),
        types::Leaky::static_type(),
    ] {
        enumeration.mark_as_plugin_api(gst::PluginAPIFlags::empty());
    }
    classification::register();
    gst::Element::register(Some(plugin), "chaosenc", gst::Rank::NONE, chaosenc::ChaosEnc::static_type())?;
    gst::Element::register(Some(plugin), "chaosdec", gst::Rank::NONE, chaosdec::ChaosDec::static_type())?;
    gst::Element::register(Some(plugin), "chaosanalyze", gst::Rank::NONE, chaosanalyze::ChaosAnalyze::static_type())?;
    gst::Element::register(Some(plugin), "chaosfault", gst::Rank::NONE, chaosfault::ChaosFault::static_type())?;
    let text = classificationtext::ClassificationText::static_type();
    gst::Element::register(Some(plugin), "classificationtext", gst::Rank::NONE, text)?;
    #[cfg(feature = "nn")]
    {
        let classifier = frameclassifier::FrameClassifier::static_type();
        gst::Element::register(Some(plugin), "frameclassifier", gst::Rank::NONE, classifier)?;
    }
    typefind::register(plugin)
}

pub use plugin::plugin_register_static as register_elements;

/// What GStreamer looks for in the plugin's file.
#[allow(missing_docs, reason = "the items come from GStreamer's macro")]
mod plugin {
    use super::plugin_init;

    gst::plugin_define!(
        chaosveil,
        env!("CARGO_PKG_DESCRIPTION"),
        plugin_init,
        env!("CARGO_PKG_VERSION"),
        "MIT/X11",
        env!("CARGO_PKG_NAME"),
        env!("CARGO_PKG_NAME"),
        env!("CARGO_PKG_NAME")
    );
}
