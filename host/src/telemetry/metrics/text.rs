use std::collections::HashSet;
use std::fmt::Write;
use std::time::{SystemTime, UNIX_EPOCH};

/// Labels of a sample, in the order in which they are written.
pub type Labels<'a> = [(&'static str, &'a str)];

/// Whether a metric only grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
}

/// A metric's name, its help, and where its value is.
pub type Figure<T, V> = (&'static str, &'static str, fn(&T) -> V);

/// The text format of Prometheus, version 0.0.4, as it grows family by family.
#[derive(Debug, Default)]
pub struct Exposition {
    text: String,
}

/// The samples of one metric.
#[derive(Debug)]
pub struct Family<'a> {
    text: &'a mut String,
    name: &'static str,
    help: &'static str,
    kind: Kind,
    /// A scraper refuses the whole page for two samples with the same labels.
    written: HashSet<String>,
}

impl Exposition {
    pub const CONTENT_TYPE: &'static str = "text/plain; version=0.0.4; charset=utf-8";

    /// Begins a metric. Without a sample nothing is written of it.
    pub fn family(&mut self, name: &'static str, kind: Kind, help: &'static str) -> Family<'_> {
        Family { text: &mut self.text, name, help, kind, written: HashSet::new() }
    }

    pub fn into_text(self) -> String {
        self.text
    }
}

impl Family<'_> {
    pub fn sample(&mut self, labels: &Labels<'_>, value: f64) {
        let labels = label_text(labels);
        if self.written.contains(&labels) {
            return;
        }
        // Writing to a string cannot fail.
        if self.written.is_empty() {
            let kind = match self.kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
            };
            let _ = writeln!(self.text, "# HELP {} {}\n# TYPE {} {kind}", self.name, self.help, self.name);
        }
        let _ = writeln!(self.text, "{}{labels} {}", self.name, number(value));
        self.written.insert(labels);
    }

    /// What could not be measured has no sample.
    pub fn sample_if(&mut self, labels: &Labels<'_>, value: Option<f64>) {
        if let Some(value) = value {
            self.sample(labels, value);
        }
    }

    /// A sample for each of the states that there can be: 1 for the one that holds.
    pub fn states(&mut self, labels: &Labels<'_>, label: &'static str, all: &[&str], holds: &str) {
        for state in all {
            let mut labels = labels.to_vec();
            labels.push((label, state));
            self.sample(&labels, f64::from(u8::from(*state == holds)));
        }
    }
}

/// Seconds since 1970; what lies before it counts as 1970.
pub fn unix_seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

fn label_text(labels: &Labels<'_>) -> String {
    if labels.is_empty() {
        return String::new();
    }
    let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
    format!("{{{}}}", labels.join(","))
}

fn escaped(value: &str) -> String {
    value.replace('\\', r"\\").replace('"', r#"\""#).replace('\n', r"\n")
}

fn number(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "+Inf".to_owned() } else { "-Inf".to_owned() }
    } else {
        value.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_is_written_once_with_what_it_means() {
        let mut page = Exposition::default();
        let mut family = page.family("pgheal_x_ratio", Kind::Gauge, "A share.");
        family.sample(&[("target", "a")], 0.25);
        family.sample(&[("target", "a")], 0.5);
        family.sample_if(&[("target", "b")], None);
        family.sample_if(&[("target", "c")], Some(1.0));
        page.family("pgheal_nothing", Kind::Gauge, "Never seen.").sample_if(&[], None);
        page.family("pgheal_calls_total", Kind::Counter, "Calls.").sample(&[], 1e15);
        let expected = "# HELP pgheal_x_ratio A share.\n# TYPE pgheal_x_ratio gauge\n\
                        pgheal_x_ratio{target=\"a\"} 0.25\npgheal_x_ratio{target=\"c\"} 1\n\
                        # HELP pgheal_calls_total Calls.\n# TYPE pgheal_calls_total counter\n\
                        pgheal_calls_total 1000000000000000\n";
        assert_eq!(page.into_text(), expected);
    }

    #[test]
    fn of_all_states_one_holds() {
        let mut page = Exposition::default();
        page.family("s", Kind::Gauge, "S.").states(&[("target", "a")], "state", &["up", "down"], "down");
        let text = page.into_text();
        assert!(text.ends_with("s{target=\"a\",state=\"up\"} 0\ns{target=\"a\",state=\"down\"} 1\n"), "{text}");
    }

    #[test]
    fn names_cannot_break_out_of_their_label() {
        let check = |value: &str, expected: &str| assert_eq!(label_text(&[("index", value)]), expected);
        check("a\"} 1\nevil 1", r#"{index="a\"} 1\nevil 1"}"#);
        check(r"back\slash", r#"{index="back\\slash"}"#);
        check("größe", "{index=\"größe\"}");
        assert_eq!(label_text(&[]), "");
    }

    #[test]
    fn numbers_are_as_prometheus_reads_them() {
        let check = |value: f64, expected: &str| assert_eq!(number(value), expected);
        check(0.1, "0.1");
        check(f64::NAN, "NaN");
        check(f64::INFINITY, "+Inf");
        check(f64::NEG_INFINITY, "-Inf");
    }
}
