//! The leak: memory that is really touched, bounded, and really given back.

/// The most that the leak ever holds.
pub const CAP_BYTES: u64 = 512 << 20;
/// Above the allocator's largest threshold for private mappings (glibc's
/// `DEFAULT_MMAP_THRESHOLD_MAX`, 32 MiB, mallopt(3)): dropping a block gives it back to the system
/// at once, and its pages count only once they are touched.
const BLOCK: usize = 64 << 20;

/// Memory lost so far.
#[derive(Debug)]
pub struct Leak {
    cap: u64,
    blocks: Vec<Vec<u8>>,
}

impl Default for Leak {
    fn default() -> Self {
        Self {
            cap: CAP_BYTES,
            blocks: Vec::new(),
        }
    }
}

impl Leak {
    pub fn bytes(&self) -> u64 {
        self.blocks.iter().map(|block| block.len() as u64).sum()
    }

    /// Loses `bytes` more, up to the cap.
    pub fn grow(&mut self, bytes: u64) {
        let mut left = bytes.min(self.cap.saturating_sub(self.bytes())) as usize;
        while left > 0 {
            if self.blocks.last().is_none_or(|block| block.len() == BLOCK) {
                let mut block = Vec::new();
                // A machine without memory to lose is no reason to go down: stop growing.
                if block.try_reserve_exact(BLOCK).is_err() {
                    return;
                }
                self.blocks.push(block);
            }
            let Some(block) = self.blocks.last_mut() else {
                return;
            };
            let part = left.min(BLOCK - block.len());
            // Not zero: a zeroed page could be shared.
            block.resize(block.len() + part, 0xA5);
            left -= part;
        }
    }

    pub fn release(&mut self) {
        self.blocks = Vec::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_across_blocks_and_is_released() {
        let mut leak = Leak::default();
        leak.grow(1 << 20);
        leak.grow(BLOCK as u64);
        assert_eq!((leak.bytes(), leak.blocks.len()), ((65 << 20), 2));
        leak.release();
        assert_eq!(leak.bytes(), 0);
    }

    #[test]
    fn never_exceeds_the_cap() {
        let mut leak = Leak {
            cap: 5_000_000,
            ..Leak::default()
        };
        for _ in 0..10 {
            leak.grow(1 << 20);
        }
        assert_eq!(leak.bytes(), 5_000_000);
        leak.grow(u64::MAX);
        assert_eq!(leak.bytes(), 5_000_000);
    }
}
