//! Diagnoses in, agenda out. The order is a policy's; the host bounds it, and has one of its own for when
//! the policy fails.

use crate::components::{CallError, Policies};
use crate::model::{AgendaItem, Diagnosis, Severity};

/// An agenda, and why the policy did not make it, where it did not.
pub struct Agenda {
    pub items: Vec<AgendaItem>,
    pub fallback: Option<CallError>,
}

/// Asks the prioritizer; where there is none or it fails, the order is by severity.
pub async fn prioritize(policies: &Policies, diagnoses: Vec<Diagnosis>) -> Agenda {
    match policies.prioritize(&diagnoses).await {
        Ok(ranked) => {
            let mut slots: Vec<Option<Diagnosis>> = diagnoses.into_iter().map(Some).collect();
            let items = ranked
                .into_iter()
                .filter_map(|r| {
                    let diagnosis = slots.get_mut(r.position)?.take()?;
                    Some(AgendaItem { diagnosis, priority: r.priority.clamp(0.0, 100.0), reason: r.reason })
                })
                .collect();
            Agenda { items, fallback: None }
        }
        Err(error) => Agenda { items: by_severity(diagnoses), fallback: Some(error) },
    }
}

fn by_severity(mut diagnoses: Vec<Diagnosis>) -> Vec<AgendaItem> {
    diagnoses.sort_by(|a, b| b.issue.severity.cmp(&a.issue.severity).then_with(|| a.issue.id.cmp(&b.issue.id)));
    diagnoses
        .into_iter()
        .map(|diagnosis| AgendaItem {
            priority: match diagnosis.issue.severity {
                Severity::Critical => 90.0,
                Severity::High => 70.0,
                Severity::Medium => 50.0,
                Severity::Low => 20.0,
            },
            reason: "by severity: the prioritizer did not answer".to_owned(),
            diagnosis,
        })
        .collect()
}
