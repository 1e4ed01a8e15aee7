//! One bit flipped anywhere, streams cut anywhere: every frame that is whole leaves exact, and not one other byte.

use super::{
    common::{Keys, in_time},
    packets::{decrypt, decrypt_caps, joined, packets_of},
    pictures::{self, frames, info, noise},
    rig::{Rig, all_caps, buffers, stream},
};

const FRAMES: u64 = 4;

/// Where each packet ends in the bytes of all.
fn ends(packets: &[gst::Buffer]) -> Vec<usize> {
    let ends = packets.iter().scan(0, |end, packet| {
        *end += packet.size();
        Some(*end)
    });
    ends.collect()
}

/// Positions over the whole length: the edges of packets and their fields, and others at random.
fn positions(packets: &[gst::Buffer], count: usize) -> Vec<usize> {
    let ends = ends(packets);
    let total = *ends.last().expect("not empty");
    let mut positions: Vec<usize> = ends.iter().flat_map(|&end| [end - 1, end % total, (end + 9) % total]).collect();
    let random = noise(count as u64, 8 * count);
    positions.extend(
        random.chunks(8).map(|eight| u64::from_le_bytes(eight.try_into().expect("chunks of eight")) as usize % total),
    );
    positions.truncate(count);
    positions
}

#[test]
fn a_flipped_bit_costs_the_packet_that_it_is_in() {
    for (profile, count) in [("hardened", 200), ("chaos", 70), ("aead", 70)] {
        in_time(move || flip_bits(profile, count));
    }
}

fn flip_bits(profile: &str, count: usize) {
    let keys = Keys::new();
    let info = info("I420", 20, 14);
    let sent = frames(&info, FRAMES);
    let packets = packets_of(&keys, &format!("profile={profile} allow-insecure=true"), &info, &sent);
    let whole = joined(&packets);
    let ends = ends(&packets);
    for (number, position) in positions(&packets, count).into_iter().enumerate() {
        let mut bytes = whole.clone();
        bytes[position] ^= 1 << (number % 8);
        let settings = format!("accept-profiles=hardened+chaos+aead workers={}", 1 + number % 3);
        // As a file brings it, or packet by packet.
        let size = if number % 2 == 0 { 4096 } else { whole.len() };
        let came = decrypt(&keys, &settings, bytes.chunks(size).map(|piece| gst::Buffer::from_slice(piece.to_vec())));
        let told = format!("{profile}: bit {} of byte {position}: {:?} {:?}", number % 8, came.posted, came.error);
        let hit = ends.iter().position(|&end| position < end).expect("within the stream") as u64;
        // Packet 0 is the stream header, the last one the end record.
        let wanted: Vec<u64> = match hit {
            0 => Vec::new(),
            hit => (0..FRAMES).filter(|&frame| frame + 1 != hit).collect(),
        };
        assert_eq!(came.frames(&info, &sent), wanted, "{told}");
        assert_eq!(came.error.is_some(), hit == 0, "{told}");
        assert_eq!(came.end_seen(), hit != 0 && hit != FRAMES + 1, "{told}");
        let truncated = came.posted.iter().any(|(reason, _)| reason == "truncated");
        assert_eq!(truncated, hit == FRAMES + 1, "{told}");
        let lost = u64::from((2..=FRAMES).contains(&hit));
        assert_eq!(came.stat("lost"), lost, "{told}");
    }
}

#[test]
fn a_flipped_bit_in_a_cipher_picture_costs_that_picture() {
    in_time(|| {
        // Chroma rows of filler in I420, one plane in GRAY8, three planes of filler in A420.
        for (format, width, height) in [("I420", 20, 14), ("GRAY8", 33, 9), ("A420", 20, 14), ("NV12", 18, 10)] {
            let keys = Keys::new();
            let info = info(format, width, height);
            let sent = frames(&info, 3);
            let rig = Rig::new(&format!("chaosenc {} output=picture transport=exact", keys.psk()));
            let cipher = rig.run(stream(&pictures::caps(&info), sent.clone()));
            let caps = all_caps(&cipher).remove(0);
            let cipher_info = gst_video::VideoInfo::from_caps(&caps).expect("raw video");
            let pictures: Vec<gst::Buffer> = buffers(&cipher).into_iter().cloned().collect();
            let visible = pictures::visible_bytes(&cipher_info);
            for number in 0..80usize {
                let victim = 1 + number % 2;
                let mut bytes = pictures::bytes(&pictures[victim]);
                // Evenly over the picture, so that every plane's filler is hit.
                let position = visible[number * (visible.len() - 1) / 79];
                bytes[position] ^= 1 << (number % 8);
                let mut damaged = pictures.clone();
                damaged[victim] = gst::Buffer::from_slice(bytes);
                let came = decrypt_caps(&keys, "workers=2", &caps, damaged);
                let told = format!("{format}: bit {} of byte {position}: {:?}", number % 8, came.posted);
                let wanted: Vec<u64> = (0..3).filter(|&frame| frame != victim as u64).collect();
                assert_eq!(came.frames(&info, &sent), wanted, "{told}");
                assert_eq!(came.stat("rejected"), 1, "{told}");
                assert_eq!(came.error, None, "{told}");
            }
        }
    });
}

/// The stream header in the first picture counts whatever becomes of its frame: no later one tells it again.
#[test]
fn a_damaged_first_picture_still_opens_the_stream() {
    in_time(|| {
        let keys = Keys::new();
        let info = info("GRAY8", 33, 9);
        let sent = frames(&info, 3);
        let rig = Rig::new(&format!("chaosenc {} output=picture transport=exact", keys.psk()));
        let cipher = rig.run(stream(&pictures::caps(&info), sent.clone()));
        let caps = all_caps(&cipher).remove(0);
        let whole: Vec<gst::Buffer> = buffers(&cipher).into_iter().cloned().collect();
        let first = pictures::bytes(&whole[0]);
        // What stands behind the rows of a picture is not its content.
        let visible = pictures::visible_bytes(&gst_video::VideoInfo::from_caps(&caps).expect("raw video"));
        let content: Vec<u8> = visible.iter().map(|&place| first[place]).collect();
        let header = content.windows(8).position(|window| window == b"CVEILFRM").expect("a frame header");
        for at in (8..64).step_by(5) {
            let (mut bytes, mut damaged) = (first.clone(), whole.clone());
            bytes[visible[header + at]] ^= 0x10;
            damaged[0] = gst::Buffer::from_slice(bytes);
            let came = decrypt_caps(&keys, "", &caps, damaged);
            let told = format!("byte {at} of the frame header: {:?}", came.posted);
            assert_eq!(came.frames(&info, &sent), [1, 2], "{told}");
            assert_eq!((came.stat("rejected"), came.stat("lost"), &came.error), (1, 0, &None), "{told}");
            assert!(came.posted.iter().any(|(reason, _)| reason == "new-stream"), "{told}");
        }
    });
}

#[test]
fn a_stream_cut_anywhere_gives_its_whole_frames() {
    in_time(|| {
        let keys = Keys::new();
        let info = info("I420", 20, 14);
        let sent = frames(&info, FRAMES);
        let packets = packets_of(&keys, "", &info, &sent);
        let (whole, ends) = (joined(&packets), ends(&packets));
        let mut cuts: Vec<usize> = ends.iter().flat_map(|&end| [end - 1, end, end + 1, end + 8, end + 70]).collect();
        cuts.extend([0, 1, 8, 50, ends[0] + 64, ends[1] + 300]);
        for cut in cuts.into_iter().filter(|&cut| cut < whole.len()) {
            for size in [100, whole.len()] {
                let pieces = whole[..cut].chunks(size).map(|piece| gst::Buffer::from_slice(piece.to_vec()));
                let came = decrypt(&keys, "", pieces);
                let packets_left = ends.iter().filter(|&&end| end <= cut).count() as u64;
                let wanted: Vec<u64> = (0..packets_left.saturating_sub(1)).collect();
                let told = format!("cut at {cut}: {:?} {:?}", came.posted, came.error);
                assert_eq!(came.frames(&info, &sent), wanted, "{told}");
                assert_eq!(came.error.is_some(), packets_left == 0, "{told}");
                let truncated = came.posted.iter().filter(|(reason, _)| reason == "truncated").count();
                assert_eq!(truncated, usize::from(packets_left > 0), "{told}");
                assert!(!came.end_seen(), "{told}");
            }
        }
    });
}

/// A torn packet must not take the whole one after it along.
#[test]
fn a_torn_packet_costs_itself_alone() {
    in_time(|| {
        let keys = Keys::new();
        let info = info("I420", 20, 14);
        let sent = frames(&info, FRAMES);
        let packets = packets_of(&keys, "", &info, &sent);
        for left in [1, 8, 63, 64, 65, 200] {
            let mut bytes = joined(&packets[..2]);
            bytes.extend(&pictures::bytes(&packets[2])[..left]);
            bytes.extend(joined(&packets[3..]));
            for size in [50, bytes.len()] {
                let came = decrypt(&keys, "", bytes.chunks(size).map(|piece| gst::Buffer::from_slice(piece.to_vec())));
                assert_eq!(came.frames(&info, &sent), [0, 2, 3], "{left} bytes left: {:?}", came.posted);
                assert_eq!(came.stat("lost"), 1);
                assert!(came.end_seen());
            }
        }
    });
}

/// Bytes that are picture nowhere may change: they are not part of what is sealed.
#[test]
fn row_padding_of_a_carrier_does_not_matter() {
    in_time(|| {
        let keys = Keys::new();
        // GStreamer pads rows to four bytes.
        let info = info("GRAY8", 33, 21);
        let sent = frames(&info, 2);
        let rig = Rig::new(&format!("chaosenc {} output=picture", keys.psk()));
        let cipher = rig.run(stream(&pictures::caps(&info), sent.clone()));
        let caps = all_caps(&cipher).remove(0);
        let cipher_info = gst_video::VideoInfo::from_caps(&caps).expect("raw video");
        let visible = pictures::visible_bytes(&cipher_info);
        let changed = buffers(&cipher).into_iter().map(|picture| {
            let mut bytes: Vec<u8> = pictures::bytes(picture).iter().map(|byte| !byte).collect();
            for &position in &visible {
                bytes[position] = !bytes[position];
            }
            gst::Buffer::from_slice(bytes)
        });
        assert!(visible.len() < cipher_info.size());
        let came = decrypt_caps(&keys, "", &caps, changed.collect::<Vec<_>>());
        assert_eq!(came.frames(&info, &sent), [0, 1]);
    });
}
