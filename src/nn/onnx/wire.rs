//! How much a protobuf file makes of its bytes, told before it is decoded: an empty part takes two bytes in the file and
//! hundreds in memory.

use crate::{Error, Result};

/// Parts of a model: names, nodes, attributes, tensors. Large classifiers have some thousands.
const MOST_PARTS: usize = 200_000;

/// What a part is, as far as there may be many parts in it (onnx.proto3, version 1).
#[derive(Clone, Copy)]
enum Part {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    Sparse,
    Training,
    Function,
    /// Types and shapes: parts in parts, with names between them that are none.
    Type,
    /// Texts and bytes.
    Text,
}

impl Part {
    fn of_field(self, number: u64) -> Part {
        match (self, number) {
            (Part::Model, 7) | (Part::Attribute, 6 | 11) | (Part::Training, 1 | 2) => Part::Graph,
            (Part::Graph, 1) | (Part::Function, 7) => Part::Node,
            (Part::Node, 5) => Part::Attribute,
            (Part::Graph, 5) | (Part::Attribute, 5 | 10) | (Part::Sparse, 1 | 2) => Part::Tensor,
            (Part::Graph, 15) | (Part::Attribute, 22 | 23) => Part::Sparse,
            (Part::Model, 20) => Part::Training,
            (Part::Model, 25) => Part::Function,
            (Part::Graph, 11..=14) | (Part::Attribute, 14 | 15) | (Part::Type, _) => Part::Type,
            _ => Part::Text,
        }
    }
}

/// Refuses a file of too many parts, and one that is no protobuf.
///
/// # Errors
/// [`Error::Model`].
pub fn check(file: &[u8]) -> Result<()> {
    let mut left = MOST_PARTS;
    // Parts still to be looked into; no recursion, for parts may lie in parts as deep as the file is long.
    let mut parts = vec![(Part::Model, file)];
    while let Some((part, mut bytes)) = parts.pop() {
        while !bytes.is_empty() {
            let (number, content) = match (field(&mut bytes), part) {
                (Some(Some(content)), _) => content,
                (Some(None), _) => continue,
                (None, Part::Type) => break,
                (None, _) => return Err(Error::Model("it is no model: neither of this program nor ONNX".into())),
            };
            left = left.checked_sub(1).ok_or_else(|| Error::Model(format!("it has more than {MOST_PARTS} parts")))?;
            match part.of_field(number) {
                Part::Text => {}
                inner => parts.push((inner, content)),
            }
        }
    }
    Ok(())
}

/// Takes one field: its number and content if it is a part, nothing of it if it is a number; `None` if it is no field
/// (encoding: protobuf.dev/programming-guides/encoding).
fn field<'a>(bytes: &mut &'a [u8]) -> Option<Option<(u64, &'a [u8])>> {
    let key = varint(bytes)?;
    let length = match key & 7 {
        0 => return varint(bytes).map(|_| None),
        1 => 8,
        5 => 4,
        2 => usize::try_from(varint(bytes)?).ok()?,
        _ => return None,
    };
    let (content, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some((key & 7 == 2).then_some((key >> 3, content)))
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A graph (field 7) of nodes (field 1) without anything in them: two bytes each.
    #[test]
    fn fail_a_flood_of_parts() {
        let file = |nodes: usize| {
            let mut length = 2 * nodes;
            let mut file = vec![7 << 3 | 2];
            while length >= 0x80 {
                file.push(length as u8 | 0x80);
                length >>= 7;
            }
            file.push(length as u8);
            file.extend([1 << 3 | 2, 0].repeat(nodes));
            file
        };
        assert!(check(&file(MOST_PARTS - 1)).is_ok());
        assert!(check(&file(MOST_PARTS)).expect_err("refused").to_string().contains("parts"));
    }

    #[test]
    fn fail_what_is_no_protobuf() {
        for bytes in [&b"\x3a\x05abc"[..], b"\x3a", b"\x07", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", b"text"] {
            assert!(check(bytes).is_err(), "{bytes:?}");
        }
    }
}
