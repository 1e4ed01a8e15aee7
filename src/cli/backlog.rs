//! Packets that wait on the disk. A muxer takes nothing until it has something of every track, so where one track
//! begins late or pauses, any length of the others has to wait: too much for memory. What lies there is sealed.

use std::{
    collections::VecDeque,
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// Packets of one track, in their order, in a file that has no name and goes with this program.
#[derive(Debug)]
pub struct Backlog {
    /// The name that the file has for a moment.
    path: PathBuf,
    file: Option<File>,
    /// Lengths of the packets.
    packets: VecDeque<usize>,
    read_at: u64,
    written_to: u64,
}

impl Backlog {
    /// Nothing waits.
    pub fn new(path: &Path) -> Backlog {
        Backlog { path: path.to_owned(), file: None, packets: VecDeque::new(), read_at: 0, written_to: 0 }
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// Adds a packet.
    ///
    /// # Errors
    /// If the disk does not take it.
    pub fn push(&mut self, packet: &[u8]) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(nameless(&self.path)?),
        };
        file.write_all_at(packet, self.written_to)?;
        self.written_to += packet.len() as u64;
        self.packets.push_back(packet.len());
        Ok(())
    }

    /// Takes the oldest packet. When it was the last one, the disk gets its space back.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn pop(&mut self) -> io::Result<Option<Vec<u8>>> {
        let (Some(len), Some(file)) = (self.packets.pop_front(), &self.file) else { return Ok(None) };
        let mut packet = vec![0; len];
        file.read_exact_at(&mut packet, self.read_at)?;
        self.read_at += len as u64;
        if self.packets.is_empty() {
            file.set_len(0)?;
            (self.read_at, self.written_to) = (0, 0);
        }
        Ok(Some(packet))
    }
}

fn nameless(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)?;
    fs::remove_file(path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_come_back_in_their_order() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut backlog = Backlog::new(&folder.path().join("waiting"));
        for round in 0..2_u8 {
            for len in 1..=100_u8 {
                backlog.push(&vec![len ^ round; len.into()]).expect("the disk takes it");
            }
            assert!(!backlog.is_empty());
            for len in 1..=100_u8 {
                assert_eq!(backlog.pop().expect("readable"), Some(vec![len ^ round; len.into()]));
            }
            assert!(backlog.is_empty() && backlog.pop().expect("readable").is_none());
        }
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0, "it has no name");
    }
}
