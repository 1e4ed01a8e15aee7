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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        backend::{self, Choice},
        seal::{
            Aead, Identities, Profile, ReaderPolicy, Recipients, Secret, StreamReader, StreamSecrets, StreamWriter,
        },
    };

    fn session(root: u8, stream_id: [u8; 16], caps: &str) -> Arc<Session> {
        let mut recipients = Recipients::default();
        recipients.set_preshared(Secret::new([1; 32]));
        let secrets = StreamSecrets::new([root; 32], stream_id, [3; 32]);
        let mut writer = StreamWriter::new(Profile::Aead, Aead::default(), &recipients, secrets).expect("valid");
        let description = Description { tracks: 1, caps: caps.into(), ..Description::default() };
        let header = writer.describe(&description).expect("fits");
        let mut identities = Identities::default();
        identities.set_preshared(Secret::new([1; 32]));
        let mut reader = StreamReader::new(Arc::new(identities), ReaderPolicy::default());
        reader.header(&header).expect("opens");
        reader.session().expect("open")
    }

    /// Anyone who can seal to a reader can make a stream of the same id.
    #[test]
    fn streams_of_one_id_have_descriptions_of_their_own() {
        gst::init().expect("GStreamer starts");
        let (known, backend) = (Descriptions::default(), backend::choose(Choice::Portable).expect("everywhere"));
        for (root, caps) in [(1, "x/first"), (2, "x/second"), (1, "x/first")] {
            let described = known.described(&session(root, [7; 16], caps), (0, 0), 5, &*backend).expect("fixed caps");
            assert_eq!(described.caps.to_string(), caps);
        }
    }

    #[test]
    fn a_refused_description_stays_refused() {
        gst::init().expect("GStreamer starts");
        let (known, backend) = (Descriptions::default(), backend::choose(Choice::Portable).expect("everywhere"));
        let session = session(1, [7; 16], "x/y, a=(int)[ 1, 2 ]");
        let refused = |_| known.described(&session, (0, 0), 5, &*backend).err().expect("not fixed").to_string();
        let [first, second] = [0, 1].map(refused);
        assert!(first.contains("not fixed") && second.contains("was refused"), "{first}, {second}");
    }
}
