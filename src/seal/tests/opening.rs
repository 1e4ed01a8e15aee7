//! Who opens a stream and who does not, and what trying costs.

use super::*;
use crate::seal::reader::STREAMS_FOLLOWED;

/// A group for the passphrase "not this NUMBER" that costs next to nothing.
fn passphrase_group(number: u8) -> KeyGroup {
    let mut cheap = age::scrypt::Recipient::new(format!("not this {number}").into());
    cheap.set_work_factor(1);
    KeyGroup { kind: 2, bytes: age::encrypt(&cheap, &[number; 32]).expect("age encrypts") }
}

/// The header of a stream with the root and id that a number stands for.
fn header_with(number: u8, groups: &[KeyGroup]) -> Vec<u8> {
    let head = stream_header::encode_head(Profile::Aead, Aead::Aes256Gcm, &[number; 16], groups).expect("fits");
    let keys = StreamKeys::derive(&Secret::new([number; 32]), &head, [number; 16], Profile::Aead, Aead::Aes256Gcm);
    stream_header::encode(&head, &keys, &keys.epoch(0).expect("the first"), 0, &description(), None).expect("fits")
}

/// Identities with the passphrase of number 100 alone.
fn passphrase_of_100() -> Identities {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join("pass"), "not this 100\n").expect("written");
    let mut identities = Identities::default();
    identities.set_passphrase_file(&dir.path().join("pass")).expect("a passphrase");
    identities
}

fn unlock(identities: &Identities, header: &[u8]) -> crate::Result<()> {
    identities.unlock(&RawStreamHeader::split(header).expect("whole")).map(drop)
}

#[test]
fn passphrases_that_do_not_fit_are_not_tried_for_ever() {
    let identities = passphrase_of_100();
    let tried = |number: u8| unlock(&identities, &header_with(number, &[passphrase_group(number)]));
    for number in 0..8 {
        assert!(matches!(tried(number), Err(Error::WrongKey)), "{number}");
    }
    assert!(matches!(tried(8), Err(Error::TooManyPassphrases)));
    assert!(matches!(tried(7), Err(Error::TooManyPassphrases)), "another salt is another group");
}

/// Who has recorded a stream can put its passphrase group into headers of his own, behind groups that cost nothing. After
/// eight misfits a group opens only if scrypt need not be run for it again.
#[test]
fn cheap_groups_do_not_have_scrypt_run_again() {
    let identities = passphrase_of_100();
    let recorded = passphrase_group(100);
    let genuine = header_with(100, std::slice::from_ref(&recorded));
    unlock(&identities, &genuine).expect("fits");
    for number in 0..10 {
        let junk = |n: u8| KeyGroup { kind: if n < 31 { 200 } else { 1 }, bytes: vec![number, n] };
        let groups: Vec<KeyGroup> = (0..62).map(junk).chain([recorded.clone()]).collect();
        assert!(matches!(unlock(&identities, &header_with(number, &groups)), Err(Error::WrongKey)), "{number}");
    }
    for number in 0..8 {
        let misfit = header_with(number, &[passphrase_group(number)]);
        assert!(matches!(unlock(&identities, &misfit), Err(Error::WrongKey)), "{number}");
    }
    let misfit = header_with(8, &[passphrase_group(8)]);
    assert!(matches!(unlock(&identities, &misfit), Err(Error::TooManyPassphrases)));
    unlock(&identities, &genuine).expect("it is known");
}

/// However many streams took its place, what was shown is not shown again.
#[test]
fn a_stream_that_was_replaced_stays_replaced() {
    let mut identities = Identities::default();
    identities.set_preshared(Secret::new(PSK));
    let policy = ReaderPolicy { accept_new_stream: true, ..ReaderPolicy::default() };
    let mut reader = StreamReader::new(Arc::new(identities), policy);
    let header = || writer(Profile::Aead, Aead::Aes256Gcm).describe(&description()).expect("fits").to_vec();
    let first = header();
    assert_eq!(reader.header(&first).expect("ours"), HeaderNews::NewStream);
    for number in 1..STREAMS_FOLLOWED {
        assert_eq!(reader.header(&header()).expect("ours"), HeaderNews::NewStream, "{number}");
        if number % 1000 == 0 {
            assert!(matches!(reader.header(&first), Err(Error::OtherStream)), "after {number}");
        }
    }
    assert!(matches!(reader.header(&header()), Err(Error::Refused(_))), "or the first would have to be forgotten");
    assert!(matches!(reader.header(&first), Err(Error::OtherStream)));
}

/// An application that answers with a file that is not there, or with nothing, is not asked again for each header.
#[test]
fn who_answers_in_vain_is_not_asked_for_ever() {
    let answers: [fn() -> crate::Result<Option<Identities>>; 3] = [
        || Ok(None),
        || Err(Error::Refused("no such file")),
        || {
            let mut other = Identities::default();
            other.set_preshared(Secret::new([9; 32]));
            Ok(Some(other))
        },
    ];
    for (number, answer) in answers.into_iter().enumerate() {
        let asked = Arc::new(AtomicUsize::new(0));
        let here = asked.clone();
        let source: KeySource = Box::new(move |_| {
            here.fetch_add(1, Relaxed);
            answer()
        });
        let mut reader = StreamReader::new(Arc::default(), ReaderPolicy::default()).asking(Some(source));
        let (begun, mut headers) = (Instant::now(), 0);
        while headers < 50 {
            let header = writer(Profile::Aead, Aead::Aes256Gcm).describe(&description()).expect("fits");
            reader.header(&header).expect_err("nothing opens it");
            headers += 1;
        }
        let most = 1 + begun.elapsed().as_secs() as usize;
        assert!((1..=most).contains(&asked.load(Relaxed)), "answer {number}: asked {asked:?} times");
    }
}

/// Who knows a recipient can make headers that take a million steps and do not open in the end.
#[test]
fn headers_of_far_epochs_that_do_not_open_are_not_tried_for_ever() {
    let header = |number: u8, damaged: bool| {
        let (root, stream_id) = (Secret::new([number; 32]), [number; 16]);
        let mut recipients = Recipients::default();
        recipients.set_preshared(Secret::new(PSK));
        let groups = recipients.wrap(&root, &stream_id, &[4; 32]).expect("wraps");
        let head = stream_header::encode_head(Profile::Aead, Aead::Aes256Gcm, &stream_id, &groups).expect("fits");
        let keys = StreamKeys::derive(&root, &head, stream_id, Profile::Aead, Aead::Aes256Gcm);
        let epoch = keys.epoch(5000).expect("within limits");
        let mut header = stream_header::encode(&head, &keys, &epoch, 0, &description(), None).expect("fits");
        if damaged {
            *header.last_mut().expect("a tag") ^= 1;
        }
        header
    };
    let mut identities = Identities::default();
    identities.set_preshared(Secret::new(PSK));
    let identities = Arc::new(identities);
    let read = |header: &[u8]| {
        // As the command line does it: a reader for each header.
        StreamReader::new(identities.clone(), ReaderPolicy::default()).header(header)
    };
    assert_eq!(read(&header(0, false)).expect("opens"), HeaderNews::NewStream);
    for number in 1..9 {
        assert!(matches!(read(&header(number, true)), Err(Error::Forged(_))), "{number}");
    }
    assert!(matches!(read(&header(9, true)), Err(Error::TooManyFarEpochs)), "enough for a minute");
    assert!(matches!(read(&header(9, false)), Err(Error::TooManyFarEpochs)), "nobody knows which one is good");
    assert_eq!(read(&header(8, false)).expect("the way is known"), HeaderNews::NewStream);
}

/// Who has no key can damage what a header's MAC does not cover, as often as is wanted.
#[test]
fn damaged_headers_of_a_far_epoch_do_not_use_up_the_tries() {
    let mut writer = writer(Profile::Aead, Aead::Aes256Gcm);
    writer.skip_to_the_last_but_one().expect("within limits");
    writer.describe(&description()).expect("within limits");
    let header = writer.header();
    let mut identities = Identities::default();
    identities.set_preshared(Secret::new(PSK));
    let identities = Arc::new(identities);
    let read = |header: &[u8]| StreamReader::new(identities.clone(), ReaderPolicy::default()).header(header);
    for bit in 0..20 {
        let mut damaged = header.to_vec();
        let last = damaged.len() - 1 - bit / 8;
        damaged[last] ^= 1 << (bit % 8);
        assert!(matches!(read(&damaged), Err(Error::Forged(_))), "{bit}");
    }
    assert_eq!(read(&header).expect("opens"), HeaderNews::NewStream);
}

/// One header that opens and is refused all the same costs its way once, however often it is sent.
#[test]
fn a_far_header_that_is_refused_later_costs_its_way_once() {
    let mut writer = writer(Profile::Aead, Aead::Aes256Gcm);
    writer.skip_to_the_last_but_one().expect("within limits");
    let header = writer.describe(&description()).expect("within limits");
    let folder = tempfile::tempdir().expect("a folder");
    create_camera(&folder.path().join("camera")).expect("written");
    let camera = CameraKey::read(&folder.path().join("camera")).expect("a key");
    let mut identities = Identities::default();
    identities.set_preshared(Secret::new(PSK));
    let identities = Arc::new(identities);
    let read = |cameras: Vec<CameraId>| {
        let policy = ReaderPolicy { cameras, ..ReaderPolicy::default() };
        StreamReader::new(identities.clone(), policy).header(&header)
    };
    for number in 0..20 {
        // Each way that is done counts, and so many would be too many.
        assert!(matches!(read(vec![camera.id()]), Err(Error::Camera(_))), "{number}");
    }
    assert_eq!(read(Vec::new()).expect("taken"), HeaderNews::NewStream);
}

/// A TAIL that is refused, made by somebody who can open the stream, or by damage, keeps none of the genuine ones out.
#[test]
fn one_bad_tail_does_not_close_a_stream() {
    let folder = tempfile::tempdir().expect("a folder");
    let [camera, other] = ["a", "b"].map(|name| {
        create_camera(&folder.path().join(name)).expect("written");
        CameraKey::read(&folder.path().join(name)).expect("a key")
    });
    let (root, stream_id) = (Secret::new([5; 32]), [6; 16]);
    let mut recipients = Recipients::default();
    recipients.set_preshared(Secret::new(PSK));
    let groups = recipients.wrap(&root, &stream_id, &[4; 32]).expect("wraps");
    let head = stream_header::encode_head(Profile::Aead, Aead::Aes256Gcm, &stream_id, &groups).expect("fits");
    let keys = StreamKeys::derive(&root, &head, stream_id, Profile::Aead, Aead::Aes256Gcm);
    let epoch = keys.epoch(0).expect("the first");
    let header = |camera: Option<&CameraKey>| {
        stream_header::encode(&head, &keys, &epoch, 0, &description(), camera).expect("fits")
    };
    let mut identities = Identities::default();
    identities.set_preshared(Secret::new(PSK));
    let policy = ReaderPolicy { cameras: vec![camera.id()], ..ReaderPolicy::default() };
    let mut reader = StreamReader::new(Arc::new(identities), policy);
    for refused in [None, Some(&other)] {
        assert!(matches!(reader.header(&header(refused)), Err(Error::Camera(_))));
    }
    assert_eq!(reader.header(&header(Some(&camera))).expect("opens"), HeaderNews::NewStream);
}

/// A frame of an epoch that nothing tells costs no step of the ratchet.
#[test]
fn fail_frames_of_epochs_that_no_description_tells() {
    let mut writer = writer(Profile::Aead, Aead::Aes256Gcm);
    let mut sealer = FrameSealer::new(writer.keys(), engine());
    let mut reader = reader();
    let mut packet = Vec::new();
    reader.header(&writer.describe(&description()).expect("fits")).expect("opens");
    for epoch in 0..2 {
        let ticket = writer.frame(10).expect("within limits");
        sealer.seal_packet(ticket, &Record::default(), &[0; 10][..], &mut packet).expect("seals");
        assert_eq!(reader.frame(packet.first_chunk().expect("a header")).is_ok(), epoch == 0);
        writer.rekey().expect("within limits");
    }
}

/// More descriptions than a reader keeps: who goes back in a file learns the first ones again.
#[test]
fn a_reader_that_goes_back_learns_old_descriptions_again() {
    let mut writer = writer(Profile::Aead, Aead::Aes256Gcm);
    let mut reader = reader();
    let mut headers = Vec::new();
    for _ in 0..300 {
        headers.push(writer.describe(&description()).expect("fits"));
        reader.header(headers.last().expect("one")).expect("opens");
        writer.rekey().expect("within limits");
    }
    assert!(reader.description(0, 0).is_none(), "as many as are kept");
    reader.reset_window();
    for (number, header) in headers.iter().enumerate().take(5) {
        let news = reader.header(header).expect("opens");
        let counter = number as u64;
        // With the first one it joins anew: what lies before is not missing.
        let wanted = if number == 0 { HeaderNews::Repeated } else { HeaderNews::NewDescription(counter) };
        assert_eq!(news, wanted);
        assert!(reader.description(counter, number as u32).is_some());
    }
    assert!(reader.description(299, 299).is_some(), "the newest stays");
    assert_eq!(reader.lost(), 0);
}

#[test]
fn fail_wrong_keys_and_other_streams() {
    let header = packets(&mut writer(Profile::Hardened, Aead::Aes256Gcm), &[])[0].clone();
    let mut identities = Identities::default();
    assert!(matches!(
        StreamReader::new(Arc::new(Identities::default()), ReaderPolicy::default()).header(&header),
        Err(Error::NoKey(_))
    ));
    identities.set_preshared(Secret::new([8; 32]));
    let mut wrong = StreamReader::new(Arc::new(identities), ReaderPolicy::default());
    for _ in 0..2 {
        assert!(matches!(wrong.header(&header), Err(Error::WrongKey)));
    }
    let mut reader = reader();
    assert_eq!(reader.header(&header).expect("ours"), HeaderNews::NewStream);
    assert_eq!(reader.header(&header).expect("ours"), HeaderNews::Repeated);
    let other = packets(&mut writer(Profile::Hardened, Aead::Aes256Gcm), &[])[0].clone();
    assert!(matches!(reader.header(&other), Err(Error::OtherStream)));
    let research = packets(&mut writer(Profile::Chaos, Aead::Aes256Gcm), &[])[0].clone();
    let mut identities = Identities::default();
    identities.set_preshared(Secret::new(PSK));
    let mut strict = StreamReader::new(Arc::new(identities), ReaderPolicy::default());
    assert!(matches!(strict.header(&research), Err(Error::ProfileNotAccepted("chaos"))));
}

#[test]
fn as_many_recipients_as_can_be_added_can_be_read() {
    let dir = tempfile::tempdir().expect("a folder");
    let recipient = create_identity(&dir.path().join("alice")).expect("written");
    let mut recipients = Recipients::default();
    while recipients.add(&recipient).is_ok() {}
    let secrets = StreamSecrets::random().expect("random");
    let mut writer = StreamWriter::new(Profile::Aead, Aead::Aes256Gcm, &recipients, secrets).expect("valid");
    let header = writer.describe(&description()).expect("fits");
    let mut identities = Identities::default();
    identities.add_file(&dir.path().join("alice")).expect("an identity");
    StreamReader::new(Arc::new(identities), ReaderPolicy::default()).header(&header).expect("opens");
}

#[test]
fn a_bad_key_group_does_not_keep_the_others_from_opening() {
    let dir = tempfile::tempdir().expect("a folder");
    create_identity(&dir.path().join("alice")).expect("written");
    let (root, stream_id) = (Secret::new([2; 32]), [3; 16]);
    let mut recipients = Recipients::default();
    recipients.set_preshared(Secret::new(PSK));
    let mut groups = recipients.wrap(&root, &stream_id, &[4; 32]).expect("wraps");
    let mut identities = Identities::default();
    identities.add_file(&dir.path().join("alice")).expect("an identity");
    let header = |groups: &[KeyGroup]| {
        let head = stream_header::encode_head(Profile::Aead, Aead::Aes256Gcm, &stream_id, groups).expect("fits");
        let keys = StreamKeys::derive(&root, &head, stream_id, Profile::Aead, Aead::Aes256Gcm);
        stream_header::encode(&head, &keys, &keys.epoch(0).expect("the first"), 0, &description(), None).expect("fits")
    };
    groups.insert(0, KeyGroup { kind: 1, bytes: b"no age file".to_vec() });
    let header = header(&groups);
    let raw = RawStreamHeader::split(&header).expect("whole");
    assert!(matches!(identities.unlock(&raw), Err(Error::Refused(_))));
    identities.set_preshared(Secret::new(PSK));
    identities.unlock(&raw).expect("by the second group");
}

#[test]
fn every_recipient_opens_the_stream() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = |name: &str| dir.path().join(name);
    let alice = create_identity(&file("alice")).expect("written");
    let bob = create_identity(&file("bob")).expect("written");
    create_preshared(&file("psk")).expect("written");
    create_identity(&file("mallory")).expect("written");
    std::fs::write(file("pass"), "correct horse\n").expect("written");
    std::fs::write(file("list"), format!("# two\n{alice}\n\n{bob}\n")).expect("written");
    let mut recipients = Recipients::default();
    recipients.add_file(&file("list")).expect("two recipients");
    recipients.set_preshared_file(&file("psk")).expect("a key");
    recipients.set_passphrase_file(&file("pass")).expect("a passphrase");
    let secrets = StreamSecrets::random().expect("random");
    let mut writer = StreamWriter::new(Profile::Aead, Aead::Aes256Gcm, &recipients, secrets).expect("valid");
    let header = writer.describe(&description()).expect("fits");
    let open = |set: &dyn Fn(&mut Identities)| {
        let mut identities = Identities::default();
        set(&mut identities);
        StreamReader::new(Arc::new(identities), ReaderPolicy::default()).header(&header)
    };
    for name in ["alice", "bob"] {
        assert!(open(&|i| i.add_file(&file(name)).expect("an identity")).is_ok(), "{name}");
    }
    assert!(open(&|i| i.set_preshared_file(&file("psk")).expect("a key")).is_ok());
    assert!(open(&|i| i.set_passphrase_file(&file("pass")).expect("a passphrase")).is_ok());
    assert!(matches!(open(&|i| i.add_file(&file("mallory")).expect("an identity")), Err(Error::WrongKey)));
    assert!(
        Recipients::default().add("AGE-SECRET-KEY-1QQQ").expect_err("a secret").to_string().contains("secret identity")
    );
    assert!(create_identity(&file("alice")).expect_err("exists").to_string().contains("exists already"));
}

/// Two cameras, three recipients of which each camera seals to two, two streams of each, three epochs: a frame opens with
/// the keys of its own recipient, stream and epoch and with no others, whatever a header claims.
#[test]
fn fail_every_key_but_the_own() {
    let dir = tempfile::tempdir().expect("a folder");
    let names = ["alice", "bob", "carol"];
    let recipients = names.map(|name| create_identity(&dir.path().join(name)).expect("written"));
    let identities = names.map(|name| {
        let mut identities = Identities::default();
        identities.add_file(&dir.path().join(name)).expect("an identity");
        Arc::new(identities)
    });
    struct Sealed {
        camera: usize,
        stream: usize,
        header: Arc<Vec<u8>>,
        epoch: u32,
        packet: Vec<u8>,
    }
    let mut sealed = Vec::new();
    for (camera, stream) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let mut to = Recipients::default();
        [camera, camera + 1].into_iter().for_each(|number| to.add(&recipients[number]).expect("a recipient"));
        let secrets = StreamSecrets::random().expect("random");
        let mut writer = StreamWriter::new(Profile::Hardened, Aead::Aes256Gcm, &to, secrets).expect("valid");
        let mut sealer = FrameSealer::new(writer.keys(), engine());
        for epoch in 0..3 {
            let header = writer.describe(&description()).expect("fits");
            let ticket = writer.frame(300).expect("within limits");
            let record = Record { description: ticket.description(), ..Record::default() };
            let mut packet = Vec::new();
            sealer.seal_packet(ticket, &record, &bytes(300)[..], &mut packet).expect("seals");
            sealed.push(Sealed { camera, stream, header, epoch, packet });
            writer.rekey().expect("within limits");
        }
    }
    let (mut opened, mut tried) = (0, 0);
    for lock in &sealed {
        for (recipient, identities) in identities.iter().enumerate() {
            let mut reader = StreamReader::new(identities.clone(), ReaderPolicy::default());
            let allowed = [lock.camera, lock.camera + 1].contains(&recipient);
            match reader.header(&lock.header) {
                Ok(_) => assert!(allowed, "{} opens a stream that is not for it", names[recipient]),
                Err(error) => {
                    assert!(!allowed && matches!(error, Error::WrongKey), "{error}");
                    continue;
                }
            }
            let keys = reader.keys().expect("open");
            for frame in &sealed {
                let own_stream = (frame.camera, frame.stream) == (lock.camera, lock.stream);
                for epoch in 0..3 {
                    // The header is made to fit the keys that are tried: only the seal stands between.
                    let claimed = FrameHeader::claimed(frame.packet.first_chunk().expect("a header")).expect("valid");
                    let claim = FrameHeader { stream_id: keys.stream_id, epoch, ..claimed };
                    let (prefix, payload) = frame.packet.split_at(claim.prefix_len());
                    let prefix = [&claim.encode(&keys)[..], &prefix[FRAME_HEADER_BYTES..]].concat();
                    let mut out = Vec::new();
                    let result = FrameOpener::new(keys.clone(), engine()).open(&prefix, payload, &mut out);
                    tried += 1;
                    match own_stream && epoch == frame.epoch {
                        true => assert!(result.is_ok() && out == bytes(300)),
                        false => assert!(result.is_err() && out.iter().all(|&byte| byte == 0)),
                    }
                    opened += usize::from(result.is_ok());
                }
            }
        }
    }
    // Of 12 headers, each open to 2 of 3 recipients, with 3 epochs over 12 frames.
    assert_eq!((tried, opened), (12 * 2 * 12 * 3, 12 * 2 * 3));
}

/// Who can seal to a reader chooses the caps: not 256 times 60 kB for each of 256 tracks.
#[test]
fn descriptions_of_many_tracks_take_little() {
    for (tracks, kept) in [(1, 100), (256, 1)] {
        let mut writer = writer(Profile::Aead, Aead::Aes256Gcm);
        let mut reader = reader();
        let counters: Vec<u64> = (0..100)
            .map(|number| {
                let caps = format!("x/{number}, a={}", "a".repeat(30_000));
                let header = writer.describe(&Description { tracks, caps, ..description() }).expect("fits");
                reader.header(&header).expect("ours");
                RawStreamHeader::split(&header).expect("whole").claimed_counter()
            })
            .collect();
        let known = counters.iter().filter(|&&counter| reader.description(counter, 0).is_some()).count();
        assert!(known >= kept && known * 30_000 <= 8 << 20, "{known} of {tracks} tracks");
        assert!(tracks == 1 || known <= 2, "{known}");
        assert!(reader.description(counters[99], 0).is_some(), "the newest stays");
    }
}
