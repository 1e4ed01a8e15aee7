//! Descriptions of streams in GStreamer's terms.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use crate::{
    Error, Result,
    backend::Backend,
    gst::{
        runner::lock,
        sealed_text,
        video::{self, Content},
    },
    seal::{Description, Session},
};

/// Descriptions kept in GStreamer's terms.
const DESCRIBED_KEPT: usize = 64;

/// A description in GStreamer's terms.
pub struct Described {
    /// Which description.
    pub id: DescriptionId,
    /// Caps of the frames.
    pub caps: gst::Caps,
    /// Segment of the frames.
    pub segment: gst::FormattedSegment<gst::ClockTime>,
    pub(super) content: Content,
}

impl Described {
    fn new(id: DescriptionId, description: &Description) -> Result<Described> {
        let caps: gst::Caps = sealed_text::parse(&description.caps).ok_or(Error::Refused("caps that do not parse"))?;
        if !caps.is_fixed() {
            return Err(Error::Refused("caps that are not fixed"));
        }
        let content = Content::of(&caps)?;
        let segment = video::restore_segment(description.segment.as_ref());
        Ok(Described { id, caps, segment, content })
    }

    /// Whether another description differs in nothing but its counter: each epoch tells it anew.
    pub fn says_the_same(&self, other: &Described) -> bool {
        self.id == other.id || (self.id.0 == other.id.0 && self.caps == other.caps && self.segment == other.segment)
    }
}

/// Hash of the stream's HEAD, and counter of the description. Of its id alone anyone can make another stream.
pub type DescriptionId = ([u8; 32], u64);

/// Descriptions in GStreamer's terms, shared by the workers of a run.
#[derive(Clone, Default)]
pub struct Descriptions(Arc<Mutex<BTreeMap<DescriptionId, Known>>>);

/// What became of a description: that of an epoch, and nothing where it was refused.
type Known = (u32, Option<Arc<Described>>);

impl Descriptions {
    /// The description that a frame of `payload_len` bytes names. With a new one the backend is chosen for its frames, by
    /// the worker that has met it; the others wait, and leave it the machine. Caps alone do not make it choose: they may
    /// claim any size.
    pub(super) fn described(
        &self,
        session: &Session,
        (counter, epoch): (u64, u32),
        payload_len: usize,
        backend: &dyn Backend,
    ) -> Result<Arc<Described>> {
        let id = (session.keys().head_hash, counter);
        let mut known = lock(&self.0);
        if let Some((_, described)) = known.get(&id).filter(|(of, _)| *of == epoch) {
            return described.clone().ok_or(Error::Refused("a frame whose description was refused"));
        }
        let description =
            session.description(counter, epoch).ok_or(Error::Refused("a frame whose description is not known"))?;
        while known.len() >= DESCRIBED_KEPT {
            known.pop_first();
        }
        // A refused one is not read again for each frame.
        known.insert(id, (epoch, None));
        let described = Arc::new(Described::new(id, &description)?);
        if described.content.frame_bytes() == Some(payload_len) && session.keys().profile.runs_stage() {
            backend.expect_frames(payload_len);
        }
        known.insert(id, (epoch, Some(described.clone())));
        Ok(described)
    }
}
