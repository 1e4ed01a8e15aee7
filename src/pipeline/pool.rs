//! Recycled buffers: megabytes allocated per frame would cost their page faults each time.

use std::{
    ops::{Deref, DerefMut},
    sync::{Arc, Mutex, PoisonError},
};

/// Buffers that come back when dropped. At most `keep` of them wait for their next use.
#[derive(Debug)]
pub struct BufferPool {
    idle: Mutex<Vec<Vec<u8>>>,
    keep: usize,
}

impl BufferPool {
    /// A pool that keeps at most `keep` idle buffers.
    pub fn new(keep: usize) -> Arc<BufferPool> {
        Arc::new(BufferPool { idle: Mutex::new(Vec::with_capacity(keep)), keep })
    }

    /// A buffer, perhaps with bytes of an earlier use in it.
    pub fn take(self: &Arc<BufferPool>) -> PooledBuffer {
        let bytes = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        PooledBuffer { bytes, pool: self.clone() }
    }
}

/// A buffer that goes back to its pool when dropped.
#[derive(Debug)]
pub struct PooledBuffer {
    bytes: Vec<u8>,
    pool: Arc<BufferPool>,
}

impl Deref for PooledBuffer {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.bytes
    }
}

impl DerefMut for PooledBuffer {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }
}

impl AsRef<[u8]> for PooledBuffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl AsMut<[u8]> for PooledBuffer {
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

impl Drop for PooledBuffer {
    fn drop(&mut self) {
        let mut idle = self.pool.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < self.pool.keep {
            idle.push(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_come_back_up_to_the_limit() {
        let pool = BufferPool::new(2);
        let mut buffers: Vec<_> = (0..3).map(|_| pool.take()).collect();
        buffers.iter_mut().for_each(|buffer| buffer.resize(1000, 1));
        let address = buffers[1].as_ptr();
        drop(buffers);
        assert_eq!(pool.take().as_ptr(), address, "the last one kept is the next one used");
        assert_eq!(pool.idle.lock().expect("not poisoned").len(), 2);
    }
}
