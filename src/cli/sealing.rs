//! How to seal and how to open, as the arguments say: profile, keys, backend.

use std::{path::PathBuf, sync::Arc};

use clap::builder::PossibleValuesParser;

use gst::prelude::*;

use super::{
    elements,
    error::Failure,
    key_files::{IdentityArguments, RecipientArguments},
};
use crate::{
    backend::{self, Backend, Choice},
    gst::{chaosdec::ChaosDec, chaosenc::ChaosEnc},
    seal::{
        Aead, CameraId, CameraKey, Engine, Identities, Profile, ReaderPolicy, Recipients, StreamSecrets, StreamWriter,
    },
};

/// Who runs the chaotic stage
#[derive(clap::Args)]
pub struct BackendArgument {
    /// Who runs the chaotic stage
    #[arg(long, value_name = "B", default_value = Choice::Auto.name(),
          value_parser = PossibleValuesParser::new(Choice::ALL.map(Choice::name)))]
    backend: String,
}

impl BackendArgument {
    /// The backend, spread over all processors.
    pub fn engine(&self) -> Result<Engine, Failure> {
        let backend = self.choose()?;
        // Without threads of its own a frame stays on this one.
        let pool = rayon::ThreadPoolBuilder::new().build().ok().map(Arc::new);
        Ok(Engine { backend, pool })
    }

    /// The backend alone.
    ///
    /// # Errors
    /// If this machine does not offer it.
    pub fn choose(&self) -> Result<Arc<dyn Backend>, Failure> {
        Ok(backend::choose(Choice::from_name(&self.backend)?)?)
    }

    /// Tells an element the same.
    pub fn apply(&self, element: &gst::Element) {
        element.set_property_from_str("backend", &self.backend);
    }
}

/// Tells on stderr that another backend has taken over from the one that was asked for, if one has.
pub fn warn_of_trouble(backend: &dyn Backend) {
    if let Some(trouble) = backend.take_trouble() {
        tell!("chaosveil: warning: {trouble}");
    }
}

/// How to seal
#[derive(clap::Args)]
pub struct SealingArguments {
    #[command(flatten)]
    recipients: RecipientArguments,
    /// Sign with a camera's key, made by `keygen --camera`: `decrypt --verify-camera` then accepts nothing else
    #[arg(long, value_name = "FILE")]
    camera_key: Option<PathBuf>,
    /// What protects a frame: `hardened` is the AEAD and the chaotic stage over it, `aead` the AEAD alone, `chaos` the
    /// chaotic stage alone: research, its confidentiality is none
    #[arg(long, value_name = "P", default_value = Profile::default().name(),
          value_parser = PossibleValuesParser::new(Profile::ALL.map(Profile::name)))]
    profile: String,
    /// Allow `--profile chaos`
    #[arg(long)]
    insecure_research: bool,
    #[command(flatten)]
    backend: BackendArgument,
}

impl SealingArguments {
    /// Reads the keys and chooses the backend.
    pub fn read(&self) -> Result<Sealing, Failure> {
        let profile = Profile::from_name(&self.profile).unwrap_or_default();
        if profile == Profile::Chaos {
            self.warn_or_refuse_chaos()?;
        }
        let camera = self.camera_key.as_deref().map(CameraKey::read).transpose()?.map(Arc::new);
        Ok(Sealing { profile, recipients: self.recipients.read()?, camera, engine: self.backend.engine()? })
    }

    /// Tells an encrypter the same; the keys are those that have been read.
    ///
    /// # Errors
    /// If it is none of this program's own.
    pub fn apply(&self, encrypter: &gst::Element, read: &Sealing) -> Result<(), Failure> {
        elements::own::<ChaosEnc>(encrypter)?.seal_to(read.recipients.clone(), read.camera.clone());
        encrypter.set_property_from_str("profile", &self.profile);
        encrypter.set_property("allow-insecure", self.insecure_research);
        self.backend.apply(encrypter);
        Ok(())
    }

    fn warn_or_refuse_chaos(&self) -> Result<(), Failure> {
        if !self.insecure_research {
            return Err(Failure::usage(
                "profile `chaos` hides nothing from who knows or guesses part of a picture: it is for research",
            )
            .advise("leave --profile out, or confirm with --insecure-research"));
        }
        tell!("chaosveil: warning: profile `chaos` is not secure; never use it for pictures that matter");
        Ok(())
    }
}

/// How to seal.
pub struct Sealing {
    /// Profile of every stream.
    pub profile: Profile,
    /// Who can open every stream.
    pub recipients: Arc<Recipients>,
    /// Who signs every stream.
    pub camera: Option<Arc<CameraKey>>,
    /// Who runs the chaotic stage.
    pub engine: Engine,
}

impl Sealing {
    /// A new stream, under keys of its own.
    pub fn stream(&self) -> Result<StreamWriter, Failure> {
        let writer = StreamWriter::new(self.profile, Aead::default(), &self.recipients, StreamSecrets::random()?)?;
        Ok(writer.signed_by(self.camera.clone()))
    }
}

/// How to open.
pub struct Opening {
    /// What to open with.
    pub identities: Arc<Identities>,
    /// Profiles accepted.
    pub policy: ReaderPolicy,
    /// Who runs the chaotic stage.
    pub engine: Engine,
}

impl Opening {
    /// Reads the keys. `insecure_research` accepts every profile.
    pub fn new(arguments: &IdentityArguments, engine: Engine, insecure_research: bool) -> Result<Opening, Failure> {
        let mut policy = ReaderPolicy { cameras: arguments.cameras()?, ..ReaderPolicy::default() };
        if insecure_research {
            policy.profiles = Profile::ALL.to_vec();
        }
        Ok(Opening { identities: arguments.read()?, policy, engine })
    }

    /// Tells a decrypter the same; its frames are opened by the backend that `backend` names.
    ///
    /// # Errors
    /// If it is none of this program's own.
    pub fn apply(&self, decrypter: &gst::Element, backend: &BackendArgument) -> Result<(), Failure> {
        elements::own::<ChaosDec>(decrypter)?.open_with(self.identities.clone());
        if self.policy.profiles.contains(&Profile::Chaos) {
            decrypter.set_property_from_str("accept-profiles", "hardened+chaos+aead");
        }
        let cameras: Vec<String> = self.policy.cameras.iter().map(CameraId::to_string).collect();
        if !cameras.is_empty() {
            decrypter.set_property("verify-camera", cameras.join(","));
        }
        backend.apply(decrypter);
        Ok(())
    }
}
