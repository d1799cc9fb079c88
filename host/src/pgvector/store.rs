use half::f16;

use super::VectorType;
use super::error::ValueFault;
use super::page::{u16_at, u32_at};

/// Vectors of one type and dimension, contiguous.
#[derive(Clone, Debug)]
pub(crate) enum VectorStore {
    /// `data` holds `dimensions` a vector.
    Vector { dimensions: u32, data: Vec<f32> },
    /// IEEE 754 binary16.
    HalfVec { dimensions: u32, data: Vec<u16> },
    /// Whole bytes a vector, the first bit is the highest.
    Bit { dimensions: u32, data: Vec<u8> },
    /// Vector i has the entries `starts[i]..starts[i + 1]`; indices from 0.
    SparseVec { dimensions: u32, starts: Vec<u64>, indices: Vec<u32>, values: Vec<f32> },
}

impl VectorStore {
    pub fn new(vector_type: VectorType, dimensions: u32) -> Self {
        match vector_type {
            VectorType::Vector => VectorStore::Vector { dimensions, data: Vec::new() },
            VectorType::HalfVec => VectorStore::HalfVec { dimensions, data: Vec::new() },
            VectorType::Bit => VectorStore::Bit { dimensions, data: Vec::new() },
            VectorType::SparseVec => {
                VectorStore::SparseVec { dimensions, starts: vec![0], indices: Vec::new(), values: Vec::new() }
            }
        }
    }

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

    pub fn len(&self) -> usize {
        match self {
            VectorStore::Vector { dimensions, data } => data.len() / (*dimensions as usize).max(1),
            VectorStore::HalfVec { dimensions, data } => data.len() / (*dimensions as usize).max(1),
            VectorStore::Bit { dimensions, data } => data.len() / bit_bytes(*dimensions).max(1),
            VectorStore::SparseVec { starts, .. } => starts.len() - 1,
        }
    }

    pub fn bytes(&self) -> u64 {
        let bytes = match self {
            VectorStore::Vector { data, .. } => size_of_val(&data[..]),
            VectorStore::HalfVec { data, .. } => size_of_val(&data[..]),
            VectorStore::Bit { data, .. } => data.len(),
            VectorStore::SparseVec { starts, indices, values, .. } => {
                size_of_val(&starts[..]) + size_of_val(&indices[..]) + size_of_val(&values[..])
            }
        };
        bytes as u64
    }

    /// Keeps the first `len` vectors.
    pub fn truncate(&mut self, len: usize) {
        match self {
            VectorStore::Vector { dimensions, data } => data.truncate(len * *dimensions as usize),
            VectorStore::HalfVec { dimensions, data } => data.truncate(len * *dimensions as usize),
            VectorStore::Bit { dimensions, data } => data.truncate(len * bit_bytes(*dimensions)),
            VectorStore::SparseVec { starts, indices, values, .. } => {
                starts.truncate(len + 1);
                let end = starts.last().map_or(0, |end| *end as usize);
                indices.truncate(end);
                values.truncate(end);
            }
        }
    }

    pub fn shrink(&mut self) {
        match self {
            VectorStore::Vector { data, .. } => data.shrink_to_fit(),
            VectorStore::HalfVec { data, .. } => data.shrink_to_fit(),
            VectorStore::Bit { data, .. } => data.shrink_to_fit(),
            VectorStore::SparseVec { starts, indices, values, .. } => {
                starts.shrink_to_fit();
                indices.shrink_to_fit();
                values.shrink_to_fit();
            }
        }
    }

    /// Appends a value's content (after its varlena header), as the type lays it out in memory. Appends nothing
    /// on an error.
    pub fn push_content(&mut self, content: &[u8]) -> Result<(), ValueFault> {
        let len = self.len();
        let pushed = match self {
            VectorStore::Vector { dimensions, data } => {
                let body = dense_body(content, *dimensions, 4)?;
                let start = data.len();
                data.extend(body.chunks_exact(4).map(|c| f32::from_le_bytes([c[0], c[1], c[2], c[3]])));
                all_finite(&data[start..])
            }
            VectorStore::HalfVec { dimensions, data } => {
                let body = dense_body(content, *dimensions, 2)?;
                let start = data.len();
                data.extend(body.chunks_exact(2).map(|c| u16::from_le_bytes([c[0], c[1]])));
                all_finite_half(&data[start..])
            }
            VectorStore::Bit { dimensions, data } => {
                let (length, body) = content.split_at_checked(4).ok_or(ValueFault::CutOff)?;
                check_dimensions(u32_at(length, 0), *dimensions)?;
                if body.len() != bit_bytes(*dimensions) {
                    return Err(ValueFault::Length);
                }
                data.extend_from_slice(body);
                Ok(())
            }
            VectorStore::SparseVec { dimensions, starts, indices, values } => {
                push_sparse(content, *dimensions, starts, indices, values)
            }
        };
        if pushed.is_err() {
            self.truncate(len);
        }
        pushed
    }

    /// Appends vector `i` of another store of the same type and dimension.
    pub fn push_from(&mut self, other: &VectorStore, i: usize) {
        match (self, other) {
            (VectorStore::Vector { data, dimensions }, VectorStore::Vector { data: from, .. }) => {
                data.extend_from_slice(row(from, *dimensions as usize, i));
            }
            (VectorStore::HalfVec { data, dimensions }, VectorStore::HalfVec { data: from, .. }) => {
                data.extend_from_slice(row(from, *dimensions as usize, i));
            }
            (VectorStore::Bit { data, dimensions }, VectorStore::Bit { data: from, .. }) => {
                data.extend_from_slice(row(from, bit_bytes(*dimensions), i));
            }
            (VectorStore::SparseVec { starts, indices, values, .. }, other) => {
                if let Some((from_indices, from_values)) = other.sparse_row(i) {
                    indices.extend_from_slice(from_indices);
                    values.extend_from_slice(from_values);
                    starts.push(indices.len() as u64);
                }
            }
            _ => {}
        }
    }

    /// Whether vector `i` is bit for bit vector `j` of another store.
    pub fn same_vector(&self, i: usize, other: &VectorStore, j: usize) -> bool {
        match (self, other) {
            (VectorStore::Vector { data, dimensions }, VectorStore::Vector { data: from, .. }) => {
                let (a, b) = (row(data, *dimensions as usize, i), row(from, *dimensions as usize, j));
                a.iter().zip(b).all(|(x, y)| x.to_bits() == y.to_bits())
            }
            (VectorStore::HalfVec { data, dimensions }, VectorStore::HalfVec { data: from, .. }) => {
                row(data, *dimensions as usize, i) == row(from, *dimensions as usize, j)
            }
            (VectorStore::Bit { data, dimensions }, VectorStore::Bit { data: from, .. }) => {
                row(data, bit_bytes(*dimensions), i) == row(from, bit_bytes(*dimensions), j)
            }
            (a, b) => matches!((a.sparse_row(i), b.sparse_row(j)), (Some(x), Some(y)) if x == y),
        }
    }

    /// A number that equal vectors share, from the vector's first elements.
    pub fn fingerprint(&self, i: usize) -> u64 {
        const ELEMENTS: usize = 16;
        let mix = |hash: u64, value: u64| (hash ^ value).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29);
        match self {
            VectorStore::Vector { data, dimensions } => row(data, *dimensions as usize, i)
                .iter()
                .take(ELEMENTS)
                .fold(1, |hash, x| mix(hash, u64::from(x.to_bits()))),
            VectorStore::HalfVec { data, dimensions } => {
                row(data, *dimensions as usize, i).iter().take(ELEMENTS).fold(1, |hash, x| mix(hash, u64::from(*x)))
            }
            VectorStore::Bit { data, dimensions } => {
                row(data, bit_bytes(*dimensions), i).iter().fold(1, |hash, x| mix(hash, u64::from(*x)))
            }
            VectorStore::SparseVec { .. } => {
                self.sparse_row(i).map_or(0, |(indices, values)| {
                    indices.iter().zip(values).take(ELEMENTS).fold(1, |hash, (index, value)| {
                        mix(hash, (u64::from(*index) << 32) | u64::from(value.to_bits()))
                    })
                })
            }
        }
    }

    pub fn sparse_row(&self, i: usize) -> Option<(&[u32], &[f32])> {
        match self {
            VectorStore::SparseVec { starts, indices, values, .. } => {
                let range = starts[i] as usize..starts[i + 1] as usize;
                Some((&indices[range.clone()], &values[range]))
            }
            _ => None,
        }
    }

    /// Vector `i` as the type's text input, exact.
    pub fn literal(&self, i: usize) -> String {
        let list = |elements: Vec<String>| format!("[{}]", elements.join(","));
        match self {
            VectorStore::Vector { data, dimensions } => {
                list(row(data, *dimensions as usize, i).iter().map(f32::to_string).collect())
            }
            VectorStore::HalfVec { data, dimensions } => {
                let elements = row(data, *dimensions as usize, i).iter();
                list(elements.map(|x| f16::from_bits(*x).to_f32().to_string()).collect())
            }
            VectorStore::Bit { data, dimensions } => {
                let bytes = row(data, bit_bytes(*dimensions), i);
                let bit = |at: usize| if bytes[at / 8] >> (7 - at % 8) & 1 == 1 { '1' } else { '0' };
                (0..*dimensions as usize).map(bit).collect()
            }
            VectorStore::SparseVec { dimensions, .. } => {
                let entries = self.sparse_row(i).map_or_else(Vec::new, |(indices, values)| {
                    indices.iter().zip(values).map(|(i, x)| format!("{}:{x}", u64::from(*i) + 1)).collect()
                });
                format!("{{{}}}/{dimensions}", entries.join(","))
            }
        }
    }
}

/// Bytes of a bit string.
pub(crate) fn bit_bytes(dimensions: u32) -> usize {
    dimensions.div_ceil(8) as usize
}

pub(crate) fn row<T>(data: &[T], length: usize, i: usize) -> &[T] {
    &data[i * length..(i + 1) * length]
}

/// vector and halfvec: dimensions i16, unused i16, the elements.
fn dense_body(content: &[u8], dimensions: u32, element_bytes: usize) -> Result<&[u8], ValueFault> {
    let (header, body) = content.split_at_checked(4).ok_or(ValueFault::CutOff)?;
    check_dimensions(u32::from(u16_at(header, 0)), dimensions)?;
    if body.len() != dimensions as usize * element_bytes {
        return Err(ValueFault::Length);
    }
    Ok(body)
}

/// sparsevec: dimensions i32, count i32, unused i32, the indices i32 from 0, the values.
fn push_sparse(
    content: &[u8],
    dimensions: u32,
    starts: &mut Vec<u64>,
    indices: &mut Vec<u32>,
    values: &mut Vec<f32>,
) -> Result<(), ValueFault> {
    let (header, body) = content.split_at_checked(12).ok_or(ValueFault::CutOff)?;
    check_dimensions(u32_at(header, 0), dimensions)?;
    let count = u32_at(header, 4) as usize;
    if body.len() % 8 != 0 || body.len() / 8 != count {
        return Err(ValueFault::Length);
    }
    let (index_bytes, value_bytes) = body.split_at(count * 4);
    let start = indices.len();
    indices.extend(index_bytes.chunks_exact(4).map(|c| u32_at(c, 0)));
    let added = &indices[start..];
    if added.windows(2).any(|w| w[0] >= w[1]) || added.last().is_some_and(|last| *last >= dimensions) {
        return Err(ValueFault::Indices);
    }
    values.extend(value_bytes.chunks_exact(4).map(|c| f32::from_le_bytes([c[0], c[1], c[2], c[3]])));
    all_finite(&values[start..])?;
    starts.push(indices.len() as u64);
    Ok(())
}

fn check_dimensions(found: u32, expected: u32) -> Result<(), ValueFault> {
    if found == expected { Ok(()) } else { Err(ValueFault::Dimensions { found, expected }) }
}

/// pgvector refuses NaN and infinity, so they mean damage. Without a branch, to be vectorised.
fn all_finite(values: &[f32]) -> Result<(), ValueFault> {
    let bad = values.iter().fold(false, |bad, x| bad | ((x.to_bits() & 0x7FFF_FFFF) as i32 >= 0x7F80_0000));
    if bad { Err(ValueFault::NotFinite) } else { Ok(()) }
}

fn all_finite_half(values: &[u16]) -> Result<(), ValueFault> {
    let bad = values.iter().fold(false, |bad, x| bad | ((x & 0x7FFF) as i16 >= 0x7C00));
    if bad { Err(ValueFault::NotFinite) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pgvector::fixture::{bit_content, halfvec_content, sparsevec_content, vector_content};

    #[test]
    fn vectors_of_every_type_read_back() {
        let check = |vector_type, dimensions, content: &[u8], literal: &str| {
            let mut store = VectorStore::new(vector_type, dimensions);
            store.push_content(content).unwrap();
            store.push_content(content).unwrap();
            assert_eq!(store.len(), 2);
            assert_eq!(store.literal(1), literal);
            assert!(store.same_vector(0, &store, 1));
            assert_eq!(store.fingerprint(0), store.fingerprint(1));
            let mut copy = VectorStore::new(vector_type, dimensions);
            copy.push_from(&store, 1);
            assert_eq!(copy.literal(0), literal);
            store.truncate(1);
            assert_eq!(store.len(), 1);
            assert_eq!(store.bytes(), copy.bytes());
        };
        check(VectorType::Vector, 3, &vector_content(&[1.0, -2.5, 0.1]), "[1,-2.5,0.1]");
        check(VectorType::HalfVec, 2, &halfvec_content(&[1.0, -2.5]), "[1,-2.5]");
        check(VectorType::Bit, 10, &bit_content(10, &[0b1010_0001, 0b0100_0000]), "1010000101");
        check(VectorType::SparseVec, 9, &sparsevec_content(9, &[(0, 0.5), (8, 2.0)]), "{1:0.5,9:2}/9");
        check(VectorType::SparseVec, 9, &sparsevec_content(9, &[]), "{}/9");
    }

    #[test]
    fn damaged_values_leave_nothing() {
        let check = |vector_type, dimensions, content: &[u8], expected| {
            let mut store = VectorStore::new(vector_type, dimensions);
            assert_eq!(store.push_content(content), Err(expected));
            assert_eq!(store.len(), 0);
            assert_eq!(store.bytes(), VectorStore::new(vector_type, dimensions).bytes());
        };
        let dimensions = |found, expected| ValueFault::Dimensions { found, expected };
        check(VectorType::Vector, 3, &vector_content(&[1.0, 2.0]), dimensions(2, 3));
        check(VectorType::Vector, 2, &vector_content(&[1.0, f32::NAN]), ValueFault::NotFinite);
        check(VectorType::Vector, 2, &vector_content(&[1.0, 2.0])[..11], ValueFault::Length);
        check(VectorType::Vector, 2, &[0], ValueFault::CutOff);
        check(VectorType::HalfVec, 2, &halfvec_content(&[1.0, f32::INFINITY]), ValueFault::NotFinite);
        check(VectorType::Bit, 9, &bit_content(9, &[1]), ValueFault::Length);
        check(VectorType::Bit, 9, &bit_content(8, &[1]), dimensions(8, 9));
        check(VectorType::SparseVec, 9, &sparsevec_content(9, &[(3, 1.0), (3, 1.0)]), ValueFault::Indices);
        check(VectorType::SparseVec, 9, &sparsevec_content(9, &[(3, 1.0), (9, 1.0)]), ValueFault::Indices);
        check(VectorType::SparseVec, 9, &sparsevec_content(9, &[(3, f32::NAN)]), ValueFault::NotFinite);
        check(VectorType::SparseVec, 9, &sparsevec_content(9, &[(3, 1.0)])[..19], ValueFault::Length);
    }
}
