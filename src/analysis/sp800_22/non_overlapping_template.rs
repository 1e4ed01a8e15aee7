//! Does a pattern that does not overlap itself occur as often as it should? SP 800-22 Rev. 1a, section 2.7.

use super::{bits::Bits, special::igamc};

/// The patterns of `m` bits none of whose beginnings is also its end: aperiodic templates, in ascending order.
pub fn aperiodic_templates(m: u32) -> Vec<u32> {
    let begins_as_it_ends = |template: u32, len: u32| template >> (m - len) == template & ((1 << len) - 1);
    (0..1 << m).filter(|template| !(1..m).any(|len| begins_as_it_ends(*template, len))).collect()
}

/// P-values of the numbers of occurrences in `blocks` blocks, one for each of the `templates` of `m` bits.
///
/// Occurrences of an aperiodic template never overlap, so that those found at every place are the ones that section 2.7.4
/// counts by jumping over each.
pub fn non_overlapping_template(bits: &Bits, m: u32, templates: &[u32], blocks: usize) -> Vec<f64> {
    let block = bits.len() / blocks;
    let places = block - m as usize + 1;
    let counts: Vec<Vec<u32>> =
        (0..blocks).map(|number| bits.patterns(m, number * block..number * block + places)).collect();
    let mean = places as f64 / 2f64.powi(m as i32);
    let variance = block as f64 * (0.5f64.powi(m as i32) - (2.0 * f64::from(m) - 1.0) / 4f64.powi(m as i32));
    let p_value = |template: &u32| {
        let square = |counts: &Vec<u32>| (f64::from(counts[*template as usize]) - mean).powi(2) / variance;
        igamc(blocks as f64 / 2.0, counts.iter().map(square).sum::<f64>() / 2.0)
    };
    templates.iter().map(p_value).collect()
}

#[cfg(test)]
mod tests {
    use super::{super::examples::*, *};

    #[test]
    fn published_examples() {
        // Section 2.7.4; appendix B.
        let example = Bits::of_digits("10100100101110010110");
        close(non_overlapping_template(&example, 3, &[0b001], 2)[0], 0.344154);
        for (bits, expected) in million_of_each().into_iter().zip([0.165757, 0.078790, 0.569461, 0.532235]) {
            close(non_overlapping_template(bits, 9, &[0b0_0000_0001], 8)[0], expected);
        }
    }

    #[test]
    fn published_templates() {
        // The table of section 2.7.
        assert_eq!(aperiodic_templates(2), [0b01, 0b10]);
        assert_eq!(aperiodic_templates(3), [0b001, 0b011, 0b100, 0b110]);
        assert_eq!(aperiodic_templates(4), [0b0001, 0b0011, 0b0111, 0b1000, 0b1100, 0b1110]);
        // The numbers of templates in NIST's program.
        for (m, count) in [(5, 12), (6, 20), (7, 40), (8, 74), (9, 148), (10, 284)] {
            assert_eq!(aperiodic_templates(m).len(), count);
        }
    }
}
