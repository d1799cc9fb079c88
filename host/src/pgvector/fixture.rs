//! Builds pages as pgvector writes them, for tests.

use half::f16;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::model::{AccessMethod, Silent};

use super::hnsw::fixture as hnsw;
use super::ivfflat::fixture as ivfflat;
use super::{EvaluationOutcome, IndexReader, Liveness, Metric, ProbeSet, ReaderOptions, VectorType};

/// A page under construction, filled as `PageAddItem` does.
pub(crate) struct PageBuilder {
    bytes: Vec<u8>,
    lower: usize,
    upper: usize,
}

impl PageBuilder {
    pub fn new(size: usize, page_id: u16) -> Self {
        let mut bytes = vec![0; size];
        let special = size - 8;
        bytes[16..18].copy_from_slice(&(special as u16).to_le_bytes());
        bytes[18..20].copy_from_slice(&(size as u16 | 4).to_le_bytes());
        bytes[special..special + 4].copy_from_slice(&u32::MAX.to_le_bytes());
        bytes[size - 2..].copy_from_slice(&page_id.to_le_bytes());
        PageBuilder { bytes, lower: 24, upper: special }
    }

    pub fn free(&self) -> usize {
        self.upper - self.lower
    }

    /// Appends an item and gives its offset from 1.
    pub fn add(&mut self, item: &[u8]) -> u16 {
        let start = self.upper - item.len().next_multiple_of(8);
        assert!(start >= self.lower + 4, "the page is full");
        self.bytes[start..start + item.len()].copy_from_slice(item);
        let pointer = start as u32 | 1 << 15 | (item.len() as u32) << 17;
        self.bytes[self.lower..self.lower + 4].copy_from_slice(&pointer.to_le_bytes());
        self.lower += 4;
        self.upper = start;
        ((self.lower - 24) / 4) as u16
    }

    /// Writes after the header, as meta pages do.
    pub fn contents(mut self, contents: &[u8]) -> Self {
        self.bytes[24..24 + contents.len()].copy_from_slice(contents);
        self.lower = 24 + contents.len();
        self
    }

    pub fn next(mut self, block: u32) -> Self {
        let special = self.bytes.len() - 8;
        self.bytes[special..special + 4].copy_from_slice(&block.to_le_bytes());
        self
    }

    pub fn finish(mut self) -> Vec<u8> {
        self.bytes[12..14].copy_from_slice(&(self.lower as u16).to_le_bytes());
        self.bytes[14..16].copy_from_slice(&(self.upper as u16).to_le_bytes());
        self.bytes
    }
}

/// A 4-byte varlena header before the content.
pub(crate) fn varlena(content: &[u8]) -> Vec<u8> {
    let mut value = (((content.len() + 4) << 2) as u32).to_le_bytes().to_vec();
    value.extend_from_slice(content);
    value
}

/// A 1-byte varlena header before the content.
pub(crate) fn short_varlena(content: &[u8]) -> Vec<u8> {
    let mut value = vec![((content.len() + 1) << 1 | 1) as u8];
    value.extend_from_slice(content);
    value
}

pub(crate) fn vector_content(elements: &[f32]) -> Vec<u8> {
    let mut content = (elements.len() as u32).to_le_bytes().to_vec();
    content.extend(elements.iter().flat_map(|x| x.to_le_bytes()));
    content
}

pub(crate) fn halfvec_content(elements: &[f32]) -> Vec<u8> {
    let mut content = (elements.len() as u32).to_le_bytes().to_vec();
    content.extend(elements.iter().flat_map(|x| f16::from_f32(*x).to_bits().to_le_bytes()));
    content
}

pub(crate) fn bit_content(bits: u32, bytes: &[u8]) -> Vec<u8> {
    let mut content = bits.to_le_bytes().to_vec();
    content.extend_from_slice(bytes);
    content
}

pub(crate) fn sparsevec_content(dimensions: u32, entries: &[(u32, f32)]) -> Vec<u8> {
    let mut content: Vec<u8> = [dimensions, entries.len() as u32, 0].iter().flat_map(|x| x.to_le_bytes()).collect();
    content.extend(entries.iter().flat_map(|(i, _)| i.to_le_bytes()));
    content.extend(entries.iter().flat_map(|(_, x)| x.to_le_bytes()));
    content
}

/// An `ItemPointerData`.
pub(crate) fn tid(block: u32, offset: u16) -> [u8; 6] {
    let [high, low] = [(block >> 16) as u16, block as u16].map(u16::to_le_bytes);
    let offset = offset.to_le_bytes();
    [high[0], high[1], low[0], low[1], offset[0], offset[1]]
}

/// A valid index of every type, of `count` elements from a seed. Every element links to its neighbours in a ring
/// and to a few others; every 7th reaches level 1.
pub(crate) fn any_index(method: AccessMethod, vector_type: VectorType, count: usize, seed: u64) -> Vec<Vec<u8>> {
    let mut rng = StdRng::seed_from_u64(seed);
    let contents: Vec<Vec<u8>> = (0..count).map(|_| any_content(vector_type, &mut rng)).collect();
    match method {
        AccessMethod::Hnsw => {
            let upper: Vec<usize> = (0..count).filter(|i| i % 7 == 0).collect();
            let element = |(i, content): (usize, Vec<u8>)| {
                let mut links = vec![vec![(i + 1) % count, (i + count - 1) % count, (i * i + 3) % count]];
                if i % 7 == 0 {
                    let position = i / 7;
                    links.push(vec![upper[(position + 1) % upper.len()]]);
                }
                hnsw::Element::new(i as u32, content, links)
            };
            let elements: Vec<hnsw::Element> = contents.into_iter().enumerate().map(element).collect();
            let entry = (count > 0).then_some(0);
            hnsw::Graph { dimensions: DIMENSIONS, m: 4, entry, elements }.pages()
        }
        AccessMethod::Ivfflat => {
            let list = |contents: &[Vec<u8>]| ivfflat::List {
                centre: contents[0].clone(),
                entries: contents.iter().map(|c| ((rng.random_range(0..1000), 1), short_varlena(c))).collect(),
            };
            let lists: Vec<ivfflat::List> = contents.chunks(9).map(list).collect();
            ivfflat::Lists { dimensions: DIMENSIONS as u16, lists, entries_a_page: 4 }.pages()
        }
    }
}

/// Reads pages and asks everything of what came out of them: for tests that nothing panics.
pub(crate) fn exercise(method: AccessMethod, vector_type: VectorType, pages: &[(u32, Vec<u8>)]) {
    let metrics = [Metric::L2, Metric::InnerProduct, Metric::Cosine, Metric::L1, Metric::Hamming, Metric::Jaccard];
    for metric in metrics.into_iter().filter(|metric| metric.suits(vector_type)) {
        let options = ReaderOptions {
            vector_type,
            metric,
            vector_memory_limit_bytes: 1 << 30,
            pages_expected: pages.len() as u32,
        };
        let mut reader = IndexReader::new(method, options);
        for (block, page) in pages {
            // Whether it is refused is for other tests.
            reader.push_page(*block, page).ok();
        }
        reader.suspicious_blocks();
        let Ok(index) = reader.finish() else { continue };
        index.health();
        let probes = ProbeSet::from_index_sample(&index, 5, 1).unwrap();
        let exact = index.exact_neighbours(&probes, 20).unwrap();
        for parameter in [0, 1, 10] {
            let run = index.search(&probes, parameter).unwrap();
            let mut liveness = Liveness::new();
            while let EvaluationOutcome::NeedLiveness(tids) = index.evaluate(&exact, &run, 3, &liveness) {
                tids.iter().for_each(|tid| liveness.insert(*tid, tid.block % 3 != 0));
            }
        }
        index.unfindable(10, Some(20), 1, &Silent).unwrap();
        probes.rebased_on(&index).unwrap();
        (0..probes.len()).for_each(|i| drop(probes.literal(i)));
    }
}

const DIMENSIONS: u32 = 12;

fn any_content(vector_type: VectorType, rng: &mut StdRng) -> Vec<u8> {
    let mut numbers = || -> Vec<f32> { (0..DIMENSIONS).map(|_| rng.random_range(-1.0..1.0)).collect() };
    match vector_type {
        VectorType::Vector => vector_content(&numbers()),
        VectorType::HalfVec => halfvec_content(&numbers()),
        VectorType::Bit => bit_content(DIMENSIONS, &[rng.random(), rng.random::<u8>() & 0xF0]),
        VectorType::SparseVec => {
            let entries: Vec<(u32, f32)> = (0..).zip(numbers()).filter(|(_, x)| *x > 0.0).collect();
            sparsevec_content(DIMENSIONS, &entries)
        }
    }
}
