use crate::model::{Progress, Tid};

use super::{DecodedIndex, IndexError, ProbeSet};

/// The wider search looks at so many times more elements than the one in force.
const WIDER: u32 = 5;
/// pgvector's largest `hnsw.ef_search`.
const WIDEST: u32 = 1_000;
/// Neighbours that are compared: as many as the recall of a query counts.
const NEIGHBOURS: usize = 10;
/// Differences of two computations of one distance.
const RELATIVE_TOLERANCE: f32 = 1e-6;
/// Elements whose vectors are copied at a time.
const CHUNK: usize = 1_000;

impl DecodedIndex {
    /// Heap TIDs, ascending, of elements whose own search at `parameter` finds none of the ten nearest others that a
    /// five times wider one finds: islands. They were linked to elements far away, because their insertion did not
    /// find their neighbourhood; a search for them ends among those. Looks at `sample` elements, chosen at random.
    ///
    /// # Errors
    /// [`IndexError::VectorsNotKept`].
    pub fn misplaced(
        &self,
        parameter: u32,
        sample: Option<u64>,
        seed: u64,
        progress: &dyn Progress,
    ) -> Result<Vec<Tid>, IndexError> {
        if !self.vectors_kept() {
            return Err(IndexError::VectorsNotKept);
        }
        let wider = parameter.saturating_mul(WIDER).min(WIDEST).max(parameter);
        let elements = self.sample_elements(sample.map_or(usize::MAX, |s| s.try_into().unwrap_or(usize::MAX)), seed);
        progress.phase("searching for rows without neighbours", Some(elements.len() as u64));
        let mut tids = Vec::new();
        for (chunk, elements) in elements.chunks(CHUNK).enumerate() {
            let probes = ProbeSet::of_elements(self, elements);
            let narrow = self.search_keeping(&probes, parameter, parameter as usize)?;
            // Only those that find fewer than there are can be islands, but how many there are only a wider search tells.
            let wide = self.search_keeping(&probes, wider, parameter as usize)?;
            for (i, (narrow, wide)) in narrow.rows().iter().zip(wide.rows()).enumerate() {
                let own = probes.own_tids(i);
                if finds_none(&others(narrow, own), &others(wide, own)) {
                    tids.extend_from_slice(own);
                }
            }
            progress.done(((chunk + 1) * CHUNK).min(elements.len()) as u64);
        }
        tids.sort_unstable();
        Ok(tids)
    }
}

fn others(rows: &[(Tid, f32)], own: &[Tid]) -> Vec<f32> {
    rows.iter().filter(|(tid, _)| !own.contains(tid)).take(NEIGHBOURS).map(|(_, distance)| *distance).collect()
}

/// Whether no row of `found` is as near as the last of `there_are`; both ascending.
fn finds_none(found: &[f32], there_are: &[f32]) -> bool {
    there_are.last().is_some_and(|last| {
        let limit = last + last.abs() * RELATIVE_TOLERANCE;
        found.first().is_none_or(|nearest| *nearest > limit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(found: &[f32], there_are: &[f32], expected: bool) {
        assert_eq!(finds_none(found, there_are), expected, "{found:?} of {there_are:?}");
    }

    #[test]
    fn an_island_finds_none_of_its_neighbours() {
        check(&[0.5, 0.6], &[0.1, 0.2], true);
        check(&[0.2, 0.6], &[0.1, 0.2], false);
        check(&[0.1, 0.2], &[0.1, 0.2], false);
        check(&[], &[0.1], true);
        check(&[0.1], &[], false);
        check(&[], &[], false);
        // Inner products are negative distances.
        check(&[-0.5], &[-0.9, -0.5], false);
        check(&[-0.4], &[-0.9, -0.5], true);
    }

    #[test]
    fn own_rows_are_no_neighbours() {
        let tid = |offset| Tid { block: 0, offset };
        let rows = [(tid(1), 0.0), (tid(2), 0.0), (tid(3), 0.4)];
        assert_eq!(others(&rows, &[tid(1), tid(2)]), [0.4]);
    }
}
