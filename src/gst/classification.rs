//! What a frame was taken for, as a meta on its buffer: any program reads it by `gst_buffer_get_custom_meta` and
//! [`NAME`], in C and in Python too.
//!
//! | field | type | what it is |
//! |---|---|---|
//! | `label` | string | a label of the model's |
//! | `confidence` | double | what the model gives for it, 0 to 1; no calibrated chance of being right |
//! | `model-digest` | string | BLAKE3 of the model file, 64 hexadecimal digits |
//! | `frame` | guint64 | number of the frame that was classified: the newest when a frame passed, not always that one |
//!
//! The label is what a network takes the frame for, and proves nothing.

use gst::meta::CustomMeta;

/// Name of the meta.
pub const NAME: &str = "ChaosveilClassification";

/// What the meta says.
#[derive(Clone, Debug, PartialEq)]
pub struct Classification {
    /// The label.
    pub label: String,
    /// What the model gives for it, 0 to 1.
    pub confidence: f64,
    /// BLAKE3 of the model file, in hexadecimal digits.
    pub model_digest: String,
    /// Number of the frame that was classified.
    pub frame: u64,
}

/// Makes the meta known to GStreamer. What passes a frame on without changing its content keeps it.
pub fn register() {
    // The plugin's file and a program that has the elements in itself may meet in one process.
    if !CustomMeta::is_registered(NAME) {
        CustomMeta::register_simple(NAME);
    }
}

impl Classification {
    /// That of a buffer; `None` without one, and where a field is missing or of another type.
    pub fn of(buffer: &gst::BufferRef) -> Option<Classification> {
        let meta = CustomMeta::from_buffer(buffer, NAME).ok()?;
        let fields = meta.structure();
        Some(Classification {
            label: fields.get("label").ok()?,
            confidence: fields.get("confidence").ok()?,
            model_digest: fields.get("model-digest").ok()?,
            frame: fields.get("frame").ok()?,
        })
    }

    /// Attaches it to a buffer, in place of another.
    pub fn attach(&self, buffer: &mut gst::BufferRef) {
        let meta = match CustomMeta::from_buffer(buffer, NAME).is_ok() {
            true => CustomMeta::from_mut_buffer(buffer, NAME),
            false => CustomMeta::add(buffer, NAME),
        };
        // It fails only where nobody has registered it.
        let Ok(mut meta) = meta else { return };
        let fields = meta.mut_structure();
        fields.set("label", &self.label);
        fields.set("confidence", self.confidence);
        fields.set("model-digest", &self.model_digest);
        fields.set("frame", self.frame);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classification(label: &str) -> Classification {
        let model_digest = blake3::hash(label.as_bytes()).to_hex().to_string();
        Classification { label: label.into(), confidence: 0.75, model_digest, frame: u64::MAX }
    }

    #[test]
    fn one_stays_on_a_buffer_and_goes_into_its_copies() {
        gst::init().expect("GStreamer starts");
        register();
        register();
        let mut buffer = gst::Buffer::with_size(8).expect("memory");
        assert_eq!(Classification::of(&buffer), None);
        for label in ["plain", "encrypted"] {
            classification(label).attach(buffer.get_mut().expect("one owner"));
            assert_eq!(Classification::of(&buffer), Some(classification(label)));
        }
        assert_eq!(buffer.iter_meta::<gst::Meta>().count(), 1);
        assert_eq!(Classification::of(&buffer.copy()), Some(classification("encrypted")));
    }

    /// Anybody may attach one.
    #[test]
    fn fail_fields_that_are_missing_or_of_another_type() {
        gst::init().expect("GStreamer starts");
        register();
        let mut buffer = gst::Buffer::new();
        let owned = buffer.get_mut().expect("one owner");
        classification("plain").attach(owned);
        let mut meta = CustomMeta::from_mut_buffer(owned, NAME).expect("attached");
        meta.mut_structure().set("confidence", "sure");
        assert_eq!(Classification::of(&buffer), None);
    }
}
