use anyhow::{Result, bail};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::PolicyKind;
use super::component_types::ComponentTypes;
use super::contract::{PACKAGE, kind_of};
use crate::hex;

/// What a component says of itself, without any of it being run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Inspection {
    pub size_bytes: u64,
    /// SHA-256 in hex.
    pub digest: String,
    /// The version of the contract that it was built for, for example `0.1.0`; absent where it imports none.
    pub contract: Option<String>,
    /// Absent where its exports are those of no kind.
    #[serde(serialize_with = "kind_name")]
    pub kind: Option<PolicyKind>,
    pub imports: Vec<ImportedInterface>,
    pub exports: Vec<String>,
}

/// An interface with the functions that the component asks for; none where it asks for its types only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ImportedInterface {
    pub name: String,
    pub functions: Vec<String>,
}

impl Inspection {
    /// Looks at a component's bytes.
    ///
    /// # Errors
    /// Where it is no component.
    pub fn of(bytes: &[u8]) -> Result<Inspection> {
        let types = ComponentTypes::read(bytes)?;
        let mut contract = None;
        for import in &types.imports {
            if let Some((_, version)) = import.name.strip_prefix(PACKAGE).and_then(|rest| rest.split_once('@')) {
                match &contract {
                    None => contract = Some(version.to_owned()),
                    Some(first) if first != version => {
                        bail!("it imports two versions of the contract, {first} and {version}")
                    }
                    Some(_) => {}
                }
            }
        }
        let imports = types.imports.into_iter();
        Ok(Inspection {
            size_bytes: bytes.len() as u64,
            digest: hex::encode(&Sha256::digest(bytes)),
            contract,
            kind: kind_of(&types.exports).ok(),
            imports: imports
                .map(|import| ImportedInterface { name: import.name, functions: import.functions.unwrap_or_default() })
                .collect(),
            exports: types.exports,
        })
    }
}

fn kind_name<S: serde::Serializer>(kind: &Option<PolicyKind>, serializer: S) -> Result<S::Ok, S::Error> {
    kind.map(|kind| kind.to_string()).serialize(serializer)
}
