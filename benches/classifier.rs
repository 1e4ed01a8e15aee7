//! How long the frame classifier takes for a frame, on one thread, preprocessing included.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use gstchaosveil::{
    analysis::{picture::Picture, random::Random},
    nn::Classifier,
};

/// One crop, four crops, and the most that a frame is judged by.
const SIZES: [(usize, usize); 3] = [(128, 128), (256, 256), (1920, 1080)];

fn classify(criterion: &mut Criterion) {
    let classifier = Classifier::embedded(1).expect("the weights that come with the program");
    let mut group = criterion.benchmark_group("classify");
    for (width, height) in SIZES {
        let mut bytes = vec![0; width * height];
        Random::new(&[1; 32], "bench").fill(&mut bytes);
        let picture = Picture { width, height, channels: 1, bytes };
        group.throughput(Throughput::Elements(1));
        group.bench_with_input(
            BenchmarkId::from_parameter(format!("{width}x{height}")),
            &picture,
            |bencher, picture| {
                bencher.iter(|| classifier.classify(black_box(picture)).expect("large enough"));
            },
        );
    }
    group.finish();
}

criterion_group!(benches, classify);
criterion_main!(benches);
