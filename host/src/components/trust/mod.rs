//! Who may bring policies: signatures by configured keys.

mod key;
mod signature;

use std::path::Path;

pub use key::{KeyError, PublicKey, SecretKey};
pub use signature::{SignatureFile, signature_path};

/// What a component must show before any of it is compiled. The default asks for nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    keys: Vec<PublicKey>,
}

impl Trust {
    /// With `trusted_keys` (`ed25519:<64 hex digits>` each), only components that one of them signed are loaded.
    ///
    /// # Errors
    /// Where a key is none, named.
    pub fn new(trusted_keys: &[String]) -> Result<Trust, KeyError> {
        let keys = trusted_keys.iter().map(|key| key.parse()).collect::<Result<_, _>>()?;
        Ok(Trust { keys })
    }

    /// Whether components need a signature.
    pub fn asks_for_signatures(&self) -> bool {
        !self.keys.is_empty()
    }

    /// Whether a component may be loaded. The signature lies beside `path`, with `.sig` appended to the name; it is
    /// checked against `bytes` as they were read, so that a file that changes afterwards changes nothing.
    ///
    /// # Errors
    /// Why not, for the status.
    pub fn check(&self, path: &Path, bytes: &[u8]) -> Result<(), String> {
        if self.keys.is_empty() {
            return Ok(());
        }
        self.signer(path, bytes).map(|_| ())
    }

    /// The trusted key that signed the component.
    ///
    /// # Errors
    /// Why there is none.
    pub fn signer(&self, path: &Path, bytes: &[u8]) -> Result<PublicKey, String> {
        let beside = signature_path(path);
        let file = SignatureFile::read(&beside).map_err(|reason| format!("{}: {reason}", beside.display()))?;
        if let Some(key) = self.keys.iter().find(|key| file.is_by(key, bytes)) {
            return Ok(*key);
        }
        let (trusted, others): (Vec<_>, Vec<_>) = file.keys().partition(|key| self.keys.contains(key));
        Err(match (trusted.first(), others.first()) {
            (Some(key), _) => format!("its signature by {key} does not fit the file: one of both was changed"),
            (None, Some(key)) => format!("it is signed by {key}, which is not among policies.trusted_keys"),
            (None, None) => format!("{} holds no signature", beside.display()),
        })
    }
}

#[cfg(test)]
mod tests;
