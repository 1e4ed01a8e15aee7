//! Every metric over one picture and one cipher.
//!
//! In: a plain picture and a [`Cipher`], or a plain and a cipher picture of anybody's. Out: [`Row`]s in a fixed order, and
//! the pictures to look at.

use super::{
    cipher::{Cipher, Ciphertext, Key},
    compression::compression_ratio,
    correlation::{Direction, correlation},
    entropy::entropy,
    finding::Finding,
    histogram::{chi_square, counts},
    local_entropy::local_entropy,
    mse::{mse, psnr},
    nc::nc,
    npcr,
    picture::Picture,
    random::Random,
    robustness::{Damage, TRIED},
    ssim::ssim,
    uaci,
};
use crate::Result;

/// How it is judged.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Chance of rejecting what is ideal, of each test by itself.
    pub alpha: f64,
    /// Pixels changed for NPCR and UACI, one after another, each in two encryptions of its own.
    pub trials: u32,
    /// Of keys, positions and noise, together with the picture.
    pub seed: [u8; 32],
    /// Whether every single bit of the key is flipped, too.
    pub key_sweep: bool,
}

impl Settings {
    /// With a seed of the picture's own: under one key, counters and positions, the keystreams of all pictures would be
    /// the same, and what is said of many pictures would be said of one keystream.
    fn for_picture(&self, picture: &Picture) -> Settings {
        let hash = blake3::Hasher::new_keyed(&self.seed).update(&picture.bytes).finalize();
        Settings { seed: *hash.as_bytes(), ..self.clone() }
    }
}

/// Which counters two encryptions have that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The same key and counter, as the papers mean it. Ours never seals two frames so.
    SameCounter,
    /// The same key and the next counter, as frames follow each other. Any sound cipher passes.
    FreshCounter,
}

impl Mode {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Mode::SameCounter => "same-counter",
            Mode::FreshCounter => "fresh-counter",
        }
    }
}

/// One statistic.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Counters of what was compared. A single ciphertext is encrypted like any frame, [`Mode::FreshCounter`]; a cipher
    /// without counters encrypts a picture twice as if under the same, [`Mode::SameCounter`].
    pub mode: Mode,
    /// The statistic.
    pub finding: Finding,
}

impl Row {
    /// Whether two rows are of the same statistic, and belong on one line of a table.
    pub fn is_beside(&self, other: &Row) -> bool {
        let key = |row: &Row| (row.mode, row.finding.name, row.finding.channel);
        key(self) == key(other)
    }

    /// Whether its verdict is that of a test that rejects ideal ciphertext with chance alpha.
    pub fn is_test(&self) -> bool {
        self.finding.pass().is_some() && !NO_TESTS.contains(&self.finding.name)
    }
}

/// Verdicts of another kind: an interval that is known to be too narrow, and whether a picture comes back.
const NO_TESTS: [&str; 2] = ["local_entropy_quoted", "decrypted_mse"];

/// What a cipher has made of a picture.
pub struct Judgement {
    /// All statistics.
    pub rows: Vec<Row>,
    /// The ciphertext as a picture.
    pub cipher: Picture,
    /// What it decrypts to, where that can be shown.
    pub decrypted: Option<Picture>,
    /// What damaged ciphertext decrypts to without being verified.
    pub damaged: Vec<(Damage, Picture)>,
}

impl Judgement {
    /// Keeps the statistics alone.
    pub fn forget_pictures(&mut self) {
        self.cipher.bytes = Vec::new();
        self.decrypted = None;
        self.damaged.clear();
    }
}

/// Judges a cipher by what it makes of a picture.
///
/// # Errors
/// Those of the cipher.
pub fn judge(plain: &Picture, cipher: &mut dyn Cipher, settings: &Settings) -> Result<Judgement> {
    let settings = &settings.for_picture(plain);
    let key: Key = Random::new(&settings.seed, "key").array();
    let sealed = cipher.encrypt(&plain.bytes, &key, 0)?;
    let shown = plain.with_bytes(sealed.bytes.clone());
    let mut rows = as_used(of_pair(plain, &shown, settings));
    let mut seconds = vec![sealed.seconds];
    rows.extend(differential(plain, cipher, settings, &mut seconds)?);
    if cipher.has_counter() {
        // Once more, one frame after another under one key, as they are encrypted.
        seconds.clear();
        for counter in 0..TIMED {
            seconds.push(cipher.encrypt(&plain.bytes, &key, counter)?.seconds);
        }
    }
    rows.extend(as_used(speed(plain, &mut seconds)));
    if let Some(bits) = cipher.key_space_bits() {
        rows.extend(as_used(vec![Finding::plain("key_space_bits", "all", bits.into(), 1)]));
    }
    if settings.key_sweep && cipher.takes_key() {
        let findings = key_sensitivity(plain, cipher, &key, &sealed, settings)?;
        rows.extend(findings.into_iter().map(|finding| Row { mode: Mode::SameCounter, finding }));
    }
    let decrypted = cipher.decrypt_unverified(&sealed, &key, 0)?.map(|bytes| plain.with_bytes(bytes));
    let mut damaged = Vec::new();
    if let Some(decrypted) = &decrypted {
        rows.extend(as_used(decryption(plain, decrypted)));
        let mut random = Random::new(&settings.seed, "damage");
        for (psnr_name, ssim_name, damage) in TRIED {
            let bytes = damage.apply(&shown, &mut random).bytes;
            let broken = Ciphertext { bytes, ..sealed.clone() };
            let Some(bytes) = cipher.decrypt_unverified(&broken, &key, 0)? else { continue };
            let opened = plain.with_bytes(bytes);
            rows.extend(as_used(after_damage(psnr_name, ssim_name, plain, &opened)));
            damaged.push((damage, opened));
        }
    }
    Ok(Judgement { rows, cipher: shown, decrypted, damaged })
}

/// Frames that are timed.
const TIMED: u64 = 10;

/// Judges a cipher picture beside the plain one, of equal shape.
pub fn judge_pair(plain: &Picture, cipher: &Picture, settings: &Settings) -> Vec<Row> {
    as_used(of_pair(plain, cipher, &settings.for_picture(plain)))
}

fn as_used(findings: Vec<Finding>) -> Vec<Row> {
    findings.into_iter().map(|finding| Row { mode: Mode::FreshCounter, finding }).collect()
}

/// What one ciphertext shows, by itself and beside the plaintext.
fn of_pair(plain: &Picture, cipher: &Picture, settings: &Settings) -> Vec<Finding> {
    let (alpha, width) = (settings.alpha, cipher.width);
    let mut random = Random::new(&settings.seed, "local entropy");
    let mut findings = Vec::new();
    for (plain, cipher) in plain.planes().iter().zip(cipher.planes()) {
        let (name, bytes) = (cipher.name, &cipher.bytes);
        let counts = counts(bytes);
        findings.extend([chi_square(name, &counts, alpha), entropy(name, &counts, alpha)]);
        findings.extend(local_entropy(name, bytes, width, alpha, &mut random).into_iter().flatten());
        findings.extend(Direction::ALL.map(|direction| correlation(name, direction, bytes, width, alpha)));
        let error = mse(name, &plain.bytes, bytes);
        findings.extend([psnr(&error), error, nc(name, &plain.bytes, bytes)]);
        findings.extend(ssim(name, &plain.bytes, bytes, width));
    }
    findings.push(compression_ratio("all", &cipher.bytes));
    findings
}

/// NPCR and UACI over pictures that differ in one pixel, in both modes. Every trial has a key of its own and a picture of
/// its own, the given one with a pixel changed, so that trials are independent whatever a cipher makes of them.
fn differential(
    plain: &Picture,
    cipher: &mut dyn Cipher,
    settings: &Settings,
    seconds: &mut Vec<f64>,
) -> Result<Vec<Row>> {
    let modes: &[Mode] = match cipher.has_counter() {
        true => &[Mode::SameCounter, Mode::FreshCounter],
        false => &[Mode::SameCounter],
    };
    let mut random = Random::new(&settings.seed, "pixels");
    let mut sums = vec![vec![Sums::default(); plain.channels]; modes.len()];
    let mut bytes = plain.bytes.clone();
    for _ in 0..settings.trials {
        let key: Key = random.array();
        bytes.copy_from_slice(&plain.bytes);
        change_pixel(&mut bytes, plain, &mut random);
        let first = cipher.encrypt(&bytes, &key, 0)?;
        change_pixel(&mut bytes, plain, &mut random);
        for (&mode, sums) in modes.iter().zip(&mut sums) {
            let second = cipher.encrypt(&bytes, &key, u64::from(mode == Mode::FreshCounter))?;
            seconds.push(second.seconds);
            for (channel, sums) in sums.iter_mut().enumerate() {
                sums.add(&first.bytes[channel..], &second.bytes[channel..], plain.channels);
            }
        }
    }
    let findings = modes.iter().zip(sums).flat_map(|(&mode, sums)| {
        plain
            .channel_names()
            .iter()
            .zip(sums)
            .flat_map(move |(name, sums)| sums.findings(name, settings.alpha).map(|finding| Row { mode, finding }))
    });
    Ok(findings.collect())
}

/// Changes every sample of a random pixel by one, or two.
fn change_pixel(bytes: &mut [u8], picture: &Picture, random: &mut Random) {
    let pixel = random.below(picture.width * picture.height) * picture.channels;
    let step = 1 + random.below(2) as u8;
    bytes[pixel..pixel + picture.channels].iter_mut().for_each(|sample| *sample = sample.wrapping_add(step));
}

/// Differences between ciphertexts, added up over trials.
#[derive(Clone, Default)]
struct Sums {
    samples: u64,
    different: u64,
    distance: u64,
}

impl Sums {
    /// Every `step`-th sample.
    fn add(&mut self, one: &[u8], other: &[u8], step: usize) {
        for (a, b) in one.iter().step_by(step).zip(other.iter().step_by(step)) {
            self.samples += 1;
            self.different += u64::from(a != b);
            self.distance += u64::from(a.abs_diff(*b));
        }
    }

    fn findings(&self, channel: &'static str, alpha: f64) -> [Finding; 2] {
        [
            npcr::of_count(channel, self.different, self.samples, alpha),
            uaci::of_distance(channel, self.distance, self.samples, alpha),
        ]
    }
}

fn speed(plain: &Picture, seconds: &mut [f64]) -> Vec<Finding> {
    seconds.sort_by(f64::total_cmp);
    let median = seconds[seconds.len() / 2];
    let finding = |name, value| Finding::plain(name, "all", value, seconds.len() as u64);
    vec![
        finding("encryption_ms", 1e3 * median),
        finding("encryption_frames_per_s", 1.0 / median),
        finding("encryption_gb_per_s", plain.bytes.len() as f64 / median / 1e9),
    ]
}

/// NPCR over all single-bit flips of the key: of the ciphertext, and of what the ciphertext decrypts to.
fn key_sensitivity(
    plain: &Picture,
    cipher: &mut dyn Cipher,
    key: &Key,
    sealed: &Ciphertext,
    settings: &Settings,
) -> Result<Vec<Finding>> {
    let (mut encrypted, mut decrypted) = (Sums::default(), Sums::default());
    for bit in 0..8 * key.len() {
        let mut flipped = *key;
        flipped[bit / 8] ^= 1 << (bit % 8);
        encrypted.add(&sealed.bytes, &cipher.encrypt(&plain.bytes, &flipped, 0)?.bytes, 1);
        if let Some(opened) = cipher.decrypt_unverified(sealed, &flipped, 0)? {
            decrypted.add(&plain.bytes, &opened, 1);
        }
    }
    let finding =
        |name, sums: Sums| Finding { name, ..npcr::of_count("all", sums.different, sums.samples, settings.alpha) };
    let mut findings = vec![finding("key_sensitivity_encryption", encrypted)];
    if decrypted.samples > 0 {
        findings.push(finding("key_sensitivity_decryption", decrypted));
    }
    Ok(findings)
}

/// Quality of what comes back.
fn decryption(plain: &Picture, decrypted: &Picture) -> Vec<Finding> {
    let error = mse("all", &plain.bytes, &decrypted.bytes);
    vec![
        Finding { name: "decrypted_psnr", ..psnr(&error) },
        Finding { name: "decrypted_mse", ideal: Some(0.0), critical: [None, Some(0.0)], ..error },
    ]
}

fn after_damage(psnr_name: &'static str, ssim_name: &'static str, plain: &Picture, opened: &Picture) -> Vec<Finding> {
    let error = mse("all", &plain.bytes, &opened.bytes);
    let mut findings = vec![Finding { name: psnr_name, ..psnr(&error) }];
    // Of the first channel: the others are damaged alike.
    let (channel, width) = (plain.channel_names()[0], plain.width);
    let similarity = ssim(channel, &plain.planes()[0].bytes, &opened.planes()[0].bytes, width);
    findings.extend(similarity.map(|finding| Finding { name: ssim_name, ..finding }));
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        analysis::cipher::{
            control::{AesCtr, Plain},
            profile::ProfileCipher,
            stage::StageCipher,
        },
        backend::{self, Choice},
        seal::Profile,
    };

    /// A gradient with an edge, far from random.
    fn gradient(channels: usize) -> Picture {
        let sample = |i: usize| (i / channels % 256 + 40 * (i % channels)) as u8 / 2;
        Picture { width: 256, height: 256, channels, bytes: (0..256 * 256 * channels).map(sample).collect() }
    }

    fn settings() -> Settings {
        Settings { alpha: 0.001, trials: 2, seed: [9; 32], key_sweep: false }
    }

    fn rows_of<'a>(rows: &'a [Row], name: &'a str, mode: Mode) -> impl Iterator<Item = &'a Finding> {
        rows.iter().filter(move |row| row.finding.name == name && row.mode == mode).map(|row| &row.finding)
    }

    /// Names of the randomness tests.
    const TESTS: [&str; 7] = [
        "chi_square",
        "entropy",
        "local_entropy",
        "correlation_horizontal",
        "correlation_vertical",
        "correlation_diagonal",
        "uaci",
    ];

    #[test]
    fn standard_ciphers_pass_and_plain_fails() {
        let backend = || backend::choose(Choice::Auto).expect("a backend");
        let mut sound: Vec<Box<dyn Cipher>> = vec![Box::new(AesCtr)];
        sound.extend(Profile::ALL.map(|profile| Box::new(ProfileCipher::new(profile, backend())) as Box<dyn Cipher>));
        for cipher in &mut sound {
            let judged = judge(&gradient(3), &mut **cipher, &settings()).expect("judges");
            for name in TESTS {
                let findings: Vec<_> = rows_of(&judged.rows, name, Mode::FreshCounter).collect();
                assert_eq!(findings.len(), 3, "{} {name}", cipher.name());
                assert!(findings.iter().all(|finding| finding.pass() == Some(true)), "{} {findings:?}", cipher.name());
            }
            assert_eq!(judged.decrypted.expect("comes back"), gradient(3));
            assert_eq!(judged.damaged.len(), TRIED.len());
        }
        let judged = judge(&gradient(1), &mut Plain, &settings()).expect("judges");
        for name in &TESTS[..6] {
            let findings: Vec<_> = rows_of(&judged.rows, name, Mode::FreshCounter).collect();
            assert!(findings.iter().all(|finding| finding.pass() == Some(false)), "{findings:?}");
        }
    }

    /// Under one key and counter, a keystream that knows nothing of the picture changes one byte of it and no more; a
    /// frame key that comes from the digest changes all.
    #[test]
    fn what_the_papers_test_tells_them_apart() {
        let backend = || backend::choose(Choice::Auto).expect("a backend");
        let npcr = |cipher: &mut dyn Cipher| {
            let judged = judge(&gradient(1), cipher, &settings()).expect("judges");
            let finding = rows_of(&judged.rows, "npcr", Mode::SameCounter).next().cloned();
            finding.expect("a row")
        };
        for weak in [&mut AesCtr as &mut dyn Cipher, &mut StageCipher::new(backend())] {
            let finding = npcr(weak);
            assert_eq!(finding.pass(), Some(false));
            assert!((finding.value - 100.0 / 65_536.0).abs() < 1e-9, "{finding:?}");
        }
        for strong in [Profile::Hardened, Profile::Chaos] {
            assert_eq!(npcr(&mut ProfileCipher::new(strong, backend())).pass(), Some(true));
        }
    }

    /// A cipher without counter whose keystream depends on key and picture: each of 300 runs of five trials is rejected
    /// with chance alpha, whatever trials have in common.
    #[test]
    fn trials_are_independent() {
        struct Ideal;
        impl Cipher for Ideal {
            fn name(&self) -> &'static str {
                "ideal"
            }
            fn has_counter(&self) -> bool {
                false
            }
            fn encrypt(&mut self, plain: &[u8], key: &Key, _: u64) -> Result<Ciphertext> {
                let mut bytes = vec![0; plain.len()];
                blake3::Hasher::new_keyed(key).update(plain).finalize_xof().fill(&mut bytes);
                Ok(Ciphertext { bytes, authenticator: Vec::new(), seconds: 0.0 })
            }
            fn decrypt_unverified(&mut self, _: &Ciphertext, _: &Key, _: u64) -> Result<Option<Vec<u8>>> {
                Ok(None)
            }
        }
        let (runs, alpha) = (300, 0.05);
        let mut rejected = 0;
        for run in 0..runs {
            let settings = Settings { alpha, trials: 5, seed: [run as u8; 32], key_sweep: false };
            let picture = Picture { width: 64, height: 64, channels: 1, bytes: vec![(run / 256) as u8; 4096] };
            let rows = differential(&picture, &mut Ideal, &settings, &mut Vec::new()).expect("judges");
            let uaci = rows_of(&rows, "uaci", Mode::SameCounter).next().expect("a row");
            rejected += u32::from(uaci.pass() == Some(false));
        }
        // 15, four standard deviations on either side.
        assert!((1..=30).contains(&rejected), "{rejected} of {runs}");
    }

    /// Two pictures of one size have keystreams of their own: their verdicts are independent.
    #[test]
    fn every_picture_has_its_own_key() {
        let black = Picture { width: 64, height: 64, channels: 1, bytes: vec![0; 4096] };
        let white = black.with_bytes(vec![255; 4096]);
        let of = |picture: &Picture| judge(picture, &mut AesCtr, &settings()).expect("judges").cipher.bytes;
        let inverted: Vec<u8> = of(&white).iter().map(|byte| !byte).collect();
        assert!(of(&black) != inverted);
    }

    #[test]
    fn every_bit_of_the_key_counts() {
        let backend = backend::choose(Choice::Auto).expect("a backend");
        let settings = Settings { key_sweep: true, ..settings() };
        let judged = judge(&gradient(1), &mut StageCipher::new(backend), &settings).expect("judges");
        for name in ["key_sensitivity_encryption", "key_sensitivity_decryption"] {
            let finding = rows_of(&judged.rows, name, Mode::SameCounter).next().expect("a row");
            assert_eq!((finding.pass(), finding.samples), (Some(true), 256 * 65_536), "{finding:?}");
        }
    }
}
