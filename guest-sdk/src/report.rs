use crate::{Detail, RepairResult};

/// Collects the facts of a repair for the history.
pub struct Report {
    repair_type: String,
    backup: Option<String>,
    details: Vec<Detail>,
}

impl Report {
    pub fn new(repair_type: &str) -> Self {
        Report { repair_type: repair_type.to_owned(), backup: None, details: Vec::new() }
    }

    /// Changes what the repair is called, for a strategy that had to take a stronger method.
    pub fn repair_type(&mut self, repair_type: &str) {
        repair_type.clone_into(&mut self.repair_type);
    }

    pub fn add(&mut self, name: &str, value: impl ToString) {
        self.details.push(Detail { name: name.to_owned(), value: value.to_string() });
    }

    pub fn detail(mut self, name: &str, value: impl ToString) -> Self {
        self.add(name, value);
        self
    }

    /// What `rollback` will need.
    pub fn backup(mut self, backup: impl Into<String>) -> Self {
        self.backup = Some(backup.into());
        self
    }

    /// The host fills in the duration: a policy has no clock.
    pub fn success(self) -> RepairResult {
        RepairResult {
            success: true,
            repair_type: self.repair_type,
            duration_ms: 0,
            backup: self.backup,
            details: self.details,
        }
    }
}

/// A fact of a result, read back as a number or whatever it was.
pub fn detail<T: std::str::FromStr>(result: &RepairResult, name: &str) -> Option<T> {
    result.details.iter().rev().find(|detail| detail.name == name)?.value.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_are_read_back_and_the_last_one_counts() {
        let mut report = Report::new("a").detail("recall", 0.5);
        report.add("recall", 0.75);
        report.repair_type("b");
        let result = report.backup("old").success();
        assert_eq!(detail::<f64>(&result, "recall"), Some(0.75));
        assert_eq!(detail::<u32>(&result, "recall"), None);
        assert_eq!(detail::<f64>(&result, "nothing"), None);
        assert_eq!((result.repair_type.as_str(), result.backup.as_deref()), ("b", Some("old")));
    }
}
