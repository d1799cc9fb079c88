use comfy_table::{Attribute, Cell, Color, ContentArrangement, Table, presets};

use super::{IndexReport, Proposal, Report};
use crate::heal::IndexFindings;
use crate::heal::detect::Verdict;
use crate::model::{Issue, Measured, Outcome, RepairRecord, Structure, short_parameter};

const WIDTH_WITHOUT_TERMINAL: u16 = 150;

/// What `pgheal check` prints: one table, then what is wrong and what would be done about it.
pub fn to_table(report: &Report) -> String {
    let mut table = table();
    table.set_header([
        "index",
        "verdict",
        "recall@10",
        "p5",
        "blind",
        "unfindable",
        "now",
        "for the target",
        "structure",
        "size",
    ]);
    for index in &report.indexes {
        match index {
            IndexReport::Measured { findings, .. } => {
                table.add_row(row(findings, report));
            }
            IndexReport::Failed { name, .. } => {
                table.add_row([Cell::new(name), verdict_cell(Verdict::Unknown)]);
            }
        }
    }
    let mut text = format!(
        "{} (PostgreSQL {}, pgvector {})\n{table}\n",
        report.server, report.facts.version, report.facts.vector_version
    );
    for index in &report.indexes {
        match index {
            IndexReport::Measured { findings, proposals } => details(&mut text, findings, proposals),
            IndexReport::Failed { name, reason } => text.push_str(&format!("\n{name}: not measured: {reason}\n")),
        }
    }
    for note in &report.notes {
        text.push_str(&format!("\nnote: {note}\n"));
    }
    text
}

fn row(findings: &IndexFindings, report: &Report) -> Vec<Cell> {
    let name = &findings.definition.name;
    let health = &findings.measurement.health;
    let search = &health.search;
    let target = report.config.recall_target(&name.schema, &name.name);
    let recommended = health.recommended(target, report.config.measure.max_blind_share);
    let parameter = short_parameter(name.method);
    vec![
        Cell::new(format!("{name}\n{} {}", name.method, findings.definition.opclass)),
        verdict_cell(findings.verdict),
        number(&search.recall, 4),
        number(&search.recall_p5, 2),
        percent(&search.blind_share),
        match search.unfindable.get() {
            Some(u) => Cell::new(format!("{} of {}", u.count, u.of_sampled)),
            None => unknown_cell(),
        },
        match search.parameter_in_force.get() {
            Some(value) => Cell::new(format!("{parameter} {value}")),
            None => unknown_cell(),
        },
        match recommended.get() {
            Some(r) => Cell::new(format!("{parameter} {}\n{:.1}x cost", r.value, r.cost_ratio)),
            None if search.curve.known().is_some() => Cell::new("none reaches it"),
            None => unknown_cell(),
        },
        Cell::new(structure(&health.structure)),
        Cell::new(bytes(health.size_bytes)),
    ]
}

fn structure(structure: &Structure) -> String {
    match structure {
        Structure::Hnsw(h) => format!(
            "connectivity {}\norphans {}\nfragmentation {}",
            text(&h.connectivity_score, 4),
            h.orphan_count.get().map_or_else(unknown_text, |n| n.to_string()),
            text(&h.fragmentation, 2)
        ),
        Structure::Ivfflat(h) => format!(
            "lists {}, {} empty\nbalance {}\ncentroids {}",
            h.lists.get().map_or_else(unknown_text, |n| n.to_string()),
            h.empty_clusters.get().map_or_else(unknown_text, |n| n.to_string()),
            text(&h.cluster_balance, 2),
            text(&h.centroid_quality, 2)
        ),
    }
}

fn details(out: &mut String, findings: &IndexFindings, proposals: &[Proposal]) {
    let health = &findings.measurement.health;
    let unknown = health.unknown_fields();
    if findings.issues.is_empty() && unknown.is_empty() && health.notes.is_empty() {
        return;
    }
    out.push_str(&format!("\n{}\n", findings.definition.name));
    for diagnosis in &findings.diagnoses {
        let issue = &diagnosis.issue;
        out.push_str(&format!("  {} {}\n", issue.id, issue_line(issue)));
        out.push_str(&format!("    users notice: {}\n", diagnosis.impact));
        out.push_str(&format!(
            "    cause: {} ({:.0} % sure): {}\n",
            diagnosis.cause.name(),
            diagnosis.confidence * 100.0,
            diagnosis.explanation
        ));
        for proposal in proposals.iter().filter(|p| p.issue_id == issue.id) {
            out.push_str(&format!("    {} would: {}\n", proposal.strategy, proposal.expects));
        }
    }
    // The same reason usually holds for many fields.
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    for field in &unknown {
        match reasons.iter_mut().find(|(reason, _)| *reason == field.reason) {
            Some((_, fields)) => fields.push(&field.field),
            None => reasons.push((&field.reason, vec![&field.field])),
        }
    }
    for (reason, fields) in reasons {
        out.push_str(&format!("  unknown: {}: {reason}\n", fields.join(", ")));
    }
    for note in &health.notes {
        out.push_str(&format!("  note: {note}\n"));
    }
}

/// An issue in a line: severity, kind, evidence.
pub fn issue_line(issue: &Issue) -> String {
    let evidence: Vec<String> = issue.evidence.iter().map(|e| format!("{} {}", e.name, e.value)).collect();
    format!("[{:?}] {}: {}", issue.severity, issue.kind.name(), evidence.join(", "))
}

/// The history, or the repairs of one cycle.
pub fn repairs_table(records: &[RepairRecord]) -> String {
    if records.is_empty() {
        return "No repair was made.".to_owned();
    }
    let mut table = table();
    table.set_header(["repair", "started", "index", "issue", "strategy", "outcome", "took", "why"]);
    for record in records {
        let repair_type = record.result.as_ref().map_or("", |r| r.repair_type.as_str());
        table.add_row([
            Cell::new(record.id),
            Cell::new(&record.started_at),
            Cell::new(record.index.as_deref().unwrap_or("")),
            Cell::new(&record.issue_kind),
            Cell::new(format!("{}\n{repair_type}", record.strategy)),
            outcome_cell(record.outcome),
            Cell::new(record.result.as_ref().map_or_else(String::new, |r| duration(r.duration_ms))),
            Cell::new(&record.reason),
        ]);
    }
    table.to_string()
}

fn table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    if table.width().is_none() {
        // Not a terminal: a file or a pipe, which is read with one later.
        table.set_width(WIDTH_WITHOUT_TERMINAL);
    }
    table
}

fn verdict_cell(verdict: Verdict) -> Cell {
    let color = match verdict {
        Verdict::Healthy => Color::Green,
        Verdict::Degraded => Color::Yellow,
        Verdict::Critical => Color::Red,
        Verdict::Unknown => Color::DarkGrey,
    };
    Cell::new(verdict.as_str()).fg(color).add_attribute(Attribute::Bold)
}

fn outcome_cell(outcome: Option<Outcome>) -> Cell {
    match outcome {
        None => Cell::new("in progress"),
        Some(outcome) => {
            let color = match outcome {
                Outcome::Healed => Color::Green,
                Outcome::RolledBack | Outcome::Inconclusive => Color::Yellow,
                Outcome::RollbackFailed => Color::Red,
            };
            Cell::new(outcome.name()).fg(color)
        }
    }
}

fn number(value: &Measured<f64>, digits: usize) -> Cell {
    match value.get() {
        Some(v) => Cell::new(format!("{v:.digits$}")),
        None => unknown_cell(),
    }
}

fn percent(value: &Measured<f64>) -> Cell {
    match value.get() {
        Some(v) => Cell::new(format!("{:.1} %", v * 100.0)),
        None => unknown_cell(),
    }
}

fn text(value: &Measured<f64>, digits: usize) -> String {
    value.get().map_or_else(unknown_text, |v| format!("{v:.digits$}"))
}

fn unknown_cell() -> Cell {
    Cell::new(unknown_text()).fg(Color::DarkGrey)
}

fn unknown_text() -> String {
    "unknown".to_owned()
}

fn bytes(n: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut value = n as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{n} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

fn duration(ms: u64) -> String {
    if ms < 1_000 { format!("{ms} ms") } else { format!("{:.1} s", ms as f64 / 1_000.0) }
}
