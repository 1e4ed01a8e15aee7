//! What the application is told of the keys.

use super::*;
use crate::seal::{Aead, Recipients, Secret, StreamSecrets};

#[test]
fn a_limit_that_is_near_is_told_once_an_epoch() {
    gst::init().expect("GStreamer starts");
    let mut recipients = Recipients::default();
    recipients.set_preshared(Secret::new([1; 32]));
    let secrets = StreamSecrets::random().expect("random bytes");
    let mut writer =
        StreamWriter::new(Profile::Aead, Aead::default(), &recipients, secrets).expect("there is a recipient");
    writer.use_up_but(1000);
    let never = RekeyPolicy { bytes: 0, frames: 0, interval: Duration::ZERO };
    let place = Place { tracks: 1, ..Place::default() };
    let mut encrypter = Encrypter::new(writer, Profile::Aead, place, never).expect("random bytes");
    encrypter.set_caps(&gst::Caps::builder("application/x-test").build(), false, false).expect("packets carry all");
    let told = |encrypter: &mut Encrypter, bytes: usize| {
        encrypter.frame(gst::Buffer::from_slice(vec![0; bytes])).map(|ready| {
            ready.news.into_iter().next().map(|news| match news {
                KeyNews::NearsLimit => "near".to_owned(),
                KeyNews::Rekeyed(epoch) => format!("epoch {epoch}"),
            })
        })
    };
    assert_eq!(told(&mut encrypter, 100).expect("room is left").as_deref(), Some("near"));
    assert_eq!(told(&mut encrypter, 100).expect("room is left"), None);
    assert!(matches!(told(&mut encrypter, 900), Err(Error::KeyExhausted(_))), "the hard limit");
    encrypter.ask_rekey();
    assert_eq!(told(&mut encrypter, 900).expect("a new key").as_deref(), Some("epoch 1"));
    assert_eq!(told(&mut encrypter, 900).expect("a new key"), None);
}
