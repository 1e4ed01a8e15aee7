//! Demuxers that stop and are not heard. decodebin and parsebin drop the errors of an element while they start it; a
//! demuxer that reads a file by itself may fail as early as that, and its bin waits for ever for tracks.

use gst::prelude::*;

/// How often in a row a demuxer is found so before it counts: after it has stopped it may still be about to say why.
pub const TICKS: u32 = 10;

/// A demuxer that has stopped reading its file and brought nothing. One that is at the file's end has stopped, too, and what
/// it brought may take a while to be decoded.
pub fn stopped_demuxer(pipeline: &gst::Pipeline) -> Option<gst::Element> {
    pipeline.iterate_recurse().into_iter().flatten().find(|element| {
        let factory = element.factory();
        factory.is_some_and(|factory| factory.has_type(gst::ElementFactoryType::DEMUXER))
            && element.src_pads().is_empty()
            && element
                .sink_pads()
                .iter()
                .any(|pad| pad.mode() == gst::PadMode::Pull && pad.task_state() == gst::TaskState::Paused)
    })
}
