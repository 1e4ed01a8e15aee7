//! What the network sees of a crop: eight planes, in each of which something of a bad cipher shows.
//!
//! Liu et al. 2022 put a high-pass filter in front of the network. It finds edges, and nothing of a picture whose high bits
//! are encrypted, or whose blocks are: there what is left is a relation between samples, not an amplitude. So planes of such
//! relations stand beside it, each a mean of zero over ciphertext. Behind them each plane is normalised ([`Statistics`]).

use std::f32::consts::TAU;

/// Samples of a crop's side.
pub const CROP: usize = 128;
/// Planes of the network's input.
pub const PLANES: usize = 8;
/// What they are, in their order.
pub const DESCRIPTION: &str = "samples / 255 - 1/2; the same after the high-pass filter of Ker and Boehme 2008; coherence of \
    the low and of the high four bits with four neighbours; low bits times where eight neighbours see the sample; share of \
    seven earlier samples that it equals; logarithm of 256 times the share of its value; share of four neighbours that are \
    nearer in value than samples 24 times as far away, less the share that are not";

/// The kernel of Ker and Boehme 2008 (SPIE 6819, "Revisiting weighted stego-image steganalysis"), a predictor of a sample
/// from its neighbours less the sample itself, as residual networks of steganalysis use it; in twelfths.
const HIGH_PASS: [[f32; 5]; 5] = [
    [-1.0, 2.0, -2.0, 2.0, -1.0],
    [2.0, -6.0, 8.0, -6.0, 2.0],
    [-2.0, 8.0, -12.0, 8.0, -2.0],
    [2.0, -6.0, 8.0, -6.0, 2.0],
    [-1.0, 2.0, -2.0, 2.0, -1.0],
];
/// Columns to the left and rows up to the neighbours whose bits are compared.
const NEIGHBOURS: [(isize, usize); 4] = [(1, 0), (0, 1), (1, 1), (-1, 1)];
/// Times as far away as these lies what they are compared with where the order of samples counts.
const FAR: isize = 24;
/// The same to the samples that may be equal: an AES block away in a row, the side of a block of 4 x 4, and rows, whose
/// blocks lie under each other after 1 to 16 of them.
pub const REPEATS: [(isize, usize); 7] = [(16, 0), (4, 0), (0, 1), (0, 2), (0, 4), (0, 8), (0, 16)];

/// The input of the network for one crop of `CROP * CROP` samples: `PLANES * CROP * CROP` numbers, plane by plane.
pub fn planes(crop: &[u8]) -> Vec<f32> {
    let samples: Vec<f32> = crop.iter().map(|&sample| f32::from(sample) / 255.0 - 0.5).collect();
    let filtered = high_pass(&samples, CROP);
    [samples, filtered, coherence(crop, |sample| sample & 15), coherence(crop, |sample| sample >> 4), agreement(crop)]
        .into_iter()
        .chain([repeats(crop), frequency(crop), order(crop)])
        .flatten()
        .collect()
}

/// Calls with the places of each sample and of the one so many columns to the left and rows up, where there is one.
pub fn pairs((left, up): (isize, usize), mut call: impl FnMut(usize, usize)) {
    let columns = left.max(0) as usize..(CROP as isize + left.min(0)) as usize;
    for y in up..CROP {
        for x in columns.clone() {
            call(y * CROP + x, (y - up) * CROP + (x as isize - left) as usize);
        }
    }
}

/// The mean over four neighbours of the cosine of the angle from their four bits to the sample's, 16 to a turn: 1 where they
/// are equal, 0 on the mean if either is random. Values that wrap around, as low bits do, are near each other.
fn coherence(crop: &[u8], bits: impl Fn(u8) -> u8) -> Vec<f32> {
    let share = |difference: usize| (difference as f32 * TAU / 16.0).cos() / NEIGHBOURS.len() as f32;
    let cosine: [f32; 16] = std::array::from_fn(share);
    let bits: Vec<u8> = crop.iter().map(|&sample| bits(sample)).collect();
    let mut plane = vec![0.0; crop.len()];
    for neighbour in NEIGHBOURS {
        pairs(neighbour, |at, other| plane[at] += cosine[usize::from(bits[at].wrapping_sub(bits[other]) & 15)]);
    }
    plane
}

/// The low four bits, times where the mean of eight neighbours lies in or beyond the sixteen values that share the sample's
/// high bits, both from the middle: the bits of a picture go with it, even through noise; encrypted ones do not.
fn agreement(crop: &[u8]) -> Vec<f32> {
    let mut plane = vec![0.0; crop.len()];
    neighbourhood(crop, |at, mean| {
        let low = f32::from(crop[at] & 15) - 7.5;
        let seen = (mean - f32::from(crop[at] & 0xf0) - 7.5).clamp(-16.0, 16.0);
        plane[at] = low * seen / 64.0;
    });
    plane
}

/// Calls with the place of each sample that has eight neighbours, and their mean.
pub fn neighbourhood(crop: &[u8], mut call: impl FnMut(usize, f32)) {
    let three = |at: usize| -> u16 { crop[at - 1..at + 2].iter().map(|&sample| u16::from(sample)).sum() };
    for y in 1..CROP - 1 {
        for x in 1..CROP - 1 {
            let at = y * CROP + x;
            let sum = three(at - CROP) + three(at) + three(at + CROP) - u16::from(crop[at]);
            call(at, f32::from(sum) / 8.0);
        }
    }
}

/// How many of four neighbours differ less from the sample than the sample [`FAR`] times as far away does, less those that
/// differ more, as a share. Of samples in random order either is as likely, whatever their values.
fn order(crop: &[u8]) -> Vec<f32> {
    let mut plane = vec![0.0; crop.len()];
    for (left, up) in NEIGHBOURS {
        pairs((FAR * left, FAR as usize * up), |at, far| {
            let near = (at as isize - (up * CROP) as isize - left) as usize;
            let difference = |other: usize| crop[at].abs_diff(crop[other]);
            let sign = difference(far).cmp(&difference(near)) as i8;
            plane[at] += f32::from(sign) / NEIGHBOURS.len() as f32;
        });
    }
    plane
}

/// How many of the earlier samples of [`REPEATS`] each sample equals, as a share.
fn repeats(crop: &[u8]) -> Vec<f32> {
    let mut plane = vec![0.0; crop.len()];
    for earlier in REPEATS {
        pairs(earlier, |at, other| {
            if crop[at] == crop[other] {
                plane[at] += 1.0 / REPEATS.len() as f32;
            }
        });
    }
    plane
}

/// The logarithm of how much more often than others each sample's value is in the crop. The mean is the divergence of
/// Kullback and Leibler 1951 from uniform noise, whose samples all lie near zero. One more of each value keeps it finite.
fn frequency(crop: &[u8]) -> Vec<f32> {
    let mut counts = [1.0f32; 256];
    crop.iter().for_each(|&sample| counts[usize::from(sample)] += 1.0);
    let all: f32 = counts.iter().sum();
    let logarithms = counts.map(|count| (256.0 * count / all).ln());
    crop.iter().map(|&sample| logarithms[usize::from(sample)]).collect()
}

/// Mean and variance of each plane, for batch normalisation (Ioffe and Szegedy 2015, algorithms 1 and 2) in front of the
/// network. Factor and offset are left to the first convolution, so no gradient comes through here. While it learns, too, a
/// batch is normalised by the running statistics (the limit of Ioffe 2017): by its own, the same noise would look different
/// beside other crops, and its amplitude is what tells it from ciphertext.
#[derive(Clone, Debug, PartialEq)]
pub struct Statistics {
    /// Means.
    pub mean: [f32; PLANES],
    /// Variances.
    pub variance: [f32; PLANES],
}

/// Share of a batch in the running statistics.
const MOMENTUM: f32 = 0.01;
/// Keeps a plane of one value finite.
const EPSILON: f32 = 1e-5;

impl Statistics {
    /// Those of a batch of crops' planes.
    pub fn of(batch: &[f32]) -> Statistics {
        let mut sums = [[0.0f64; 2]; PLANES];
        for (number, plane) in batch.chunks_exact(CROP * CROP).enumerate() {
            let [sum, squares] = &mut sums[number % PLANES];
            *sum += plane.iter().map(|&value| f64::from(value)).sum::<f64>();
            *squares += plane.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>();
        }
        let count = (batch.len() / PLANES).max(1) as f64;
        let mean = sums.map(|[sum, _]| sum / count);
        let variance = |plane: usize| (sums[plane][1] / count - mean[plane].powi(2)).max(0.0) as f32;
        Statistics { mean: mean.map(|mean| mean as f32), variance: std::array::from_fn(variance) }
    }

    /// Moves a little towards those of a batch.
    pub fn follow(&mut self, batch: &Statistics) {
        let ours = self.mean.iter_mut().chain(&mut self.variance);
        for (ours, theirs) in ours.zip(batch.mean.iter().chain(&batch.variance)) {
            *ours += MOMENTUM * (theirs - *ours);
        }
    }

    /// Brings a batch of crops' planes to mean 0 and variance 1.
    pub fn normalise(&self, batch: &mut [f32]) {
        for (number, plane) in batch.chunks_exact_mut(CROP * CROP).enumerate() {
            let mean = self.mean[number % PLANES];
            let factor = 1.0 / (self.variance[number % PLANES] + EPSILON).sqrt();
            plane.iter_mut().for_each(|value| *value = (*value - mean) * factor);
        }
    }
}

/// Filters rows of `width` samples; beyond the edge stands what stands on it.
fn high_pass(plane: &[f32], width: usize) -> Vec<f32> {
    let height = plane.len() / width;
    let mut filtered = vec![0.0; plane.len()];
    for (y, row) in filtered.chunks_exact_mut(width).enumerate() {
        for (kernel_row, down) in HIGH_PASS.iter().zip(0..) {
            let from = &plane[(y + down).saturating_sub(2).min(height - 1) * width..][..width];
            for (x, sum) in row.iter_mut().enumerate() {
                *sum += match from.get(x.wrapping_sub(2)..x + 3) {
                    Some(neighbours) => {
                        neighbours.iter().zip(kernel_row).map(|(value, weight)| value * weight).sum::<f32>()
                    }
                    None => (0..5).map(|i| from[(x + i).saturating_sub(2).min(width - 1)] * kernel_row[i]).sum(),
                };
            }
        }
        row.iter_mut().for_each(|sum| *sum /= 12.0);
    }
    filtered
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::random::Random;

    /// One bright sample: the kernel appears around it, upside down, which is itself.
    #[test]
    fn high_pass_by_hand() {
        let mut plane = vec![0.0; 9 * 7];
        plane[3 * 9 + 4] = 12.0;
        let filtered = high_pass(&plane, 9);
        assert_eq!(filtered[3 * 9 + 4], -12.0);
        assert_eq!(filtered[3 * 9 + 2..3 * 9 + 7], [-2.0, 8.0, -12.0, 8.0, -2.0]);
        assert_eq!(filtered[9 + 2..9 + 7], [-1.0, 2.0, -2.0, 2.0, -1.0]);
        assert_eq!(filtered[..9], [0.0; 9]);
    }

    /// The kernel sums to zero, at the edges too, and takes away what is linear.
    #[test]
    fn what_changes_slowly_is_gone() {
        let flat = high_pass(&[0.7; 8 * 8], 8);
        assert!(flat.iter().all(|value| value.abs() < 1e-6), "{flat:?}");
        let ramp: Vec<f32> = (0..64).map(|at| (at % 8) as f32 + 2.0 * (at / 8) as f32).collect();
        let filtered = high_pass(&ramp, 8);
        assert!((2..6).all(|y| (2..6).all(|x| filtered[8 * y + x].abs() < 1e-5)), "{filtered:?}");
    }

    #[test]
    fn planes_stand_in_their_order() {
        let mut crop = vec![0; CROP * CROP];
        crop[1] = 0xf3;
        let planes = planes(&crop);
        assert_eq!(planes.len(), PLANES * CROP * CROP);
        let of = |plane: usize, x: usize, y: usize| planes[(plane * CROP + y) * CROP + x];
        let is = |told: f32, expected: f32| assert!((told - expected).abs() < 1e-6, "{told} {expected}");
        is(of(0, 0, 0), -0.5);
        is(of(0, 1, 0), 243.0 / 255.0 - 0.5);
        // On the upper edge three of the kernel's rows see the first row, two of them its copies.
        is(of(1, 1, 0), 243.0 / 255.0 * (-2.0 + 8.0 - 12.0) / 12.0);
        // 3 from 0 is three sixteenths of a turn, and 15 one of them.
        let (low, high) = ((TAU * 3.0 / 16.0).cos(), (TAU / 16.0).cos());
        is(of(2, 1, 0), low / 4.0);
        is(of(2, 0, 1), (1.0 + low) / 4.0);
        is(of(2, 1, 1), (3.0 + low) / 4.0);
        is(of(3, 1, 1), (3.0 + high) / 4.0);
        is(of(3, 8, 8), 1.0);
        // Eight neighbours' mean is 243 / 8 once, and 0 else.
        is(of(4, 0, 0), 0.0);
        is(of(4, 1, 1), -7.5 * 16.0f32.min(243.0 / 8.0 - 7.5) / 64.0);
        is(of(4, 8, 8), 7.5 * 7.5 / 64.0);
        is(of(5, 16, 16), 1.0);
        is(of(5, 17, 0), 1.0 / 7.0);
        is(of(5, 1, 16), 4.0 / 7.0);
        let all = (CROP * CROP + 256) as f32;
        is(of(6, 0, 0), (256.0 * (CROP * CROP) as f32 / all).ln());
        is(of(6, 1, 0), (256.0 * 2.0 / all).ln());
        // The bright sample differs from a near one, not from far ones: at its right, and below.
        is(of(7, 40, 40), 0.0);
        is(of(7, 2, 0), 0.0);
        is(of(7, 25, 0), 1.0 / 4.0);
    }

    /// Over uniform noise the planes of relations have a mean of zero, or of chance: a 256th of all samples are equal, and the
    /// divergence of so many of 256 values from their own distribution is half of 255 over their number (Miller 1955).
    #[test]
    fn noise_relates_to_nothing() {
        let mut crop = vec![0; CROP * CROP];
        Random::new(&[8; 32], "noise").fill(&mut crop);
        let planes = planes(&crop);
        for (plane, expected) in
            [(2, 0.0), (3, 0.0), (4, 0.0), (5, 1.0 / 256.0), (6, 255.0 / 2.0 / (CROP * CROP) as f32), (7, 0.0)]
        {
            let numbers = &planes[plane * CROP * CROP..][..CROP * CROP];
            let mean = numbers.iter().sum::<f32>() / numbers.len() as f32;
            let deviation = (numbers.iter().map(|x| (x - mean).powi(2)).sum::<f32>()).sqrt() / numbers.len() as f32;
            // Edges have fewer pairs.
            assert!((mean - expected).abs() < 5.0 * deviation + 0.001, "plane {plane}: {mean}");
        }
    }

    /// By hand: a plane of two values a and b, half and half, has mean (a + b) / 2 and variance ((a - b) / 2)^2.
    #[test]
    fn statistics_by_hand() {
        let plane = |a: f32, b: f32| (0..CROP * CROP).map(move |at| if at % 2 == 0 { a } else { b });
        let crop = |shift: f32| (0..PLANES).flat_map(move |at| plane(at as f32 + shift, at as f32 + shift + 4.0));
        let mut batch: Vec<f32> = crop(0.0).chain(crop(0.0)).collect();
        let statistics = Statistics::of(&batch);
        let mean = std::array::from_fn(|plane| plane as f32 + 2.0);
        assert_eq!(statistics, Statistics { mean, variance: [4.0; PLANES] });
        statistics.normalise(&mut batch);
        assert!(batch.iter().all(|value| (value.abs() - 1.0).abs() < 1e-5));
        let mut running = Statistics { mean: [0.0; PLANES], variance: [1.0; PLANES] };
        running.follow(&statistics);
        assert!((running.mean[1] - 0.03).abs() < 1e-6 && (running.variance[1] - 1.03).abs() < 1e-6);
        (0..2000).for_each(|_| running.follow(&statistics));
        assert!((running.mean[3] - 5.0).abs() < 1e-4);
    }
}
