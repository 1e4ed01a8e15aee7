//! What the application hears of a key that nears its limit, and of one that has come to it: no frame leaves under it, and
//! none in the clear.

use gst::prelude::*;
use gst_check::Harness;

use super::{chaosenc::ChaosEnc, register_elements};

const FRAME_BYTES: usize = 400;

/// A `chaosenc` that begins a new epoch only when it is told to, whose key has room for two and a half frames.
struct Limited {
    element: ChaosEnc,
    harness: Harness,
    bus: gst::Bus,
}

impl Limited {
    fn new() -> Limited {
        gst::init().expect("GStreamer starts");
        // Another test may have been here before.
        let _ = register_elements();
        let element = gst::ElementFactory::make("chaosenc")
            .property("key", gst::glib::Bytes::from_static(&[3; 32]))
            .property_from_str("rekey-bytes", "0")
            .property_from_str("rekey-interval", "0")
            .build()
            .expect("registered");
        let bus = gst::Bus::new();
        element.set_bus(Some(&bus));
        let mut harness = Harness::with_element(&element, Some("sink"), Some("src"));
        harness.set_src_caps_str("application/x-anything");
        let element = element.downcast::<ChaosEnc>().expect("ours");
        element.use_up_key_but(5 * FRAME_BYTES as u64 / 2);
        Limited { element, harness, bus }
    }

    fn push(&mut self) -> Result<gst::FlowSuccess, gst::FlowError> {
        self.harness.push(gst::Buffer::from_slice([b'c'; FRAME_BYTES]))
    }

    /// Reasons and counters of the events, and the errors, that have been posted since it was asked last.
    fn told(&self) -> Vec<String> {
        let tell = |message: gst::Message| match message.view() {
            gst::MessageView::Error(error) => Some(error.error().to_string()),
            _ => {
                let told = message.structure().filter(|told| told.name() == "chaosveil-event")?;
                Some(format!("{} {}", told.get::<&str>("reason").ok()?, told.get::<u64>("counter").ok()?))
            }
        };
        self.bus.iter().filter_map(tell).collect()
    }

    /// How many frames have left, none of them in the clear.
    fn left(mut self) -> usize {
        self.harness.push_event(gst::event::Eos::new());
        while self.harness.pull_event().expect("EOS comes").type_() != gst::EventType::Eos {}
        let packets: Vec<_> = std::iter::from_fn(|| self.harness.try_pull()).collect();
        let maps = packets.iter().map(|packet| packet.map_readable().expect("readable"));
        let frames = maps.filter(|packet| packet.starts_with(b"CVEILFRM") && packet[9] == 0);
        frames.inspect(|packet| assert!(!packet.windows(8).any(|bytes| bytes == [b'c'; 8]))).count()
    }
}

#[test]
fn who_does_not_listen_is_stopped() {
    let mut limited = Limited::new();
    limited.push().expect("room");
    assert_eq!(limited.told(), ["key-limit-near 1"]);
    limited.push().expect("room");
    assert!(limited.told().is_empty(), "once an epoch");
    assert_eq!(limited.push(), Err(gst::FlowError::Error));
    let told = limited.told();
    assert!(told.len() == 1 && told[0].contains("under one key"), "{told:?}");
    assert_eq!(limited.left(), 2);
}

#[test]
fn who_asks_for_the_next_key_goes_on() {
    let mut limited = Limited::new();
    limited.push().expect("room");
    assert_eq!(limited.told(), ["key-limit-near 1"]);
    assert!(limited.element.emit_by_name::<bool>("rekey", &[]));
    // The description of the epoch has the counter 2.
    for _ in 0..9 {
        limited.push().expect("room");
    }
    assert_eq!(limited.told(), ["rekeyed 3"]);
    assert_eq!(limited.left(), 10);
}
