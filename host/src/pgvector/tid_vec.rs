use crate::model::Tid;

/// Places on pages, 6 bytes each.
#[derive(Clone, Debug, Default)]
pub(crate) struct TidVec {
    blocks: Vec<u32>,
    offsets: Vec<u16>,
}

impl TidVec {
    pub fn push(&mut self, (block, offset): (u32, u16)) {
        self.blocks.push(block);
        self.offsets.push(offset);
    }

    pub fn len(&self) -> usize {
        self.blocks.len()
    }

    pub fn get(&self, i: usize) -> Tid {
        Tid { block: self.blocks[i], offset: self.offsets[i] }
    }

    pub fn truncate(&mut self, len: usize) {
        self.blocks.truncate(len);
        self.offsets.truncate(len);
    }

    pub fn shrink(&mut self) {
        self.blocks.shrink_to_fit();
        self.offsets.shrink_to_fit();
    }

    pub fn bytes(&self) -> u64 {
        (size_of_val(&self.blocks[..]) + size_of_val(&self.offsets[..])) as u64
    }

    /// Of arrays of the same length.
    pub fn from_parts(blocks: Vec<u32>, offsets: Vec<u16>) -> Self {
        TidVec { blocks, offsets }
    }
}
