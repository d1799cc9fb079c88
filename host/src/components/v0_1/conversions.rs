//! The host's types to the contract's and back. Evidence and impact stay with the host: they are for people.

use super::bindings::strategy::pgheal::policy::{actions, context, database, settings, types};
use crate::components::{
    BuildOptions, Candidate, Comparison, HostError, Reinsertion, RepairContext, RepairFailure, SettingDeclaration,
    SettingKind, SqlRows, SqlValue,
};
use crate::model::{
    AccessMethod, AlertSeverity, AnomalyType, Diagnosis, DriftRecommendation, DriftType, IndexHealth, IndexName, Issue,
    IssueKind, Measured, RepairDetail, RepairResult, RootCause, Severity, Structure, Tid,
};

pub(super) fn index_name(index: &IndexName) -> types::IndexName {
    types::IndexName {
        oid: index.oid,
        schema: index.schema.clone(),
        name: index.name.clone(),
        qualified: index.qualified(),
        table_schema: index.table_schema.clone(),
        table: index.table.clone(),
        qualified_table: index.qualified_table(),
        method: match index.method {
            AccessMethod::Hnsw => types::AccessMethod::Hnsw,
            AccessMethod::Ivfflat => types::AccessMethod::Ivfflat,
        },
    }
}

pub(super) fn issue(issue: &Issue) -> types::Issue {
    types::Issue {
        id: issue.id.clone(),
        severity: match issue.severity {
            Severity::Low => types::Severity::Low,
            Severity::Medium => types::Severity::Medium,
            Severity::High => types::Severity::High,
            Severity::Critical => types::Severity::Critical,
        },
        kind: issue_kind(&issue.kind),
        index: issue.index.as_ref().map(index_name),
    }
}

fn issue_kind(kind: &IssueKind) -> types::IssueKind {
    use types::IssueKind as Wit;
    match kind {
        IssueKind::Anomaly(anomaly) => Wit::Anomaly(types::Anomaly {
            kind: match anomaly.kind {
                AnomalyType::LatencySpike => types::AnomalyType::LatencySpike,
                AnomalyType::ThroughputDrop => types::AnomalyType::ThroughputDrop,
                AnomalyType::HitRateDrop => types::AnomalyType::HitRateDrop,
                AnomalyType::MemorySpike => types::AnomalyType::MemorySpike,
                AnomalyType::ErrorRateSpike => types::AnomalyType::ErrorRateSpike,
            },
            observed: anomaly.observed,
            expected: anomaly.expected,
            deviation: anomaly.deviation,
        }),
        IssueKind::PerformanceDegradation(loss) => Wit::PerformanceDegradation(types::PerformanceDegradation {
            metric: loss.metric.clone(),
            baseline: loss.baseline,
            current: loss.current,
            share: loss.share,
        }),
        &IssueKind::Fragmentation { level, elements_deleted } => {
            Wit::Fragmentation(types::Fragmentation { level, elements_deleted })
        }
        &IssueKind::OrphanNodes { count, elements_live } => {
            Wit::OrphanNodes(types::OrphanNodes { count, elements_live })
        }
        &IssueKind::PoorConnectivity { score } => Wit::PoorConnectivity(types::PoorConnectivity { score }),
        &IssueKind::UnbalancedClusters { balance, empty_clusters, lists } => {
            Wit::UnbalancedClusters(types::UnbalancedClusters { balance, empty_clusters, lists })
        }
        &IssueKind::StaleTraining { hours } => Wit::StaleTraining(types::StaleTraining { hours }),
        &IssueKind::LowRecall { recall, p5, target, k, parameter_in_force } => {
            Wit::LowRecall(types::LowRecall { recall, p5, target, k, parameter_in_force })
        }
        &IssueKind::BlindSpots { blind_share, unfindable, unfindable_of } => {
            Wit::BlindSpots(types::BlindSpots { blind_share, unfindable, unfindable_of })
        }
        IssueKind::InvalidIndex { reason } => Wit::InvalidIndex(types::InvalidIndex { reason: reason.clone() }),
        IssueKind::LeftoverIndex { reason, size_bytes } => {
            Wit::LeftoverIndex(types::LeftoverIndex { reason: reason.clone(), size_bytes: *size_bytes })
        }
        IssueKind::PlannerIgnoresIndex { reason } => {
            Wit::PlannerIgnoresIndex(types::PlannerIgnoresIndex { reason: reason.clone() })
        }
        &IssueKind::LongVacuum { dead_rows, estimated_ms } => {
            Wit::LongVacuum(types::LongVacuum { dead_rows, estimated_ms })
        }
        IssueKind::KnownBug { pgvector_version, advice } => {
            Wit::KnownBug(types::KnownBug { pgvector_version: pgvector_version.clone(), advice: advice.clone() })
        }
        IssueKind::LearningDrift(drift) => Wit::LearningDrift(types::LearningDrift {
            engine: drift.engine.clone(),
            kind: match drift.kind {
                DriftType::QualityDegradation => types::DriftType::QualityDegradation,
                DriftType::TaskExplosion => types::DriftType::TaskExplosion,
                DriftType::PatternStaleness => types::DriftType::PatternStaleness,
                DriftType::DistributionShift => types::DriftType::DistributionShift,
            },
            trend_value: drift.trend_value,
            recommendation: match drift.recommendation {
                DriftRecommendation::ResetPatterns => types::DriftRecommendation::ResetPatterns,
                DriftRecommendation::ConsolidateTasks => types::DriftRecommendation::ConsolidateTasks,
                DriftRecommendation::RefreshPatterns => types::DriftRecommendation::RefreshPatterns,
                DriftRecommendation::IncreaseLearningRate => types::DriftRecommendation::IncreaseLearningRate,
                DriftRecommendation::ReduceEwcLambda => types::DriftRecommendation::ReduceEwcLambda,
            },
        }),
        IssueKind::Bottleneck(bottleneck) => Wit::Bottleneck(types::Bottleneck {
            alert: match bottleneck.alert {
                AlertSeverity::Info => types::AlertSeverity::Info,
                AlertSeverity::Warning => types::AlertSeverity::Warning,
                AlertSeverity::Critical => types::AlertSeverity::Critical,
            },
            plan_fingerprint: bottleneck.plan_fingerprint.clone(),
            operators: bottleneck.operators.clone(),
            capacity: bottleneck.capacity,
        }),
    }
}

pub(super) fn diagnosis(diagnosis: &Diagnosis) -> types::Diagnosis {
    types::Diagnosis {
        issue: issue(&diagnosis.issue),
        cause: match diagnosis.cause {
            RootCause::Inconclusive => types::RootCause::Inconclusive,
            RootCause::GraphBlindSpots => types::RootCause::GraphBlindSpots,
            RootCause::Churn => types::RootCause::Churn,
            RootCause::SearchEffortTooLow => types::RootCause::SearchEffortTooLow,
            RootCause::CapacityTooSmall => types::RootCause::CapacityTooSmall,
            RootCause::StaleCentroids => types::RootCause::StaleCentroids,
            RootCause::SkewedLists => types::RootCause::SkewedLists,
            RootCause::Bloat => types::RootCause::Bloat,
            RootCause::InterruptedBuild => types::RootCause::InterruptedBuild,
            RootCause::SoftwareBug => types::RootCause::SoftwareBug,
            RootCause::WorkloadChange => types::RootCause::WorkloadChange,
        },
        confidence: diagnosis.confidence,
        explanation: diagnosis.explanation.clone(),
    }
}

pub(super) fn repair_context(context: &RepairContext) -> context::RepairContext {
    context::RepairContext {
        diagnosis: diagnosis(&context.diagnosis),
        recall_target: context.recall_target,
        max_blind_share: context.max_blind_share,
        dry_run: context.dry_run,
        consent_irreversible: context.consent_irreversible,
        reinsertion_refused: context.reinsertion_refused.clone(),
        rebuild_refused: context.rebuild_refused.clone(),
        parameter_refused: context.parameter_refused.clone(),
        settings: context.settings.clone(),
    }
}

pub(super) fn index_health(health: IndexHealth) -> types::IndexHealth {
    let search = &health.search;
    let unfindable = search.unfindable.get();
    let curve = search.curve.known().map_or(&[][..], Vec::as_slice);
    let mut wit = types::IndexHealth {
        size_bytes: health.size_bytes,
        recall: search.recall.get(),
        recall_p5: search.recall_p5.get(),
        blind_share: search.blind_share.get(),
        unfindable: unfindable.map(|u| u.count),
        unfindable_of: unfindable.map(|u| u.of_sampled),
        parameter_in_force: search.parameter_in_force.get(),
        curve: curve
            .iter()
            .map(|p| types::CurvePoint { value: p.value, recall: p.recall, blind_share: p.blind_share, cost: p.cost })
            .collect(),
        elements_live: None,
        elements_reachable: None,
        elements_deleted: None,
        orphan_count: None,
        connectivity_score: None,
        entry_point_quality: None,
        fragmentation: None,
        m: None,
        ef_construction: None,
        lists: None,
        empty_clusters: None,
        cluster_balance: None,
        centroid_quality: None,
        training_staleness_hours: None,
    };
    match &health.structure {
        Structure::Hnsw(hnsw) => {
            wit.elements_live = hnsw.elements_live.get();
            wit.elements_reachable = hnsw.elements_reachable.get();
            wit.elements_deleted = hnsw.elements_deleted.get();
            wit.orphan_count = hnsw.orphan_count.get();
            wit.connectivity_score = hnsw.connectivity_score.get();
            wit.entry_point_quality = hnsw.entry_point_quality.get();
            wit.fragmentation = hnsw.fragmentation.get();
            wit.m = hnsw.m.get();
            wit.ef_construction = hnsw.ef_construction.get();
        }
        Structure::Ivfflat(ivfflat) => {
            wit.elements_live = Measured::get(&ivfflat.entries);
            wit.fragmentation = ivfflat.fragmentation.get();
            wit.lists = ivfflat.lists.get();
            wit.empty_clusters = ivfflat.empty_clusters.get();
            wit.cluster_balance = ivfflat.cluster_balance.get();
            wit.centroid_quality = ivfflat.centroid_quality.get();
            wit.training_staleness_hours = ivfflat.training_staleness_hours.get();
        }
    }
    wit
}

pub(super) fn candidate(candidate: Candidate) -> actions::Candidate {
    let Candidate { id, name, size_bytes, build_ms } = candidate;
    actions::Candidate { id, name, size_bytes, build_ms }
}

pub(super) fn build_options(options: actions::BuildOptions) -> BuildOptions {
    BuildOptions { m: options.m, ef_construction: options.ef_construction, lists: options.lists }
}

pub(super) fn comparison(comparison: Comparison) -> actions::Comparison {
    actions::Comparison {
        before: index_health(comparison.before),
        after: index_health(comparison.after),
        latency_before_ms: comparison.latency_before_ms,
        latency_after_ms: comparison.latency_after_ms,
        gate_passed: comparison.gate_passed,
        reason: comparison.reason,
    }
}

pub(super) fn reinsertion(reinsertion: Reinsertion) -> actions::Reinsertion {
    let Reinsertion { rows, skipped, took_ms, wal_bytes } = reinsertion;
    actions::Reinsertion { rows, skipped, took_ms, wal_bytes }
}

pub(super) fn tids(rows: Vec<(u32, u16)>) -> Vec<Tid> {
    rows.into_iter().map(|(block, offset)| Tid { block, offset }).collect()
}

pub(super) fn host_error(error: HostError) -> types::HostError {
    match error {
        HostError::Denied(text) => types::HostError::Denied(text),
        HostError::Limit(text) => types::HostError::Limit(text),
        HostError::GateFailed(text) => types::HostError::GateFailed(text),
        HostError::NotNow(text) => types::HostError::NotNow(text),
        HostError::Database { sqlstate, message } => types::HostError::Database((sqlstate, message)),
        HostError::Unknown(text) => types::HostError::Unknown(text),
    }
}

pub(super) fn sql_values(values: Vec<database::Value>) -> Vec<SqlValue> {
    values
        .into_iter()
        .map(|value| match value {
            database::Value::Null => SqlValue::Null,
            database::Value::Boolean(value) => SqlValue::Boolean(value),
            database::Value::Int64(value) => SqlValue::Int64(value),
            database::Value::Float64(value) => SqlValue::Float64(value),
            database::Value::Text(value) => SqlValue::Text(value),
        })
        .collect()
}

pub(super) fn sql_rows(rows: SqlRows) -> database::Rows {
    let value = |value| match value {
        SqlValue::Null => database::Value::Null,
        SqlValue::Boolean(value) => database::Value::Boolean(value),
        SqlValue::Int64(value) => database::Value::Int64(value),
        SqlValue::Float64(value) => database::Value::Float64(value),
        SqlValue::Text(value) => database::Value::Text(value),
    };
    database::Rows {
        columns: rows.columns,
        rows: rows.rows.into_iter().map(|row| row.into_iter().map(value).collect()).collect(),
    }
}

pub(super) fn repair_result(result: &RepairResult) -> types::RepairResult {
    types::RepairResult {
        success: result.success,
        repair_type: result.repair_type.clone(),
        duration_ms: result.duration_ms,
        backup: result.backup.clone(),
        details: result
            .details
            .iter()
            .map(|detail| types::Detail { name: detail.name.clone(), value: detail.value.clone() })
            .collect(),
    }
}

pub(super) fn repair_result_from_guest(result: types::RepairResult) -> RepairResult {
    RepairResult {
        success: result.success,
        repair_type: result.repair_type,
        duration_ms: result.duration_ms,
        backup: result.backup,
        details: result
            .details
            .into_iter()
            .map(|detail| RepairDetail { name: detail.name, value: detail.value })
            .collect(),
    }
}

pub(super) fn repair_failure(error: types::RepairError) -> RepairFailure {
    match error {
        types::RepairError::UnsupportedIssue => RepairFailure::UnsupportedIssue,
        types::RepairError::CannotImprove(text) => RepairFailure::CannotImprove(text),
        types::RepairError::ValidationFailed(text) => RepairFailure::ValidationFailed(text),
        types::RepairError::Host(text) => RepairFailure::Host(text),
    }
}

pub(super) fn setting_declarations(declared: Vec<settings::SettingDeclaration>) -> Vec<SettingDeclaration> {
    use settings::SettingKind as Wit;
    declared
        .into_iter()
        .map(|setting| SettingDeclaration {
            name: setting.name,
            kind: match setting.kind {
                Wit::Boolean => SettingKind::Boolean,
                Wit::Integer((min, max)) => SettingKind::Integer { min, max },
                Wit::Number((min, max)) => SettingKind::Number { min, max },
                Wit::Text => SettingKind::Text,
                Wit::Choice(values) => SettingKind::Choice(values),
            },
            default_value: setting.default_value,
            description: setting.description,
        })
        .collect()
}
