//! The graph, its scores and its search, on graphs whose answers are known.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::model::{AccessMethod, EntryPoint, Silent, Tid};
use crate::pgvector::fixture::vector_content;
use crate::pgvector::{
    DecodedIndex, EvaluationOutcome, GraphHealth, IndexError, IndexReader, Liveness, Metric, ProbeSet, ReaderOptions,
    StructureHealth, VectorType,
};

use super::fixture::{Element, Graph};

fn options(pages: usize) -> ReaderOptions {
    ReaderOptions {
        vector_type: VectorType::Vector,
        metric: Metric::L2,
        vector_memory_limit_bytes: 1 << 30,
        pages_expected: pages as u32,
    }
}

fn reader(graph: &Graph) -> IndexReader {
    let pages = graph.pages();
    let mut reader = IndexReader::new(AccessMethod::Hnsw, options(pages.len()));
    for (block, page) in (0..).zip(&pages) {
        reader.push_page(block, page).unwrap();
    }
    reader
}

fn index(graph: &Graph) -> DecodedIndex {
    reader(graph).finish().unwrap()
}

fn health(graph: &Graph) -> GraphHealth {
    match index(graph).health() {
        StructureHealth::Hnsw(health) => health,
        other => panic!("{other:?}"),
    }
}

/// Points on a line, each linked to the next and the one before; 0 and 4 reach level 1.
fn line(count: usize) -> Graph {
    let element = |i: usize| {
        let mut near = Vec::new();
        near.extend((i + 1 < count).then_some(i + 1));
        near.extend(i.checked_sub(1));
        let mut links = vec![near];
        if i == 0 || i == 4 {
            links.push(vec![4 - i]);
        }
        Element::new(i as u32, vector_content(&[i as f32]), links)
    };
    let elements = (0..count).map(element).collect();
    Graph { dimensions: 1, m: 2, entry: Some(0), elements }
}

fn tids(numbers: &[u32]) -> Vec<Tid> {
    numbers.iter().map(|n| Tid { block: *n, offset: 1 }).collect()
}

fn query(x: f32) -> ProbeSet {
    let value = [&[0, 1, 0, 0][..], &x.to_be_bytes()].concat().into();
    ProbeSet::from_send_format(VectorType::Vector, Metric::L2, &[value]).unwrap()
}

#[test]
fn a_healthy_graph_scores_full() {
    let found = health(&line(8));
    let expected = GraphHealth {
        m: 2,
        ef_construction: 64,
        dimensions: 1,
        elements_live: 8,
        elements_reachable: 8,
        elements_deleted: 0,
        elements_without_rows: 0,
        orphan_count: 0,
        layer_distribution: vec![6, 2],
        entry_point: Some(EntryPoint { block: 1, offset: 1, level: 1 }),
        entry_point_quality: Some(1.0),
        connectivity_score: Some(1.0),
        fragmentation: 0.0,
        broken_links: 0,
        stale_neighbour_tuples: 0,
        pages: 1,
        pages_empty: 0,
        pages_unknown: vec![],
    };
    assert_eq!(found, expected);
}

#[test]
fn search_follows_the_links() {
    let check = |graph: &Graph, x: f32, ef: u32, expected: &[u32]| {
        let run = index(graph).search(&query(x), ef).unwrap();
        let found: Vec<Tid> = run.rows()[0].iter().map(|row| row.0).collect();
        assert_eq!(found, tids(expected), "{x} at {ef}");
    };
    let graph = line(8);
    check(&graph, 6.9, 1, &[7]);
    check(&graph, 6.9, 3, &[7, 6, 5]);
    check(&graph, -1.0, 2, &[0, 1]);
    check(&graph, 3.4, 8, &[3, 4, 2, 5, 1, 6, 0, 7]);
    // Cut between 5 and 6: nothing behind it is found.
    let mut cut = line(8);
    cut.elements[5].links[0] = vec![4];
    check(&cut, 6.9, 3, &[5, 4, 3]);
    // The neighbour list of 5 is of another version: it is not read.
    let mut stale = line(8);
    stale.elements[5].list_version = 2;
    check(&stale, 6.9, 3, &[5, 4, 3]);
    // An upper link to an element of level 0 is passed over.
    let mut low = line(8);
    low.elements[0].links[1] = vec![7];
    check(&low, 6.9, 1, &[7]);
    let mut empty = line(8);
    empty.entry = None;
    check(&empty, 1.0, 3, &[]);
}

#[test]
fn an_element_returns_its_rows_last_first() {
    let mut graph = line(3);
    graph.elements[1].heap_tids = vec![(10, 1), (11, 2), (12, 3)];
    let run = index(&graph).search(&query(1.0), 2).unwrap();
    let found: Vec<u32> = run.rows()[0].iter().map(|row| row.0.block).collect();
    assert_eq!(found[..3], [12, 11, 10]);
    assert_eq!(found.len(), 4);
}

#[test]
fn damage_is_scored() {
    let mut graph = line(8);
    // 5 no longer leads to 6 and 7, which still lead to each other.
    graph.elements[5].links[0] = vec![4];
    let found = health(&graph);
    assert_eq!((found.elements_reachable, found.connectivity_score, found.orphan_count), (6, Some(0.75), 0));
    // Nothing leads to 7, and only 7 to 6.
    graph.elements[6].links[0] = vec![5];
    assert_eq!(health(&graph).orphan_count, 1);

    let mut graph = line(8);
    graph.elements[3].is_deleted = true;
    graph.elements[6].heap_tids.clear();
    let found = health(&graph);
    assert_eq!((found.elements_live, found.elements_deleted, found.elements_without_rows), (6, 1, 1));
    assert_eq!(found.broken_links, 2);
    assert!(found.fragmentation > 0.0);
    assert_eq!(reader(&graph).suspicious_blocks(), [1]);

    // The level-0 list of 4 leads nowhere, the upper one still does.
    let mut graph = line(8);
    graph.elements[4].list_version = 9;
    let found = health(&graph);
    assert_eq!((found.stale_neighbour_tuples, found.elements_reachable), (1, 5));
    assert_eq!(reader(&graph).suspicious_blocks(), [1]);
}

#[test]
fn entry_points_are_rated() {
    let check = |change: &dyn Fn(&mut Graph), expected: Option<f64>| {
        let mut graph = line(8);
        change(&mut graph);
        assert_eq!(health(&graph).entry_point_quality, expected);
    };
    check(&|_| {}, Some(1.0));
    // At level 0 while others are higher, of which it is none.
    check(&|graph| graph.entry = Some(2), Some(0.0));
    // The other element of level 1 cannot be reached through layer 1.
    check(&|graph| graph.elements[0].links[1].clear(), Some(0.5));
    check(&|graph| graph.entry = None, Some(0.0));
    check(&|graph| graph.elements[0].is_deleted = true, Some(0.0));
    check(&|graph| graph.elements.iter_mut().for_each(|e| e.heap_tids.clear()), None);
}

#[test]
fn the_only_element_is_no_orphan() {
    let mut graph = line(1);
    assert_eq!((health(&graph).orphan_count, health(&graph).connectivity_score), (0, Some(1.0)));
    graph.elements.clear();
    graph.entry = None;
    let found = health(&graph);
    assert_eq!((found.elements_live, found.connectivity_score, found.fragmentation), (0, None, 0.0));
    assert_eq!(found.entry_point, None);
}

#[test]
fn a_fresh_index_is_not_fragmented() {
    let mut rng = StdRng::seed_from_u64(5);
    let element = |i: usize| {
        let vector: Vec<f32> = (0..384).map(|_| rng.random()).collect();
        let mut links = vec![vec![(i + 1) % 200]];
        if i.is_multiple_of(16) {
            links.push(vec![(i + 16) % 208]);
        }
        Element::new(i as u32, vector_content(&vector), links)
    };
    let elements = (0..200).map(element).collect();
    let mut graph = Graph { dimensions: 384, m: 16, entry: Some(0), elements };
    let found = health(&graph);
    assert!(found.fragmentation < 0.02, "{}", found.fragmentation);
    graph.elements.iter_mut().skip(1).step_by(2).for_each(|e| e.is_deleted = true);
    let found = health(&graph);
    assert!((0.4..0.55).contains(&found.fragmentation), "{}", found.fragmentation);
}

#[test]
fn unfindable_elements_are_named() {
    let mut graph = line(8);
    graph.elements[5].links[0] = vec![4];
    let found = index(&graph).unfindable(3, None, 1, &Silent).unwrap();
    assert_eq!((found.elements, found.of_sampled, found.tids), (2, 8, tids(&[6, 7])));
    // The same vector elsewhere counts as found.
    graph.elements[2].content = vector_content(&[7.0]);
    let found = index(&graph).unfindable(8, None, 1, &Silent).unwrap();
    assert_eq!(found.tids, tids(&[6]));
    let sampled = index(&graph).unfindable(8, Some(3), 1, &Silent).unwrap();
    assert_eq!(sampled.of_sampled, 3);
}

#[test]
fn sampled_probes_leave_themselves_out() {
    let graph = line(8);
    let index = index(&graph);
    let probes = ProbeSet::from_index_sample(&index, 8, 1).unwrap();
    assert_eq!((probes.len(), probes.literal(3)), (8, "[3]".to_owned()));
    let exact = index.exact_neighbours(&probes, 2).unwrap();
    let near: Vec<Tid> = exact.rows()[3].iter().take(2).map(|row| row.0).collect();
    assert_eq!(near, tids(&[2, 4]));
    let run = index.search(&probes, 3).unwrap();
    let mut liveness = Liveness::new();
    (0..8).for_each(|n| liveness.insert(Tid { block: n, offset: 1 }, true));
    match index.evaluate(&exact, &run, 2, &liveness) {
        EvaluationOutcome::Done(found) => assert_eq!((found.mean, found.rows_returned_mean), (1.0, 2.0)),
        other => panic!("{other:?}"),
    }
    // The row moved: its probe finds it again by the vector.
    let mut moved = line(8);
    moved.elements[3].heap_tids = vec![(77, 7)];
    let rebased = probes.rebased_on(&self::index(&moved)).unwrap();
    assert_eq!(rebased.own_tids(3), [Tid { block: 77, offset: 7 }]);
    assert_eq!(rebased.own_tids(4), probes.own_tids(4));
}

#[test]
fn vectors_beyond_the_limit_are_not_kept() {
    let pages = line(100).pages();
    let mut options = options(pages.len());
    options.vector_memory_limit_bytes = 100;
    let mut reader = IndexReader::new(AccessMethod::Hnsw, options);
    for (block, page) in (0..).zip(&pages) {
        reader.push_page(block, page).unwrap();
    }
    let index = reader.finish().unwrap();
    assert!(!index.vectors_kept());
    assert_eq!(index.vector_bytes(), 0);
    assert_eq!(ProbeSet::from_index_sample(&index, 1, 1).unwrap_err(), IndexError::VectorsNotKept);
    assert_eq!(index.search(&query(1.0), 1).unwrap_err(), IndexError::VectorsNotKept);
    match index.health() {
        StructureHealth::Hnsw(found) => assert_eq!(found.elements_reachable, 100),
        other => panic!("{other:?}"),
    }
}

/// A complete graph finds what brute force finds.
#[test]
fn exact_neighbours_and_full_searches_agree_with_brute_force() {
    let mut rng = StdRng::seed_from_u64(11);
    let vectors: Vec<Vec<f32>> = (0..33).map(|_| (0..7).map(|_| rng.random_range(-1.0..1.0)).collect()).collect();
    let all = |i: usize| (0..33).filter(|j| *j != i).collect::<Vec<usize>>();
    let element = |i: usize| Element::new(i as u32, vector_content(&vectors[i]), vec![all(i)]);
    let elements = (0..33).map(element).collect();
    let graph = Graph { dimensions: 7, m: 16, entry: Some(4), elements };
    let index = index(&graph);
    let probes = ProbeSet::from_index_sample(&index, 33, 1).unwrap();
    let exact = index.exact_neighbours(&probes, 10).unwrap();
    let run = index.search(&probes, 40).unwrap();
    for i in 0..33 {
        let distance = |j: usize| vectors[i].iter().zip(&vectors[j]).map(|(x, y)| (x - y) * (x - y)).sum::<f32>();
        let mut expected: Vec<usize> = all(i);
        expected.sort_by(|a, b| distance(*a).total_cmp(&distance(*b)));
        let near: Vec<usize> = exact.rows()[i].iter().take(10).map(|row| row.0.block as usize).collect();
        assert_eq!(near, expected[..10]);
        let found: Vec<usize> = run.rows()[i].iter().map(|row| row.0.block as usize).collect();
        assert_eq!((found[0], &found[1..]), (i, &expected[..]));
        assert_eq!(run.cost()[i], 33);
    }
}
