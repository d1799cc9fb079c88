use super::PageError;
use super::error::PageFault;

const MAX_PAGES: usize = 8_192;
/// How far an index may have grown while it was read.
const GROWTH_PAGES: u32 = 1 << 16;

/// Pages that came before the meta page, without which they cannot be understood.
#[derive(Debug, Default)]
pub(crate) struct Stash {
    pages: Vec<(u32, Vec<u8>)>,
}

impl Stash {
    pub fn put(&mut self, block: u32, page: &[u8]) -> Result<(), PageError> {
        if self.pages.len() >= MAX_PAGES {
            return Err(PageError { block, fault: PageFault::MetaMissing });
        }
        self.pages.push((block, page.to_vec()));
        Ok(())
    }

    pub fn take(&mut self) -> Vec<(u32, Vec<u8>)> {
        std::mem::take(&mut self.pages)
    }
}

/// Refuses a block that cannot be of the index (tables are indexed by block).
pub(crate) fn check_block(block: u32, pages_expected: u32) -> Result<(), PageError> {
    let limit = pages_expected.saturating_add(pages_expected.max(GROWTH_PAGES));
    if block < limit { Ok(()) } else { Err(PageError { block, fault: PageFault::BeyondEnd { pages_expected } }) }
}

/// What is known of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) enum BlockState {
    /// Never pushed.
    #[default]
    Missing,
    /// Pushed, and not decodable.
    Undecodable,
    /// All zero.
    Empty,
    Decoded,
}

impl BlockState {
    pub fn is_unknown(self) -> bool {
        matches!(self, BlockState::Missing | BlockState::Undecodable)
    }
}

/// Grows `table` so that it has an entry for `block`.
pub(crate) fn entry<T: Clone + Default>(table: &mut Vec<T>, block: u32) -> &mut T {
    let at = block as usize;
    if table.len() <= at {
        table.resize(at + 1, T::default());
    }
    &mut table[at]
}
