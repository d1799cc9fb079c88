//! Tables with a vector index in a known state: what the demo shows, the tests heal and the benches measure.
