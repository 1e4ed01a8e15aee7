//! Bytes that were lost, torn, flipped or recorded.

use super::*;

#[test]
fn fail_every_single_bit_flip() {
    let lengths = [40, 300];
    for profile in Profile::ALL {
        let stream = packets(&mut writer(profile, Aead::Aes256Gcm), &lengths).concat();
        let header_len = RawStreamHeader::total_len(&stream).expect("ours").expect("whole");
        for bit in 0..stream.len() * 8 {
            let mut damaged = stream.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let outcome = read(&damaged, 777, &lengths);
            if bit / 8 < header_len {
                assert!(outcome.opened.is_empty(), "{profile:?}: header bit {bit}");
            } else {
                let whole = outcome.opened.len() + usize::from(outcome.ended);
                assert_eq!(whole, 2, "{profile:?}: bit {bit} costs exactly its own packet");
                assert!(outcome.rejected > 0 || outcome.skipped > 0);
            }
        }
    }
}

/// Who has recorded genuine frames can send their beginnings again before anything: that must stay cheap.
#[test]
fn recorded_headers_buy_few_decryptions() {
    let lengths = [50_000, 50_000];
    let packets = packets(&mut writer(Profile::Hardened, Aead::Aes256Gcm), &lengths);
    let mut stream = packets[0].clone();
    for number in 0..1000 {
        stream.extend_from_slice(&packets[1 + number % 2][..200]);
    }
    let mut check = Check { reader: reader(), opened: 0 };
    let mut scanner = PacketScanner::default();
    scanner.push(&stream, &mut check, |_, _| {});
    scanner.finish(&mut check, |_, _| {});
    assert!(check.opened > 0 && check.opened <= 2 * stream.len() + packets[1].len(), "{} bytes", check.opened);
}

#[test]
fn torn_packets_cost_only_themselves() {
    let lengths = [700, 700, 700, 700];
    let packets = packets(&mut writer(Profile::Hardened, Aead::Aes256Gcm), &lengths);
    for cut in 1..packets[2].len() {
        let torn: Vec<u8> = packets
            .iter()
            .enumerate()
            .flat_map(|(i, p)| if i == 2 { &p[..p.len() - cut] } else { &p[..] })
            .copied()
            .collect();
        for chunk in [64, 901, usize::MAX] {
            let outcome = read(&torn, chunk, &lengths);
            assert_eq!(outcome.opened, [1, 3, 4], "cut {cut}, chunk {chunk}");
            assert!(outcome.ended && (outcome.rejected > 0 || outcome.skipped > 0));
        }
    }
}

#[test]
fn a_torn_frame_does_not_swallow_the_end_of_the_bytes() {
    let lengths = [10, 700];
    let packets = packets(&mut writer(Profile::Hardened, Aead::Aes256Gcm), &lengths);
    let missing = packets[3].len();
    let torn = [&packets[0][..], &packets[1], &packets[2][..packets[2].len() - missing], &packets[3]].concat();
    for chunk in [64, 901, usize::MAX] {
        let outcome = read(&torn, chunk, &lengths);
        assert_eq!((outcome.opened, outcome.ended), (vec![1], true), "chunk {chunk}");
    }
}

#[test]
fn every_truncation_keeps_the_whole_packets_before_it() {
    let lengths = [20, 500, 3];
    let packets = packets(&mut writer(Profile::Chaos, Aead::ChaCha20Poly1305), &lengths);
    let stream = packets.concat();
    for len in packets[0].len()..stream.len() {
        let mut end = packets[0].len();
        let whole = packets[1..4]
            .iter()
            .take_while(|p| {
                end += p.len();
                end <= len
            })
            .count();
        let outcome = read(&stream[..len], 128, &lengths);
        assert_eq!((outcome.opened.len(), outcome.ended), (whole, false), "{len} bytes");
    }
}

#[test]
fn a_damaged_header_does_not_lock_out_the_whole_one() {
    let header = packets(&mut writer(Profile::Hardened, Aead::Aes256Gcm), &[])[0].clone();
    for byte in 0..header.len() {
        let mut damaged = header.clone();
        damaged[byte] ^= 4;
        let mut reader = reader();
        assert!(reader.header(&damaged).is_err(), "byte {byte}");
        assert_eq!(reader.header(&header).expect("whole"), HeaderNews::NewStream, "byte {byte}");
    }
}

#[test]
fn fail_descriptions_that_contradict_the_stream() {
    let mut writer = writer(Profile::Hardened, Aead::Aes256Gcm);
    let mut reader = reader();
    let first = writer.describe(&description()).expect("fits");
    reader.header(&first).expect("ours");
    for (other, news) in [
        (Description { caps: "audio/x-raw".into(), ..description() }, Some(HeaderNews::NewDescription(1))),
        (Description { tracks: 2, ..description() }, None),
        (Description { recording: [1; 16], ..description() }, None),
        (description(), Some(HeaderNews::NewDescription(4))),
    ] {
        assert_eq!(reader.header(&writer.describe(&other).expect("fits")).ok(), news);
    }
    assert_eq!(reader.header(&first).expect("ours"), HeaderNews::Repeated);
    assert_eq!(reader.description(1, 0).expect("told").caps, "audio/x-raw");
}
