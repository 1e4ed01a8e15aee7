//! The networks that are compared: that of the paper and its five peers (Liu et al. 2022, RITEM-CF-AN).

use serde::{Deserialize, Serialize};

/// Which network. All see the same planes, and end in the mean of their features over places or rows, dropout, and one
/// matrix.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Architecture {
    /// The paper's: AlexNet with overlapping max-pools in front of local response normalisation. It is the one that comes
    /// with the program.
    #[default]
    #[serde(rename = "improved-alexnet")]
    ImprovedAlexNet,
    /// The same with the normalisation in front of the max-pools, as Krizhevsky et al. 2012 have it.
    #[serde(rename = "alexnet")]
    AlexNet,
    /// Small convolutions and max-pools that do not overlap, nothing normalised.
    Cnn,
    /// Two layers over all numbers of the planes.
    Mlp,
    /// Elman's recurrent network over the rows, each with those of all planes.
    Rnn,
    /// Long short-term memory over the same rows.
    Lstm,
}

impl Architecture {
    /// Every network, the paper's first.
    pub const ALL: [Architecture; 6] = [
        Architecture::ImprovedAlexNet,
        Architecture::AlexNet,
        Architecture::Cnn,
        Architecture::Mlp,
        Architecture::Rnn,
        Architecture::Lstm,
    ];

    /// The word for it, in files and on command lines.
    pub fn name(self) -> &'static str {
        match self {
            Architecture::ImprovedAlexNet => "improved-alexnet",
            Architecture::AlexNet => "alexnet",
            Architecture::Cnn => "cnn",
            Architecture::Mlp => "mlp",
            Architecture::Rnn => "rnn",
            Architecture::Lstm => "lstm",
        }
    }
}
