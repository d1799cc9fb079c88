use rayon::prelude::*;

use super::meta::Meta;
use super::reader::HnswReader;

impl HnswReader {
    /// Blocks to read again before `finish`, ascending: pages that were not read or not decodable, and both
    /// ends of what does not fit together (a link to no element, an element without its neighbour list). Pages change
    /// between the reading of one and of another; what is still suspicious after a second read is real.
    pub fn suspicious_blocks(&self) -> Vec<u32> {
        let known_blocks = self.blocks.len().max(self.options.pages_expected as usize) as u32;
        let state = |block: u32| self.blocks.get(block as usize).map(|b| b.state).unwrap_or_default();
        let mut found: Vec<u32> = (0..known_blocks).filter(|block| state(*block).is_unknown()).collect();
        if let Some(meta) = &self.meta {
            if let Some((block, offset)) = meta.entry
                && self.element_at(block, offset).is_none()
            {
                found.extend([0, block]);
            }
            let elements = 0..self.elements.blocks.len();
            let of_elements = elements.into_par_iter().with_min_len(1024).filter(|e| !self.elements.superseded[*e]);
            found.par_extend(of_elements.flat_map_iter(|element| self.suspicious_of(meta, element)));
        }
        found.sort_unstable();
        found.dedup();
        found.retain(|block| *block < known_blocks);
        found
    }

    fn suspicious_of(&self, meta: &Meta, element: usize) -> Vec<u32> {
        let list_block = self.elements.neighbours.get(element).block;
        let Some(start) = self.list_start(meta, element) else {
            return vec![self.elements.blocks[element], list_block];
        };
        let mut found = Vec::new();
        let level = self.elements.levels[element];
        let mut first = start as usize;
        for layer in (0..=level).rev() {
            let end = first + meta.layer_slots(layer);
            for slot in first..end {
                let (block, offset) = (self.lists.slot_blocks[slot], self.lists.slot_offsets[slot]);
                if offset == 0 {
                    break;
                }
                if self.element_at(block, offset).is_none() {
                    found.extend([list_block, block]);
                }
            }
            first = end;
        }
        found
    }
}
