//! Vectors as PostgreSQL sends them in binary (`vector_send` and its kin): big-endian.

use half::f16;

use super::VectorType;
use super::error::ValueFault;

/// A vector in transit from the send format to the stored one.
pub(crate) struct Sent {
    pub dimensions: u32,
    elements: Elements,
}

enum Elements {
    Vector(Vec<f32>),
    HalfVec(Vec<f32>),
    Bit(Vec<u8>),
    SparseVec(Vec<(u32, f32)>),
}

/// Reads one value of the send format.
pub(crate) fn content_of_sent(vector_type: VectorType, bytes: &[u8]) -> Result<Sent, ValueFault> {
    let dense = |element_bytes: usize| {
        let (header, body) = bytes.split_at_checked(4).ok_or(ValueFault::CutOff)?;
        let dimensions = u32::from(u16::from_be_bytes([header[0], header[1]]));
        if body.len() != dimensions as usize * element_bytes {
            return Err(ValueFault::Length);
        }
        Ok((dimensions, body))
    };
    match vector_type {
        VectorType::Vector => {
            let (dimensions, body) = dense(4)?;
            let elements = body.chunks_exact(4).map(f32_of).collect();
            Ok(Sent { dimensions, elements: Elements::Vector(elements) })
        }
        VectorType::HalfVec => {
            let (dimensions, body) = dense(2)?;
            let element = |c: &[u8]| f16::from_bits(u16::from_be_bytes([c[0], c[1]])).to_f32();
            Ok(Sent { dimensions, elements: Elements::HalfVec(body.chunks_exact(2).map(element).collect()) })
        }
        VectorType::Bit => {
            let (length, body) = bytes.split_at_checked(4).ok_or(ValueFault::CutOff)?;
            Ok(Sent { dimensions: u32_of(length), elements: Elements::Bit(body.to_vec()) })
        }
        VectorType::SparseVec => {
            let (header, body) = bytes.split_at_checked(12).ok_or(ValueFault::CutOff)?;
            let count = u32_of(&header[4..]) as usize;
            if body.len() % 8 != 0 || body.len() / 8 != count {
                return Err(ValueFault::Length);
            }
            let (indices, values) = body.split_at(count * 4);
            let elements = indices.chunks_exact(4).map(u32_of).zip(values.chunks_exact(4).map(f32_of)).collect();
            Ok(Sent { dimensions: u32_of(header), elements: Elements::SparseVec(elements) })
        }
    }
}

impl Sent {
    /// To length 1, as `l2_normalize` and its kin do; a zero vector stays.
    pub fn normalise(&mut self) {
        match &mut self.elements {
            Elements::Vector(elements) | Elements::HalfVec(elements) => scale(elements.iter_mut()),
            Elements::SparseVec(elements) => {
                scale(elements.iter_mut().map(|(_, value)| value));
                elements.retain(|(_, value)| *value != 0.0);
            }
            Elements::Bit(_) => {}
        }
    }

    /// The content as it is stored, after the varlena header.
    pub fn encode(&self) -> Vec<u8> {
        let mut content = self.dimensions.to_le_bytes().to_vec();
        match &self.elements {
            Elements::Vector(elements) => content.extend(elements.iter().flat_map(|x| x.to_le_bytes())),
            Elements::HalfVec(elements) => {
                content.extend(elements.iter().flat_map(|x| f16::from_f32(*x).to_bits().to_le_bytes()));
            }
            Elements::Bit(bytes) => content.extend_from_slice(bytes),
            Elements::SparseVec(elements) => {
                content.extend((elements.len() as u32).to_le_bytes());
                content.extend(0_u32.to_le_bytes());
                content.extend(elements.iter().flat_map(|(index, _)| index.to_le_bytes()));
                content.extend(elements.iter().flat_map(|(_, value)| value.to_le_bytes()));
            }
        }
        content
    }
}

fn scale<'a>(elements: impl Iterator<Item = &'a mut f32>) {
    let elements: Vec<&mut f32> = elements.collect();
    let norm = elements.iter().map(|x| f64::from(**x) * f64::from(**x)).sum::<f64>().sqrt();
    if norm > 0.0 {
        for x in elements {
            *x = (f64::from(*x) / norm) as f32;
        }
    }
}

fn u32_of(bytes: &[u8]) -> u32 {
    u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

fn f32_of(bytes: &[u8]) -> f32 {
    f32::from_bits(u32_of(bytes))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::pgvector::{Metric, ProbeError, ProbeSet};

    fn sent(parts: &[&[u8]]) -> Bytes {
        Bytes::from(parts.concat())
    }

    fn floats(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|x| x.to_be_bytes()).collect()
    }

    #[test]
    fn every_type_is_read() {
        let check = |vector_type, metric, value: Bytes, expected: &str| {
            let probes = ProbeSet::from_send_format(vector_type, metric, &[value.clone(), value]).unwrap();
            assert_eq!((probes.len(), probes.is_sampled()), (2, false));
            assert_eq!(probes.literal(1), expected);
            assert!(probes.own_tids(1).is_empty());
        };
        let vector = sent(&[&[0, 2, 0, 0], &floats(&[3.0, 4.0])]);
        check(VectorType::Vector, Metric::L2, vector.clone(), "[3,4]");
        check(VectorType::Vector, Metric::Cosine, vector, "[0.6,0.8]");
        check(VectorType::HalfVec, Metric::L1, sent(&[&[0, 2, 0, 0, 0x3C, 0, 0xC0, 0]]), "[1,-2]");
        check(VectorType::Bit, Metric::Hamming, sent(&[&[0, 0, 0, 10, 0xA0, 0x40]]), "1010000001");
        let header = [9_u32, 2, 0, 1, 8].map(u32::to_be_bytes).concat();
        let sparse = sent(&[&header, &floats(&[3.0, 4.0])]);
        check(VectorType::SparseVec, Metric::L2, sparse.clone(), "{2:3,9:4}/9");
        check(VectorType::SparseVec, Metric::Cosine, sparse, "{2:0.6,9:0.8}/9");
    }

    #[test]
    fn damaged_queries_are_named() {
        let check = |vector_type, metric, values: &[Bytes], expected| {
            assert_eq!(ProbeSet::from_send_format(vector_type, metric, values).unwrap_err(), expected);
        };
        let fault = |query, fault| ProbeError::Query { query, fault };
        let two = sent(&[&[0, 2, 0, 0], &floats(&[3.0, 4.0])]);
        let one = sent(&[&[0, 1, 0, 0], &floats(&[3.0])]);
        let dimensions = ValueFault::Dimensions { found: 1, expected: 2 };
        check(VectorType::Vector, Metric::L2, &[two.clone(), one], fault(1, dimensions));
        check(VectorType::Vector, Metric::L2, &[two.slice(..11)], fault(0, ValueFault::Length));
        check(VectorType::Vector, Metric::L2, &[Bytes::new()], fault(0, ValueFault::CutOff));
        let metric = ProbeError::Metric { vector_type: VectorType::Vector, metric: Metric::Hamming };
        check(VectorType::Vector, Metric::Hamming, &[two], metric);
    }
}
