//! A picture as the analysis sees it: eight bits a sample, gray or RGB, channels interleaved, no padding.

/// A picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Pixels of a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// 1 for gray, 3 for RGB.
    pub channels: usize,
    /// `width * height * channels` samples.
    pub bytes: Vec<u8>,
}

/// One channel of a picture.
#[derive(Clone, Debug)]
pub struct Plane {
    /// `gray`, `r`, `g` or `b`.
    pub name: &'static str,
    /// Its samples, row by row.
    pub bytes: Vec<u8>,
}

impl Picture {
    /// The same picture with other samples, as many.
    pub fn with_bytes(&self, bytes: Vec<u8>) -> Picture {
        Picture { bytes, ..*self }
    }

    /// Width, height and channels.
    pub fn shape(&self) -> (usize, usize, usize) {
        (self.width, self.height, self.channels)
    }

    /// Names of the channels.
    pub fn channel_names(&self) -> &'static [&'static str] {
        match self.channels {
            1 => &["gray"],
            _ => &["r", "g", "b"],
        }
    }

    /// The channels one by one.
    pub fn planes(&self) -> Vec<Plane> {
        let plane = |(channel, &name): (usize, &&'static str)| Plane {
            name,
            bytes: self.bytes.iter().skip(channel).step_by(self.channels).copied().collect(),
        };
        self.channel_names().iter().enumerate().map(plane).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_come_apart() {
        let picture = Picture { width: 2, height: 1, channels: 3, bytes: vec![1, 2, 3, 4, 5, 6] };
        let planes: Vec<_> = picture.planes().into_iter().map(|plane| (plane.name, plane.bytes)).collect();
        assert_eq!(planes, [("r", vec![1, 4]), ("g", vec![2, 5]), ("b", vec![3, 6])]);
    }
}
