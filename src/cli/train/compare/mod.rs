//! `train compare`: the paper's comparison, on the photographs of a folder.
//!
//! Out, in a folder: for each network and seed a checkpoint while it learns and a record when it is finished, from which an
//! interrupted comparison goes on; at last `compare.json` and `compare.svg`. Read next: `chart`, `record`; what is compared is
//! in `nn`.

mod chart;
mod record;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::{Pictures, checkpoint, progress};
use crate::{
    backend::Backend,
    cli::{
        error::{Exit, Failure},
        output,
        sealing::BackendArgument,
    },
    nn::{
        Architecture, Classifier, Label,
        comparison::{self, MOST_TEST_CROPS, Run},
        training::{Settings, Sources, Training},
    },
};

/// Compare the frame classifier's network with its peers
///
/// Each network learns from the same samples with as many steps, once for each seed, and is judged by at most 2,000 crops of
/// the same photographs that none has seen. Finished runs and checkpoints lie in the folder: an interrupted comparison goes on
/// with --resume, and so does one that gets more seeds or networks.
#[derive(clap::Args)]
pub struct Compare {
    #[command(flatten)]
    pictures: Pictures,
    /// Folder of the results: compare.json, compare.svg, a record of each run
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// Seeds 1 to N, each a run of every network
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=100))]
    seeds: u16,
    /// How often every photograph is seen with every label
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    epochs: u32,
    /// Networks, with commas between them
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_values = Architecture::ALL.map(Architecture::name),
          value_parser = networks())]
    networks: Vec<Architecture>,
    /// Threads that it takes, and no more
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: u16,
    /// Crops of each test photograph with each label; as many as there may be, if not given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    test_turns: Option<u16>,
    /// Go on with what is in the folder
    #[arg(long, conflicts_with = "force")]
    resume: bool,
    /// Begin anew, whatever is in the folder
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    backend: BackendArgument,
}

fn networks() -> impl TypedValueParser<Value = Architecture> {
    let of_name = |name: String| Architecture::ALL.into_iter().find(|network| network.name() == name);
    PossibleValuesParser::new(Architecture::ALL.map(Architecture::name))
        .map(move |name| of_name(name).expect("one of the possible values"))
}

impl Compare {
    /// Compares.
    ///
    /// # Errors
    /// What goes wrong with pictures, lists and files.
    pub fn run(self) -> Result<(), Failure> {
        let pairs: Vec<(u64, Architecture)> = (1..=u64::from(self.seeds))
            .flat_map(|seed| Architecture::ALL.map(|network| (seed, network)))
            .filter(|(_, network)| self.networks.contains(network))
            .collect();
        self.check_folder(&pairs)?;
        let lessons = Lessons::new(&self)?;
        let mut runs = Vec::with_capacity(pairs.len());
        for (number, &(seed, network)) in (1..).zip(&pairs) {
            let whose = format!("run {number}/{}, {}, seed {seed}, ", pairs.len(), network.name());
            runs.push(self.finished_run(&lessons, seed, network, &whose)?);
        }
        let summaries = comparison::summaries(&runs);
        let record = record::json(&lessons, &runs, &summaries);
        output::write_file(&self.out.join("compare.json"), record.as_bytes(), true)?;
        output::write_file(&self.out.join("compare.svg"), chart::draw(&summaries)?.as_bytes(), true)?;
        output::print(&record::table(&lessons, &runs, &summaries))
    }

    /// A folder that has something of ours is gone on with, or begun anew, but only if that is said.
    fn check_folder(&self, pairs: &[(u64, Architecture)]) -> Result<(), Failure> {
        if self.out.exists() && !self.out.is_dir() {
            return Err(Failure::usage(format!("{} is no folder", self.out.display())).advise("name one, new or old"));
        }
        fs::create_dir_all(&self.out).map_err(|error| Failure::io(self.out.display(), error))?;
        let of_run = |&(seed, network): &(u64, Architecture)| {
            ["json", "checkpoint"].map(|extension| self.of_run(seed, network, extension))
        };
        let results = ["compare.json", "compare.svg"].map(|name| self.out.join(name));
        for path in pairs.iter().flat_map(of_run).chain(results).filter(|path| path.exists()) {
            match (self.resume, self.force) {
                (false, false) => {
                    let advice = "go on with --resume, begin anew with --force, or name another folder";
                    let message = format!("{} is there: a comparison was begun in this folder", path.display());
                    return Err(Failure::usage(message).advise(advice));
                }
                (false, true) => fs::remove_file(&path).map_err(|error| Failure::io(path.display(), error))?,
                (true, _) => {}
            }
        }
        Ok(())
    }

    fn of_run(&self, seed: u64, network: Architecture, extension: &str) -> PathBuf {
        self.out.join(format!("{}-{seed}.{extension}", network.name()))
    }

    /// A run that was finished before, or is now.
    fn finished_run(&self, lessons: &Lessons, seed: u64, network: Architecture, whose: &str) -> Result<Run, Failure> {
        let settings =
            Settings { network, seed, epochs: self.epochs as usize, data_digest: lessons.data_digest.clone() };
        let path = self.of_run(seed, network, "json");
        if path.exists() {
            return read_run(&path, &settings, lessons.test_turns);
        }
        let checkpoint = self.of_run(seed, network, "checkpoint");
        let mut training = lessons.training(settings, &checkpoint)?;
        while !training.is_done() {
            progress::run_epoch(&mut training, whose)?;
            checkpoint::write(&training, &checkpoint)?;
        }
        let run = lessons.judge(&training)?;
        let json = serde_json::to_string_pretty(&run).expect("numbers and strings have JSON");
        output::write_file(&path, (json + "\n").as_bytes(), true)?;
        // What is finished is not resumed.
        let _ = fs::remove_file(&checkpoint);
        Ok(run)
    }
}

/// What all runs have in common.
struct Lessons {
    sources: Arc<Sources>,
    data_digest: String,
    test_turns: usize,
    threads: usize,
    backend: Arc<dyn Backend>,
}

impl Lessons {
    fn new(command: &Compare) -> Result<Lessons, Failure> {
        let mut sources = command.pictures.read()?;
        thin(&mut sources.test, MOST_TEST_CROPS / Label::ALL.len());
        let most_turns = MOST_TEST_CROPS / (Label::ALL.len() * sources.test.len());
        let test_turns = command.test_turns.map_or(most_turns, usize::from);
        if test_turns > most_turns {
            let message = format!(
                "{test_turns} crops with each label of {} test photographs are more than {MOST_TEST_CROPS}",
                sources.test.len()
            );
            return Err(Failure::usage(message).advise(format!("give --test-turns {most_turns}, or leave it out")));
        }
        let data_digest = sources.digest();
        let backend = command.backend.choose()?;
        Ok(Lessons { sources: Arc::new(sources), data_digest, test_turns, threads: command.threads.into(), backend })
    }

    fn training(&self, settings: Settings, checkpoint: &Path) -> Result<Training, Failure> {
        let (sources, backend) = (self.sources.clone(), self.backend.clone());
        match checkpoint.exists() {
            true => checkpoint::resume(settings, sources, backend, self.threads, checkpoint),
            false => Ok(Training::new(settings, sources, backend, self.threads)?),
        }
    }

    fn judge(&self, training: &Training) -> Result<Run, Failure> {
        let classifier = Classifier::from_bytes(&training.model(None), 1)?;
        Ok(Run {
            settings: training.settings().clone(),
            test_turns: self.test_turns,
            history: training.history.clone(),
            confusion: training.test(self.test_turns)?.confusion,
            parameters: classifier.parameters(),
            ms_per_crop: comparison::ms_per_crop(&classifier),
        })
    }
}

/// The record of a run, if it is the one that is asked for.
fn read_run(path: &Path, settings: &Settings, test_turns: usize) -> Result<Run, Failure> {
    let wrong = |reason: &str| {
        Failure::new(Exit::Content, format!("{}: {reason}", path.display()))
            .advise("begin anew with --force, or name another folder")
    };
    let file = fs::read(path).map_err(|error| Failure::io(path.display(), error))?;
    let run: Run =
        serde_json::from_slice(&file).map_err(|error| wrong(&format!("it is no record of a run: {error}")))?;
    match run.settings == *settings && run.test_turns == test_turns {
        true => Ok(run),
        false => Err(wrong("it is of other pictures, another number of epochs or of crops for the test")),
    }
}

/// Leaves `most` of them, evenly over all.
fn thin<T>(all: &mut Vec<T>, most: usize) {
    let count = all.len();
    let mut number = 0;
    all.retain(|_| {
        number += 1;
        count <= most || number * most / count > (number - 1) * most / count
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinning_is_even() {
        for (count, most) in [(10, 5), (7, 3), (1000, 333), (4, 333), (333, 333), (1, 1)] {
            let mut all: Vec<usize> = (0..count).collect();
            thin(&mut all, most);
            assert_eq!(all.len(), count.min(most));
            let step = count.div_ceil(most);
            assert!(all.windows(2).all(|pair| pair[1] - pair[0] <= step), "{count} {most}: {all:?}");
        }
    }
}
