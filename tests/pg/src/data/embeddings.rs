use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use half::f16;

const MAGIC: &[u8; 8] = b"PGHEMB01";
const HEADER_BYTES: usize = 16;

/// Real text embeddings of unit length; the format is told in `tests/data/README.md`.
#[derive(Clone, Debug)]
pub struct Embeddings {
    pub dimensions: usize,
    pub vectors: Vec<Vec<f32>>,
    pub packages: Vec<String>,
    /// The archive section of each package, for example `libs`.
    pub sections: Vec<String>,
}

impl Embeddings {
    /// Reads `tests/data` of the workspace.
    pub fn load(workspace: &Path) -> Result<Embeddings> {
        let directory = workspace.join("tests/data");
        let bytes = fs::read(directory.join("embeddings.bin")).context("tests/data/embeddings.bin")?;
        let names = fs::read_to_string(directory.join("packages.tsv")).context("tests/data/packages.tsv")?;
        let (dimensions, vectors) = decode(&bytes).context("tests/data/embeddings.bin")?;
        let (packages, sections): (Vec<String>, Vec<String>) = names
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once('\t'))
            .map(|(package, section)| (package.to_owned(), section.to_owned()))
            .unzip();
        ensure!(packages.len() == vectors.len(), "{} packages for {} vectors", packages.len(), vectors.len());
        Ok(Embeddings { dimensions, vectors, packages, sections })
    }
}

fn decode(bytes: &[u8]) -> Result<(usize, Vec<Vec<f32>>)> {
    ensure!(bytes.len() >= HEADER_BYTES && bytes.starts_with(MAGIC), "not a file of embeddings");
    let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]) as usize;
    let (rows, dimensions) = (word(8), word(12));
    let body = &bytes[HEADER_BYTES..];
    ensure!(dimensions > 0 && rows * dimensions * 2 == body.len(), "{} bytes for {rows} x {dimensions}", body.len());
    let vectors = body
        .chunks_exact(dimensions * 2)
        .map(|row| row.chunks_exact(2).map(|x| f16::from_le_bytes([x[0], x[1]]).to_f32()).collect())
        .collect();
    Ok((dimensions, vectors))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_workspace_data() {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let embeddings = Embeddings::load(&workspace).unwrap();
        assert_eq!((embeddings.vectors.len(), embeddings.dimensions), (7_000, 384));
        assert_eq!((embeddings.packages[0].as_str(), embeddings.sections[0].as_str()), ("0ad", "games"));
        for vector in &embeddings.vectors {
            let norm: f32 = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
            assert!((norm - 1.0).abs() < 2e-3, "norm {norm}");
        }
    }

    #[test]
    fn refuses_a_truncated_file() {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(2u32.to_le_bytes());
        bytes.extend(3u32.to_le_bytes());
        bytes.extend([0; 11]);
        assert!(decode(&bytes).is_err());
        assert!(decode(&bytes[..10]).is_err());
        bytes.push(0);
        assert_eq!(decode(&bytes).unwrap().1, vec![vec![0.0; 3]; 2]);
    }
}
