//! What is attacked: something that encrypts pictures for the attacker, and the profiles as they are used.

use crate::{
    Result,
    seal::{
        Aead, Description, Engine, FrameSealer, Profile, Recipients, Record, Secret, StreamSecrets, StreamWriter,
    },
};

/// Encrypts pictures under a key that the attacker does not know.
pub trait Target {
    /// Its name in the tables.
    fn name(&self) -> &'static str;
    /// Why nothing that is learnt of one picture's cipher holds for another's, if there is a reason.
    fn defence(&self) -> Option<&'static str>;
    /// The cipher of a picture, as many bytes as the picture has.
    ///
    /// # Errors
    /// What goes wrong with sealing.
    fn encrypt(&mut self, picture: &[u8]) -> Result<Vec<u8>>;
}

/// A stream of ours, as an element makes it: each picture is a frame with a counter, and so with a key, of its own.
pub struct Sealed {
    profile: Profile,
    writer: StreamWriter,
    sealer: FrameSealer,
}

impl Sealed {
    /// A stream under throw-away keys that come from the seed, so that a run can be repeated.
    ///
    /// # Errors
    /// What goes wrong with making a stream.
    pub fn new(profile: Profile, seed: &[u8; 32], engine: Engine) -> Result<Sealed> {
        let derive = |name: &str| *blake3::keyed_hash(seed, name.as_bytes()).as_bytes();
        let mut stream_id = [0; 16];
        stream_id.copy_from_slice(&derive("stream id")[..16]);
        let mut recipients = Recipients::default();
        recipients.set_preshared(Secret::new(derive("pre-shared key")));
        let secrets = StreamSecrets::new(derive(profile.name()), stream_id, derive("salt"));
        let mut writer = StreamWriter::new(profile, Aead::default(), &recipients, secrets)?;
        writer.describe(&Description { tracks: 1, caps: "video/x-raw".into(), ..Description::default() })?;
        let sealer = FrameSealer::new(writer.keys(), engine);
        Ok(Sealed { profile, writer, sealer })
    }
}

impl Target for Sealed {
    fn name(&self) -> &'static str {
        self.profile.name()
    }

    fn defence(&self) -> Option<&'static str> {
        Some(match self.profile {
            Profile::Chaos => "every frame has a counter and so a key of its own: what one frame shows holds for no other",
            Profile::Hardened | Profile::Aead => {
                "every frame has a counter of its own, and what the AEAD seals under it shows nothing to learn from"
            }
        })
    }

    fn encrypt(&mut self, picture: &[u8]) -> Result<Vec<u8>> {
        let ticket = self.writer.frame(picture.len())?;
        let (mut prefix, mut payload) = (Vec::new(), Vec::new());
        self.sealer.seal(ticket, &Record::default(), picture, &mut prefix, &mut payload)?;
        Ok(payload)
    }
}
