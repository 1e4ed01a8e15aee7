//! The rows of a cipher picture: genuine ones that were damaged, and those of any format and size.

use super::{
    genuine::{GenuinePicture, PICTURES, engine},
    judge::assert_sealed,
    program::Program,
};
use crate::{
    frame::{Format, FrameLayout, Plane, PlaneMut},
    seal::{CipherPicture, FrameOpener, PictureLayout},
};

/// `u8 which | ...`: a program over a genuine picture where `which` is even, else a picture of its own.
pub fn run(bytes: &[u8]) {
    let mut program = Program(bytes);
    let is_genuine = program.byte().is_multiple_of(2);
    match is_genuine {
        true => damaged(&mut program),
        false => of_any_format(&mut program),
    }
}

/// `u8 picture | then for each change u8 way | ...`.
fn damaged(program: &mut Program) {
    let genuine = &PICTURES[usize::from(program.byte()) % PICTURES.len()];
    let mut plane = genuine.plane.clone();
    while !program.is_over() {
        let at = program.below(plane.len());
        match program.byte() % 4 {
            0 => plane[at] ^= 1 << (program.byte() % 8),
            1 => plane[at] = program.byte(),
            2 => {
                let from = program.below(plane.len());
                let len = program.below(64).min(plane.len() - at.max(from));
                plane.copy_within(from..from + len, at);
            }
            _ => {
                let bytes = program.literal();
                let len = bytes.len().min(plane.len() - at);
                plane[at..at + len].copy_from_slice(&bytes[..len]);
            }
        }
    }
    judge_picture(genuine, &plane);
}

/// Whatever opens has the frame that was sealed in it. Tells whether it opened.
pub fn judge_picture(genuine: &GenuinePicture, plane: &[u8]) -> bool {
    let planes = [Plane { data: plane, stride: genuine.layout.planes()[0].row_bytes }];
    let mut picture = CipherPicture::default();
    if picture.read(&genuine.layout, &planes).is_err() {
        return false;
    }
    let mut reader = genuine.stream.reader();
    if reader.header(picture.header()).is_err() {
        return false;
    }
    assert!(picture.header() == genuine.stream.packets[0], "a stream header that nobody wrote");
    let mut opener = FrameOpener::new(reader.keys().expect("open"), engine());
    let mut out = vec![0xA7; picture.payload.len()];
    match opener.open(picture.prefix(), &picture.payload, &mut out) {
        Ok((header, record)) => {
            assert_sealed(&genuine.stream, &header, &record, &out);
            true
        }
        Err(_) => {
            assert!(out.iter().all(|&byte| byte == 0) || out.iter().all(|&byte| byte == 0xA7), "unverified bytes");
            false
        }
    }
}

/// `u8 format | u8 width | u8 height | u8 interlaced | rows`, the last of which may be missing. What is taken apart and
/// put together again is the same picture.
fn of_any_format(program: &mut Program) {
    let formats: Vec<Format> = Format::all().collect();
    let format = formats[usize::from(program.byte()) % formats.len()];
    let (width, height) = (u32::from(program.byte()) + 1, u32::from(program.byte()) + 1);
    let interlaced = program.byte() % 2 == 1;
    let Ok(cipher) = FrameLayout::new(format, width, height, interlaced) else { return };
    // The fuzzer's bytes end the picture: that is where its trailer stands.
    let mut bytes = vec![0; cipher.payload_bytes()];
    let first = cipher.planes()[0].bytes();
    let told = &program.0[..program.0.len().min(first)];
    bytes[first - told.len()..first].copy_from_slice(told);
    let planes: Vec<Plane> = planes_of(&cipher, &bytes);
    let mut picture = CipherPicture::default();
    if picture.read(&cipher, &planes).is_err() {
        return;
    }
    let frame = FrameLayout::new(format, picture.size.0, picture.size.1, interlaced).expect("it was read");
    assert_eq!(picture.payload.len(), frame.payload_bytes());
    let Ok(layout) = PictureLayout::with_extra_rows(frame.clone(), (height - picture.size.1) as usize) else {
        panic!("rows that were read cannot be written");
    };
    let mut written = vec![0xEE; cipher.payload_bytes()];
    let mut rest = &mut written[..];
    let mut views = Vec::new();
    for plane in cipher.planes() {
        let (data, after) = rest.split_at_mut(plane.bytes());
        views.push(PlaneMut { data, stride: plane.row_bytes });
        rest = after;
    }
    layout
        .fill(picture.header(), picture.prefix(), &picture.payload, &mut views, &mut Vec::new())
        .expect("it was read");
    assert!(written == bytes, "a picture that is written otherwise than it was read");
}

fn planes_of<'a>(layout: &FrameLayout, bytes: &'a [u8]) -> Vec<Plane<'a>> {
    layout.planes().iter().map(|plane| Plane { data: &bytes[plane.range()], stride: plane.row_bytes }).collect()
}
