//! `attack`: what attacks on bare schemes and on our profiles find, beside what chance would.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use clap::ValueEnum;
use image::{DynamicImage, GrayImage, RgbImage};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::{
    analyze::{inputs, keystream},
    endpoint,
    error::{Exit, Failure},
    output,
    sealing::BackendArgument,
    sheet,
};
use crate::analysis::{
    attack::{
        Attack as Method, Subject,
        report::{ALPHA, Outcome, Panel, RIGHT, Row},
        scene,
    },
    finding::{Finding, figure},
    picture::Picture,
};

/// Attack bare schemes in the style of published ones, and our profiles as they are used
///
/// Every attack runs: what it needs, costs and finds is measured, beside what chance would find. All keys are throw-away
/// ones, made of --seed. That an attack fails shows that this attack fails, and no more.
#[derive(clap::Args)]
pub struct Attack {
    /// The attack; all of them without a NAME
    #[arg(value_enum, value_name = "NAME")]
    name: Option<Method>,
    /// List the attacks
    #[arg(long, conflicts_with_all = ["name", "input", "output", "json"])]
    list: bool,
    /// Picture that is to be read; a made one without
    #[arg(long, value_name = "PICTURE")]
    input: Option<PathBuf>,
    /// Show pictures side by side in a PNG: plain, cipher, recovered
    #[arg(short, long, value_name = "PNG", requires = "name")]
    output: Option<PathBuf>,
    /// Make JSON: one object for each row
    #[arg(long, value_name = "JSON")]
    json: Option<PathBuf>,
    /// Overwrite PNG and JSON
    #[arg(long)]
    force: bool,
    /// 64 hexadecimal digits, or fewer, of which all keys are made; a key of no video
    #[arg(long, value_name = "HEX", value_parser = keystream::parse_seed, default_value = "00")]
    seed: keystream::Seed,
    #[command(flatten)]
    backend: BackendArgument,
}

impl Attack {
    /// Attacks, and tells.
    ///
    /// # Errors
    /// What goes wrong with files.
    pub fn run(self) -> Result<(), Failure> {
        if self.list {
            return output::print(&list());
        }
        let inputs: Vec<&Path> = self.input.as_deref().into_iter().collect();
        endpoint::refuse_clashes(&inputs, &[self.output.as_deref(), self.json.as_deref()])?;
        [&self.output, &self.json]
            .into_iter()
            .flatten()
            .try_for_each(|path| output::check_writable(path, self.force))?;
        let subject = self.subject()?;
        let outcome = run_all(self.name.as_slice(), &subject)?;
        if let Some(path) = &self.output {
            output::write_file(path, &montage(&outcome.panels)?, self.force)?;
        }
        if let Some(path) = &self.json {
            output::write_file(path, json_of(&outcome.rows).as_bytes(), self.force)?;
        }
        output::print(&table(&outcome.rows))
    }

    fn subject(&self) -> Result<Subject, Failure> {
        let picture = match &self.input {
            Some(path) => inputs::read(path)?.picture,
            None => scene::of_our_own(),
        };
        let subject = Subject::new(picture, *self.seed, self.backend.choose()?);
        let name = self.input.as_deref().unwrap_or(Path::new("the picture")).display();
        subject.map_err(|error| Failure::from(error).about(name).advise("give a picture of another size"))
    }
}

/// Runs the named attacks, all of them if none is named.
fn run_all(named: &[Method], subject: &Subject) -> Result<Outcome, Failure> {
    let methods = if named.is_empty() { &Method::ALL } else { named };
    let progress = progress(methods.len() as u64);
    let mut all = Outcome::default();
    for method in methods {
        progress.set_message(method.name());
        let outcome = method.run(subject)?;
        all.rows.extend(outcome.rows);
        all.panels.extend(outcome.panels);
        progress.inc(1);
    }
    progress.finish_and_clear();
    Ok(all)
}

fn progress(attacks: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {elapsed} {pos} of {len}: {msg}").expect("a valid template");
    let bar = ProgressBar::new(attacks).with_style(style);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

fn list() -> String {
    let line = |method: &Method| {
        let help = method.to_possible_value().and_then(|value| value.get_help().map(ToString::to_string));
        format!("{:18} {}\n", method.name(), help.unwrap_or_default())
    };
    Method::ALL.iter().map(line).collect()
}

// -- what is told ----------------------------------------------------------------------------------------------------

/// Columns, and under each group of rows why it is so.
fn table(rows: &[Row]) -> String {
    let cells: Vec<[&str; 5]> =
        rows.iter().map(|row| [row.attack, row.target, &row.needs, &row.work, &row.result]).collect();
    let head = ["attack", "target", "needs", "work", "result"];
    let width = |column: usize| cells.iter().chain([&head]).map(|cells| cells[column].len()).max().unwrap_or(0);
    let line = |cells: &[&str; 5], verdict: &str| {
        let padded = cells[..4].iter().enumerate().map(|(column, cell)| format!("{cell:0$}", width(column)));
        format!("{}  {verdict:10}  {}\n", padded.collect::<Vec<_>>().join("  "), cells[4])
    };
    let mut text = line(&head, "");
    for (at, (row, cells)) in rows.iter().zip(&cells).enumerate() {
        text += &line(cells, if row.broken { "broken" } else { "not broken" });
        if rows.get(at + 1).is_none_or(|next| (next.attack, &next.reason) != (row.attack, &row.reason)) {
            text += &format!("    {}\n", row.reason);
        }
    }
    text + &legend(rows)
}

/// What chance alone gives, and what the table does not say.
fn legend(rows: &[Row]) -> String {
    let mut text = "\n".to_owned();
    let right = rows.iter().flat_map(|row| &row.findings).find(|finding| finding.name == RIGHT);
    if let Some(Finding { samples, ideal: Some(ideal), critical: [Some(low), Some(high)], .. }) = right {
        let [ideal, low, high] = [ideal, low, high].map(|value| figure(*value));
        text += &format!(
            "right: samples read as they are, of {samples}; chance {ideal} %, critical {low} to {high} at alpha {ALPHA}; more is broken\n"
        );
    }
    if rows.iter().any(|row| row.attack == Method::Lane.name()) {
        text += "high planes: the four high bits of each byte, which the Lorenz system masks; low planes: the others\n";
    }
    text + "That an attack fails shows that this attack fails, and no more: confidentiality rests on the AEAD.\n"
}

fn json_of(rows: &[Row]) -> String {
    serde_json::to_string_pretty(&json!(rows)).map(|text| text + "\n").unwrap_or_default()
}

fn montage(panels: &[Panel]) -> Result<Vec<u8>, Failure> {
    if panels.is_empty() {
        return Err(Failure::new(Exit::Other, "the attack has found nothing to show").advise("leave --output out"));
    }
    let drawn = panels.iter().map(|panel| {
        let image = image_of(&panel.picture)?;
        Ok(sheet::Panel::new(panel.title, &image, image.height(), panel.caption.clone()))
    });
    sheet::png(&drawn.collect::<Result<Vec<_>, Failure>>()?)
}

fn image_of(picture: &Picture) -> Result<DynamicImage, Failure> {
    let (width, height, bytes) = (picture.width as u32, picture.height as u32, picture.bytes.clone());
    let image = match picture.channels {
        1 => GrayImage::from_raw(width, height, bytes).map(DynamicImage::from),
        _ => RgbImage::from_raw(width, height, bytes).map(DynamicImage::from),
    };
    image.ok_or_else(|| Failure::new(Exit::Other, "a picture whose samples do not fill it"))
}
