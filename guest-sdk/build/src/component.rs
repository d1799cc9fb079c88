use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use wit_component::{ComponentEncoder, DecodedWasm, StringEncoding};
use wit_parser::{Resolve, WorldItem};

/// The only imports that a policy may have; there is no WASI.
const CONTRACT: &str = "pgheal:policy/";

/// Makes a component of a core module. The file appears under its name as a whole or not at all; one that would not
/// change is left alone.
///
/// # Errors
/// Where the module is none of a policy, or with `contract_only` imports anything but the contract.
pub fn componentize(module: &Path, component: &Path, contract_only: bool) -> Result<PathBuf> {
    let bytes = fs::read(module).with_context(|| format!("cannot read {}", module.display()))?;
    let encoded = ComponentEncoder::default().validate(true).module(&bytes)?.encode()?;
    if contract_only {
        check_imports(&encoded)?;
    }
    if fs::read(component).is_ok_and(|present| present == encoded) {
        return Ok(component.to_owned());
    }
    let dir = component.parent().context("a component needs a directory")?;
    fs::create_dir_all(dir)?;
    let unfinished = component.with_extension(format!("{}.tmp", std::process::id()));
    fs::write(&unfinished, &encoded)
        .and_then(|()| fs::rename(&unfinished, component))
        .with_context(|| format!("cannot write {}", component.display()))?;
    Ok(component.to_owned())
}

/// Makes a component of a core module that was written by hand for a world of the WIT package in `wit`.
///
/// # Errors
/// Where the module's exports are not the world's.
pub fn componentize_for(mut module: Vec<u8>, wit: &Path, world: &str) -> Result<Vec<u8>> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(wit)?;
    let world = resolve.select_world(&[package], Some(world))?;
    wit_component::embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)?;
    ComponentEncoder::default().validate(true).module(&module)?.encode()
}

/// Refuses a component that asks for anything but the contract.
pub fn check_imports(component: &[u8]) -> Result<()> {
    let DecodedWasm::Component(resolve, world) = wit_component::decode(component)? else {
        bail!("it is not a component");
    };
    for (key, item) in &resolve.worlds[world].imports {
        // A name for a type of an interface brings no function along.
        if matches!(item, WorldItem::Type { .. }) {
            continue;
        }
        let name = resolve.name_world_key(key);
        ensure!(name.starts_with(CONTRACT), "it imports {name}; a policy may import {CONTRACT}* only");
    }
    Ok(())
}
