//! `keygen`: makes key files.

use std::path::{Path, PathBuf};

use super::{error::Failure, output};
use crate::seal;

/// Make a key file, readable by its owner alone
///
/// Without --preshared and --camera: an age identity, which decrypts; its recipient `age1...`, which encrypts and is no
/// secret, is printed on stdout. With --preshared: one key that does both. With --camera: a key that signs streams; what
/// `decrypt --verify-camera` takes for it, `camera-1:...`, is no secret and printed on stdout.
#[derive(clap::Args)]
pub struct Keygen {
    /// File to make; one that exists is never overwritten
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Make a pre-shared key
    #[arg(long)]
    preshared: bool,
    /// Make a camera key
    #[arg(long, conflicts_with = "preshared")]
    camera: bool,
}

impl Keygen {
    /// Makes the file.
    pub fn run(self) -> Result<(), Failure> {
        refuse_existing(&self.output)?;
        if self.preshared {
            return Ok(seal::create_preshared(&self.output)?);
        }
        if self.camera {
            return output::print(&format!("{}\n", seal::create_camera(&self.output)?));
        }
        output::print(&format!("{}\n", seal::create_identity(&self.output)?))
    }
}

/// The library refuses too; only here is it known to be the user's choice of a name.
fn refuse_existing(path: &Path) -> Result<(), Failure> {
    if path == Path::new("-") {
        return Err(Failure::usage("a key is never printed").advise("name a file: -o cam.key"));
    }
    match path.symlink_metadata() {
        Ok(_) => Err(Failure::usage(format!("{} exists, and a key is never overwritten", path.display()))
            .advise("name another file, or move this one away")),
        Err(_) => Ok(()),
    }
}
