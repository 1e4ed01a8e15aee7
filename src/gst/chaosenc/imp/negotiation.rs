//! Which caps come in, and what goes out for them.

use gst::{prelude::*, subclass::prelude::*};

use super::{super::CAT, ChaosEnc, EncryptRunner};
use crate::{
    Error,
    gst::{
        encrypter::{self, SharedEncrypter},
        runner::lock,
        types::{Output, Transport},
        video,
    },
    seal,
};

impl ChaosEnc {
    pub(super) fn sink_caps(&self, encrypter: &SharedEncrypter, runner: &EncryptRunner, caps: &gst::CapsRef) -> bool {
        let settings = lock(&self.settings).clone();
        let pictures = match settings.output {
            Output::Packets => false,
            Output::Picture => true,
            Output::Auto => {
                let packets = gst::Caps::new_empty_simple("application/x-chaosveil");
                !self.src_pad.peer_query_caps(None).can_intersect(&packets)
            }
        };
        let exact = settings.transport == Transport::Exact;
        let output = encrypter::serial(encrypter).set_caps(caps, pictures, exact);
        match output {
            Ok(output) => {
                gst::debug!(CAT, imp = self, "output caps {output}");
                if seal::Profile::from(settings.profile).runs_stage() {
                    self.expect_frames(caps);
                }
                let passed = runner.pass_event(gst::event::Caps::new(&output)).is_ok();
                self.monitor.set_caps(self.obj().upcast_ref(), caps);
                passed
            }
            Err(error) => {
                gst::element_imp_error!(self, gst::StreamError::Format, ("{error}"));
                false
            }
        }
    }

    /// Lets the backend be chosen for the frames that caps announce, before the first of them comes.
    fn expect_frames(&self, caps: &gst::CapsRef) {
        let frame_bytes = video::Content::of(caps).ok().and_then(|content| content.frame_bytes());
        let backend = self.monitor.backend();
        if let (Some(frame_bytes), Some(backend)) = (frame_bytes, backend) {
            backend.expect_frames(frame_bytes);
            gst::info!(CAT, imp = self, "frames of {frame_bytes} bytes go through {}", backend.name());
        }
    }

    pub(super) fn sink_query(&self, pad: &gst::Pad, query: &mut gst::QueryRef) -> bool {
        use gst::QueryViewMut;
        match query.view_mut() {
            QueryViewMut::Caps(query) => {
                let allowed = self.sink_caps_allowed();
                let caps = match query.filter() {
                    Some(filter) => self.allowed_of(filter, &allowed),
                    None => allowed,
                };
                query.set_result(&caps);
                true
            }
            QueryViewMut::AcceptCaps(query) => {
                let acceptable = self.sink_caps_allowed().can_intersect(query.caps());
                query.set_result(acceptable || self.sink_caps_refusal(query.caps()).is_some());
                true
            }
            QueryViewMut::Allocation(query) => {
                let content = query.get().0.map(video::Content::of);
                // What is sealed as opaque bytes has to have its caps' own strides.
                if let Some(Ok(video::Content::Raw(_))) = content {
                    video::propose_pool(query);
                    query.add_allocation_meta::<gst_video::VideoMeta>(None);
                }
                // No crop meta: who sees it taken leaves cropping to us, and the whole picture would be sealed.
                query.add_allocation_meta::<gst_video::VideoRegionOfInterestMeta>(None);
                true
            }
            // Upstream wants its buffers back: those in the queue leave first.
            QueryViewMut::Drain(_) => {
                if let Some((_, runner)) = self.parts() {
                    runner.drain();
                }
                gst::Pad::query_default(pad, Some(&*self.obj()), query)
            }
            _ => gst::Pad::query_default(pad, Some(&*self.obj()), query),
        }
    }

    /// What is allowed of the caps that upstream offers. Where nothing is, upstream only learns that it is nothing: the
    /// bus is told why.
    fn allowed_of(&self, offered: &gst::CapsRef, allowed: &gst::Caps) -> gst::Caps {
        let caps = offered.intersect_with_mode(allowed, gst::CapsIntersectMode::First);
        let exact = lock(&self.settings).transport == Transport::Exact;
        if caps.is_empty()
            && let Some(error) = video::format_refusal(offered, exact)
        {
            gst::element_imp_warning!(self, gst::StreamError::Format, ("{error}"));
        }
        caps
    }

    /// Why caps will be refused when they come: told then, with advice, not by a silent no beforehand.
    fn sink_caps_refusal(&self, caps: &gst::CapsRef) -> Option<Error> {
        let exact = lock(&self.settings).transport == Transport::Exact;
        video::Content::of(caps).and_then(|content| content.carriable(caps, exact).map(drop)).err()
    }

    /// Anything for packets; for pictures, what downstream takes, at any height. Anything also before the start, when
    /// settings may still change.
    fn sink_caps_allowed(&self) -> gst::Caps {
        if self.parts().is_none() {
            return gst::Caps::new_any();
        }
        let (output, exact) = {
            let settings = lock(&self.settings);
            (settings.output, settings.transport == Transport::Exact)
        };
        let peer = self.src_pad.peer_query_caps(None);
        let packets = gst::Caps::new_empty_simple("application/x-chaosveil");
        if output == Output::Packets || (output == Output::Auto && peer.can_intersect(&packets)) {
            return gst::Caps::new_any();
        }
        let mut allowed = peer.intersect(&video::carriable_caps(exact));
        for structure in allowed.make_mut().iter_mut() {
            structure.remove_field("height");
        }
        allowed
    }
}
