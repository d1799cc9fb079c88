use anyhow::{Result, bail};
use serde::Serialize;
use sha2::{Digest, Sha256};
use wasmtime::component::Component;
use wasmtime::component::types::ComponentItem;
use wasmtime::{Config, Engine, OptLevel};

use super::contract::{PACKAGE, kind_of};
use super::{PolicyKind, hex};

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
    /// Looks at a component's bytes. It is compiled for that, since only what compiles has types that can be trusted.
    ///
    /// # Errors
    /// Where it is no component.
    pub fn of(bytes: &[u8]) -> Result<Inspection> {
        let mut config = Config::new();
        config.wasm_component_model(true);
        // The code is not run: a large component would be optimized for seconds in vain.
        config.cranelift_opt_level(OptLevel::None);
        let engine = Engine::new(&config)?;
        let component = Component::from_binary(&engine, bytes)?;
        let component_type = component.component_type();
        let mut imports = Vec::new();
        let mut contract = None;
        for (name, item) in component_type.imports(&engine) {
            let functions = match item.ty {
                // A name for a type of an interface brings no function along.
                ComponentItem::Type(_) => continue,
                ComponentItem::ComponentInstance(instance) => instance
                    .exports(&engine)
                    .filter(|(_, item)| matches!(item.ty, ComponentItem::ComponentFunc(_)))
                    .map(|(name, _)| name.to_owned())
                    .collect(),
                _ => Vec::new(),
            };
            if let Some((_, version)) = name.strip_prefix(PACKAGE).and_then(|rest| rest.split_once('@')) {
                match &contract {
                    None => contract = Some(version.to_owned()),
                    Some(first) if first != version => {
                        bail!("it imports two versions of the contract, {first} and {version}")
                    }
                    Some(_) => {}
                }
            }
            imports.push(ImportedInterface { name: name.to_owned(), functions });
        }
        let exports: Vec<String> = component_type.exports(&engine).map(|(name, _)| name.to_owned()).collect();
        Ok(Inspection {
            size_bytes: bytes.len() as u64,
            digest: hex(&Sha256::digest(bytes)),
            contract,
            kind: kind_of(&exports).ok(),
            imports,
            exports,
        })
    }
}

fn kind_name<S: serde::Serializer>(kind: &Option<PolicyKind>, serializer: S) -> Result<S::Ok, S::Error> {
    kind.map(|kind| kind.to_string()).serialize(serializer)
}
