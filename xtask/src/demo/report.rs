use comfy_table::{Cell, ContentArrangement, Table, presets};
use serde_json::Value;

use super::Shown;

/// Before and after, side by side.
pub fn table(shown: &[Shown]) -> Table {
    let mut table = new_table();
    table.set_header([
        "index",
        "method",
        "recall@10 before",
        "after",
        "blind before",
        "after",
        "repair",
        "seconds",
        "file",
        "verdict",
    ]);
    for index in shown {
        table.add_row([
            Cell::new(index.scenario.index),
            Cell::new(text(&index.before["method"])),
            Cell::new(recall(&index.before)),
            Cell::new(recall(&index.after)),
            Cell::new(blind(&index.before)),
            Cell::new(blind(&index.after)),
            Cell::new(lines(&index.repairs, repair)),
            Cell::new(lines(&index.repairs, seconds)),
            Cell::new(if index.filenode_before == index.filenode_after { "the same" } else { "new" }),
            Cell::new(format!("{} -> {}", text(&index.before["verdict"]), text(&index.after["verdict"]))),
        ]);
    }
    table
}

pub fn new_table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    // No terminal tells a width: lines that a log can show.
    if table.width().is_none() {
        table.set_width(150);
    }
    table
}

pub fn recall(index: &Value) -> String {
    index["recall_at_10"].as_f64().map_or_else(|| "unknown".to_owned(), |recall| format!("{recall:.4}"))
}

pub fn blind(index: &Value) -> String {
    index["blind_share"].as_f64().map_or_else(|| "unknown".to_owned(), |share| format!("{:.2} %", share * 100.0))
}

pub fn repair(repair: &Value) -> String {
    let kind = text(&repair["result"]["repair_type"]);
    format!("{} by {}: {}", if kind.is_empty() { "none" } else { kind }, text(&repair["strategy"]), outcome(repair))
}

pub fn outcome(repair: &Value) -> &str {
    text(&repair["outcome"])
}

pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn seconds(repair: &Value) -> String {
    repair["result"]["duration_ms"].as_f64().map_or_else(|| "-".to_owned(), |ms| format!("{:.1}", ms / 1e3))
}

/// A strategy that saw that it cannot help, and did nothing, is left out.
fn lines(repairs: &[Value], line: impl Fn(&Value) -> String) -> String {
    let lines: Vec<String> = repairs.iter().filter(|repair| outcome(repair) != "inconclusive").map(line).collect();
    if lines.is_empty() { "none".to_owned() } else { lines.join("\n") }
}
