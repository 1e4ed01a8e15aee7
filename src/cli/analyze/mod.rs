//! `analyze`: what can be said of ciphers by what they make of pictures, ours or anybody's; and the keystream itself.
//!
//! In: pictures, or a plain and a cipher picture, or a command that encrypts. Out: a table, JSON, a report. Read next:
//! `inputs` (what is read), `command` (somebody else's cipher), `table` and `json` (what is told), `keystream` (for suites
//! of others). What is measured is in `analysis`.

mod command;
pub(super) mod inputs;
mod json;
pub(super) mod keystream;
mod table;

pub use self::keystream::{Seed, parse_seed};

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::builder::PossibleValuesParser;
use indicatif::{ProgressBar, ProgressStyle};

use self::{command::CommandCipher, inputs::Input, keystream::KeystreamArguments};
use super::{
    endpoint,
    error::{Exit, Failure},
    graph::Interrupt,
    output,
    sealing::{BackendArgument, warn_of_trouble},
};
use crate::{
    analysis::{
        cipher::{
            Cipher,
            control::{AesCtr, Plain},
            profile::ProfileCipher,
            stage::StageCipher,
        },
        picture::Picture,
        report,
        suite::{self, Judgement, Mode, Settings},
    },
    backend::Backend,
    seal::Profile,
};

/// Judge ciphers by what they make of pictures: ours, or anybody's
///
/// Without anything else, every profile of ours and the chaotic stage alone, beside the plain picture and AES-256-CTR as
/// controls. With --plain and --cipher, a pair of pictures that somebody else has made; with --encrypt-command, a program
/// that encrypts. All keys are throw-away ones, made of --seed. Values come with sample size, ideal and critical values;
/// good ones are necessary for a cipher and prove nothing.
#[derive(clap::Args)]
pub struct Analyze {
    /// Pictures, or folders of pictures
    #[arg(required_unless_present_any = ["plain", "keystream_stdout"])]
    inputs: Vec<PathBuf>,
    /// Judge a pair: the picture before encryption
    #[arg(long, value_name = "FILE", requires = "cipher", conflicts_with = "inputs")]
    plain: Option<PathBuf>,
    /// Judge a pair: the picture after encryption, by whomever
    #[arg(long, value_name = "FILE", requires = "plain")]
    cipher: Option<PathBuf>,
    /// Judge a program that encrypts: `prog {in} {out} {key}`, where {in} is a PNG to read, {out} one to make, of the same
    /// size, and {key} (if it stands there) 64 hexadecimal digits. It is split at spaces and quotes; no shell runs
    #[arg(long, value_name = "COMMAND", requires = "inputs")]
    encrypt_command: Option<String>,
    /// Judge these profiles alone, beside the controls
    #[arg(long, value_name = "P,...", value_delimiter = ',', conflicts_with_all = ["plain", "encrypt_command"],
          value_parser = PossibleValuesParser::new(Profile::ALL.map(Profile::name)))]
    profile: Vec<String>,
    /// Pixels to change for NPCR and UACI, one after another
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    trials: u32,
    /// Chance of rejecting what is ideal, of each test by itself
    #[arg(long, value_name = "A", default_value_t = 0.05, value_parser = parse_alpha)]
    alpha: f64,
    /// Flip every bit of the key, too
    #[arg(long)]
    key_sweep: bool,
    /// Make a report: one HTML file with pictures, charts and tables
    #[arg(long, value_name = "HTML")]
    report: Option<PathBuf>,
    /// Make JSON
    #[arg(long, value_name = "JSON")]
    json: Option<PathBuf>,
    /// Overwrite report and JSON
    #[arg(long)]
    force: bool,
    /// 64 hexadecimal digits, or fewer, of which all keys, positions and noise are made; a key of no video
    #[arg(long, value_name = "HEX", value_parser = parse_seed, default_value = "00")]
    seed: Seed,
    #[command(flatten)]
    backend: BackendArgument,
    #[command(flatten)]
    keystream: KeystreamArguments,
}

/// What was judged of one picture.
struct Judged {
    input: Input,
    ciphers: Vec<JudgedCipher>,
}

/// One cipher's part of it.
struct JudgedCipher {
    name: &'static str,
    /// Of frames as they are encrypted, and under the same counter.
    notes: [Option<&'static str>; 2],
    is_control: bool,
    judgement: Judgement,
}

impl JudgedCipher {
    fn new(cipher: &dyn Cipher, is_control: bool, judgement: Judgement) -> JudgedCipher {
        let notes = [Mode::FreshCounter, Mode::SameCounter].map(|mode| cipher.note(mode));
        JudgedCipher { name: cipher.name(), notes, is_control, judgement }
    }

    /// What values of a mode come from.
    fn note(&self, mode: Mode) -> Option<&'static str> {
        self.notes[usize::from(mode == Mode::SameCounter)]
    }
}

impl Analyze {
    /// Judges, and tells.
    ///
    /// # Errors
    /// What goes wrong with files and commands, or with writing.
    pub fn run(self) -> Result<(), Failure> {
        if self.keystream.is_asked_for() {
            return self.keystream.run(*self.seed, self.backend.choose()?);
        }
        let inputs: Vec<&Path> =
            self.inputs.iter().chain(&self.plain).chain(&self.cipher).map(PathBuf::as_path).collect();
        endpoint::refuse_clashes(&inputs, &[self.report.as_deref(), self.json.as_deref()])?;
        let interrupt = Interrupt::watch()?;
        [&self.report, &self.json]
            .into_iter()
            .flatten()
            .try_for_each(|path| output::check_writable(path, self.force))?;
        let (judged, failed) = match self.plain.as_deref().zip(self.cipher.as_deref()) {
            Some((plain, cipher)) => (vec![self.judge_pair(inputs::read_pair(plain, cipher)?)?], None),
            None => self.judge_all(inputs::collect(&self.inputs)?, interrupt)?,
        };
        if let Some(path) = &self.json {
            output::write_file(path, json::of(&judged, self.alpha).as_bytes(), self.force)?;
        }
        if let Some(path) = &self.report {
            output::write_file(path, report::html(&self.to_report(&judged)).as_bytes(), self.force)?;
        }
        output::print(&table::of(&judged, self.alpha))?;
        failed.map_or(Ok(()), Err)
    }

    fn settings(&self) -> Settings {
        Settings { alpha: self.alpha, trials: self.trials, seed: *self.seed, key_sweep: self.key_sweep }
    }

    /// What is judged, controls last.
    fn ciphers(&self, backend: &Arc<dyn Backend>, interrupt: Interrupt) -> Result<Vec<Box<dyn Cipher>>, Failure> {
        let mut ciphers: Vec<Box<dyn Cipher>> = Vec::new();
        if let Some(command) = &self.encrypt_command {
            ciphers.push(Box::new(CommandCipher::new(command, interrupt)?));
        } else {
            let asked =
                |profile: &Profile| self.profile.is_empty() || self.profile.iter().any(|name| name == profile.name());
            for profile in Profile::ALL.into_iter().filter(asked) {
                ciphers.push(Box::new(ProfileCipher::new(profile, backend.clone())));
            }
            if self.profile.is_empty() {
                ciphers.push(Box::new(StageCipher::new(backend.clone())));
            }
        }
        Ok(ciphers)
    }

    /// Judges all pictures that can be read; the others are named, and are a failure after the rest has been told.
    fn judge_all(&self, paths: Vec<PathBuf>, interrupt: Interrupt) -> Result<(Vec<Judged>, Option<Failure>), Failure> {
        let backend = self.backend.choose()?;
        let mut ciphers = self.ciphers(&backend, interrupt)?;
        let studied = ciphers.len();
        ciphers.extend([Box::new(Plain) as Box<dyn Cipher>, Box::new(AesCtr)]);
        let (count, progress) = (paths.len(), progress(paths.len() * ciphers.len()));
        let settings = self.settings();
        let (mut all, mut unread) = (Vec::new(), Vec::new());
        for path in paths {
            let mut input = match inputs::read(&path) {
                Ok(input) => input,
                Err(failure) if count == 1 => return Err(failure),
                Err(failure) => {
                    progress.suspend(|| failure.report());
                    unread.push(failure.exit());
                    continue;
                }
            };
            let is_shown = self.report.is_some() && all.len() < report::PICTURES_SHOWN;
            let mut judged: Vec<JudgedCipher> = Vec::new();
            for (at, cipher) in ciphers.iter_mut().enumerate() {
                if interrupt.has_come() {
                    return Err(Failure::new(Exit::Other, "interrupted; nothing was written"));
                }
                progress.set_message(format!("{} {}", input.name, cipher.name()));
                cipher.take_shape(&input.picture);
                let mut judgement = suite::judge(&input.picture, &mut **cipher, &settings)
                    .map_err(|error| Failure::from(error).about(&input.name))?;
                // Of damage the first cipher that can show it is shown.
                if judged.iter().any(|cipher| !cipher.judgement.damaged.is_empty()) {
                    judgement.damaged.clear();
                }
                if !is_shown {
                    judgement.forget_pictures();
                }
                judged.push(JudgedCipher::new(&**cipher, at >= studied, judgement));
                progress.inc(1);
            }
            if !is_shown {
                input.picture.bytes = Vec::new();
            }
            all.push(Judged { input, ciphers: judged });
        }
        progress.finish_and_clear();
        warn_of_trouble(&*backend);
        let failed = unread
            .iter()
            .max()
            .map(|&exit| Failure::new(exit, format!("{} of {count} pictures could not be read", unread.len())));
        match (all.is_empty(), failed) {
            (true, Some(failed)) => Err(failed),
            (_, failed) => Ok((all, failed)),
        }
    }

    fn judge_pair(&self, (input, cipher): (Input, Picture)) -> Result<Judged, Failure> {
        let settings = self.settings();
        let rows = suite::judge_pair(&input.picture, &cipher, &settings);
        let judgement = Judgement { rows, cipher, decrypted: None, damaged: Vec::new() };
        let mut ciphers = vec![JudgedCipher { name: command::NAME, notes: [None; 2], is_control: false, judgement }];
        for mut control in [Box::new(Plain) as Box<dyn Cipher>, Box::new(AesCtr)] {
            let judgement = suite::judge(&input.picture, &mut *control, &settings)?;
            ciphers.push(JudgedCipher::new(&*control, true, judgement));
        }
        Ok(Judged { input, ciphers })
    }

    fn to_report<'a>(&self, judged: &'a [Judged]) -> report::Report<'a> {
        let ciphers = |judged: &'a Judged| {
            let part = |cipher: &'a JudgedCipher| report::Part {
                cipher: cipher.name,
                note: cipher.note(Mode::FreshCounter),
                judgement: &cipher.judgement,
            };
            judged.ciphers.iter().map(part).collect()
        };
        let chapter = |judged: &'a Judged| report::Chapter {
            name: &judged.input.name,
            plain: &judged.input.picture,
            parts: ciphers(judged),
        };
        report::Report { alpha: self.alpha, trials: self.trials, chapters: judged.iter().map(chapter).collect() }
    }
}

fn parse_alpha(text: &str) -> Result<f64, String> {
    let alpha: f64 = text.parse().map_err(|_| "alpha is a number such as 0.05".to_owned())?;
    match (1e-9..=0.5).contains(&alpha) {
        true => Ok(alpha),
        false => Err("alpha is at least 0.000000001 and at most 0.5".to_owned()),
    }
}

fn progress(steps: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len}, {eta} left: {msg}").expect("a valid template");
    ProgressBar::new(steps as u64).with_style(style)
}
