//! Model files, and what is told of pictures.

use super::*;
use crate::{analysis::random::Random, nn::data::Sample};

fn description() -> Description {
    Description::new(Architecture::default(), "of no pictures".into(), 3, 0, None)
}

/// A network that has learned nothing.
fn untrained(seed: u8) -> Vec<u8> {
    let crop = noise().bytes[..CROP * CROP].to_vec();
    let first = Sample { label: Label::Encrypted, made_by: "a test".into(), drawn_again: 0, crop };
    Trainer::new(Architecture::default(), &[first], &mut Random::new(&[seed; 32], "weights"), 1)
        .expect("threads")
        .model(description())
}

fn noise() -> Picture {
    let mut bytes = vec![0; 200 * 150];
    Random::new(&[4; 32], "noise").fill(&mut bytes);
    Picture { width: 200, height: 150, channels: 1, bytes }
}

#[test]
fn a_model_is_what_was_written() {
    let file = untrained(1);
    let classifier = Classifier::from_bytes(&file, 1).expect("a model");
    let said = classifier.description();
    assert_eq!((said.labels.len(), said.crop, said.seed, &said.data_digest[..]), (6, 128, 3, "of no pictures"));
    assert_eq!(ModelFile::to_bytes(said.clone(), &weights::numbers(&classifier.statistics, &classifier.network)), file);
    assert_eq!(untrained(1), file, "the same seed gives the same weights");
    assert_ne!(untrained(2), file);
}

#[test]
fn fail_bad_models() {
    let good = untrained(1);
    let reason = |file: &[u8]| match Classifier::from_bytes(file, 1) {
        Err(Error::Model(reason)) => reason,
        Err(error) => panic!("another error: {error}"),
        Ok(_) => panic!("a bad model was taken"),
    };
    assert!(reason(&[]).contains("no model"));
    assert!(reason(b"\x89PNG\r\n\x1a\n and so on").contains("no model"));
    let lines = good.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at);
    let numbers = lines.take(2).last().expect("two lines") + 1;
    for at in [numbers, numbers + 1000, good.len() - 1] {
        let mut flipped = good.clone();
        flipped[at] ^= 0x10;
        assert!(reason(&flipped).contains("damaged"), "bit of byte {at}");
    }
    for length in [1, 23, 30, 200, numbers, numbers + 7, good.len() - 1] {
        reason(&good[..length]);
    }
    let longer = [&good[..], &[0, 0]].concat();
    assert!(reason(&longer).contains("damaged"));
    // Even with the right digest, too few and too many numbers are no network.
    for weights in [&good[numbers..good.len() - 4], &longer[numbers..], &[]] {
        assert!(reason(&ModelFile::to_bytes(description(), weights)).contains("another network"));
    }
    let other = Description { labels: vec!["cat".into(), "dog".into()], ..description() };
    assert!(reason(&ModelFile::to_bytes(other, &good[numbers..])).contains("other labels"));
}

#[test]
fn crops_lie_evenly() {
    assert_eq!(places(128), [0]);
    assert_eq!(places(255), [63]);
    assert_eq!(places(256), [0, 128]);
    assert_eq!(places(1920), [0, 896, 1792]);
    let wide = Picture { width: 130, height: 128, channels: 3, bytes: (0..130 * 128 * 3).map(|i| i as u8).collect() };
    let green = crop(&wide, (2, 0), 1);
    assert_eq!((green.len(), &green[..3], green[CROP]), (CROP * CROP, &[7, 10, 13][..], (130 * 3 + 7) as u8));
}

#[test]
fn small_pictures_are_refused_not_resized() {
    let classifier = Classifier::from_bytes(&untrained(1), 1).expect("a model");
    let small = Picture { width: 127, height: 300, channels: 1, bytes: vec![0; 127 * 300] };
    assert!(matches!(classifier.classify(&small), Err(Error::Geometry(_))));
    let told = classifier.classify(&noise()).expect("large enough");
    assert!((told.probabilities.iter().sum::<f32>() - 1.0).abs() < 1e-5);
    assert!(Label::ALL.iter().all(|&label| told.probability(label) <= told.confidence()));
}

#[test]
fn threads_change_nothing() {
    let told = |threads| Classifier::from_bytes(&untrained(1), threads).expect("a model").classify(&noise());
    let (one, two) = (told(1).expect("classifies"), told(2).expect("classifies"));
    for (one, two) in one.probabilities.into_iter().zip(two.probabilities) {
        assert!((one - two).abs() < 1e-5, "{one} {two}");
    }
}

/// Weights and offsets of each layer, by hand; `p` planes.
#[test]
fn parameters_and_shapes_of_every_network() {
    let p = PLANES;
    let alexnet = (p * 121 + 1) * 32 + (32 * 25 + 1) * 64 + (64 * 9 + 1) * 96 + (96 * 9 + 1) * (96 + 64) + 65 * 6;
    let cnn = (p * 25 + 1) * 32 + (32 * 9 + 1) * 64 + (64 * 9 + 1) * 128 + (128 * 9 + 1) * 128 + 129 * 6;
    let mlp = (p * 128 * 128 + 1) * 32 + 33 * 32 + 33 * 6;
    let state = |architecture| Network::<Flex>::new(architecture, &Default::default()).features();
    let (h, k) = (state(Architecture::Rnn), state(Architecture::Lstm));
    // Offsets of the row and of the state.
    let rnn = (p * 128 + 1) * h + (h + 1) * h + (h + 1) * 6;
    let lstm = 4 * ((p * 128 + 1) * k + (k + 1) * k) + (k + 1) * 6;
    for (architecture, parameters) in Architecture::ALL.into_iter().zip([alexnet, alexnet, cnn, mlp, rnn, lstm]) {
        let network = Network::<Flex>::new(architecture, &Default::default());
        assert_eq!(network.num_params(), parameters, "{}", architecture.name());
        let is_comparable = parameters.abs_diff(alexnet) < alexnet / 5;
        assert!(is_comparable || architecture == Architecture::Mlp, "{}: {parameters}", architecture.name());
        assert_eq!(network.forward(input(vec![0.5; 2 * PLANES * CROP * CROP])).dims(), [2, Label::ALL.len()]);
    }
}

/// The file says which network it holds, and another's numbers are refused.
#[test]
fn every_network_has_its_file() {
    let crop = noise().bytes[..CROP * CROP].to_vec();
    let first = [Sample { label: Label::Plain, made_by: "a test".into(), drawn_again: 0, crop: crop.clone() }];
    for network in Architecture::ALL {
        let trainer = Trainer::new(network, &first, &mut Random::new(&[5; 32], "weights"), 1).expect("threads");
        let file = trainer.model(Description { network, ..description() });
        let classifier = Classifier::from_bytes(&file, 1).expect("a model");
        assert_eq!(classifier.description().network, network);
        let [told] = classifier.classify_crops(std::slice::from_ref(&crop))[..] else { panic!("one crop") };
        assert!((told.probabilities.iter().sum::<f32>() - 1.0).abs() < 1e-5, "{network:?}: {told:?}");
        let resumed = Trainer::resume(network, trainer.state().expect("recorded"), 1).expect("its state");
        assert_eq!(resumed.model(Description { network, ..description() }), file);
        let numbers = ModelFile::read(&file).expect("a model").weights;
        let other = if network == Architecture::Mlp { Architecture::Cnn } else { Architecture::Mlp };
        let other = ModelFile::to_bytes(Description { network: other, ..description() }, &numbers);
        assert!(matches!(Classifier::from_bytes(&other, 1), Err(Error::Model(_))));
    }
}
