use anyhow::{Context, Result};
use wasmparser::component_types::ComponentEntityType;
use wasmparser::{Parser, Payload, ValidPayload, Validator, WasmFeatures};

/// What a component asks for and gives, told from its bytes alone: nothing of it is compiled, let alone run.
pub(super) struct ComponentTypes {
    /// Without names for types, which bring no function along.
    pub(super) imports: Vec<Import>,
    pub(super) exports: Vec<String>,
}

pub(super) struct Import {
    pub(super) name: String,
    /// The functions of an interface; None where something else is imported.
    pub(super) functions: Option<Vec<String>>,
}

impl ComponentTypes {
    /// Code is not looked at: that is for the compiler, which also refuses what is allowed here and not there.
    ///
    /// # Errors
    /// Where its types are not valid.
    pub(super) fn read(bytes: &[u8]) -> Result<Self> {
        let mut validator = Validator::new_with_features(WasmFeatures::all());
        let (mut import_names, mut exports, mut types, mut depth) = (Vec::new(), Vec::new(), None, 0_usize);
        for payload in Parser::new(0).parse_all(bytes) {
            let payload = payload?;
            let valid = validator.payload(&payload)?;
            match payload {
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::ComponentImportSection(imports) if depth == 0 => {
                    for import in imports {
                        import_names.push(import?.name.name.to_owned());
                    }
                }
                Payload::ComponentExportSection(section) if depth == 0 => {
                    for export in section {
                        exports.push(export?.name.name.to_owned());
                    }
                }
                Payload::End(_) if depth > 0 => depth -= 1,
                _ => {}
            }
            if let ValidPayload::End(found) = valid {
                types = Some(found);
            }
        }
        let types = types.context("it has no end")?;
        let types = types.as_ref();
        let mut imports = Vec::new();
        for name in import_names {
            let functions = match types.component_item_for_import(&name).map(|item| item.ty) {
                Some(ComponentEntityType::Type { .. }) => continue,
                Some(ComponentEntityType::Instance(instance)) => {
                    let exports = types[instance].exports.iter();
                    let functions = exports.filter(|(_, item)| matches!(item.ty, ComponentEntityType::Func(_)));
                    Some(functions.map(|(name, _)| name.clone()).collect())
                }
                _ => None,
            };
            imports.push(Import { name, functions });
        }
        Ok(ComponentTypes { imports, exports })
    }
}
