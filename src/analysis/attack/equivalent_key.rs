//! What stands for the key of a bare scheme: its permutation and its keystream.

/// Permutation and keystream with `cipher[i] = plain[source[i]] ^ keystream[i]`, as an attack believes them to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EquivalentKey {
    /// Where each cipher pixel comes from, below the number of pixels.
    pub source: Vec<u32>,
    /// What each cipher pixel was masked with.
    pub keystream: Vec<u8>,
}

impl EquivalentKey {
    /// The picture of a cipher. Pixels that no cipher pixel is believed to come from stay what the keystream leaves at
    /// their place.
    pub fn decrypt(&self, cipher: &[u8]) -> Vec<u8> {
        let unmasked: Vec<u8> = cipher.iter().zip(&self.keystream).map(|(byte, mask)| byte ^ mask).collect();
        let mut plain = unmasked.clone();
        for (&to, byte) in self.source.iter().zip(unmasked) {
            plain[to as usize] = byte;
        }
        plain
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn undoes_mask_and_order() {
        let key = EquivalentKey { source: vec![2, 0, 1], keystream: vec![1, 2, 4] };
        // The plain picture 10 20 30 becomes 30^1 10^2 20^4.
        assert_eq!(key.decrypt(&[31, 8, 16]), [10, 20, 30]);
    }

    #[test]
    fn what_is_not_told_stays_in_place() {
        let key = EquivalentKey { source: vec![1, 1, 1], keystream: vec![0; 3] };
        assert_eq!(key.decrypt(&[7, 8, 9]), [7, 9, 9]);
    }
}
