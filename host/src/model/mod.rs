//! The types that the stages of the healing loop hand to each other. No I/O, nothing internal imported.

mod agenda;
mod diagnosis;
mod health;
mod index;
mod issue;
mod measured;
mod measurement_json;
mod metrics;
mod outcome;
mod progress;
mod tid_map;

pub use agenda::AgendaItem;
pub use diagnosis::{Diagnosis, RootCause};
pub use health::{
    CurvePoint, EntryPoint, HnswHealth, IndexHealth, IvfflatHealth, ProbeSource, Recommended, SearchQuality, Structure,
    Unfindable,
};
pub use index::{AccessMethod, IndexDefinition, IndexName, Tid, quote_identifier, readable_name};
pub use issue::{
    AlertSeverity, Anomaly, AnomalyType, Bottleneck, DriftRecommendation, DriftType, Evidence, Issue, IssueKind,
    LearningDrift, PerformanceDegradation, Severity,
};
pub use measured::{Measured, UnknownField};
pub use measurement_json::{measurement_json, short_parameter};
pub use metrics::HealingMetrics;
pub use outcome::{Outcome, RepairDetail, RepairRecord, RepairResult};
pub use progress::{Progress, Silent};
pub use tid_map::{TidMap, TidSet};
