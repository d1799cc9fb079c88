use tokio_postgres::Client;

use crate::config::Config;
use crate::heal::detect::{self, Observed, Thresholds, Verdict};
use crate::heal::diagnose::{DiagnosisInput, diagnose};
use crate::measure::{MeasureError, MeasureOptions, Measurement, measure};
use crate::model::{Diagnosis, IndexDefinition, Issue, Progress};
use crate::postgres::journal::KeptIndex;
use crate::postgres::{Connector, Journal, ServerFacts, vector_indexes};

/// The indexes to look at: without the replaced ones that pgheal keeps for their rollback window, which serve
/// nothing and are no issue. Those are given apart.
pub async fn indexes_under_care(
    session: &Client,
    journal: Option<&Journal>,
    filter: Option<&str>,
) -> anyhow::Result<(Vec<IndexDefinition>, Vec<KeptIndex>)> {
    let mut definitions = vector_indexes(session, filter).await?;
    let kept = match journal {
        Some(journal) => journal.kept_indexes().await?,
        None => Vec::new(),
    };
    definitions.retain(|d| !kept.iter().any(|k| k.index_oid == d.name.oid));
    Ok((definitions, kept))
}

/// All that one look at an index found.
pub struct IndexFindings {
    pub definition: IndexDefinition,
    pub measurement: Measurement,
    pub issues: Vec<Issue>,
    pub diagnoses: Vec<Diagnosis>,
    pub verdict: Verdict,
}

/// Measures an index, looks for issues and diagnoses them. Changes nothing.
pub async fn observe(
    connector: &Connector,
    facts: &ServerFacts,
    definition: IndexDefinition,
    config: &Config,
    progress: &dyn Progress,
) -> Result<IndexFindings, MeasureError> {
    let name = &definition.name;
    let options = measure_options(config, &name.schema, &name.name);
    let measurement = measure(connector, &definition, &options, None, progress).await?;
    let thresholds = thresholds(config, &name.schema, &name.name);
    let observed =
        Observed::new(&facts.database, &definition, &measurement.health).with_pgvector_version(&facts.vector_version);
    let issues = detect::detect_in(&observed, &thresholds);
    let diagnoses = issues
        .iter()
        .map(|issue| {
            diagnose(&DiagnosisInput {
                issue,
                health: Some(&measurement.health),
                recall_target: thresholds.recall_target,
                max_blind_share: thresholds.max_blind_share,
            })
        })
        .collect();
    let verdict = detect::verdict(&measurement.health, &issues);
    Ok(IndexFindings { definition, measurement, issues, diagnoses, verdict })
}

/// How the configuration wants this index measured.
pub(super) fn measure_options(config: &Config, schema: &str, name: &str) -> MeasureOptions {
    let settings = config.index(schema, name);
    MeasureOptions {
        probe_count: config.measure.probe_count,
        query_table: settings.and_then(|s| s.query_table.clone()).or_else(|| config.measure.query_table.clone()),
        vector_memory_limit_bytes: config.measure.vector_memory_limit_bytes,
        ..MeasureOptions::default()
    }
}

fn thresholds(config: &Config, schema: &str, name: &str) -> Thresholds {
    let m = &config.measure;
    Thresholds {
        recall_target: config.recall_target(schema, name),
        max_blind_share: m.max_blind_share,
        max_unfindable_share: m.max_unfindable_share,
        fragmentation: m.max_fragmentation,
        orphans: m.max_orphans,
        connectivity: m.min_connectivity,
        cluster_balance: m.max_cluster_balance,
        training_staleness_hours: m.max_training_staleness_hours,
        ..Thresholds::default()
    }
}
