
//! pgvector's index pages: bytes in, structs and graph maths out. No I/O; never panics on any bytes.
pub struct ProbeSet;
