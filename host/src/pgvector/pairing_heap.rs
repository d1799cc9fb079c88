//! PostgreSQL's pairing heap (`lib/pairingheap.c`), link by link: it decides which of several equally distant elements
//! a search keeps, and with bits or duplicates there are many.

use super::distance::Ranked;

const NONE: u32 = u32::MAX;

/// Which element is the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum First {
    Nearest,
    Furthest,
}

#[derive(Debug)]
pub(crate) struct PairingHeap {
    first: First,
    nodes: Vec<Node>,
    root: u32,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    distance: f32,
    row: u32,
    first_child: u32,
    next_sibling: u32,
}

impl PairingHeap {
    pub fn new(first: First) -> Self {
        PairingHeap { first, nodes: Vec::new(), root: NONE }
    }

    pub fn clear(&mut self) {
        self.nodes.clear();
        self.root = NONE;
    }

    pub fn push(&mut self, ranked: Ranked) {
        let node = self.nodes.len() as u32;
        let (distance, row) = (ranked.distance(), ranked.row());
        self.nodes.push(Node { distance, row, first_child: NONE, next_sibling: NONE });
        self.root = if self.root == NONE { node } else { self.merge(self.root, node) };
    }

    /// The distance of the first.
    pub fn peek(&self) -> Option<f32> {
        self.nodes.get(self.root as usize).map(|node| node.distance)
    }

    pub fn pop(&mut self) -> Option<Ranked> {
        let node = *self.nodes.get(self.root as usize)?;
        self.root = self.merge_children(node.first_child);
        Some(Ranked::new(node.distance, node.row))
    }

    /// Two trees as one. Of equally distant roots the first stays above.
    fn merge(&mut self, a: u32, b: u32) -> u32 {
        let (x, y) = (self.nodes[a as usize].distance, self.nodes[b as usize].distance);
        let swaps = match self.first {
            First::Nearest => x > y,
            First::Furthest => x < y,
        };
        let (above, below) = if swaps { (b, a) } else { (a, b) };
        self.nodes[below as usize].next_sibling = self.nodes[above as usize].first_child;
        self.nodes[above as usize].first_child = below;
        above
    }

    /// Merges siblings in pairs from left to right, then the pairs from right to left.
    fn merge_children(&mut self, children: u32) -> u32 {
        let mut next = children;
        let mut pairs = NONE;
        while next != NONE {
            let mut current = next;
            let sibling = self.nodes[current as usize].next_sibling;
            next = NONE;
            if sibling != NONE {
                next = self.nodes[sibling as usize].next_sibling;
                current = self.merge(current, sibling);
            }
            self.nodes[current as usize].next_sibling = pairs;
            pairs = current;
        }
        if pairs == NONE {
            return NONE;
        }
        let mut root = pairs;
        next = self.nodes[pairs as usize].next_sibling;
        while next != NONE {
            let current = next;
            next = self.nodes[current as usize].next_sibling;
            root = self.merge(root, current);
        }
        root
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    use super::*;

    fn drain(heap: &mut PairingHeap) -> Vec<(f32, u32)> {
        std::iter::from_fn(|| heap.pop()).map(|r| (r.distance(), r.row())).collect()
    }

    #[test]
    fn the_first_comes_first() {
        let mut rng = StdRng::seed_from_u64(3);
        for first in [First::Nearest, First::Furthest] {
            let mut heap = PairingHeap::new(first);
            for round in 0..50 {
                heap.clear();
                let mut expected: Vec<f32> = (0..round).map(|_| rng.random_range(0..20) as f32).collect();
                for (row, distance) in expected.iter().enumerate() {
                    heap.push(Ranked::new(*distance, row as u32));
                }
                expected.sort_by(f32::total_cmp);
                if first == First::Furthest {
                    expected.reverse();
                }
                assert_eq!(heap.peek(), expected.first().copied());
                let found: Vec<f32> = drain(&mut heap).iter().map(|x| x.0).collect();
                assert_eq!(found, expected);
                assert_eq!((heap.pop(), heap.peek()), (None, None));
            }
        }
    }

    /// Worked out by hand from the C source.
    #[test]
    fn ties_come_in_postgresqls_order() {
        let check = |count: u32, expected: &[u32]| {
            let mut heap = PairingHeap::new(First::Nearest);
            (0..count).for_each(|row| heap.push(Ranked::new(1.0, row)));
            let found: Vec<u32> = drain(&mut heap).iter().map(|x| x.1).collect();
            assert_eq!(found, expected);
        };
        check(1, &[0]);
        // 1 and 2 hang under 0 as 2, 1: merged, 2 is above.
        check(3, &[0, 2, 1]);
        // 3, 2, 1 hang under 0: the pair (3, 2), then 1; from the right: 1 over 3 over 2.
        check(4, &[0, 1, 3, 2]);
    }
}
