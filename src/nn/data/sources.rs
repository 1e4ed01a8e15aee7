//! The photographs: which file belongs to which split, and a digest of all of them.

use crate::analysis::picture::Picture;

/// What a picture is used for. All crops of one source go the same way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// To learn from.
    Train,
    /// To watch learning.
    Validation,
    /// To judge the result.
    Test,
}

impl Split {
    /// Every split.
    pub const ALL: [Split; 3] = [Split::Train, Split::Validation, Split::Test];

    /// How a file that lists its pictures ends, without the extension.
    pub fn suffix(self) -> &'static str {
        match self {
            Split::Train => "train",
            Split::Validation => "val",
            Split::Test => "test",
        }
    }

    /// Where no lists are given: by the digest of a file's name, 70, 15 and 15 of 100.
    pub fn of_name(name: &str) -> Split {
        match u32::from(blake3::hash(name.as_bytes()).as_bytes()[0]) * 100 / 256 {
            0..70 => Split::Train,
            70..85 => Split::Validation,
            _ => Split::Test,
        }
    }
}

/// A photograph.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its file's name.
    pub name: String,
    /// Gray or RGB.
    pub picture: Picture,
}

/// A digest of names, sizes and samples, in the order given: who trains again can tell whether it was on the same.
pub fn digest<'a>(sources: impl IntoIterator<Item = &'a Source>) -> String {
    let mut hasher = blake3::Hasher::new();
    for Source { name, picture } in sources {
        let (width, height, channels) = picture.shape();
        for field in [name.len(), width, height, channels] {
            hasher.update(&(field as u64).to_le_bytes());
        }
        hasher.update(name.as_bytes()).update(&picture.bytes);
    }
    hasher.finalize().to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_decide_the_split() {
        let counts =
            Split::ALL.map(|split| (0..10_000).filter(|i| Split::of_name(&format!("{i}.png")) == split).count());
        let [train, validation, test] = counts;
        assert!((6800..7300).contains(&train) && (1300..1650).contains(&validation), "{counts:?}");
        assert_eq!(train + validation + test, 10_000);
    }

    #[test]
    fn a_digest_tells_one_sample_and_one_letter() {
        let of = |name: &str, sample| {
            let picture = Picture { width: 1, height: 1, channels: 1, bytes: vec![sample] };
            digest(&[Source { name: name.into(), picture }])
        };
        assert_eq!(of("a", 1), of("a", 1));
        assert_ne!(of("a", 1), of("a", 2));
        assert_ne!(of("a", 1), of("b", 1));
    }
}
