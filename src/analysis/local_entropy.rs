//! Local Shannon entropy: the mean entropy of 30 blocks of 1936 pixels that do not overlap.
//!
//! Wu, Zhou, Saveriades, Agaian, Noonan, Natarajan, "Local Shannon entropy measure with statistical tests for image
//! randomness", Information Sciences 222 (2013).
//!
//! The interval that is usually quoted from there, [7.901901305, 7.903037329] at 0.05, takes the standard deviation of the
//! mean for that of one block divided by 30 where it is that divided by the root of 30: it rejects seven of ten ideal
//! pictures. Both verdicts are told.

use super::{entropy, finding::Finding, histogram, quantile, random::Random};

/// Blocks of a test.
pub const BLOCKS: usize = 30;
/// Pixels of a block.
pub const BLOCK_PIXELS: usize = SIDE * SIDE;
const SIDE: usize = 44;
/// Expected entropy of a block of uniform bytes, and its variance (section 4 of the paper).
const MEAN: f64 = 7.902469317;
const VARIANCE: f64 = 7.559e-5;

/// Local entropy of one channel, `width` bytes a row, with its own critical values and with those usually quoted; nothing
/// for pictures of less than 30 blocks. Blocks are squares of 44 pixels a side, or, where 30 of them do not fit, runs of
/// 1936 pixels in reading order; `random` says which.
pub fn local_entropy(
    channel: &'static str,
    bytes: &[u8],
    width: usize,
    alpha: f64,
    random: &mut Random,
) -> Option<[Finding; 2]> {
    let blocks = blocks(bytes, width, random)?;
    let entropies = blocks.iter().map(|block| entropy::of_counts(&histogram::counts(block)));
    let value = entropies.sum::<f64>() / BLOCKS as f64;
    let z = quantile::normal(1.0 - alpha / 2.0);
    let bounds = |deviation: f64| [Some(MEAN - z * deviation), Some(MEAN + z * deviation)];
    let finding = |name, deviation| {
        Finding::plain(name, channel, value, (BLOCKS * BLOCK_PIXELS) as u64).against(MEAN, bounds(deviation))
    };
    let deviation = VARIANCE.sqrt();
    Some([
        finding("local_entropy", deviation / (BLOCKS as f64).sqrt()),
        finding("local_entropy_quoted", deviation / BLOCKS as f64),
    ])
}

fn blocks(bytes: &[u8], width: usize, random: &mut Random) -> Option<Vec<Vec<u8>>> {
    let height = bytes.len().checked_div(width)?;
    let (columns, rows) = (width / SIDE, height / SIDE);
    let mut blocks: Vec<Vec<u8>> = if columns * rows >= BLOCKS {
        let (left, top) = (random.below(width % SIDE + 1), random.below(height % SIDE + 1));
        let square = |at: usize| {
            let first = (top + at / columns * SIDE) * width + left + at % columns * SIDE;
            (0..SIDE).flat_map(move |row| bytes[first + row * width..][..SIDE].iter().copied()).collect()
        };
        let mut places: Vec<usize> = (0..columns * rows).collect();
        random.draw(&mut places, BLOCKS);
        places[..BLOCKS].iter().map(|&at| square(at)).collect()
    } else {
        let mut runs: Vec<&[u8]> = bytes.chunks_exact(BLOCK_PIXELS).collect();
        random.draw(&mut runs, BLOCKS);
        runs.into_iter().take(BLOCKS).map(<[u8]>::to_vec).collect()
    };
    blocks.truncate(BLOCKS);
    (blocks.len() == BLOCKS).then_some(blocks)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The critical values of both kinds at 0.05, 0.01 and 0.001.
    #[test]
    fn intervals() {
        let mut random = Random::new(&[0; 32], "test");
        let mut of = |alpha| local_entropy("gray", &[0; 1 << 18], 512, alpha, &mut random).expect("large enough");
        for (alpha, low, high) in [(0.05, 7.899358, 7.905580), (0.01, 7.898381, 7.906558), (0.001, 7.897246, 7.907693)]
        {
            let critical = of(alpha)[0].critical.map(|bound| bound.expect("a bound"));
            assert!((critical[0] - low).abs() < 2e-6 && (critical[1] - high).abs() < 2e-6, "{alpha}: {critical:?}");
        }
        let quoted = of(0.05)[1].critical.map(|bound| bound.expect("a bound"));
        assert!((quoted[0] - 7.901901305).abs() < 2e-6 && (quoted[1] - 7.903037329).abs() < 2e-6, "{quoted:?}");
    }

    /// What speaks against the quoted interval: of 2,000 ideal pictures it accepts 28 %, the other one 95 %.
    #[test]
    fn the_quoted_interval_rejects_ideal_pictures() {
        let mut random = Random::new(&[8; 32], "ideal pictures");
        let (mut right, mut quoted, trials) = (0, 0, 2000);
        let mut picture = vec![0; 320 * 264];
        for _ in 0..trials {
            random.fill(&mut picture);
            let [ours, theirs] = local_entropy("gray", &picture, 320, 0.05, &mut random).expect("large enough");
            right += u32::from(ours.pass() == Some(true));
            quoted += u32::from(theirs.pass() == Some(true));
        }
        // 0.95 and 0.28, four standard deviations on either side.
        assert!((1861..=1939).contains(&right), "{right} of {trials}");
        assert!((480..=640).contains(&quoted), "{quoted} of {trials}");
    }

    #[test]
    fn blocks_do_not_overlap() {
        for (width, height) in [(512, 100), (256, 256), (266, 246)] {
            // Every pixel has a number of its own, over two "pictures" of high and low bytes.
            let numbers: Vec<u32> = (0..width as u32 * height as u32).collect();
            let high: Vec<u8> = numbers.iter().map(|number| (number >> 8) as u8).collect();
            let low: Vec<u8> = numbers.iter().map(|&number| number as u8).collect();
            let of = |bytes: &[u8]| blocks(bytes, width, &mut Random::new(&[5; 32], "blocks"));
            if width * height < BLOCKS * BLOCK_PIXELS {
                assert!(of(&low).is_none());
                continue;
            }
            let (high, low) = (of(&high).expect("fits").concat(), of(&low).expect("fits").concat());
            let seen: std::collections::BTreeSet<_> = high.iter().zip(&low).collect();
            assert_eq!(seen.len(), BLOCKS * BLOCK_PIXELS, "{width}x{height}");
        }
        assert!(blocks(&[0; 58_079], 240, &mut Random::new(&[5; 32], "blocks")).is_none());
    }
}
