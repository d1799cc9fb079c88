//! The contract's most frequent call by wasmtime as fast as it goes: synchronous, unmetered, nothing limited.

use anyhow::{Context, Result};
use wasmtime::component::{Component, ComponentType, Lift, Linker, TypedFunc};
use wasmtime::{Engine, Store, StoreContextMut};

use super::bindings::strategy::pgheal::policy::{log, types};
use crate::components::contract::{Bare, PACKAGE};

pub(super) fn bare<R: ComponentType + Lift + 'static>(
    engine: &Engine,
    bytes: &[u8],
    function: &str,
    issue: types::Issue,
) -> Result<Bare> {
    let engine = engine.clone();
    let component = Component::from_binary(&engine, bytes)?;
    let mut linker = Linker::new(&engine);
    let prefix = format!("{PACKAGE}log@");
    for (name, _) in component.component_type().imports(&engine).filter(|(name, _)| name.starts_with(&prefix)) {
        let write = |_: StoreContextMut<'_, ()>, (_, _): (log::Level, String)| Ok(());
        linker.instance(name)?.func_wrap("write", write)?;
    }
    let prefix = format!("{PACKAGE}settings@");
    for (name, _) in component.component_type().imports(&engine).filter(|(name, _)| name.starts_with(&prefix)) {
        let get = |_: StoreContextMut<'_, ()>, (_,): (String,)| Ok((None::<String>,));
        linker.instance(name)?.func_wrap("get", get)?;
    }
    linker.define_unknown_imports_as_traps(&component)?;
    let pre = linker.instantiate_pre(&component)?;
    let function = component.get_export_index(None, function).context("its function is not exported")?;
    let mut store = Store::new(&engine, ());
    pre.instantiate(&mut store)?.get_typed_func::<(&types::Issue,), (R,)>(&mut store, &function)?;
    Ok(Box::new(move || {
        let mut store = Store::new(&engine, ());
        let instance = pre.instantiate(&mut store)?;
        let function = instance.get_func(&mut store, function).context("its function is not exported")?;
        // SAFETY: `get_typed_func` above found that this export of this component has this type. To find it again
        // with every call would make bare wasmtime look slower than it is.
        let function = unsafe { TypedFunc::<(&types::Issue,), (R,)>::new_unchecked(function) };
        function.call(&mut store, (&issue,))?;
        Ok(())
    }))
}
