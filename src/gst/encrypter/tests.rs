//! What the application is told of the keys.

use super::*;
use crate::seal::{Aead, Recipients, Secret, StreamSecrets};

const NEVER: RekeyPolicy = RekeyPolicy { bytes: 0, frames: 0, interval: Duration::ZERO };

/// Of a stream that `prepare` has had first.
fn encrypter(policy: RekeyPolicy, prepare: impl FnOnce(&mut StreamWriter)) -> Encrypter {
    gst::init().expect("GStreamer starts");
    let mut recipients = Recipients::default();
    recipients.set_preshared(Secret::new([1; 32]));
    let secrets = StreamSecrets::random().expect("random bytes");
    let mut writer =
        StreamWriter::new(Profile::Aead, Aead::default(), &recipients, secrets).expect("there is a recipient");
    prepare(&mut writer);
    let place = Place { tracks: 1, ..Place::default() };
    let mut encrypter = Encrypter::new(writer, Profile::Aead, place, policy).expect("random bytes");
    encrypter.set_caps(&gst::Caps::builder("application/x-test").build(), false, false).expect("packets carry all");
    encrypter
}

/// What is told with a frame of so many bytes.
fn told(encrypter: &mut Encrypter, bytes: usize) -> Result<Vec<String>> {
    let ready = encrypter.frame(gst::Buffer::from_slice(vec![0; bytes]))?;
    let in_words = |news| match news {
        KeyNews::NearsLimit => "near".to_owned(),
        KeyNews::Rekeyed(epoch) => format!("epoch {epoch}"),
    };
    Ok(ready.news.into_iter().map(in_words).collect())
}

#[test]
fn a_limit_that_is_near_is_told_once_an_epoch() {
    let mut encrypter = encrypter(NEVER, |writer| writer.use_up_but(1000));
    assert_eq!(told(&mut encrypter, 100).expect("room is left"), ["near"]);
    assert!(told(&mut encrypter, 100).expect("room is left").is_empty());
    assert!(matches!(told(&mut encrypter, 900), Err(Error::KeyExhausted(_))), "the hard limit");
    encrypter.ask_rekey();
    assert_eq!(told(&mut encrypter, 900).expect("a new key"), ["epoch 1"]);
    assert!(told(&mut encrypter, 900).expect("a new key").is_empty());
}

/// A policy, or somebody who asks, cannot end a stream whose key has room.
#[test]
fn the_last_epoch_goes_on_to_the_limits_of_its_key() {
    let each = RekeyPolicy { frames: 1, ..NEVER };
    let mut encrypter = encrypter(each, |writer| writer.skip_to_the_last_but_one().expect("within limits"));
    assert_eq!(told(&mut encrypter, 10).expect("room is left"), ["near"]);
    assert_eq!(told(&mut encrypter, 10).expect("room is left"), ["epoch 1048576"]);
    for _ in 0..3 {
        encrypter.ask_rekey();
        assert!(told(&mut encrypter, 10).expect("room is left").is_empty());
    }
    assert_eq!(encrypter.epoch(), 1_048_576);
    encrypter.end().expect("room for the end record").expect("an end record");
}
