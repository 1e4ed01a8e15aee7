//! A cursor over bytes that came from outside: every read is checked.

use crate::{Error, Result};

/// Reads little-endian fields from the front of a slice.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a>(pub &'a [u8]);

impl<'a> Fields<'a> {
    /// The next `len` bytes.
    pub fn take(&mut self, len: usize) -> Result<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(len).ok_or(Error::Refused("a field ends too early"))?;
        self.0 = rest;
        Ok(head)
    }

    /// The next `N` bytes.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }

    pub fn u8(&mut self) -> Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    pub fn u16(&mut self) -> Result<u16> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub fn f64(&mut self) -> Result<f64> {
        Ok(f64::from_bits(self.u64()?))
    }

    /// A time or offset; all ones stand for none.
    pub fn optional(&mut self) -> Result<Option<u64>> {
        Ok(Some(self.u64()?).filter(|&value| value != ABSENT))
    }

    /// UTF-8 of `len` bytes.
    pub fn text(&mut self, len: usize) -> Result<String> {
        let text = String::from_utf8(self.take(len)?.to_vec()).map_err(|_| Error::Refused("a text is not UTF-8"))?;
        match text.contains('\0') {
            true => Err(Error::Refused("a text with a zero byte")),
            false => Ok(text),
        }
    }

    /// UTF-8 after its u16 length.
    pub fn text16(&mut self) -> Result<String> {
        let len = self.u16()?;
        self.text(len.into())
    }

    /// `len` bytes that must be zero.
    pub fn zeros(&mut self, len: usize) -> Result<()> {
        match self.take(len)?.iter().all(|&byte| byte == 0) {
            true => Ok(()),
            false => Err(Error::Refused("a reserved field is not zero")),
        }
    }

    /// Nothing may be left.
    pub fn end(self) -> Result<()> {
        match self.0.is_empty() {
            true => Ok(()),
            false => Err(Error::Refused("bytes after the last field")),
        }
    }
}

/// Stands for an absent time or offset.
pub(super) const ABSENT: u64 = u64::MAX;

/// Appends UTF-8 after its u16 length.
pub(super) fn put_text16(out: &mut Vec<u8>, text: &str) -> Result<()> {
    let len = u16::try_from(text.len()).map_err(|_| Error::TooLarge {
        what: "bytes of text in a meta",
        size: text.len() as u64,
        limit: u16::MAX.into(),
    })?;
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(text.as_bytes());
    Ok(())
}
