use std::fmt::Write as _;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::key::from_hex;
use super::{PublicKey, SecretKey};
use crate::hex;

/// The first word of a line: what follows is a key and its signature.
const VERSION: &str = "pgheal-policy-signature-1";
const SIGNATURE_BYTES: usize = 64;
/// Room for many signatures; more is no signature file.
const MAX_BYTES: u64 = 64 << 10;

/// Detached signatures of one component, one a line: `pgheal-policy-signature-1 <public key> <signature in hex>`.
/// Several keys may sign, so that a key can be replaced without a moment in which nothing is trusted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SignatureFile {
    lines: Vec<(PublicKey, [u8; SIGNATURE_BYTES])>,
}

/// Where the signature of a component lies: `NAME.wasm.sig` beside `NAME.wasm`.
pub fn signature_path(component: &Path) -> PathBuf {
    let mut name = component.as_os_str().to_owned();
    name.push(".sig");
    name.into()
}

impl SignatureFile {
    /// # Errors
    /// That there is no such file, or what is wrong with it.
    pub fn read(path: &Path) -> Result<SignatureFile, String> {
        let metadata = match fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err("it is not there: the component is not signed".to_owned());
            }
            Err(error) => return Err(error.to_string()),
        };
        // Looked at before it is opened: opening a pipe would wait for its other end.
        if !metadata.is_file() {
            return Err("it is not a regular file".to_owned());
        }
        let mut text = String::new();
        let file = fs::File::open(path).map_err(|error| error.to_string())?;
        file.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
        if text.len() as u64 > MAX_BYTES {
            return Err(format!("it is larger than {MAX_BYTES} bytes"));
        }
        SignatureFile::parse(&text)
    }

    /// # Errors
    /// The line that is no signature.
    pub fn parse(text: &str) -> Result<SignatureFile, String> {
        let mut lines = Vec::new();
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let parsed = match words[..] {
                [VERSION, key, signature] => key.parse().ok().zip(from_hex(signature)),
                _ => None,
            };
            lines.push(parsed.ok_or_else(|| format!("line {} is no signature, or is cut off", number + 1))?);
        }
        Ok(SignatureFile { lines })
    }

    /// Adds the key's signature of the component, and drops what does not fit these bytes.
    pub fn sign(&mut self, key: &SecretKey, component: &[u8]) {
        let sha256 = Sha256::digest(component);
        let public = key.public();
        self.lines.retain(|(other, signature)| *other != public && other.verifies(&sha256, signature));
        let mut signature = [0; SIGNATURE_BYTES];
        signature.copy_from_slice(&key.sign(&sha256));
        self.lines.push((public, signature));
    }

    /// Whether the key signed these bytes.
    pub fn is_by(&self, key: &PublicKey, component: &[u8]) -> bool {
        let sha256 = Sha256::digest(component);
        self.lines.iter().any(|(signer, signature)| signer == key && key.verifies(&sha256, signature))
    }

    /// The keys that the file names; what they signed is not checked here.
    pub fn keys(&self) -> impl Iterator<Item = PublicKey> {
        self.lines.iter().map(|(key, _)| *key)
    }

    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for (key, signature) in &self.lines {
            let _ = writeln!(text, "{VERSION} {key} {}", hex::encode(signature));
        }
        text
    }
}
