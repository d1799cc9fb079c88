//! Builds small HNSW indexes as pgvector writes them, for tests.

use crate::model::Tid;
use crate::pgvector::fixture::{PageBuilder, tid, varlena};

use super::meta::PAGE_ID;

const PAGE_SIZE: usize = 8192;

pub(crate) struct Graph {
    pub dimensions: u32,
    pub m: u16,
    pub entry: Option<usize>,
    pub elements: Vec<Element>,
}

pub(crate) struct Element {
    pub level: u8,
    pub heap_tids: Vec<(u32, u16)>,
    pub content: Vec<u8>,
    /// Elements linked at each layer from 0; usize::MAX is a link to nowhere.
    pub links: Vec<Vec<usize>>,
    pub is_deleted: bool,
    pub version: u8,
    pub list_version: u8,
}

impl Element {
    /// Live, with the heap TID (number, 1).
    pub fn new(number: u32, content: Vec<u8>, links: Vec<Vec<usize>>) -> Self {
        let level = links.len() as u8 - 1;
        let heap_tids = vec![(number, 1)];
        Element { level, heap_tids, content, links, is_deleted: false, version: 1, list_version: 1 }
    }
}

impl Graph {
    pub fn pages(&self) -> Vec<Vec<u8>> {
        let places = self.places();
        let mut pages = vec![self.meta_page(&places)];
        let last = places.last().map_or(1, |place| place.block);
        for block in 1..=last {
            let mut page = PageBuilder::new(PAGE_SIZE, PAGE_ID);
            for (element, place) in self.elements.iter().zip(&places).filter(|(_, place)| place.block == block) {
                let list_offset = place.offset + 1;
                assert_eq!(page.add(&element_tuple(element, block, list_offset)), place.offset);
                assert_eq!(page.add(&self.list_tuple(element, &places)), list_offset);
            }
            let page = if block < last { page.next(block + 1) } else { page };
            pages.push(page.finish());
        }
        pages
    }

    /// Where each element is: pairs of an element and its list, page by page.
    pub fn places(&self) -> Vec<Tid> {
        let (mut block, mut offset, mut page) = (1, 1, PageBuilder::new(PAGE_SIZE, PAGE_ID));
        let place = |element: &Element| {
            let (first, second) = (element_tuple(element, 0, 0), self.list_tuple(element, &[]));
            if page.free() < (first.len() + second.len()).next_multiple_of(8) + 32 {
                (block, offset, page) = (block + 1, 1, PageBuilder::new(PAGE_SIZE, PAGE_ID));
            }
            page.add(&first);
            page.add(&second);
            let place = Tid { block, offset };
            offset += 2;
            place
        };
        self.elements.iter().map(place).collect()
    }

    fn meta_page(&self, places: &[Tid]) -> Vec<u8> {
        let entry = self.entry.map(|entry| (places[entry], self.elements[entry].level));
        let (place, level) = entry.unwrap_or((Tid { block: u32::MAX, offset: 0 }, 0));
        let mut contents = Vec::new();
        contents.extend(0xA953_A953_u32.to_le_bytes());
        contents.extend(1_u32.to_le_bytes());
        contents.extend(self.dimensions.to_le_bytes());
        contents.extend(self.m.to_le_bytes());
        contents.extend(64_u16.to_le_bytes());
        contents.extend(place.block.to_le_bytes());
        contents.extend(place.offset.to_le_bytes());
        contents.extend(i16::from(level).to_le_bytes());
        contents.extend(1_u32.to_le_bytes());
        PageBuilder::new(PAGE_SIZE, PAGE_ID).contents(&contents).finish()
    }

    fn list_tuple(&self, element: &Element, places: &[Tid]) -> Vec<u8> {
        let mut slots = Vec::new();
        for layer in (0..=usize::from(element.level)).rev() {
            let size = usize::from(self.m) * if layer == 0 { 2 } else { 1 };
            let links = &element.links[layer];
            let slot = |i: usize| match links.get(i) {
                Some(&usize::MAX) => tid(1, 4000),
                Some(link) => places.get(*link).map_or(tid(0, 0), |place| tid(place.block, place.offset)),
                None => tid(u32::MAX, 0),
            };
            slots.extend((0..size).map(slot));
        }
        let mut tuple = vec![2, element.list_version];
        tuple.extend((slots.len() as u16).to_le_bytes());
        tuple.extend(slots.concat());
        tuple.resize(tuple.len().next_multiple_of(8), 0);
        tuple
    }
}

fn element_tuple(element: &Element, list_block: u32, list_offset: u16) -> Vec<u8> {
    let mut tuple = vec![1, element.level, u8::from(element.is_deleted), element.version];
    for i in 0..10 {
        let (block, offset) = element.heap_tids.get(i).copied().unwrap_or((u32::MAX, 0));
        tuple.extend(tid(block, offset));
    }
    tuple.extend(tid(list_block, list_offset));
    tuple.extend([0; 2]);
    let mut value = varlena(&element.content);
    if element.is_deleted {
        value.fill(0);
    }
    tuple.extend(value);
    tuple.resize(tuple.len().next_multiple_of(8), 0);
    tuple
}
