//! What every module needs: GStreamer with our elements, key files, a time limit, launch lines that are run to their
//! end.

use std::{
    cell::RefCell,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, Once, mpsc},
    time::Duration,
};

use gst::prelude::*;

/// No test takes longer.
pub const LIMIT: Duration = Duration::from_secs(20);

/// Starts GStreamer and registers the elements.
pub fn init() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        gst::init().expect("GStreamer starts");
        gstchaosveil::gst::register_elements().expect("the elements register");
    });
}

thread_local! {
    /// Buses of the pipelines that this test has made.
    static BUSES: RefCell<Arc<Mutex<Vec<gst::Bus>>>> = RefCell::default();
}

/// Runs the body of a test. Fails if it takes longer than [`LIMIT`], with what its pipelines have said.
pub fn in_time(body: impl FnOnce() + Send + 'static) {
    init();
    let buses = Arc::new(Mutex::new(Vec::new()));
    let (done, wait) = mpsc::channel();
    let watched = buses.clone();
    let test = std::thread::spawn(move || {
        BUSES.with(|buses| *buses.borrow_mut() = watched);
        body();
        // The receiver is gone only if the time is over.
        let _ = done.send(());
    });
    match wait.recv_timeout(LIMIT) {
        Err(mpsc::RecvTimeoutError::Timeout) => {
            let said: Vec<String> = buses.lock().expect("not poisoned").iter().map(messages).collect();
            panic!("not done after {LIMIT:?}; messages on the bus:\n{}", said.join("\n"));
        }
        // Done, or panicked: the panic goes on here.
        _ => test.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
    }
}

/// Has the bus told if the time limit strikes.
pub fn watch(bus: gst::Bus) {
    BUSES.with(|buses| buses.borrow().lock().expect("not poisoned").push(bus));
}

/// What elements have to say on a bus, one message a line.
pub fn messages(bus: &gst::Bus) -> String {
    let kinds = [gst::MessageType::Error, gst::MessageType::Warning, gst::MessageType::Element, gst::MessageType::Eos];
    bus.iter_filtered(&kinds).map(|message| format!("  {message:?}\n")).collect()
}

/// Keys in a folder of their own, removed when dropped.
pub struct Keys {
    folder: tempfile::TempDir,
}

impl Keys {
    /// A pre-shared key, an identity with its recipient, a passphrase, and a camera's key.
    pub fn new() -> Keys {
        let folder = tempfile::tempdir().expect("a temporary folder");
        gstchaosveil::seal::create_preshared(&folder.path().join("psk.key")).expect("a key file");
        let recipient = gstchaosveil::seal::create_identity(&folder.path().join("cam.key")).expect("an identity file");
        std::fs::write(folder.path().join("recipients.txt"), recipient).expect("a recipient file");
        std::fs::write(folder.path().join("passphrase"), "correct horse battery staple\n").expect("a passphrase file");
        gstchaosveil::seal::create_camera(&folder.path().join("signing.key")).expect("a camera's key file");
        Keys { folder }
    }

    /// Path of a file among the keys.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `key-file=...` of the pre-shared key, for a launch line.
    pub fn psk(&self) -> String {
        format!("key-file={}", self.path("psk.key").display())
    }

    /// Text of a file among the keys.
    pub fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).expect("a file made above")
    }

    /// The bytes and the digits of a pre-shared or camera's key among the keys.
    pub fn hex_key(&self, name: &str) -> (Vec<u8>, String) {
        hex_key(&self.path(name))
    }

    /// The folder, for other files of the test.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// The bytes and the digits of a pre-shared or camera's key file.
pub fn hex_key(path: &Path) -> (Vec<u8>, String) {
    let text = std::fs::read_to_string(path).expect("a key file");
    let digits = text.trim_end().rsplit(':').next().expect("the key").to_owned();
    assert_eq!(digits.len(), 64);
    let bytes = (0..32).map(|i| u8::from_str_radix(&digits[2 * i..2 * i + 2], 16).expect("digits")).collect();
    (bytes, digits)
}

/// Names the folder of keys to a process that a test starts to look at.
pub const FOLDER: &str = "CHAOSVEIL_TEST_KEYS";

/// Whether all elements are there. Says what is missing, and fails where `REQUIRE_PLUGINS=1` forbids that.
pub fn have(elements: &[&str]) -> bool {
    let missing: Vec<&&str> = elements.iter().filter(|name| gst::ElementFactory::find(name).is_none()).collect();
    if !missing.is_empty() {
        assert!(std::env::var_os("REQUIRE_PLUGINS").is_none_or(|value| value != "1"), "missing elements: {missing:?}");
        println!("skipped: no element {missing:?}");
    }
    missing.is_empty()
}

/// A pipeline from a launch line.
pub fn pipeline(line: &str) -> gst::Pipeline {
    let pipeline = gst::parse::launch(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    let pipeline = pipeline.downcast::<gst::Pipeline>().expect("more than one element makes a pipeline");
    watch(pipeline.bus().expect("a pipeline has a bus"));
    pipeline
}

/// Plays a pipeline until it posts EOS; returns the messages until then. Fails on an error message.
pub fn play_to_end(pipeline: &gst::Pipeline) -> Vec<gst::Message> {
    pipeline.set_state(gst::State::Playing).expect("starts");
    let messages = until_end(pipeline);
    if let Some(gst::MessageView::Error(error)) = messages.last().map(|message| message.view()) {
        panic!("{error:?}");
    }
    pipeline.set_state(gst::State::Null).expect("stops");
    messages
}

/// Messages of a playing pipeline up to its EOS or first error.
pub fn until_end(pipeline: &gst::Pipeline) -> Vec<gst::Message> {
    let bus = pipeline.bus().expect("a pipeline has a bus");
    let mut messages = Vec::new();
    loop {
        let message = bus.timed_pop(gst::ClockTime::NONE).expect("no end of waiting");
        let ends = matches!(message.type_(), gst::MessageType::Eos | gst::MessageType::Error);
        messages.push(message);
        if ends {
            return messages;
        }
    }
}

/// Reason and counter of every `chaosveil-event` among messages.
pub fn chaosveil_events<'a>(messages: impl IntoIterator<Item = &'a gst::Message>) -> Vec<(String, Option<u64>)> {
    let structures = messages.into_iter().filter_map(|message| message.structure());
    structures
        .filter(|structure| structure.name() == "chaosveil-event")
        .map(|structure| {
            (structure.get("reason").expect("every event has a reason"), structure.get::<u64>("counter").ok())
        })
        .collect()
}

/// A counter of an element's `stats`.
pub fn stat(element: &gst::Element, name: &str) -> u64 {
    let stats = element.property::<gst::Structure>("stats");
    stats.get(name).unwrap_or_else(|_| panic!("no {name} in {stats}"))
}

/// An element that looks at frames passes them as they are, also one that is too short for its caps.
pub fn assert_passes_untouched(harness: &mut gst_check::Harness) {
    harness.set_src_caps_str("video/x-raw,format=GRAY8,width=16,height=16,framerate=25/1");
    for number in 0..5u8 {
        harness.push(gst::Buffer::from_slice([number; 256])).expect("passes");
        let out = harness.pull().expect("comes out");
        assert_eq!(out.map_readable().expect("readable")[..], [number; 256]);
    }
    harness.push(gst::Buffer::from_slice([0; 7])).expect("passes");
    assert_eq!(harness.pull().expect("comes out").size(), 7);
}

/// What the element of that name posts while a pipeline plays to its end.
pub fn posted_by(element: &str, line: &str) -> Vec<gst::Structure> {
    let messages = play_to_end(&pipeline(line));
    let structures = messages.iter().filter_map(|message| message.structure());
    structures.filter(|structure| structure.name() == element).map(|structure| structure.to_owned()).collect()
}
