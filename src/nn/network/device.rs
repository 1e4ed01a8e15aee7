//! Who runs the network: a GPU, if one was asked for and is there, and the processor where it is not or fails.

use std::sync::OnceLock;

use super::{CROP, Classifier};
use crate::{
    Error, Result,
    analysis::random::Random,
    nn::{Label, preprocessing::PLANES},
};

/// Most by which a probability of a GPU differs from the processor's: it may multiply with fewer bits.
const MOST_DIFFERENCE: f32 = 0.02;

/// A network in the memory of a device.
pub trait Device: Send + Sync {
    /// Softmax of the logits, `[crops, 6]`, of normalised planes `[crops, PLANES, CROP, CROP]`.
    ///
    /// # Errors
    /// What went wrong, in words.
    fn probabilities(&self, planes: &[f32]) -> Result<Vec<f32>, String>;
}

/// A device that is asked until it fails.
pub struct Trusted {
    device: Box<dyn Device>,
    failure: OnceLock<String>,
}

impl Trusted {
    /// As [`Device::probabilities`]; none if it has failed, now or before.
    pub fn probabilities(&self, planes: &[f32]) -> Option<Vec<f32>> {
        if self.failure.get().is_some() {
            return None;
        }
        let count = planes.len() / (PLANES * CROP * CROP) * Label::ALL.len();
        let is_sane = |told: &Vec<f32>| told.len() == count && told.iter().all(|one| (0.0..=1.0).contains(one));
        let told = self.device.probabilities(planes).and_then(|told| match is_sane(&told) {
            true => Ok(told),
            false => Err("it gives no probabilities".into()),
        });
        told.map_err(|failure| _ = self.failure.set(failure)).ok()
    }
}

impl Classifier {
    /// Lets the first NVIDIA GPU run the network, if it gives what the processor gives. Where it fails later, the processor
    /// takes over for good, which [`Classifier::trouble`] tells.
    ///
    /// # Errors
    /// [`Error::BackendUnavailable`] with the reason; the processor goes on.
    pub fn use_cuda(&mut self) -> Result<()> {
        let opened = self.open_cuda().and_then(|device| self.trust(device));
        opened.map_err(|reason| Error::BackendUnavailable { name: "cuda".into(), reason })
    }

    /// Why the GPU does not run the network any more, if it has failed.
    pub fn trouble(&self) -> Option<&str> {
        self.device.as_ref()?.failure.get().map(String::as_str)
    }

    #[cfg(feature = "nn-cuda")]
    fn open_cuda(&self) -> Result<Box<dyn Device>, String> {
        super::cuda::open(self.description.network, &super::weights::numbers(&self.statistics, &self.network))
    }

    #[cfg(not(feature = "nn-cuda"))]
    fn open_cuda(&self) -> Result<Box<dyn Device>, String> {
        Err("this build has no networks on CUDA: build it with --features nn-cuda".into())
    }

    /// Takes a device that makes of noise what the processor makes of it.
    fn trust(&mut self, device: Box<dyn Device>) -> Result<(), String> {
        let mut crop = vec![0; CROP * CROP];
        Random::new(&[0; 32], "device").fill(&mut crop);
        let planes = self.planes(&[crop]);
        let theirs = device.probabilities(&planes)?;
        let ours = self.on_processor(planes);
        let is_near = |(ours, theirs): (&f32, &f32)| (ours - theirs).abs() <= MOST_DIFFERENCE;
        if ours.len() != theirs.len() || !ours.iter().zip(&theirs).all(is_near) {
            return Err(format!("it gives {theirs:?}, the processor {ours:?}"));
        }
        self.device = Some(Trusted { device, failure: OnceLock::new() });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Gives prepared answers, one after the other.
    struct Answers(Mutex<Vec<Result<Vec<f32>, String>>>);

    impl Device for Answers {
        fn probabilities(&self, _: &[f32]) -> Result<Vec<f32>, String> {
            self.0.lock().expect("one thread").pop().expect("it is not asked again")
        }
    }

    fn answers(mut answers: Vec<Result<Vec<f32>, String>>) -> Box<Answers> {
        answers.reverse();
        Box::new(Answers(Mutex::new(answers)))
    }

    fn classifier() -> Classifier {
        Classifier::embedded(1).expect("the weights that come with the program")
    }

    /// What the processor makes of the crop by which a device is judged.
    fn right() -> Vec<f32> {
        let mut crop = vec![0; CROP * CROP];
        Random::new(&[0; 32], "device").fill(&mut crop);
        classifier().classify_crops(&[crop])[0].probabilities.to_vec()
    }

    #[test]
    fn a_device_that_computes_something_else_is_not_taken() {
        let mut classifier = classifier();
        let mut wrong = right();
        wrong[0] += 0.1;
        for answer in [Ok(wrong), Ok(Vec::new()), Ok(vec![f32::NAN; 6]), Err("no memory".to_owned())] {
            assert!(classifier.trust(answers(vec![answer])).is_err());
            assert!(classifier.device.is_none());
        }
    }

    #[test]
    fn a_device_that_fails_is_not_asked_again() {
        let crops = [vec![7; CROP * CROP]];
        let theirs = vec![0.0, 0.0, 1.0, 0.0, 0.0, 0.0];
        let nothing = "it gives no probabilities";
        for (failure, trouble) in [
            (Err("it fell off the bus".into()), "it fell off the bus"),
            (Ok(vec![f32::NAN; 6]), nothing),
            (Ok(Vec::new()), nothing),
        ] {
            let mut classifier = classifier();
            let ours = classifier.classify_crops(&crops);
            let device = answers(vec![Ok(right()), Ok(theirs.clone()), failure]);
            classifier.trust(device).expect("it gives what the processor gives");
            assert_eq!(classifier.classify_crops(&crops)[0].probabilities.to_vec(), theirs);
            assert_eq!(classifier.trouble(), None);
            for _ in 0..2 {
                assert_eq!(classifier.classify_crops(&crops), ours);
                assert_eq!(classifier.trouble(), Some(trouble));
            }
        }
    }
}
