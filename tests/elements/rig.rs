//! A bin between two pads of the test's own: what goes in and what comes out is seen, buffers and events in order.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use gst::prelude::*;

use super::common::{LIMIT, chaosveil_events, messages, stat, watch};

/// What passes a pad.
#[derive(Clone, Debug)]
pub enum Item {
    /// A buffer.
    Buffer(gst::Buffer),
    /// An event.
    Event(gst::Event),
}

/// What has come out, and how the output pad answers.
struct Output {
    items: Vec<Item>,
    flow: Result<gst::FlowSuccess, gst::FlowError>,
    held: bool,
    flushing: bool,
}

#[derive(Clone)]
struct Shared(Arc<(Mutex<Output>, Condvar)>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Output> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn chain(&self, buffer: gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        let held = |output: &mut Output| output.held && !output.flushing;
        let mut output = self.0.1.wait_while(self.lock(), held).expect("not poisoned");
        if output.flushing {
            return Err(gst::FlowError::Flushing);
        }
        if output.flow.is_ok() {
            output.items.push(Item::Buffer(buffer));
        }
        self.0.1.notify_all();
        output.flow
    }

    fn event(&self, event: gst::Event) -> bool {
        let mut output = self.lock();
        match event.type_() {
            gst::EventType::FlushStart => output.flushing = true,
            gst::EventType::FlushStop => output.flushing = false,
            _ => {}
        }
        output.items.push(Item::Event(event));
        self.0.1.notify_all();
        true
    }
}

/// A bin in a playing pipeline, its first pad fed and its last pad watched by the test.
pub struct Rig {
    pipeline: gst::Pipeline,
    bin: gst::Bin,
    input: gst::Pad,
    output: gst::Pad,
    seen: Shared,
}

impl Rig {
    /// A playing bin from a launch line whose first sink pad and last source pad are free.
    pub fn new(line: &str) -> Rig {
        let rig = Rig::stopped(line);
        rig.pipeline.set_state(gst::State::Playing).unwrap_or_else(|_| panic!("no start:\n{}", messages(&rig.bus())));
        rig
    }

    /// The same, in state NULL.
    pub fn stopped(line: &str) -> Rig {
        let bin = gst::parse::bin_from_description(line, true).unwrap_or_else(|error| panic!("{line}: {error}"));
        let pipeline = gst::Pipeline::new();
        pipeline.add(&bin).expect("an empty pipeline takes a bin");
        watch(pipeline.bus().expect("a pipeline has a bus"));
        let output = Output { items: Vec::new(), flow: Ok(gst::FlowSuccess::Ok), held: false, flushing: false };
        let seen = Shared(Arc::new((Mutex::new(output), Condvar::new())));
        let (chained, told) = (seen.clone(), seen.clone());
        // Without a template a pad would insist on its first caps.
        let any = |direction| {
            gst::PadTemplate::new("free", direction, gst::PadPresence::Always, &gst::Caps::new_any()).expect("valid")
        };
        let output = gst::Pad::builder_from_template(&any(gst::PadDirection::Sink))
            .chain_function(move |_, _, buffer| chained.chain(buffer))
            .event_function(move |_, _, event| told.event(event))
            .build();
        let input = gst::Pad::builder_from_template(&any(gst::PadDirection::Src))
            .event_function(|_, _, event| event.type_() != gst::EventType::Seek)
            .build();
        for pad in [&input, &output] {
            pad.set_active(true).expect("a free pad can be activated");
        }
        input.link(&bin.static_pad("sink").expect("the bin's first element has a free sink pad")).expect("links");
        bin.static_pad("src").expect("the bin's last element has a free source pad").link(&output).expect("links");
        Rig { pipeline, bin, input, output, seen }
    }

    /// The pipeline around the bin.
    pub fn pipeline(&self) -> &gst::Pipeline {
        &self.pipeline
    }

    /// The pipeline's bus.
    pub fn bus(&self) -> gst::Bus {
        self.pipeline.bus().expect("a pipeline has a bus")
    }

    /// The first element of a factory in the bin.
    pub fn element(&self, factory: &str) -> gst::Element {
        let elements = self.bin.iterate_recurse().into_iter().map(|element| element.expect("the bin does not change"));
        let mut named = elements.filter(|element| element.factory().is_some_and(|made| made.name() == factory));
        named.next().unwrap_or_else(|| panic!("no {factory} in the bin"))
    }

    /// A counter of the first element of a factory.
    pub fn stat(&self, factory: &str, name: &str) -> u64 {
        stat(&self.element(factory), name)
    }

    /// The pad that feeds the bin.
    pub fn input(&self) -> &gst::Pad {
        &self.input
    }

    /// The pad that takes what comes out. What feeds the bin does not seek.
    pub fn output(&self) -> &gst::Pad {
        &self.output
    }

    /// Pushes one buffer or event.
    pub fn push(&self, item: Item) -> Result<gst::FlowSuccess, gst::FlowError> {
        match item {
            Item::Buffer(buffer) => self.input.push(buffer),
            Item::Event(event) => match self.input.push_event(event) {
                true => Ok(gst::FlowSuccess::Ok),
                false => Err(gst::FlowError::Error),
            },
        }
    }

    /// Pushes all items; each must be taken.
    pub fn feed(&self, items: impl IntoIterator<Item = Item>) {
        for item in items {
            let told = format!("{item:?}");
            self.push(item).unwrap_or_else(|flow| panic!("{flow:?} for {told}\n{}", messages(&self.bus())));
        }
    }

    /// Waits until what has come out fulfils a condition, and takes it.
    pub fn take_when(&self, condition: impl Fn(&[Item]) -> bool) -> Vec<Item> {
        let waiting = |output: &mut Output| !condition(&output.items);
        let (mut output, timeout) =
            self.seen.0.1.wait_timeout_while(self.seen.lock(), LIMIT / 2, waiting).expect("not poisoned");
        if timeout.timed_out() {
            let came = std::mem::take(&mut output.items);
            drop(output);
            panic!("waited in vain; these came: {:?}\n{}", summary(&came), messages(&self.bus()));
        }
        std::mem::take(&mut output.items)
    }

    /// Waits for EOS and takes everything up to it.
    pub fn until_eos(&self) -> Vec<Item> {
        self.take_when(|items| matches!(items.last(), Some(Item::Event(e)) if e.type_() == gst::EventType::Eos))
    }

    /// Waits for a number of buffers and takes everything.
    pub fn until_buffers(&self, count: usize) -> Vec<Item> {
        self.take_when(|items| buffers(items).len() >= count)
    }

    /// Feeds a whole stream and takes what comes of it.
    pub fn run(&self, items: impl IntoIterator<Item = Item>) -> Vec<Item> {
        self.feed(items);
        self.until_eos()
    }

    /// From now on the output pad answers buffers with this.
    pub fn answer(&self, flow: Result<gst::FlowSuccess, gst::FlowError>) {
        self.seen.lock().flow = flow;
    }

    /// Holds back all buffers at the output pad, or lets them go.
    pub fn hold(&self, held: bool) {
        self.seen.lock().held = held;
        self.seen.0.1.notify_all();
    }

    /// Reason and counter of the `chaosveil-event`s posted since the last call; fails on an error message.
    pub fn posted(&self) -> Vec<(String, Option<u64>)> {
        let (posted, error) = self.told();
        assert_eq!(error, None);
        posted
    }

    /// The `chaosveil-event`s and the text of the first error posted since the last call.
    pub fn told(&self) -> (Vec<(String, Option<u64>)>, Option<String>) {
        let messages: Vec<gst::Message> = self.bus().iter().collect();
        let error = messages.iter().find_map(|message| match message.view() {
            gst::MessageView::Error(error) => Some(error.error().message().to_owned()),
            _ => None,
        });
        (chaosveil_events(&messages), error)
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.hold(false);
        // A failure here would only hide the one that the test is about.
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

/// A word for each item.
fn summary(items: &[Item]) -> Vec<String> {
    let words = items.iter().map(|item| match item {
        Item::Buffer(buffer) => format!("buffer at {:?}", buffer.pts()),
        Item::Event(event) => event.type_().to_string(),
    });
    words.collect()
}

/// The buffers among items.
pub fn buffers(items: &[Item]) -> Vec<&gst::Buffer> {
    let buffers = items.iter().filter_map(|item| match item {
        Item::Buffer(buffer) => Some(buffer),
        Item::Event(_) => None,
    });
    buffers.collect()
}

/// The events of a type among items.
pub fn events(items: &[Item], kind: gst::EventType) -> Vec<&gst::Event> {
    let events = items.iter().filter_map(|item| match item {
        Item::Event(event) if event.type_() == kind => Some(event),
        _ => None,
    });
    events.collect()
}

/// The caps events among items.
pub fn all_caps(items: &[Item]) -> Vec<gst::Caps> {
    let caps = events(items, gst::EventType::Caps).into_iter().map(|event| match event.view() {
        gst::EventView::Caps(caps) => caps.caps_owned(),
        _ => unreachable!("selected by type"),
    });
    caps.collect()
}

/// Stream start, caps and a segment in time.
pub fn start(caps: &gst::Caps) -> Vec<Item> {
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    vec![
        Item::Event(gst::event::StreamStart::new("test")),
        Item::Event(gst::event::Caps::new(caps)),
        Item::Event(gst::event::Segment::new(&segment)),
    ]
}

/// A whole stream: start, buffers, EOS.
pub fn stream(caps: &gst::Caps, buffers: impl IntoIterator<Item = gst::Buffer>) -> Vec<Item> {
    let mut items = start(caps);
    items.extend(buffers.into_iter().map(Item::Buffer));
    items.push(eos());
    items
}

/// A whole flush.
pub fn flush() -> [Item; 2] {
    [Item::Event(gst::event::FlushStart::new()), Item::Event(gst::event::FlushStop::new(true))]
}

/// EOS.
pub fn eos() -> Item {
    Item::Event(gst::event::Eos::new())
}
