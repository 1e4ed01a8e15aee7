//! What a frame is taken for.

/// What the classifier tells apart. The numbers are the places of the network's outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Label {
    /// Not encrypted: photographs, graphics, flat frames, and noise that is not uniform.
    Plain,
    /// Samples of a picture in another order: its histogram is what it was.
    Permuted,
    /// Only the four low bit planes are encrypted: contours can be seen.
    LowPlanes,
    /// Only the four high bit planes are encrypted.
    HighPlanes,
    /// Equal blocks of 16 bytes give equal blocks.
    EcbLike,
    /// Uniform noise: what every sound cipher makes.
    Encrypted,
}

impl Label {
    /// Every label, in the order of the network's outputs.
    pub const ALL: [Label; 6] =
        [Label::Plain, Label::Permuted, Label::LowPlanes, Label::HighPlanes, Label::EcbLike, Label::Encrypted];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Label::Plain => "plain",
            Label::Permuted => "permuted",
            Label::LowPlanes => "low-planes",
            Label::HighPlanes => "high-planes",
            Label::EcbLike => "ecb-like",
            Label::Encrypted => "encrypted",
        }
    }

    /// Its place among the network's outputs.
    pub fn index(self) -> usize {
        self as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_stand_where_their_index_says() {
        let names = Label::ALL.map(Label::name);
        assert_eq!(names, ["plain", "permuted", "low-planes", "high-planes", "ecb-like", "encrypted"]);
        assert!(Label::ALL.iter().enumerate().all(|(index, label)| label.index() == index));
    }
}
