//! Somebody else's cipher, as a program: it is given a PNG and a key, and makes a PNG.

use std::{
    io::Cursor,
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

use image::{DynamicImage, GrayImage, ImageFormat, RgbImage};

use super::inputs;
use crate::{
    Error, Result,
    analysis::{
        cipher::{Cipher, Ciphertext, Key},
        picture::Picture,
    },
    cli::{error::Failure, graph::Interrupt, picture_type},
};

/// Name of the rows of what is not ours.
pub const NAME: &str = "external";

/// A program that encrypts.
pub struct CommandCipher {
    words: Vec<String>,
    folder: tempfile::TempDir,
    /// Of the pictures that are encrypted.
    shape: Picture,
    interrupt: Interrupt,
}

/// Letters of a message that are told.
const MESSAGE: usize = 200;

impl CommandCipher {
    /// Takes a command line apart; no shell will see it.
    ///
    /// # Errors
    /// If it is empty, has an open quote, or lacks {in} or {out}.
    pub fn new(command: &str, interrupt: Interrupt) -> Result<CommandCipher, Failure> {
        let advice = "for instance: --encrypt-command 'prog {in} {out} {key}'";
        let words = shell_words::split(command)
            .map_err(|error| Failure::usage(format!("--encrypt-command: {error}")).advise(advice))?;
        if words.is_empty() {
            return Err(Failure::usage("--encrypt-command is empty").advise(advice));
        }
        for place in ["{in}", "{out}"] {
            if !words.iter().any(|word| word.contains(place)) {
                return Err(Failure::usage(format!("--encrypt-command lacks {place}")).advise(advice));
            }
        }
        let folder = tempfile::tempdir().map_err(|error| Failure::io("a temporary folder", error))?;
        let shape = Picture { width: 0, height: 0, channels: 1, bytes: Vec::new() };
        Ok(CommandCipher { words, folder, shape, interrupt })
    }

    fn run(&self, from: &Path, to: &Path, key: &Key) -> Result<()> {
        let key: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
        let (from, to) = (from.display().to_string(), to.display().to_string());
        let mut words =
            self.words.iter().map(|word| word.replace("{in}", &from).replace("{out}", &to).replace("{key}", &key));
        let program = words.next().unwrap_or_default();
        let output = Command::new(&program).args(words).stdin(Stdio::null()).stdout(Stdio::null()).output();
        let output = output.map_err(|source| Error::Io { what: format!("running {program}"), source })?;
        if self.interrupt.has_come() {
            return Err(Error::Command("interrupted; nothing was written".into()));
        }
        if output.status.success() {
            return Ok(());
        }
        // Its last line mostly says what was wrong.
        let told = String::from_utf8_lossy(&output.stderr);
        let last = told.lines().last().unwrap_or("it said nothing").trim().replace(&key, "{key}");
        let last: String = last.chars().take(MESSAGE).collect();
        Err(Error::Command(format!("{program} failed ({}): {last}", output.status)))
    }
}

impl Cipher for CommandCipher {
    fn name(&self) -> &'static str {
        NAME
    }

    fn takes_key(&self) -> bool {
        self.words.iter().any(|word| word.contains("{key}"))
    }

    fn has_counter(&self) -> bool {
        false
    }

    fn take_shape(&mut self, picture: &Picture) {
        self.shape = Picture { bytes: Vec::new(), ..*picture };
    }

    fn encrypt(&mut self, plain: &[u8], key: &Key, _: u64) -> Result<Ciphertext> {
        let (from, to) = (self.folder.path().join("in.png"), self.folder.path().join("out.png"));
        let failed = |what: &str| Error::Command(format!("{}: {what}", self.words[0]));
        let file =
            png(&self.shape.with_bytes(plain.to_vec())).ok_or_else(|| failed("the picture cannot be written"))?;
        std::fs::write(&from, file).map_err(|source| Error::Io { what: from.display().to_string(), source })?;
        // What an earlier run made must not stand for this one's.
        let _ = std::fs::remove_file(&to);
        let begun = Instant::now();
        self.run(&from, &to, key)?;
        let seconds = begun.elapsed().as_secs_f64();
        // Whatever is no file might be read without end.
        let file = match to.symlink_metadata() {
            Ok(metadata) if metadata.is_file() => std::fs::read(&to).map_err(|_| failed("{out} cannot be read"))?,
            Ok(_) => return Err(failed("{out} is no regular file")),
            Err(_) => return Err(failed("it made no {out}")),
        };
        let image = picture_type::decode(&file).map_err(|error| failed(&format!("{{out}}: {error}")))?;
        let cipher = inputs::picture_of(image);
        if cipher.shape() != self.shape.shape() {
            let shape =
                |picture: &Picture| format!("{} x {}, {} channels", picture.width, picture.height, picture.channels);
            return Err(failed(&format!("{{in}} is {}, {{out}} is {}", shape(&self.shape), shape(&cipher))));
        }
        Ok(Ciphertext { bytes: cipher.bytes, authenticator: Vec::new(), seconds })
    }

    fn decrypt_unverified(&mut self, _: &Ciphertext, _: &Key, _: u64) -> Result<Option<Vec<u8>>> {
        Ok(None)
    }
}

/// A picture as a PNG file.
fn png(picture: &Picture) -> Option<Vec<u8>> {
    let (width, height, bytes) = (picture.width as u32, picture.height as u32, picture.bytes.clone());
    let image = match picture.channels {
        1 => DynamicImage::ImageLuma8(GrayImage::from_raw(width, height, bytes)?),
        _ => DynamicImage::ImageRgb8(RgbImage::from_raw(width, height, bytes)?),
    };
    let mut file = Cursor::new(Vec::new());
    image.write_to(&mut file, ImageFormat::Png).ok()?;
    Some(file.into_inner())
}
