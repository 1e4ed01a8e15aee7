//! What the network sees of a crop: its samples, their low four bits, and both without what changes slowly.
//!
//! Liu et al. 2022 put a high-pass filter in front of the network. The low bits are ours: under encrypted high planes the
//! plain ones are a sixteenth of the amplitude, and no convolution over whole samples finds them. Behind the filter each
//! plane is normalised by batch ([`Statistics`]).

/// Samples of a crop's side.
pub const CROP: usize = 128;
/// Planes of the network's input, in this order: samples, low bits, samples high-passed, low bits high-passed.
pub const PLANES: usize = 4;

/// The kernel of Ker and Boehme 2008 (SPIE 6819, "Revisiting weighted stego-image steganalysis"), a predictor of a sample
/// from its neighbours less the sample itself, as residual networks of steganalysis use it; in twelfths.
const HIGH_PASS: [[f32; 5]; 5] = [
    [-1.0, 2.0, -2.0, 2.0, -1.0],
    [2.0, -6.0, 8.0, -6.0, 2.0],
    [-2.0, 8.0, -12.0, 8.0, -2.0],
    [2.0, -6.0, 8.0, -6.0, 2.0],
    [-1.0, 2.0, -2.0, 2.0, -1.0],
];

/// The input of the network for one crop of `CROP * CROP` samples: `PLANES * CROP * CROP` numbers, plane by plane, samples
/// and low bits between -0.5 and 0.5.
pub fn planes(crop: &[u8]) -> Vec<f32> {
    let samples: Vec<f32> = crop.iter().map(|&sample| f32::from(sample) / 255.0 - 0.5).collect();
    let low_bits: Vec<f32> = crop.iter().map(|&sample| f32::from(sample & 15) / 15.0 - 0.5).collect();
    let filtered = [high_pass(&samples, CROP), high_pass(&low_bits, CROP)];
    [samples, low_bits].into_iter().chain(filtered).flatten().collect()
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
        assert_eq!(planes[..2], [-0.5, 243.0 / 255.0 - 0.5]);
        assert_eq!(planes[CROP * CROP..][..2], [-0.5, 3.0 / 15.0 - 0.5]);
        // On the upper edge three of the kernel's rows see the first row, two of them its copies.
        let centre = 243.0 / 255.0 * (-2.0 + 8.0 - 12.0) / 12.0;
        assert!((planes[2 * CROP * CROP + 1] - centre).abs() < 1e-6);
    }

    /// By hand: a plane of two values a and b, half and half, has mean (a + b) / 2 and variance ((a - b) / 2)^2.
    #[test]
    fn statistics_by_hand() {
        let plane = |a: f32, b: f32| (0..CROP * CROP).map(move |at| if at % 2 == 0 { a } else { b });
        let crop = |shift: f32| (0..PLANES).flat_map(move |at| plane(at as f32 + shift, at as f32 + shift + 4.0));
        let mut batch: Vec<f32> = crop(0.0).chain(crop(0.0)).collect();
        let statistics = Statistics::of(&batch);
        assert_eq!(statistics, Statistics { mean: [2.0, 3.0, 4.0, 5.0], variance: [4.0; PLANES] });
        statistics.normalise(&mut batch);
        assert!(batch.iter().all(|value| (value.abs() - 1.0).abs() < 1e-5));
        let mut running = Statistics { mean: [0.0; PLANES], variance: [1.0; PLANES] };
        running.follow(&statistics);
        assert!((running.mean[1] - 0.03).abs() < 1e-6 && (running.variance[1] - 1.03).abs() < 1e-6);
        (0..2000).for_each(|_| running.follow(&statistics));
        assert!((running.mean[3] - 5.0).abs() < 1e-4);
    }
}
