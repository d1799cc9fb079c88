//! Measuring an index: its pages and some SQL in, an `IndexHealth` out. Changes nothing.
//! Detection, the repair's gate and verification all measure through here, so that they compare like with like.

mod awaiting;
mod blocking;
mod by_pages;
mod by_scans;
mod decode;
mod error;
mod grid;
mod lost;
mod notes;
mod options;
mod queries;
mod scans;
mod simulation;
mod structure;
mod unknown;
mod value_match;

use std::sync::Arc;

use crate::model::{IndexDefinition, IndexHealth, Measured, Progress, Tid};
use crate::pgvector::{Metric, ProbeSet, VectorType};
use crate::postgres::catalog::iterative_scan;
use crate::postgres::{
    Connector, PageAccess, ServerFacts, Session, index_definition, parameter_overrides, search_parameter, server_facts,
};

pub use decode::read_index;
pub use error::MeasureError;
pub use lost::{Begun, misplaced_rows, unfindable_rows};
pub use options::MeasureOptions;
pub use scans::{real_scan_quality, scan_latency_ms};

/// What one measurement found, and what a later one needs to be comparable with it.
#[derive(Clone)]
pub struct Measurement {
    pub health: IndexHealth,
    /// Heap TIDs (chain roots) of the visible rows of elements that a search for their own vector does not find.
    pub unfindable_rows: Vec<Tid>,
    /// The probe queries; pass them to the next measurement. None where there was no page access.
    pub probes: Option<Arc<ProbeSet>>,
}

/// What every way of measuring starts from.
struct Subject<'a> {
    connector: &'a Connector,
    session: Session,
    facts: ServerFacts,
    index: IndexDefinition,
    vector_type: VectorType,
    metric: Metric,
    options: &'a MeasureOptions,
    /// The parameter to measure at: the override, or what new sessions have.
    parameter: Measured<u32>,
    progress: &'a dyn Progress,
}

/// Measures the index as it is now. With page access: by its pages, on `probes` (or on queries of its own choice);
/// without: by SQL, on a few sampled rows. An index that is not valid, or that is being built, is not read: all its
/// figures are unknown, with the reason.
///
/// # Errors
/// Connection and catalog errors; `Dropped` where the index is gone; locks held by others for too long. What could
/// not be measured for another reason is `Unknown` in the health.
pub async fn measure(
    connector: &Connector,
    index: &IndexDefinition,
    options: &MeasureOptions,
    probes: Option<Arc<ProbeSet>>,
    progress: &dyn Progress,
) -> Result<Measurement, MeasureError> {
    measure_on(connector, index, options, probes, None, progress).await
}

/// As `measure`; where it was begun, on the pages that were read then.
pub async fn measure_on(
    connector: &Connector,
    index: &IndexDefinition,
    options: &MeasureOptions,
    probes: Option<Arc<ProbeSet>>,
    begun: Option<Begun>,
    progress: &dyn Progress,
) -> Result<Measurement, MeasureError> {
    let parameter = options.parameter_override.map(Measured::Known);
    let subject = match Subject::open(connector, index, options, parameter, progress).await? {
        Opened::Subject(subject) => subject,
        Opened::Unreadable { index, parameter, reason } => {
            return Ok(unmeasured(unknown::health(&index, options, parameter, &reason)));
        }
    };
    let iterative = iterative_scan(&subject.session, subject.index.name.method).await?;
    let overrides = parameter_overrides(&subject.session).await?;
    let mut measurement = match &subject.facts.page_access {
        PageAccess::None { reason } => by_scans::measure(&subject, reason).await?,
        _ => by_pages::measure(&subject, probes, begun).await?,
    };
    measurement.health.notes.extend(notes::of_settings(&subject.index, iterative.as_deref(), &overrides));
    Ok(measurement)
}

// Made once a measurement.
#[allow(clippy::large_enum_variant)]
enum Opened<'a> {
    Subject(Box<Subject<'a>>),
    /// Why the pages of the index must not be read.
    Unreadable {
        index: IndexDefinition,
        parameter: Measured<u32>,
        reason: String,
    },
}

impl<'a> Subject<'a> {
    /// Looks the index up again: what the caller holds may be old. `parameter`: None asks what new sessions have.
    async fn open(
        connector: &'a Connector,
        index: &IndexDefinition,
        options: &'a MeasureOptions,
        parameter: Option<Measured<u32>>,
        progress: &'a dyn Progress,
    ) -> Result<Opened<'a>, MeasureError> {
        let session = connector.connect("measure").await?;
        session
            .batch_execute("SET statement_timeout = 0; SET lock_timeout = '10s'")
            .await
            .map_err(MeasureError::Database)?;
        let facts = server_facts(&session).await?;
        let index = index_definition(&session, index.name.oid)
            .await?
            .ok_or_else(|| MeasureError::Dropped { index: index.name.qualified() })?;
        let parameter = match parameter {
            Some(parameter) => parameter,
            None => search_parameter(&session, index.name.method).await?,
        };
        if let Some(reason) = unreadable(&index) {
            return Ok(Opened::Unreadable { index, parameter, reason });
        }
        let types = VectorType::from_type_name(&index.vector_type).zip(Metric::from_opclass(&index.opclass));
        let Some((vector_type, metric)) = types else {
            let reason = format!("opclass {} on type {} is not known to pgheal", index.opclass, index.vector_type);
            return Ok(Opened::Unreadable { index, parameter, reason });
        };
        let subject = Subject { connector, session, facts, index, vector_type, metric, options, parameter, progress };
        Ok(Opened::Subject(Box::new(subject)))
    }
}

/// Why the pages of an index must not be read, if they must not.
fn unreadable(index: &IndexDefinition) -> Option<String> {
    if index.being_built {
        Some("the index is being built".to_owned())
    } else if !index.is_ready || !index.is_live {
        Some("the index is not ready: its build did not finish, or it is being dropped".to_owned())
    } else if !index.is_valid {
        Some("the index is invalid: queries do not use it".to_owned())
    } else {
        None
    }
}

fn unmeasured(health: IndexHealth) -> Measurement {
    Measurement { health, unfindable_rows: Vec::new(), probes: None }
}
