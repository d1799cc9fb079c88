use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

use super::Tid;

/// By the place of a row. Places come from PostgreSQL in hundreds of thousands; nobody chooses them to collide.
pub type TidMap<T> = HashMap<Tid, T, BuildHasherDefault<TidHasher>>;
/// Places of rows.
pub type TidSet = HashSet<Tid, BuildHasherDefault<TidHasher>>;

/// Multiplies and folds: cheap, and good enough for numbers that differ in few low bits.
#[derive(Clone, Copy, Debug, Default)]
pub struct TidHasher(u64);

/// 2^64 over the golden ratio.
const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;

impl Hasher for TidHasher {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u16((*byte).into()));
    }

    fn write_u16(&mut self, value: u16) {
        self.write_u32(value.into());
    }

    fn write_u32(&mut self, value: u32) {
        self.0 = (self.0.rotate_left(16) ^ u64::from(value)).wrapping_mul(FACTOR);
    }

    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_places_of_a_table_are_spread() {
        let mut slots = vec![0_u32; 1 << 16];
        let mut tops = [0_u32; 128];
        for block in 0..8_192 {
            for offset in 1..=8 {
                let mut hasher = TidHasher::default();
                std::hash::Hash::hash(&Tid { block, offset }, &mut hasher);
                slots[hasher.finish() as usize & 0xFFFF] += 1;
                tops[(hasher.finish() >> 57) as usize] += 1;
            }
        }
        assert!(slots.iter().all(|count| *count <= 16), "{:?}", slots.iter().max());
        assert!(tops.iter().all(|count| (256..1024).contains(count)), "{tops:?}");
    }
}
