//! The arguments that name keys. Secrets are never arguments themselves: everybody on a machine can list those.

use std::{path::PathBuf, sync::Arc};

use super::error::Failure;
use crate::seal::{CameraId, Identities, Recipients};

/// Who will be able to decrypt; at least one
#[derive(clap::Args)]
#[group(required = true, multiple = true)]
pub struct RecipientArguments {
    /// Encrypt to a recipient: `age1...` or an SSH public key; may be repeated
    #[arg(short, long, value_name = "RECIPIENT")]
    recipient: Vec<String>,
    /// Encrypt to the recipients in a file, one a line
    #[arg(short = 'R', long, value_name = "FILE")]
    recipient_file: Option<PathBuf>,
    /// Encrypt with a pre-shared key
    #[arg(short, long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Encrypt with a passphrase: the first line of a file
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

impl RecipientArguments {
    /// Reads the files, each once: they may be pipes.
    pub fn read(&self) -> Result<Arc<Recipients>, Failure> {
        let mut recipients = Recipients::default();
        for recipient in &self.recipient {
            recipients.add(recipient)?;
        }
        if let Some(path) = &self.recipient_file {
            recipients.add_file(path)?;
        }
        if let Some(path) = &self.key_file {
            recipients.set_preshared_file(path)?;
        }
        if let Some(path) = &self.passphrase_file {
            recipients.set_passphrase_file(path)?;
        }
        Ok(Arc::new(recipients))
    }
}

/// What to decrypt with
#[derive(clap::Args)]
#[group(skip)]
pub struct IdentityArguments {
    /// Decrypt with the identities in a file of `keygen` or of age, or with an SSH private key
    #[arg(short, long, value_name = "FILE")]
    identity_file: Option<PathBuf>,
    /// Decrypt with a pre-shared key
    #[arg(short, long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Decrypt with a passphrase: the first line of a file
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// Accept only a stream that this camera signed: `camera-1:...`, as `keygen --camera` prints it; may be repeated
    #[arg(long, value_name = "CAMERA")]
    verify_camera: Vec<String>,
}

impl IdentityArguments {
    /// The ids of the arguments, for a group of which one must be given.
    pub const IDS: [&str; 3] = ["identity_file", "key_file", "passphrase_file"];

    /// Reads the files, each once: they may be pipes.
    pub fn read(&self) -> Result<Arc<Identities>, Failure> {
        let mut identities = Identities::default();
        if let Some(path) = &self.identity_file {
            identities.add_file(path)?;
        }
        if let Some(path) = &self.key_file {
            identities.set_preshared_file(path)?;
        }
        if let Some(path) = &self.passphrase_file {
            identities.set_passphrase_file(path)?;
        }
        Ok(Arc::new(identities))
    }

    /// The cameras that are accepted; none named accepts all.
    ///
    /// # Errors
    /// For what names no camera.
    pub fn cameras(&self) -> Result<Vec<CameraId>, Failure> {
        Ok(self.verify_camera.iter().map(|camera| CameraId::parse(camera)).collect::<Result<_, _>>()?)
    }

    /// Whether no key is named.
    pub fn is_empty(&self) -> bool {
        self.identity_file.is_none() && self.key_file.is_none() && self.passphrase_file.is_none()
    }
}
