//! Whatever the bytes, reading never panics; what was written reads back.

use proptest::prelude::*;

use crate::model::{AccessMethod, Silent, Tid};

use super::fixture::{any_index, exercise};
use super::{DecodedIndex, IndexReader, Metric, ProbeSet, ReaderOptions, SearchRun, StructureHealth, VectorType};

const TYPES: [VectorType; 4] = [VectorType::Vector, VectorType::HalfVec, VectorType::Bit, VectorType::SparseVec];

fn method() -> impl Strategy<Value = AccessMethod> {
    prop_oneof![Just(AccessMethod::Hnsw), Just(AccessMethod::Ivfflat)]
}

fn vector_type() -> impl Strategy<Value = VectorType> {
    proptest::sample::select(&TYPES[..])
}

fn numbered(pages: Vec<Vec<u8>>) -> Vec<(u32, Vec<u8>)> {
    (0..).zip(pages).collect()
}

fn read(method: AccessMethod, vector_type: VectorType, pages: &[(u32, Vec<u8>)]) -> DecodedIndex {
    let metric = if vector_type == VectorType::Bit { Metric::Hamming } else { Metric::L2 };
    let pages_expected = pages.iter().map(|(block, _)| block + 1).max().unwrap_or(0);
    let options = ReaderOptions { vector_type, metric, vector_memory_limit_bytes: 1 << 30, pages_expected };
    let mut reader = IndexReader::new(method, options);
    for (block, page) in pages {
        reader.push_page(*block, page).unwrap();
    }
    assert_eq!(reader.suspicious_blocks(), Vec::<u32>::new());
    reader.finish().unwrap()
}

fn sorted_tids(index: &DecodedIndex) -> Vec<Tid> {
    let mut tids = index.heap_tids();
    tids.sort_unstable();
    tids
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_pages_never_panic(
        method in method(),
        vector_type in vector_type(),
        pages in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..9000), 0..4),
    ) {
        exercise(method, vector_type, &numbered(pages));
    }

    #[test]
    fn random_bytes_after_a_valid_meta_page_never_panic(
        method in method(),
        vector_type in vector_type(),
        bytes in proptest::collection::vec(any::<u8>(), 8192 - 24 - 200),
    ) {
        let mut pages = any_index(method, vector_type, 30, 1);
        for page in &mut pages[1..] {
            page[100..100 + bytes.len()].copy_from_slice(&bytes);
        }
        exercise(method, vector_type, &numbered(pages));
    }

    #[test]
    fn flipped_bits_never_panic(
        method in method(),
        vector_type in vector_type(),
        seed in any::<u64>(),
        flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0_u8..8), 1..40),
        low in any::<bool>(),
    ) {
        let mut pages = any_index(method, vector_type, 60, seed);
        for (page, at, bit) in flips {
            let page = page.index(pages.len());
            // The header and the line pointers, or anything.
            let at = at.index(if low { 80 } else { 8192 });
            pages[page][at] ^= 1 << bit;
        }
        exercise(method, vector_type, &numbered(pages));
    }

    #[test]
    fn truncated_and_shifted_pages_never_panic(
        method in method(),
        vector_type in vector_type(),
        page in any::<prop::sample::Index>(),
        amount in 0_usize..8192,
        kind in 0..4,
    ) {
        let mut pages = any_index(method, vector_type, 60, 7);
        let page = page.index(pages.len());
        match kind {
            0 => pages[page].truncate(amount),
            1 => pages[page].rotate_left(amount),
            2 => pages[page][amount..].fill(0),
            _ => pages[page][..amount].fill(0xFF),
        }
        exercise(method, vector_type, &numbered(pages));
    }

    #[test]
    fn foreign_pages_in_any_order_never_panic(
        method in method(),
        vector_type in vector_type(),
        other_type in vector_type(),
        order in proptest::collection::vec((0_u32..40, any::<prop::sample::Index>()), 0..40),
    ) {
        let pages = any_index(method, other_type, 60, 7);
        let shuffled: Vec<(u32, Vec<u8>)> =
            order.into_iter().map(|(block, page)| (block, pages[page.index(pages.len())].clone())).collect();
        exercise(method, vector_type, &shuffled);
    }

    #[test]
    fn the_order_of_pages_does_not_matter(
        method in method(),
        vector_type in vector_type(),
        seed in any::<u64>(),
        count in 1_usize..80,
    ) {
        if (method, vector_type) == (AccessMethod::Ivfflat, VectorType::SparseVec) {
            return Ok(());
        }
        let pages = numbered(any_index(method, vector_type, count, seed));
        let forward = read(method, vector_type, &pages);
        let backward: Vec<(u32, Vec<u8>)> = pages.iter().rev().cloned().collect();
        let backward = read(method, vector_type, &backward);
        prop_assert_eq!(sorted_tids(&forward).len(), count);
        prop_assert_eq!(sorted_tids(&forward), sorted_tids(&backward));
        prop_assert_eq!(forward.health(), backward.health());
        // Reading everything twice changes nothing either.
        let twice: Vec<(u32, Vec<u8>)> = pages.iter().chain(&pages).cloned().collect();
        let twice = read(method, vector_type, &twice);
        prop_assert_eq!(sorted_tids(&forward), sorted_tids(&twice));
        prop_assert_eq!(forward.health(), twice.health());
    }

    /// What searches of one query share does not show in what they find.
    #[test]
    fn searches_together_find_what_each_alone_finds(
        method in method(),
        vector_type in vector_type(),
        seed in any::<u64>(),
        count in 1_usize..200,
        parameters in proptest::collection::vec(0_u32..40, 1..6),
    ) {
        if (method, vector_type) == (AccessMethod::Ivfflat, VectorType::SparseVec) {
            return Ok(());
        }
        let index = read(method, vector_type, &numbered(any_index(method, vector_type, count, seed)));
        let probes = ProbeSet::from_index_sample(&index, 20, seed).unwrap();
        for rows_kept in [3, 1_000] {
            let together = index.search_each(&probes, &parameters, rows_kept).unwrap();
            prop_assert_eq!(together.len(), parameters.len());
            for (parameter, run) in parameters.iter().zip(&together) {
                let alone = index.search_keeping(&probes, *parameter, rows_kept).unwrap();
                let facts = |run: &SearchRun| (run.parameter, run.rows.clone(), run.truncated.clone(), run.cost.clone());
                prop_assert_eq!(facts(run), facts(&alone));
            }
        }
    }

    /// Searches that end as soon as the answer is sure answer as those that go on.
    #[test]
    fn unfindable_elements_are_those_that_a_search_does_not_answer(
        vector_type in vector_type(),
        seed in any::<u64>(),
        count in 1_usize..200,
        ef_search in 0_u32..12,
    ) {
        let index = read(AccessMethod::Hnsw, vector_type, &numbered(any_index(AccessMethod::Hnsw, vector_type, count, seed)));
        let probes = ProbeSet::from_index_sample(&index, count, seed).unwrap();
        let run = index.search(&probes, ef_search).unwrap();
        let own_distances = index.exact_neighbours(&without_own_rows(&probes), count).unwrap();
        let mut expected = Vec::new();
        for (query, found) in run.rows().iter().enumerate() {
            let own = &probes.own_tids[query];
            let nearest = &own_distances.rows()[query];
            let own_distance = nearest.iter().find(|(tid, _)| own.contains(tid)).unwrap().1;
            let is_full = found.len() >= ef_search.max(1) as usize && found.last().unwrap().1 <= own_distance;
            let answers = |(tid, _): &(Tid, f32)| {
                let other = probes.own_tids.iter().position(|tids| tids.contains(tid)).unwrap();
                probes.vectors.same_vector(query, &probes.vectors, other)
            };
            if !is_full && !found.iter().any(answers) {
                expected.extend(own);
            }
        }
        expected.sort_unstable();
        prop_assert_eq!(index.unfindable(ef_search, None, 1, &Silent).unwrap().tids, expected);
    }
}

fn without_own_rows(probes: &ProbeSet) -> ProbeSet {
    let mut probes = probes.clone();
    probes.own_tids.iter_mut().for_each(Vec::clear);
    probes
}

#[test]
fn a_page_that_fails_leaves_nothing_behind() {
    for method in [AccessMethod::Hnsw, AccessMethod::Ivfflat] {
        let mut pages = any_index(method, VectorType::Vector, 200, 3);
        let last = pages.len() as u32 - 1;
        let expected = read(method, VectorType::Vector, &numbered(pages.clone()));
        let whole = pages[last as usize].clone();
        // The last item of the page loses its value's header, after the others were decoded.
        let upper = u16::from_le_bytes([whole[14], whole[15]]) as usize;
        pages[last as usize][upper..upper + 80].fill(0xEE);
        let metric = Metric::L2;
        let vector_type = VectorType::Vector;
        let pages_expected = pages.len() as u32;
        let options = ReaderOptions { vector_type, metric, vector_memory_limit_bytes: 1 << 30, pages_expected };
        let mut reader = IndexReader::new(method, options);
        for (block, page) in (0..).zip(&pages) {
            assert_eq!(reader.push_page(block, page).is_err(), block == last);
        }
        assert!(reader.suspicious_blocks().contains(&last));
        reader.push_page(last, &whole).unwrap();
        assert_eq!(reader.suspicious_blocks(), Vec::<u32>::new());
        let index = reader.finish().unwrap();
        assert_eq!(index.health(), expected.health());
        assert_eq!(index.memory_bytes(), expected.memory_bytes());
        assert_eq!(index.vector_bytes(), expected.vector_bytes());
    }
}

#[test]
fn what_was_never_read_is_unknown() {
    for method in [AccessMethod::Hnsw, AccessMethod::Ivfflat] {
        let pages = numbered(any_index(method, VectorType::Vector, 200, 3));
        let options = ReaderOptions {
            vector_type: VectorType::Vector,
            metric: Metric::L2,
            vector_memory_limit_bytes: 1 << 30,
            pages_expected: pages.len() as u32,
        };
        let missing = pages.len() as u32 - 1;
        let mut reader = IndexReader::new(method, options.clone());
        for (block, page) in pages.iter().filter(|(block, _)| *block != missing) {
            reader.push_page(*block, page).unwrap();
        }
        let unknown = match reader.finish().unwrap().health() {
            StructureHealth::Hnsw(health) => health.pages_unknown,
            StructureHealth::Ivfflat(health) => health.pages_unknown,
        };
        assert_eq!(unknown, [missing]);
        assert!(IndexReader::new(method, options).finish().is_err());
    }
}
