//! The classifier's network on a GPU against the processor, and how long both take: what `tests/gpu.sh` runs where there is
//! one, and the CUDA toolkit.
//!
//! Without a GPU nothing is compared, and that is told; with REQUIRE_CUDA it is a failure.

use std::{
    env,
    time::{Duration, Instant},
};

use gstchaosveil::{
    analysis::random::Random,
    nn::{Classifier, Label, preprocessing::CROP},
};

/// Crops that are compared, and how many at once: one, as a small frame has; nine, as a large one has.
const COMPARED: usize = 90;
const AT_ONCE: [usize; 2] = [1, 9];
const MOST_DIFFERENCE: f32 = 0.02;
/// Rounds of which the median time is told, after some that compile kernels.
const TIMED: usize = 51;
const WARM_UP: usize = 5;

/// Noise under which something that changes slowly is more or less seen.
fn crop(number: usize) -> Vec<u8> {
    let mut noise = vec![0; CROP * CROP];
    Random::new(&[number as u8; 32], "crop").fill(&mut noise);
    let shift = number % 9;
    let slow = |at: usize| ((at % CROP + at / CROP * number / 40) & 0xff) as u8;
    noise.iter().enumerate().map(|(at, noise)| noise.unbounded_shr(shift as u32).wrapping_add(slow(at))).collect()
}

#[test]
fn device_classifies_as_the_processor() {
    let processor = Classifier::embedded(1).expect("the weights that come with the program");
    let mut cuda = Classifier::embedded(1).expect("the weights that come with the program");
    match cuda.use_cuda() {
        Ok(()) => {}
        Err(error) if env::var_os("REQUIRE_CUDA").is_none() => return println!("skipped: {error}"),
        Err(error) => panic!("{error}"),
    }
    let crops: Vec<Vec<u8>> = (0..COMPARED).map(crop).collect();
    for at_once in AT_ONCE {
        for crops in crops.chunks(at_once) {
            for (ours, theirs) in processor.classify_crops(crops).iter().zip(cuda.classify_crops(crops)) {
                let is_near = |label| (ours.probability(label) - theirs.probability(label)).abs() < MOST_DIFFERENCE;
                assert!(Label::ALL.into_iter().all(is_near), "{ours:?} {theirs:?}");
            }
        }
        let [ours, theirs] = [&processor, &cuda].map(|classifier| median(classifier, &crops[..at_once]));
        println!("classifier: {at_once} at once: {theirs:.2?}, one thread of the processor {ours:.2?}");
    }
    // The processor that has taken over would equal itself.
    assert_eq!(cuda.trouble(), None);
}

/// Median time for crops, preprocessing on the processor and transfers included.
fn median(classifier: &Classifier, crops: &[Vec<u8>]) -> Duration {
    let time = |_| {
        let start = Instant::now();
        std::hint::black_box(classifier.classify_crops(crops));
        start.elapsed()
    };
    (0..WARM_UP).for_each(|number| _ = time(number));
    let mut times: Vec<Duration> = (0..TIMED).map(time).collect();
    times.sort();
    times[TIMED / 2]
}
