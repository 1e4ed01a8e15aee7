//! `randomness`: statistical tests of the keystream, or of any bytes.
//!
//! In: bytes of a file, of stdin, or the chaotic stage's keystream. Out: a table or JSON. The tests are those of
//! [`sp800_22`](crate::analysis::sp800_22), over many sequences at once, and the k-th differences of
//! [`difference`](crate::analysis::difference).

use std::{
    fmt::Write,
    fs::File,
    io::{self, BufReader, Cursor, Read},
    path::PathBuf,
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};
use rayon::prelude::*;
use serde::Serialize;

use super::{
    analyze::{Seed, parse_seed},
    error::{Exit, Failure},
    output,
    sealing::BackendArgument,
};
use crate::analysis::{
    Worst,
    difference::Differences,
    finding::Finding,
    keystream::{self, Keystream, Layout, Stream},
    sp800_22::{
        Bits,
        judge::{self, Judgement, UNIFORM_SEQUENCES, Verdicts},
    },
};

/// Test the chaotic stage's keystream, or any bytes, for randomness: NIST SP 800-22
///
/// All fifteen tests of SP 800-22 Rev. 1a, on sequences of so many bits. Passing them is necessary and proves nothing: a
/// broken cipher passes as well as a sound one, and some of many ideal P-values lie outside their bounds. Ciphertext of the
/// AEAD passes trivially; without INPUT it is the bare keystream of the chaotic stage that is tested.
#[derive(clap::Args)]
pub struct Randomness {
    /// File to test, or - for stdin; the keystream where none is named
    input: Option<PathBuf>,
    /// Sequences to test; all that INPUT holds, or 100 of the keystream
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    sequences: Option<u32>,
    /// Bits of a sequence, a multiple of 8; some tests need a million
    #[arg(long, value_name = "N", value_parser = parse_bits, default_value_t = 1_000_000)]
    bits: usize,
    /// All of the keystream, or the bits that one map gives
    #[arg(long, value_enum, default_value_t = Stream::Combined, conflicts_with = "input")]
    stream: Stream,
    /// As frames are masked with it, or lane by lane
    #[arg(long, value_enum, default_value_t = Layout::Interleaved, conflicts_with = "input")]
    layout: Layout,
    /// Up to 64 hexadecimal digits, of which all keys are made; a key of no video
    #[arg(long, value_name = "HEX", value_parser = parse_seed, default_value = "00", conflicts_with = "input")]
    seed: Seed,
    #[command(flatten)]
    backend: BackendArgument,
    /// Look at k-th differences of each map's successive states instead, which suites for bytes do not see
    #[arg(long, conflicts_with_all = ["input", "layout"])]
    kth_difference: bool,
    /// Probability of rejecting an ideal sequence
    #[arg(long, value_name = "A", value_parser = parse_alpha, default_value_t = 0.01)]
    alpha: f64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// The longest sequence: its spectrum takes 2 GiB.
const MOST_BITS: usize = 1 << 26;
/// Sequences that are read before they are tested together; fewer of long ones.
const BATCH: usize = 64;
/// Sequences of the keystream, if nothing else is said: the publication's least for alpha = 0.01.
const SEQUENCES: u32 = 100;
/// A score beyond this, to either side, speaks against independent states.
const CRITICAL_SCORE: f64 = 6.0;

impl Randomness {
    /// Tests, and prints what has been found.
    ///
    /// # Errors
    /// If INPUT cannot be read, or holds fewer sequences than are asked for.
    pub fn run(self) -> Result<(), Failure> {
        let report = if self.kth_difference { self.differences()? } else { self.sp800_22()? };
        output::print(&report)
    }

    fn sp800_22(&self) -> Result<String, Failure> {
        let bar = progress(self.wanted().map(u64::from));
        let verdicts = self.verdicts(&mut *self.open()?, &bar);
        bar.finish_and_clear();
        let verdicts = verdicts?;
        let sequences = verdicts.len();
        let judgements = judge::judge(verdicts);
        if !self.json {
            return Ok(self.table(&judgements, sequences));
        }
        let named = |judgement: &Judgement| {
            let name = format!("sp800-22 {}", judgement.name());
            judgement.findings(self.alpha).into_iter().map(move |finding| (name.clone(), finding))
        };
        Ok(self.json(judgements.iter().flat_map(named), Some(self.expected_failures(&judgements))))
    }

    fn expected_failures(&self, judgements: &[Judgement]) -> f64 {
        judgements.iter().map(|judgement| judgement.expected_failures(self.alpha)).sum()
    }

    /// The P-values of all sequences.
    fn verdicts(&self, source: &mut dyn Read, bar: &ProgressBar) -> Result<Vec<Verdicts>, Failure> {
        let wanted = self.wanted().map_or(usize::MAX, |wanted| wanted as usize);
        let most = (MOST_BITS / self.bits).clamp(1, BATCH);
        let mut verdicts = Vec::new();
        while verdicts.len() < wanted {
            let batch = self.read_batch(source, most.min(wanted - verdicts.len()))?;
            let read = batch.len();
            verdicts.par_extend(batch.into_par_iter().map(|bits| {
                let verdicts = judge::run_all(&bits);
                bar.inc(1);
                verdicts
            }));
            if read == 0 {
                break;
            }
        }
        let least = self.sequences.unwrap_or(1);
        if verdicts.len() < least as usize {
            let found = format!("{} holds {} sequences of {} bits", self.name(), verdicts.len(), self.bits);
            return Err(Failure::new(Exit::Content, format!("{found}, and {least} are needed"))
                .advise("name a longer INPUT, or lower --sequences or --bits"));
        }
        Ok(verdicts)
    }

    fn read_batch(&self, source: &mut dyn Read, sequences: usize) -> Result<Vec<Bits>, Failure> {
        let mut batch = Vec::new();
        let mut bytes = vec![0; self.bits / 8];
        while batch.len() < sequences && self.read_whole(source, &mut bytes)? {
            batch.push(Bits::from_bytes(&bytes));
        }
        Ok(batch)
    }

    /// Fills `bytes`; false where there are not so many left.
    fn read_whole(&self, source: &mut dyn Read, bytes: &mut [u8]) -> Result<bool, Failure> {
        match source.read_exact(bytes) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            read => read.map(|()| true).map_err(|error| Failure::io(self.name(), error)),
        }
    }

    fn differences(&self) -> Result<String, Failure> {
        let bytes = u64::from(self.sequences.unwrap_or(SEQUENCES)) * self.bits as u64 / 8;
        let mut keystream = self.keystream(Layout::Lane)?;
        let mut differences = Differences::default();
        let bar = progress(Some(bytes));
        while bar.position() < bytes {
            let frame = keystream.next_frame();
            keystream::states(&frame, self.stream).iter().for_each(|states| differences.add(states));
            bar.inc(frame.len() as u64);
        }
        bar.finish_and_clear();
        let named = |score: Worst| {
            let finding = Finding::plain("score", "all", score.z, score.samples);
            let finding = finding.against(0.0, [Some(-CRITICAL_SCORE), Some(CRITICAL_SCORE)]);
            (format!("k-th difference {}", score.place), finding)
        };
        let findings = differences.scores().map(named);
        Ok(if self.json { self.json(findings, None) } else { self.difference_table(findings) })
    }

    fn open(&self) -> Result<Box<dyn Read>, Failure> {
        Ok(match &self.input {
            None => Box::new(KeystreamReader { keystream: self.keystream(self.layout)?, frame: Cursor::default() }),
            Some(path) if path.as_os_str() == "-" => Box::new(io::stdin().lock()),
            Some(path) => Box::new(BufReader::new(File::open(path).map_err(|error| Failure::io(self.name(), error))?)),
        })
    }

    fn keystream(&self, layout: Layout) -> Result<Keystream, Failure> {
        Ok(Keystream::new(*self.seed, self.stream, layout, self.backend.choose()?))
    }

    /// How many sequences, where that is known before INPUT ends.
    fn wanted(&self) -> Option<u32> {
        self.sequences.or_else(|| self.input.is_none().then_some(SEQUENCES))
    }

    fn name(&self) -> String {
        match &self.input {
            None if self.kth_difference => format!("keystream {:?}", self.stream).to_lowercase(),
            None => format!("keystream {:?} {:?}", self.stream, self.layout).to_lowercase(),
            Some(path) if path.as_os_str() == "-" => "stdin".to_owned(),
            Some(path) => path.display().to_string(),
        }
    }
}

/// The keystream, read like a file.
struct KeystreamReader {
    keystream: Keystream,
    frame: Cursor<Vec<u8>>,
}

impl Read for KeystreamReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.frame.position() == self.frame.get_ref().len() as u64 {
            self.frame = Cursor::new(self.keystream.next_frame());
        }
        self.frame.read(buffer)
    }
}

/// A bar where the length is known, a counter where it is not; on a terminal only.
fn progress(len: Option<u64>) -> ProgressBar {
    let bar = len.map_or_else(ProgressBar::no_length, ProgressBar::new);
    let style = ProgressStyle::with_template("{spinner} {elapsed} {pos} of {len}").expect("a valid template");
    bar.enable_steady_tick(Duration::from_millis(200));
    bar.with_style(style)
}

fn parse_bits(text: &str) -> Result<usize, String> {
    let bits = text.parse().ok().filter(|bits: &usize| *bits >= 104 && bits.is_multiple_of(8) && *bits <= MOST_BITS);
    bits.ok_or_else(|| format!("a sequence has from 104 to {MOST_BITS} bits, a multiple of 8"))
}

fn parse_alpha(text: &str) -> Result<f64, String> {
    let alpha = text.parse().ok().filter(|alpha| (0.0001..=0.1).contains(alpha));
    alpha.ok_or_else(|| "alpha lies between 0.0001 and 0.1".to_owned())
}

// -- what is printed --------------------------------------------------------------------------------------------------

/// The JSON of all analyses.
#[derive(Serialize)]
struct Report<'a> {
    alpha: f64,
    /// Verdicts that would be failures on average, were all sequences ideal.
    expected_failures: Option<f64>,
    metrics: Vec<Metric<'a>>,
}

/// A finding, and what it was found of.
#[derive(Serialize)]
struct Metric<'a> {
    input: &'a str,
    /// `chaos` for the keystream of the chaotic stage, else `external`.
    profile: &'static str,
    mode: Option<&'static str>,
    /// Test, label, and which statistic.
    name: String,
    channel: &'static str,
    value: f64,
    samples: u64,
    ideal: Option<f64>,
    critical: [Option<f64>; 2],
    pass: Option<bool>,
}

impl Randomness {
    fn json(&self, findings: impl Iterator<Item = (String, Finding)>, expected_failures: Option<f64>) -> String {
        let input = self.name();
        let metric = |(test, finding): (String, Finding)| Metric {
            input: &input,
            profile: if self.input.is_none() { "chaos" } else { "external" },
            mode: None,
            name: format!("{test}: {}", finding.name),
            pass: finding.pass(),
            channel: finding.channel,
            value: finding.value,
            samples: finding.samples,
            ideal: finding.ideal,
            critical: finding.critical,
        };
        let report = Report { alpha: self.alpha, expected_failures, metrics: findings.map(metric).collect() };
        serde_json::to_string_pretty(&report).expect("numbers and strings") + "\n"
    }

    /// One row for each test and label.
    fn table(&self, judgements: &[Judgement], sequences: usize) -> String {
        let mut text = format!("{}: {sequences} of {} bits; alpha {}\n\n", self.name(), self.bits, self.alpha);
        let one = sequences == 1;
        let value = if one { "P-value" } else { "proportion" };
        let heads = [value, "critical", "sequences", "P-value_T", "critical", ""];
        text += &row("test", &heads.map(str::to_owned));
        let mut verdicts = Vec::new();
        for judgement in judgements {
            let findings = judgement.findings(self.alpha);
            let passes: Vec<bool> = findings.iter().filter_map(Finding::pass).collect();
            text += &row(&judgement.name(), &cells(&findings, &passes));
            verdicts.extend(passes);
        }
        let failed = verdicts.iter().filter(|pass| !**pass).count();
        let by_chance = self.expected_failures(judgements);
        let _ = writeln!(
            text,
            "\n{failed} of {} verdicts are failures; were the sequences ideal, {by_chance:.1} would be on average.",
            verdicts.len()
        );
        if !one && sequences < UNIFORM_SEQUENCES {
            let _ = writeln!(text, "Uniformity is judged from {UNIFORM_SEQUENCES} sequences on.");
        }
        for test in judge::left_out(self.bits) {
            let _ = writeln!(text, "Left out: {}, which needs {} bits.", test.name, test.minimum_bits);
        }
        text
    }

    fn difference_table(&self, findings: impl Iterator<Item = (String, Finding)>) -> String {
        let mut text = format!("{}, lane by lane\n\n", self.name());
        text += &row("", &["score", "critical", "samples", "", "", ""].map(str::to_owned));
        for (name, finding) in findings {
            let score = format!("{:.2}", finding.value);
            let verdict = verdict(finding.pass().as_slice());
            let empty = String::new;
            text += &row(&name, &[score, bounds(&finding), finding.samples.to_string(), empty(), empty(), verdict]);
        }
        text
    }
}

/// What stands behind a test's name.
fn cells(findings: &[Finding], passes: &[bool]) -> [String; 6] {
    let mut cells = [const { String::new() }; 6];
    match findings {
        [] => cells[5] = "too few cycles in every sequence".to_owned(),
        [first, rest @ ..] => {
            (cells[0], cells[1], cells[2]) = (p_value(first.value), bounds(first), first.samples.to_string());
            if let [uniformity] = rest {
                (cells[3], cells[4]) = (p_value(uniformity.value), bounds(uniformity));
            }
            cells[5] = verdict(passes);
        }
    }
    cells
}

fn row(name: &str, [value, critical, samples, uniformity, uniform, verdict]: &[String; 6]) -> String {
    let row = format!("{name:37} {value:>10} {critical:>14} {samples:>9} {uniformity:>9} {uniform:>9}  {verdict}");
    row.trim_end().to_owned() + "\n"
}

fn p_value(value: f64) -> String {
    if value == 0.0 || value >= 1e-4 { format!("{value:.4}") } else { format!("{value:.1e}") }
}

/// At least, at most, or between.
fn bounds(finding: &Finding) -> String {
    match finding.critical {
        [None, None] => String::new(),
        [Some(lowest), None] => format!(">= {}", short(lowest)),
        [None, Some(highest)] => format!("<= {}", short(highest)),
        [Some(lowest), Some(highest)] => format!("{}..{}", short(lowest), short(highest)),
    }
}

fn short(bound: f64) -> String {
    format!("{bound:.4}").trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn verdict(passes: &[bool]) -> String {
    if passes.iter().all(|pass| *pass) { "pass" } else { "FAIL" }.to_owned()
}
