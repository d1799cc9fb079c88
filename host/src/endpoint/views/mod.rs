//! What can be read with SELECT, one view a file: `pgheal.*`, and the little of the system catalogs that tools need.

mod active_repairs;
mod catalog;
mod history;
mod indexes;
mod issues;
mod metrics;
mod policies;
mod settings;
mod targets;

use super::context::Context;
use super::sql::{Name, Refused, Table, Wanted, code};

pub(super) static PGHEAL: &[&dyn Table] = &[
    &active_repairs::ActiveRepairs,
    &history::History,
    &indexes::Indexes,
    &issues::Issues,
    &metrics::Metrics,
    &policies::Policies,
    &settings::Settings,
    &targets::Targets,
];

/// The view of this name.
///
/// # Errors
/// There is none; tells which there are.
pub(super) fn find(name: &Name) -> Result<&'static dyn Table, Refused> {
    let all = PGHEAL.iter().copied().chain(catalog::all());
    // As with PostgreSQL's search path, information_schema has to be named.
    let is_reachable = |view: &&dyn Table| match &name.schema {
        Some(schema) => schema == view.schema(),
        None => view.schema() != "information_schema",
    };
    let mut found = all.filter(|view| view.name() == name.name && is_reachable(view));
    if let Some(view) = found.next() {
        return Ok(view);
    }
    if matches!(name.schema.as_deref(), Some("pg_catalog" | "information_schema")) || name.name.starts_with("pg_") {
        return Err(Refused::unsupported(format!("the catalog {name}: it is no database")).with_hint(hint()));
    }
    Err(Refused::new(code::UNKNOWN_TABLE, format!("relation {name} does not exist")).with_hint(hint()))
}

/// What there is, for errors.
pub(super) fn hint() -> String {
    let names: Vec<&str> = PGHEAL.iter().map(|view| view.name()).collect();
    format!("There are the views pgheal.{}; their columns are in information_schema.columns.", names.join(", pgheal."))
}

/// The names of the targets that a statement is about.
fn targets_wanted(context: &Context, wanted: &Wanted) -> Vec<String> {
    let mut names: Vec<String> = context.targets().iter().map(|target| target.name.clone()).collect();
    if let Some(only) = wanted.text("target") {
        names.retain(|name| name == only);
    }
    names
}
