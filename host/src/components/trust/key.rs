use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

use crate::hex;

const PUBLIC_PREFIX: &str = "ed25519:";
const SECRET_PREFIX: &str = "pgheal-secret-key:ed25519:";
const KEY_BYTES: usize = 32;
/// What is signed begins with this, so that a signature that the same key made for something else, or makes in a later
/// format, is never one of a policy.
const DOMAIN: &[u8] = b"pgheal policy component, signature version 1\0";

/// What is wrong with a key or a key file.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("{0:?} is no public key; one looks like ed25519:<64 hex digits>")]
    Public(String),
    #[error("{} holds no secret key of `pgheal policy keygen`", .0.display())]
    Secret(PathBuf),
    #[error("{} can be read by other users; chmod 600 it, and consider the key known to them", .0.display())]
    Open(PathBuf),
    #[error("{}: {source}", .path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error("the system gives no random numbers")]
    Random,
}

/// An ed25519 key that signatures are checked with.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PublicKey([u8; KEY_BYTES]);

impl PublicKey {
    /// From its text, or from a file that holds its text.
    pub fn find(text_or_path: &str) -> Result<PublicKey, KeyError> {
        if text_or_path.starts_with(PUBLIC_PREFIX) {
            return text_or_path.parse();
        }
        let path = Path::new(text_or_path);
        fs::read_to_string(path).map_err(|source| KeyError::File { path: path.to_owned(), source })?.trim().parse()
    }

    /// Whether `signature` is this key's for a component of this SHA-256.
    pub(super) fn verifies(&self, sha256: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.0).verify(&message(sha256), signature).is_ok()
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<PublicKey, KeyError> {
        let digits = text.strip_prefix(PUBLIC_PREFIX);
        digits.and_then(from_hex).map(PublicKey).ok_or_else(|| KeyError::Public(text.to_owned()))
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PUBLIC_PREFIX}{}", hex::encode(&self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An ed25519 key that signs. It has no `Debug`, so that no log ever shows it.
pub struct SecretKey {
    seed: [u8; KEY_BYTES],
    pair: Ed25519KeyPair,
}

impl SecretKey {
    pub fn generate() -> Result<SecretKey, KeyError> {
        let mut seed = [0; KEY_BYTES];
        SystemRandom::new().fill(&mut seed).map_err(|_| KeyError::Random)?;
        SecretKey::from_seed(seed).ok_or(KeyError::Random)
    }

    fn from_seed(seed: [u8; KEY_BYTES]) -> Option<SecretKey> {
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).ok()?;
        Some(SecretKey { seed, pair })
    }

    /// # Errors
    /// Where the file is none of `write`'s, or others may read it.
    pub fn read(path: &Path) -> Result<SecretKey, KeyError> {
        let file_error = |source| KeyError::File { path: path.to_owned(), source };
        let mode = fs::metadata(path).map_err(file_error)?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(KeyError::Open(path.to_owned()));
        }
        let text = fs::read_to_string(path).map_err(file_error)?;
        let seed = text.trim().strip_prefix(SECRET_PREFIX).and_then(from_hex);
        seed.and_then(SecretKey::from_seed).ok_or_else(|| KeyError::Secret(path.to_owned()))
    }

    /// Writes a new file that only this user can read.
    ///
    /// # Errors
    /// Where there is a file already: a key that is overwritten is lost.
    pub fn write(&self, path: &Path) -> Result<(), KeyError> {
        let file_error = |source| KeyError::File { path: path.to_owned(), source };
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(file_error)?;
        writeln!(file, "{SECRET_PREFIX}{}", hex::encode(&self.seed)).and_then(|()| file.sync_all()).map_err(file_error)
    }

    pub fn public(&self) -> PublicKey {
        let mut bytes = [0; KEY_BYTES];
        bytes.copy_from_slice(self.pair.public_key().as_ref());
        PublicKey(bytes)
    }

    pub(super) fn sign(&self, sha256: &[u8]) -> Vec<u8> {
        self.pair.sign(&message(sha256)).as_ref().to_vec()
    }

    /// A signature without the domain: what the same key would make elsewhere.
    #[cfg(test)]
    pub(super) fn sign_elsewhere(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(message).as_ref().to_vec()
    }
}

fn message(sha256: &[u8]) -> Vec<u8> {
    [DOMAIN, sha256].concat()
}

/// Exactly N bytes of lower-case hex.
pub(super) fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let is_lower_case = !text.bytes().any(|digit| digit.is_ascii_uppercase());
    hex::decode(text).filter(|_| is_lower_case)?.try_into().ok()
}
