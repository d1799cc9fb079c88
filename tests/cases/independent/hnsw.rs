//! A reader of HNSW pages straight from pgvector's `hnsw.h`, as plain as it can be: every page is in memory, every
//! element is a map's entry. It shares nothing with the product's decoder, which it checks.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use tokio_postgres::Client;

const PAGE_HEADER_BYTES: usize = 24;
const LINE_POINTER_BYTES: usize = 4;
const MAGIC: u32 = 0xA953_A953;
const PAGE_ID: u16 = 0xFF90;
const ELEMENT: u8 = 1;
const NEIGHBOURS: u8 = 2;
const HEAP_TIDS: usize = 10;

/// Block and offset, of an element or of a heap row.
pub type Place = (u32, u16);

/// What the pages say, in the words of the product's report.
#[derive(Debug, PartialEq)]
pub struct Facts {
    pub m: u64,
    pub ef_construction: u64,
    pub dimensions: u64,
    pub elements_live: u64,
    pub elements_reachable: u64,
    pub elements_deleted: u64,
    pub orphan_count: u64,
    pub layer_distribution: Vec<u64>,
    /// Block, offset and level.
    pub entry_point: Option<(u32, u16, u8)>,
    /// The heap rows of each element that is not deleted.
    pub heap_rows: Vec<Vec<Place>>,
}

struct Element {
    level: u8,
    rows: Vec<Place>,
    /// Per level from 0, up to the first unused slot; none where the tuple belongs to an earlier element.
    neighbours: Vec<Vec<Place>>,
}

/// Reads the index through `get_raw_page`, and works out the facts.
pub async fn facts(client: &Client, index: &str) -> Result<Facts> {
    let rows = client
        .query(
            "SELECT get_raw_page($1, 'main', block::int) FROM generate_series(0, \
             pg_relation_size($1::text::regclass) / current_setting('block_size')::bigint - 1) AS block",
            &[&index],
        )
        .await?;
    let pages: Vec<Vec<u8>> = rows.iter().map(|row| row.get(0)).collect();
    from_pages(&pages)
}

fn from_pages(pages: &[Vec<u8>]) -> Result<Facts> {
    let meta = &pages.first().context("no page")?[PAGE_HEADER_BYTES..];
    ensure!(u32_at(meta, 0) == MAGIC && u32_at(meta, 4) == 1, "not the meta page of an HNSW index");
    let m = u16_at(meta, 12);

    let mut elements: BTreeMap<Place, Element> = BTreeMap::new();
    let mut deleted = 0;
    for (block, page) in pages.iter().enumerate().skip(1) {
        let special = usize::from(u16_at(page, 16));
        ensure!(u16_at(page, special + 6) == PAGE_ID, "block {block} is not a page of an HNSW index");
        for offset in 1..=tuples(page) {
            let tuple = tuple(page, offset);
            if tuple[0] != ELEMENT {
                ensure!(tuple[0] == NEIGHBOURS, "({block},{offset}) has type {}", tuple[0]);
                continue;
            }
            if tuple[2] != 0 {
                deleted += 1;
                continue;
            }
            let (level, version) = (tuple[1], tuple[3]);
            let rows = (0..HEAP_TIDS).map(|i| place_at(tuple, 4 + 6 * i)).take_while(|(_, o)| *o != 0).collect();
            let (neighbour_block, neighbour_offset) = place_at(tuple, 64);
            let list = self::tuple(&pages[neighbour_block as usize], neighbour_offset);
            ensure!(list[0] == NEIGHBOURS, "({block},{offset}) has no neighbour tuple");
            let slots = (u16::from(level) + 2) * m;
            let is_own = list[1] == version && u16_at(list, 2) == slots;
            let neighbours = (0..=level).map(|l| if is_own { links(list, level, l, m) } else { Vec::new() }).collect();
            elements.insert((block as u32, offset), Element { level, rows, neighbours });
        }
    }

    let entry = (u32_at(meta, 16), u16_at(meta, 20));
    let entry = (entry.1 != 0).then_some(entry);
    let is_live = |place: &Place| elements.get(place).is_some_and(|e| !e.rows.is_empty());
    let mut layers = Vec::new();
    for element in elements.values().filter(|e| !e.rows.is_empty()) {
        let level = usize::from(element.level);
        if layers.len() <= level {
            layers.resize(level + 1, 0);
        }
        layers[level] += 1;
    }
    let linked: BTreeSet<Place> =
        elements.iter().flat_map(|(from, e)| e.neighbours[0].iter().filter(move |to| *to != from)).copied().collect();
    let live = elements.keys().filter(|place| is_live(place)).count() as u64;
    let orphans = elements.keys().filter(|place| is_live(place) && !linked.contains(place)).count() as u64;
    Ok(Facts {
        m: m.into(),
        ef_construction: u16_at(meta, 14).into(),
        dimensions: u32_at(meta, 8).into(),
        elements_live: live,
        elements_reachable: reachable(&elements, entry).iter().filter(|place| is_live(place)).count() as u64,
        elements_deleted: deleted,
        // The only element of an index has nobody who could point to it, and every search begins there.
        orphan_count: if live == 1 { 0 } else { orphans },
        layer_distribution: layers,
        entry_point: entry.map(|(block, offset)| (block, offset, u16_at(meta, 22) as u8)),
        heap_rows: elements.into_values().map(|e| e.rows).collect(),
    })
}

/// What a search can get to: layer by layer from the top, from all that the layers above have reached.
fn reachable(elements: &BTreeMap<Place, Element>, entry: Option<Place>) -> BTreeSet<Place> {
    let mut reached = BTreeSet::new();
    let Some((entry, top)) = entry.and_then(|place| Some((place, elements.get(&place)?.level))) else {
        return reached;
    };
    reached.insert(entry);
    for level in (0..=top).rev() {
        let mut open: Vec<Place> = reached.iter().copied().collect();
        while let Some(place) = open.pop() {
            let Some(links) = elements.get(&place).and_then(|e| e.neighbours.get(usize::from(level))) else { continue };
            for to in links {
                // A search skips a neighbour that does not belong to the layer.
                if elements.get(to).is_some_and(|e| e.level >= level) && reached.insert(*to) {
                    open.push(*to);
                }
            }
        }
    }
    reached
}

/// The list of level `l` within the neighbour tuple of an element whose top level is `level`.
fn links(list: &[u8], level: u8, l: u8, m: u16) -> Vec<Place> {
    let first = usize::from(level - l) * usize::from(m);
    let slots = usize::from(if l == 0 { 2 * m } else { m });
    (first..first + slots).map(|slot| place_at(list, 4 + 6 * slot)).take_while(|(_, offset)| *offset != 0).collect()
}

fn tuples(page: &[u8]) -> u16 {
    ((usize::from(u16_at(page, 12)) - PAGE_HEADER_BYTES) / LINE_POINTER_BYTES) as u16
}

fn tuple(page: &[u8], offset: u16) -> &[u8] {
    let pointer = u32_at(page, PAGE_HEADER_BYTES + LINE_POINTER_BYTES * usize::from(offset - 1));
    let (start, length) = ((pointer & 0x7FFF) as usize, (pointer >> 17) as usize);
    &page[start..start + length]
}

fn place_at(bytes: &[u8], at: usize) -> Place {
    (u32::from(u16_at(bytes, at)) << 16 | u32::from(u16_at(bytes, at + 2)), u16_at(bytes, at + 4))
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
