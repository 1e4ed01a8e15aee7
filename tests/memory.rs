//! A long run needs no more memory than a short one.

use gst::prelude::*;

const FRAMES: u64 = 20_000;
/// By then every pool is filled.
const WARM: u64 = 1_000;
const ALLOWED_BYTES: u64 = 32 << 20;

#[test]
fn twenty_thousand_frames_in_flat_memory() {
    gst::init().expect("GStreamer starts");
    gstchaosveil::gst::register_elements().expect("the elements register");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let key = folder.path().join("psk.key");
    gstchaosveil::seal::create_preshared(&key).expect("a key file");
    let line = format!(
        "appsrc name=src format=time block=true max-buffers=4 ! chaosenc key-file={0} ! chaosdec name=dec key-file={0} \
         ! fakesink name=sink sync=false",
        key.display()
    );
    let pipeline = gst::parse::launch(&line).expect("parses").downcast::<gst::Pipeline>().expect("a pipeline");
    let source = pipeline.by_name("src").and_downcast::<gst_app::AppSrc>().expect("in the line");
    let info = gst_video::VideoInfo::builder(gst_video::VideoFormat::I420, 640, 480).fps((25, 1)).build();
    let info = info.expect("valid");
    source.set_caps(Some(&info.to_caps().expect("valid")));
    pipeline.set_state(gst::State::Playing).expect("starts");
    let frame = gst::Buffer::from_slice(vec![0x37; info.size()]);
    let mut warm_bytes = 0;
    for number in 0..FRAMES {
        if number == WARM {
            warm_bytes = resident_bytes();
        }
        let mut stamped = frame.copy();
        stamped.make_mut().set_pts(gst::ClockTime::from_mseconds(40 * number));
        source.push_buffer(stamped).expect("flows");
    }
    source.end_of_stream().expect("ends");
    let bus = pipeline.bus().expect("a pipeline has a bus");
    let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
    let last = bus.timed_pop_filtered(gst::ClockTime::from_seconds(60), &kinds).expect("ends in time");
    assert_eq!(last.type_(), gst::MessageType::Eos, "{last:?}");
    let grown = resident_bytes().saturating_sub(warm_bytes);
    let stats = pipeline.by_name("dec").expect("in the line").property::<gst::Structure>("stats");
    pipeline.set_state(gst::State::Null).expect("stops");
    assert_eq!(stats.get::<u64>("frames-out"), Ok(FRAMES), "{stats}");
    assert_eq!(stats.get::<u64>("bytes-out"), Ok(FRAMES * info.size() as u64), "{stats}");
    assert!(grown <= ALLOWED_BYTES, "{grown} bytes more after {FRAMES} frames than after {WARM}");
}

/// Memory of this process that is in use.
fn resident_bytes() -> u64 {
    let told = std::fs::read_to_string("/proc/self/status").expect("Linux tells");
    let line = told.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line for it");
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kilobytes * 1024
}
