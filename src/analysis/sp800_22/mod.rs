//! The statistical tests of NIST SP 800-22 Rev. 1a (Rukhin and others, "A Statistical Test Suite for Random and
//! Pseudorandom Number Generators for Cryptographic Applications", 2010): all fifteen, one file each.
//!
//! In: [`Bits`]. Out: P-values, each the probability that an ideal sequence does as badly or worse; over many sequences, what
//! [`judge`] makes of them. Where the publication is known to be wrong, the file of the test says what is done instead. Read
//! next: [`TESTS`], [`judge`], any test; `examples` makes the sequences that the publication's figures come from.
//!
//! Passing is necessary, never proof: a broken cipher passes as well as a sound one.

pub mod approximate_entropy;
pub mod bits;
pub mod block_frequency;
pub mod cumulative_sums;
#[cfg(test)]
mod examples;
pub mod frequency;
pub mod judge;
pub mod linear_complexity;
pub mod longest_run;
pub mod non_overlapping_template;
pub mod overlapping_template;
pub mod random_excursions;
pub mod random_excursions_variant;
pub mod rank;
pub mod runs;
pub mod serial;
mod special;
pub mod spectral;
pub mod universal;

use std::sync::LazyLock;

pub use bits::Bits;

/// A test, with the parameters of appendix B.
pub struct Test {
    /// Its name.
    pub name: &'static str,
    /// Its parameters, in the publication's letters.
    pub parameters: &'static str,
    /// Fewer bits than this are not judged: what the publication recommends.
    pub minimum_bits: usize,
    run: fn(&Bits) -> Vec<PValue>,
}

/// What a test says of a sequence.
#[derive(Clone, Debug, PartialEq)]
pub struct PValue {
    /// Which of the test's P-values it is; empty where there is one.
    pub label: String,
    /// The P-value; `None` where this sequence does not allow one.
    pub value: Option<f64>,
}

impl Test {
    /// The P-values of a sequence: always the same labels in the same order; none if it is shorter than
    /// [`Test::minimum_bits`].
    pub fn run(&self, bits: &Bits) -> Vec<PValue> {
        if bits.len() < self.minimum_bits { Vec::new() } else { (self.run)(bits) }
    }
}

/// Length of the templates of both template tests.
const TEMPLATE_BITS: u32 = 9;

static TEMPLATES: LazyLock<Vec<u32>> = LazyLock::new(|| non_overlapping_template::aperiodic_templates(TEMPLATE_BITS));

/// All tests, in the publication's order.
///
/// The lengths are those of its "input size recommendation"; that of the non-overlapping templates, for which it has none,
/// lets a template occur 24 times in a block. For serial and approximate entropy they are the least that `m` allows.
pub const TESTS: [Test; 15] = [
    Test { name: "frequency", parameters: "", minimum_bits: 100, run: |bits| one(frequency::frequency(bits)) },
    Test {
        name: "block frequency",
        parameters: "M=128",
        minimum_bits: 128,
        run: |bits| one(block_frequency::block_frequency(bits, 128)),
    },
    Test { name: "runs", parameters: "", minimum_bits: 100, run: |bits| one(runs::runs(bits)) },
    Test { name: "longest run", parameters: "", minimum_bits: 128, run: |bits| one(longest_run::longest_run(bits)) },
    Test { name: "rank", parameters: "M=Q=32", minimum_bits: 38_912, run: |bits| one(rank::rank(bits)) },
    Test { name: "spectral", parameters: "", minimum_bits: 1000, run: |bits| one(spectral::spectral(bits)) },
    Test {
        name: "non-overlapping template",
        parameters: "m=9, N=8",
        minimum_bits: 100_000,
        run: |bits| {
            let p_values = non_overlapping_template::non_overlapping_template(bits, TEMPLATE_BITS, &TEMPLATES, 8);
            labelled(TEMPLATES.iter().map(|template| format!("{template:09b}")), p_values.into_iter().map(Some))
        },
    },
    Test {
        name: "overlapping template",
        parameters: "m=9, M=1032",
        minimum_bits: 1_000_000,
        run: |bits| one(overlapping_template::overlapping_template(bits, TEMPLATE_BITS as usize, 1032)),
    },
    Test {
        name: "universal",
        parameters: "",
        minimum_bits: universal::MINIMUM_BITS,
        run: |bits| one(universal::universal(bits)),
    },
    Test {
        name: "linear complexity",
        parameters: "M=500",
        minimum_bits: 1_000_000,
        run: |bits| one(linear_complexity::linear_complexity(bits, 500)),
    },
    Test {
        name: "serial",
        parameters: "m=16",
        minimum_bits: 1 << 19,
        run: |bits| labelled(["first difference", "second difference"], serial::serial(bits, 16).map(Some)),
    },
    Test {
        name: "approximate entropy",
        parameters: "m=10",
        minimum_bits: 1 << 16,
        run: |bits| one(approximate_entropy::approximate_entropy(bits, 10)),
    },
    Test {
        name: "cumulative sums",
        parameters: "",
        minimum_bits: 100,
        run: |bits| labelled(["forward", "backward"], cumulative_sums::cumulative_sums(bits).map(Some)),
    },
    Test {
        name: "random excursions",
        parameters: "",
        minimum_bits: 1_000_000,
        run: |bits| {
            let states = random_excursions::STATES.map(|state| format!("{state:+}"));
            labelled(states, random_excursions::random_excursions(bits))
        },
    },
    Test {
        name: "random excursions variant",
        parameters: "",
        minimum_bits: 1_000_000,
        run: |bits| {
            let states = random_excursions_variant::STATES.map(|state| format!("{state:+}"));
            labelled(states, random_excursions_variant::random_excursions_variant(bits))
        },
    },
];

fn one(value: f64) -> Vec<PValue> {
    vec![PValue { label: String::new(), value: Some(value) }]
}

fn labelled<L: Into<String>>(
    labels: impl IntoIterator<Item = L>,
    values: impl IntoIterator<Item = Option<f64>>,
) -> Vec<PValue> {
    labels.into_iter().zip(values).map(|(label, value)| PValue { label: label.into(), value }).collect()
}

#[cfg(test)]
mod tests {
    use super::{examples::million_of_each, *};

    #[test]
    fn all_p_values_have_a_name() {
        let found: Vec<usize> = TESTS.iter().map(|test| test.run(million_of_each()[0]).len()).collect();
        assert_eq!(found, [1, 1, 1, 1, 1, 1, 148, 1, 1, 1, 2, 1, 2, 8, 18]);
    }

    /// Whatever the bits are, nothing panics and every P-value is a probability.
    #[test]
    fn sequences_that_are_anything_but_random() {
        let patterns: [&[u8]; 4] = [&[0], &[0xFF], &[0xAA], &[0x0F, 0xF0, 0x33]];
        for pattern in patterns {
            for len in [100, 128, 1001, 38_912, 100_001, 1_000_000] {
                let bytes: Vec<u8> = pattern.iter().copied().cycle().take(len / 8 + 1).collect();
                let bits = Bits::from_bytes(&bytes).first(len);
                for test in &TESTS {
                    for PValue { label, value } in test.run(&bits) {
                        assert!(value.is_none_or(|p| (0.0..=1.0).contains(&p)), "{} {label}: {value:?}", test.name);
                    }
                }
            }
        }
    }

    #[test]
    fn short_sequences_are_not_judged() {
        let bits = Bits::from_bytes(&[0x5A; 12]);
        assert!(TESTS.iter().all(|test| test.run(&bits).is_empty()));
        assert!(TESTS.iter().all(|test| test.run(&Bits::from_bytes(&[])).is_empty()));
    }
}
