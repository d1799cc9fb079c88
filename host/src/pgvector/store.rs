use super::VectorType;

/// Vectors of one type and dimension, contiguous.
#[derive(Clone, Debug)]
pub(crate) enum VectorStore {
    /// `data` holds `dimensions` a vector.
    Vector { dimensions: u32, data: Vec<f32> },
    /// IEEE 754 binary16.
    HalfVec { dimensions: u32, data: Vec<u16> },
    /// Whole bytes a vector, the first bit is the highest.
    Bit { dimensions: u32, data: Vec<u8> },
    /// Vector i has the entries `starts[i]..starts[i + 1]`.
    SparseVec { dimensions: u32, starts: Vec<u64>, indices: Vec<u32>, values: Vec<f32> },
}

impl VectorStore {
    pub fn vector_type(&self) -> VectorType {
        match self {
            VectorStore::Vector { .. } => VectorType::Vector,
            VectorStore::HalfVec { .. } => VectorType::HalfVec,
            VectorStore::Bit { .. } => VectorType::Bit,
            VectorStore::SparseVec { .. } => VectorType::SparseVec,
        }
    }

    pub fn dimensions(&self) -> u32 {
        match self {
            VectorStore::Vector { dimensions, .. }
            | VectorStore::HalfVec { dimensions, .. }
            | VectorStore::Bit { dimensions, .. }
            | VectorStore::SparseVec { dimensions, .. } => *dimensions,
        }
    }

    pub fn literal(&self, i: usize) -> String {
        todo!("{i}")
    }
}
