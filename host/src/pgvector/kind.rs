/// A pgvector type that can be indexed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VectorType {
    Vector,
    HalfVec,
    Bit,
    SparseVec,
}

impl VectorType {
    /// From the type's name in the catalog, with or without a type modifier (`halfvec(384)`).
    pub fn from_type_name(name: &str) -> Option<Self> {
        match name.split('(').next().unwrap_or(name).trim() {
            "vector" => Some(VectorType::Vector),
            "halfvec" => Some(VectorType::HalfVec),
            "bit" | "bit varying" | "varbit" => Some(VectorType::Bit),
            "sparsevec" => Some(VectorType::SparseVec),
            _ => None,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            VectorType::Vector => "vector",
            VectorType::HalfVec => "halfvec",
            VectorType::Bit => "bit",
            VectorType::SparseVec => "sparsevec",
        }
    }
}

/// How near two vectors are, as the index computes it (support function 1 of the opclass).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Metric {
    /// Squared Euclidean distance.
    L2,
    /// Negative inner product.
    InnerProduct,
    /// Negative inner product of vectors that are stored normalised.
    Cosine,
    /// Sum of absolute differences.
    L1,
    /// Number of differing bits.
    Hamming,
    /// 1 - intersection over union of the set bits; 1 where the intersection is empty.
    Jaccard,
}

impl Metric {
    /// From the opclass's name, for example `vector_cosine_ops`.
    pub fn from_opclass(opclass: &str) -> Option<Self> {
        let (value_type, rest) = opclass.split_once('_')?;
        let metric = match rest {
            "l2_ops" => Metric::L2,
            "ip_ops" => Metric::InnerProduct,
            "cosine_ops" => Metric::Cosine,
            "l1_ops" => Metric::L1,
            "hamming_ops" => Metric::Hamming,
            "jaccard_ops" => Metric::Jaccard,
            _ => return None,
        };
        let vector_type = VectorType::from_type_name(value_type)?;
        metric.suits(vector_type).then_some(metric)
    }

    /// Whether pgvector has an opclass of this metric for the type.
    pub fn suits(self, vector_type: VectorType) -> bool {
        matches!(self, Metric::Hamming | Metric::Jaccard) == (vector_type == VectorType::Bit)
    }

    /// Whether IVFFlat's k-means for this metric works on directions (normalised vectors).
    pub(crate) fn is_spherical(self) -> bool {
        matches!(self, Metric::InnerProduct | Metric::Cosine)
    }
}

/// What a reader has to know of an index beforehand, from the catalog.
#[derive(Clone, Debug)]
pub struct ReaderOptions {
    pub vector_type: VectorType,
    pub metric: Metric,
    /// Above this many bytes of vectors they are not kept: the graph is, search and exact neighbours are not
    /// possible.
    pub vector_memory_limit_bytes: u64,
    /// The index's size in blocks when the reading began.
    pub pages_expected: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opclasses_name_their_metric() {
        let check = |opclass, expected| assert_eq!(Metric::from_opclass(opclass), expected, "{opclass}");
        check("vector_l2_ops", Some(Metric::L2));
        check("halfvec_ip_ops", Some(Metric::InnerProduct));
        check("sparsevec_cosine_ops", Some(Metric::Cosine));
        check("vector_l1_ops", Some(Metric::L1));
        check("bit_hamming_ops", Some(Metric::Hamming));
        check("bit_jaccard_ops", Some(Metric::Jaccard));
        check("bit_l2_ops", None);
        check("vector_hamming_ops", None);
        check("text_ops", None);
        check("", None);
    }

    #[test]
    fn type_names_may_carry_a_modifier() {
        let check = |name, expected| assert_eq!(VectorType::from_type_name(name), expected, "{name}");
        check("vector", Some(VectorType::Vector));
        check("halfvec(384)", Some(VectorType::HalfVec));
        check("bit(1024)", Some(VectorType::Bit));
        check("bit varying", Some(VectorType::Bit));
        check("sparsevec(30000)", Some(VectorType::SparseVec));
        check("tsvector", None);
    }
}
