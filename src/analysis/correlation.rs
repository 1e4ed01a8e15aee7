//! Correlation of neighbouring pixels.

use super::{finding::Finding, quantile};

/// Where a pixel's neighbour is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To the right.
    Horizontal,
    /// Below.
    Vertical,
    /// Below, to the right.
    Diagonal,
}

impl Direction {
    /// In the order of the tables.
    pub const ALL: [Direction; 3] = [Direction::Horizontal, Direction::Vertical, Direction::Diagonal];

    /// Name of the statistic.
    pub fn name(self) -> &'static str {
        match self {
            Direction::Horizontal => "correlation_horizontal",
            Direction::Vertical => "correlation_vertical",
            Direction::Diagonal => "correlation_diagonal",
        }
    }

    /// Columns and rows to the neighbour.
    fn step(self) -> (usize, usize) {
        match self {
            Direction::Horizontal => (1, 0),
            Direction::Vertical => (0, 1),
            Direction::Diagonal => (1, 1),
        }
    }

    /// Rows of pixels, and the rows of their neighbours.
    fn rows(self, bytes: &[u8], width: usize) -> impl Iterator<Item = (&[u8], &[u8])> {
        let (right, down) = self.step();
        let rows = bytes.chunks_exact(width.max(1));
        rows.clone()
            .zip(rows.skip(down))
            .map(move |(row, other)| (&row[..row.len() - right.min(row.len())], &other[right.min(other.len())..]))
    }

    /// Every pair of neighbours of one channel, `width` bytes a row.
    pub fn pairs<'a>(self, bytes: &'a [u8], width: usize) -> impl Iterator<Item = (u8, u8)> + 'a {
        self.rows(bytes, width).flat_map(|(row, other)| row.iter().copied().zip(other.iter().copied()))
    }
}

/// Pearson's correlation coefficient over all pairs of neighbours of one channel, `width` bytes a row. Ideal 0; critical on
/// both sides at `alpha`, `z / sqrt(pairs)`. Not a number where one side is constant.
pub fn correlation(channel: &'static str, direction: Direction, bytes: &[u8], width: usize, alpha: f64) -> Finding {
    let mut sums = Sums::default();
    direction.rows(bytes, width).for_each(|(row, other)| sums.add(row, other));
    let critical = quantile::normal(1.0 - alpha / 2.0) / (sums.pairs as f64).sqrt();
    Finding::plain(direction.name(), channel, sums.coefficient(), sums.pairs)
        .against(0.0, [Some(-critical), Some(critical)])
        .from_samples(LEAST_PAIRS)
}

/// Pairs from which on the coefficient of independent values is close to normal.
const LEAST_PAIRS: u64 = 100;

#[derive(Default)]
struct Sums {
    pairs: u64,
    x: u64,
    y: u64,
    xx: u64,
    yy: u64,
    xy: u64,
}

impl Sums {
    fn add(&mut self, row: &[u8], other: &[u8]) {
        // 65,536 products of two bytes fit into 32 bits.
        for (row, other) in row.chunks(1 << 16).zip(other.chunks(1 << 16)) {
            let sum = |of: &dyn Fn(u32, u32) -> u32| -> u64 {
                u64::from(row.iter().zip(other).map(|(&x, &y)| of(x.into(), y.into())).fold(0u32, u32::wrapping_add))
            };
            self.pairs += row.len() as u64;
            self.x += sum(&|x, _| x);
            self.y += sum(&|_, y| y);
            self.xx += sum(&|x, _| x * x);
            self.yy += sum(&|_, y| y * y);
            self.xy += sum(&|x, y| x * y);
        }
    }

    fn coefficient(&self) -> f64 {
        // Whole numbers up to here: nothing is lost where the variance is small beside the mean.
        let n = i128::from(self.pairs);
        let central = |sum: u64, a: u64, b: u64| (n * i128::from(sum) - i128::from(a) * i128::from(b)) as f64;
        let variances = central(self.xx, self.x, self.x) * central(self.yy, self.y, self.y);
        central(self.xy, self.x, self.y) / variances.sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_neighbours() {
        let picture = [1, 2, 3, 4, 5, 6];
        let pairs = |direction: Direction| direction.pairs(&picture, 3).collect::<Vec<_>>();
        assert_eq!(pairs(Direction::Horizontal), [(1, 2), (2, 3), (4, 5), (5, 6)]);
        assert_eq!(pairs(Direction::Vertical), [(1, 4), (2, 5), (3, 6)]);
        assert_eq!(pairs(Direction::Diagonal), [(1, 5), (2, 6)]);
        assert_eq!(Direction::Horizontal.pairs(&[1, 2], 1).count(), 0);
    }

    /// By hand: rises by one from pixel to pixel, so horizontally 1; (1,4),(2,6),(3,5): r = 0.5.
    #[test]
    fn coefficients_by_hand() {
        let of = |direction, bytes: &[u8], width| correlation("gray", direction, bytes, width, 0.05);
        assert!((of(Direction::Horizontal, &[10, 11, 12, 13, 14, 15], 6).value - 1.0).abs() < 1e-12);
        let vertical = of(Direction::Vertical, &[1, 2, 3, 4, 6, 5], 3);
        assert!((vertical.value - 0.5).abs() < 1e-12 && vertical.samples == 3, "{vertical:?}");
        assert!(of(Direction::Vertical, &[7; 256], 16).value.is_nan());
        assert_eq!(of(Direction::Vertical, &[7; 256], 16).pass(), Some(false));
        assert_eq!(of(Direction::Vertical, &[7; 64], 8).pass(), None);
    }

    /// 1.96 / sqrt(N): 0.0358 for 3,000 pairs, 0.0196 for 10,000.
    #[test]
    fn critical_values() {
        for (pairs, expected) in [(3000, 0.0358), (10_000, 0.0196)] {
            let picture: Vec<u8> = (0..=pairs).map(|i| (i * i % 251) as u8).collect();
            let critical = correlation("gray", Direction::Horizontal, &picture, pairs + 1, 0.05).critical;
            assert!((critical[1].expect("a bound") - expected).abs() < 5e-5, "{critical:?}");
        }
    }
}
