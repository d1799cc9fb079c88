use crate::model::IndexDefinition;
use crate::postgres::ParameterOverride;
use crate::postgres::pages::StreamReport;

pub(super) const OPTIMISM: &str = "the probe queries are rows of the index: recall is optimistic by about 0.01 against queries that were never indexed";

/// Settings that make some sessions search otherwise than was measured.
pub(super) fn of_settings(
    index: &IndexDefinition,
    iterative_scan: Option<&str>,
    overrides: &[ParameterOverride],
) -> Vec<String> {
    let method = index.name.method;
    let mut notes = Vec::new();
    if let Some(mode) = iterative_scan.filter(|mode| *mode != "off") {
        notes.push(format!(
            "{method}.iterative_scan is {mode} in new sessions: a query that runs out of visible rows goes on searching, so it may find more than measured here"
        ));
    }
    // A setting for the whole database is what was measured at; those for one role or function may differ from it.
    let narrower =
        overrides.iter().filter(|o| o.name == method.parameter() && (o.role.is_some() || o.function.is_some()));
    notes.extend(narrower.map(|o| format!("somebody set {o}: the sessions concerned search with that value")));
    notes
}

pub(super) fn of_pace(report: &StreamReport) -> Option<String> {
    report.paced.then(|| {
        format!(
            "the index is large against shared_buffers: its {} pages were read slowly ({:.1} s, of which {:.1} s waiting)",
            report.blocks,
            report.elapsed.as_secs_f64(),
            report.rested.as_secs_f64()
        )
    })
}

/// A sampled row finds itself first, which takes one of ef_search's places.
pub(super) fn of_small_ef(parameter: u32, k: u32, sampled: bool) -> Option<String> {
    (sampled && parameter <= k).then(|| {
        format!(
            "hnsw.ef_search {parameter} yields at most {parameter} elements; the sampled row itself is one of them and is not counted, so recall@{k} is measured over the other {}",
            parameter.saturating_sub(1)
        )
    })
}

pub(super) fn of_sample(sampled: u64, live: u64) -> Option<String> {
    (sampled < live).then(|| format!("unfindable elements were looked for among {sampled} sampled ones of {live}"))
}
