//! Damage to ciphertext, as the literature tries it: noise and occlusion. What an unverified opening shows of it says how
//! far errors spread; the product itself refuses such a frame and goes on with the next.

use super::{picture::Picture, random::Random};

/// One kind and strength of damage.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Damage {
    /// Samples set to 0 or 255: the share of them.
    SaltAndPepper(f64),
    /// Normal noise added to every sample: its deviation, in steps of the 255.
    Gaussian(f64),
    /// A square in the middle set to 0: its share of the area.
    Occlusion(f64),
}

/// What is tried, by the names of the rows: PSNR and SSIM of what opens, against the plain picture.
pub const TRIED: [(&str, &str, Damage); 8] = [
    ("salt_pepper_1_psnr", "salt_pepper_1_ssim", Damage::SaltAndPepper(0.01)),
    ("salt_pepper_5_psnr", "salt_pepper_5_ssim", Damage::SaltAndPepper(0.05)),
    ("salt_pepper_10_psnr", "salt_pepper_10_ssim", Damage::SaltAndPepper(0.10)),
    ("gaussian_1_psnr", "gaussian_1_ssim", Damage::Gaussian(1.0)),
    ("gaussian_10_psnr", "gaussian_10_ssim", Damage::Gaussian(10.0)),
    ("occlusion_6_psnr", "occlusion_6_ssim", Damage::Occlusion(0.0625)),
    ("occlusion_25_psnr", "occlusion_25_ssim", Damage::Occlusion(0.25)),
    ("occlusion_50_psnr", "occlusion_50_ssim", Damage::Occlusion(0.50)),
];

impl Damage {
    /// For people.
    pub fn name(self) -> String {
        match self {
            Damage::SaltAndPepper(share) => format!("salt and pepper, {:.0} %", 100.0 * share),
            Damage::Gaussian(deviation) => format!("Gaussian noise, sigma {deviation}"),
            Damage::Occlusion(share) => format!("occlusion, {:.0} %", 100.0 * share),
        }
    }

    /// Damages a picture.
    pub fn apply(self, picture: &Picture, random: &mut Random) -> Picture {
        let mut damaged = picture.clone();
        match self {
            Damage::SaltAndPepper(share) => {
                for byte in &mut damaged.bytes {
                    if random.unit() <= share {
                        *byte = if random.unit() <= 0.5 { 0 } else { 255 };
                    }
                }
            }
            Damage::Gaussian(deviation) => {
                for byte in &mut damaged.bytes {
                    *byte = (f64::from(*byte) + deviation * random.normal()).round().clamp(0.0, 255.0) as u8;
                }
            }
            Damage::Occlusion(share) => {
                let side = share.sqrt();
                let (width, height) = ((picture.width as f64 * side) as usize, (picture.height as f64 * side) as usize);
                let (left, top) = ((picture.width - width) / 2, (picture.height - height) / 2);
                let row_bytes = picture.width * picture.channels;
                for row in damaged.bytes.chunks_mut(row_bytes).skip(top).take(height) {
                    row[left * picture.channels..(left + width) * picture.channels].fill(0);
                }
            }
        }
        damaged
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_has_its_extent() {
        let picture = Picture { width: 100, height: 80, channels: 3, bytes: vec![77; 24_000] };
        let mut random = Random::new(&[4; 32], "damage");
        let mut changed = |damage: Damage| {
            let damaged = damage.apply(&picture, &mut random);
            damaged.bytes.iter().filter(|&&byte| byte != 77).count()
        };
        assert_eq!(changed(Damage::Occlusion(0.25)), 6000);
        // 5 % of 24,000, five standard deviations on either side.
        assert!((1030..1370).contains(&changed(Damage::SaltAndPepper(0.05))));
        // Rounding leaves a normal number of deviation 1 at 0 in 38 % of cases.
        assert!((14_000..15_600).contains(&changed(Damage::Gaussian(1.0))));
    }
}
