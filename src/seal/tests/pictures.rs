//! Streams in the rows of pictures.

use super::*;

#[test]
fn cipher_pictures_survive_and_show_nothing_unverified() {
    for (name, width, height) in
        [("GRAY8", 16, 16), ("I420", 17, 13), ("I420", 320, 240), ("RGB", 1, 1), ("NV12", 641, 479)]
    {
        for profile in Profile::ALL {
            let layout = FrameLayout::new(Format::from_name(name).expect("known"), width, height, false).expect("fits");
            let len = layout.payload_bytes();
            let mut writer = writer(profile, Aead::Aes256Gcm);
            let header = writer.describe(&description()).expect("fits");
            let picture = PictureLayout::new(layout, profile, header.len()).expect("fits");
            let mut sealer = FrameSealer::new(writer.keys(), engine());
            let (mut prefix, mut payload) = (Vec::new(), Vec::new());
            let source = |out: &mut [u8]| {
                out.copy_from_slice(&bytes(len));
                Ok(())
            };
            let ticket = writer.frame(len).expect("within limits");
            sealer.seal(ticket, &Record::default(), source, &mut prefix, &mut payload).expect("seals");
            // Padding of seven bytes a row, with a mark that must stay.
            let mut planes: Vec<(Vec<u8>, usize)> = picture
                .cipher
                .planes()
                .iter()
                .map(|p| (vec![0xC3; (p.row_bytes + 7) * p.rows], p.row_bytes + 7))
                .collect();
            let mut out: Vec<PlaneMut> =
                planes.iter_mut().map(|(data, stride)| PlaneMut { data, stride: *stride }).collect();
            picture.fill(&header, &prefix, &payload, &mut out, &mut Vec::new()).expect("fits");
            let open = |planes: &[(Vec<u8>, usize)]| {
                let views: Vec<Plane> = planes.iter().map(|(data, stride)| Plane { data, stride: *stride }).collect();
                let mut cipher = CipherPicture::default();
                cipher.read(&picture.cipher, &views)?;
                assert_eq!(cipher.size, (width, height));
                let mut reader = reader();
                reader.header(cipher.header())?;
                let mut out = Vec::new();
                FrameOpener::new(reader.keys().expect("open"), engine())
                    .open(cipher.prefix(), &cipher.payload, &mut out)
                    .map(|_| out)
            };
            assert!(open(&planes).expect("opens") == bytes(len), "{name} {width}x{height} {profile:?}");
            for plane in 0..planes.len() {
                let row_bytes = picture.cipher.planes()[plane].row_bytes;
                let (total, stride) = (planes[plane].0.len(), planes[plane].1);
                for at in (0..total).step_by((total / 97).max(1)) {
                    let visible = at % stride < row_bytes;
                    planes[plane].0[at] ^= 0x10;
                    assert_eq!(open(&planes).is_err(), visible, "{name} {profile:?} plane {plane} byte {at}");
                    planes[plane].0[at] ^= 0x10;
                }
            }
        }
    }
}
