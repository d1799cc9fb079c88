//! Lists, their scores and their search, on indexes whose answers are known.

use crate::model::{AccessMethod, Silent, Tid};
use crate::pgvector::fixture::{bit_content, short_varlena, varlena, vector_content};
use crate::pgvector::{
    ClusterHealth, DecodedIndex, IndexReader, Metric, PageFault, ProbeSet, ReaderOptions, StructureHealth, VectorType,
};

use super::fixture::{List, Lists};

fn read(vector_type: VectorType, metric: Metric, pages: &[Vec<u8>]) -> IndexReader {
    let options =
        ReaderOptions { vector_type, metric, vector_memory_limit_bytes: 1 << 30, pages_expected: pages.len() as u32 };
    let mut reader = IndexReader::new(AccessMethod::Ivfflat, options);
    for (block, page) in (0..).zip(pages) {
        reader.push_page(block, page).unwrap();
    }
    reader
}

fn index(lists: &Lists) -> DecodedIndex {
    read(VectorType::Vector, Metric::L2, &lists.pages()).finish().unwrap()
}

fn health(index: &DecodedIndex) -> ClusterHealth {
    match index.health() {
        StructureHealth::Ivfflat(health) => health,
        other => panic!("{other:?}"),
    }
}

/// Lists around 0, 10 and 20, the third without entries.
fn three() -> Lists {
    let list = |centre: f32, points: &[f32]| List {
        centre: vector_content(&[centre]),
        entries: points.iter().map(|x| ((*x as u32, 1), short_varlena(&vector_content(&[*x])))).collect(),
    };
    let lists = vec![list(1.0, &[0.0, 1.0, 2.0]), list(10.0, &[8.0, 9.0, 10.0, 11.0, 12.0]), list(20.0, &[])];
    Lists { dimensions: 1, lists, entries_a_page: 2 }
}

fn query(x: f32) -> ProbeSet {
    let value = [&[0, 1, 0, 0][..], &x.to_be_bytes()].concat().into();
    ProbeSet::from_send_format(VectorType::Vector, Metric::L2, &[value]).unwrap()
}

#[test]
fn lists_are_scored() {
    let found = health(&index(&three()));
    assert_eq!((found.lists, found.entries, found.empty_clusters), (3, 8, 1));
    let (mean, variance) = (8.0 / 3.0, (9.0 + 25.0) / 3.0 - (8.0 / 3.0) * (8.0 / 3.0));
    assert!((found.cluster_balance - f64::sqrt(variance) / mean).abs() < 1e-12);
    assert_eq!((found.centroid_quality, found.pages_unlinked), (Some(1.0), 0));
    // The pages but the last of each chain are nearly empty.
    assert!(found.fragmentation > 0.5);
}

#[test]
fn centres_that_drifted_score_low() {
    let mut lists = three();
    lists.lists[1].centre = vector_content(&[6.0]);
    // To the mean: (2 * 3/2) + (10 * 5/4); to the centres: 2 + (10 + 5 * 16).
    let expected = (3.0 + 12.5) / 92.0;
    let found = health(&index(&lists)).centroid_quality.unwrap();
    assert!((found - expected).abs() < 1e-6, "{found}");
}

#[test]
fn search_takes_the_nearest_lists() {
    let index = index(&three());
    let check = |x: f32, probes: u32, expected: &[u32], cost: u32| {
        let run = index.search(&query(x), probes).unwrap();
        let found: Vec<u32> = run.rows()[0].iter().map(|row| row.0.block).collect();
        assert_eq!(found, expected, "{x} with {probes}");
        assert_eq!(run.cost(), [cost]);
    };
    check(4.9, 1, &[2, 1, 0], 6);
    check(4.9, 2, &[2, 8, 1, 9, 0, 10, 11, 12], 11);
    check(4.9, 9, &[2, 8, 1, 9, 0, 10, 11, 12], 11);
    check(30.0, 1, &[], 3);
    let kept = index.search_keeping(&query(4.9), 2, 3).unwrap();
    let found: Vec<u32> = kept.rows()[0].iter().map(|row| row.0.block).collect();
    assert_eq!(found, [2, 8, 1]);
}

#[test]
fn entries_in_the_wrong_list_are_unfindable() {
    let mut lists = three();
    lists.lists[0].entries.push(((99, 9), varlena(&vector_content(&[9.5]))));
    let index = index(&lists);
    let found = index.unfindable(1, None, 1, &Silent).unwrap();
    assert_eq!((found.elements, found.of_sampled), (1, 9));
    assert_eq!(found.tids, [Tid { block: 99, offset: 9 }]);
    assert_eq!(index.unfindable(2, None, 1, &Silent).unwrap().elements, 0);
}

#[test]
fn broken_chains_are_suspicious() {
    let check = |change: &dyn Fn(&mut Vec<Vec<u8>>), expected: &[u32], unlinked: u64| {
        let mut pages = three().pages();
        change(&mut pages);
        let reader = read(VectorType::Vector, Metric::L2, &pages);
        assert_eq!(reader.suspicious_blocks(), expected);
        assert_eq!(health(&reader.finish().unwrap()).pages_unlinked, unlinked);
    };
    let lead = |page: &mut Vec<u8>, block: u32| page[8184..8188].copy_from_slice(&block.to_le_bytes());
    check(&|_| {}, &[], 0);
    // Blocks 2 and 3 are the first list's, 4 to 6 the second's.
    check(&|pages| lead(&mut pages[4], u32::MAX), &[], 2);
    check(&|pages| lead(&mut pages[5], 4), &[4, 5], 1);
    check(&|pages| lead(&mut pages[3], 4), &[1, 4], 0);
    check(&|pages| lead(&mut pages[6], 1), &[1, 6], 0);
    check(&|pages| lead(&mut pages[6], 1_000_000), &[6], 0);
}

#[test]
fn broken_list_pages_are_refused() {
    let mut pages = three().pages();
    pages[1][8184..8188].copy_from_slice(&2_u32.to_le_bytes());
    let error = read(VectorType::Vector, Metric::L2, &pages).finish().unwrap_err();
    assert!(matches!(error.fault, PageFault::ListChain(_)), "{error}");
    let mut pages = three().pages();
    pages[0][34..36].copy_from_slice(&4_u16.to_le_bytes());
    let error = read(VectorType::Vector, Metric::L2, &pages).finish().unwrap_err();
    assert!(matches!(error.fault, PageFault::ListChain(_)), "{error}");
}

#[test]
fn many_lists_fill_several_pages() {
    let list = |i: usize| List {
        centre: vector_content(&[i as f32; 300]),
        entries: vec![((i as u32, 1), varlena(&vector_content(&[i as f32; 300])))],
    };
    let lists = Lists { dimensions: 300, lists: (0..20).map(list).collect(), entries_a_page: 4 };
    let index = index(&lists);
    assert_eq!((health(&index).entries, health(&index).empty_clusters), (20, 0));
    let probes = ProbeSet::from_index_sample(&index, 20, 1).unwrap();
    let run = index.search(&probes, 1).unwrap();
    for i in 0..20 {
        assert_eq!(run.rows()[i][0], (Tid { block: i as u32, offset: 1 }, 0.0));
    }
}

#[test]
fn compressed_values_are_read() {
    // pglz: the 16 bytes of 0x55 as one literal and a reference of 15, after the bit length.
    let raw = bit_content(128, &[0x55; 16]);
    let compressed = [&[0b0010_0000, raw[0], raw[1], raw[2], raw[3], 0x55, 0x0C, 1][..]].concat();
    let mut value = (((8 + compressed.len() as u32) << 2) | 2).to_le_bytes().to_vec();
    value.extend((raw.len() as u32).to_le_bytes());
    value.extend(compressed);
    let lists = vec![List { centre: bit_content(128, &[0xFF; 16]), entries: vec![((5, 1), value)] }];
    let pages = Lists { dimensions: 128, lists, entries_a_page: 4 }.pages();
    let index = read(VectorType::Bit, Metric::Hamming, &pages).finish().unwrap();
    let probes = ProbeSet::from_index_sample(&index, 1, 1).unwrap();
    assert_eq!(probes.literal(0), "01".repeat(64));
}
