use pgheal_guest_sdk::*;

/// The specification's bounds of a healed index.
const FRAGMENTATION_BELOW: f64 = 0.3;
const ORPHANS_BELOW: u64 = 10;
const CONNECTIVITY_AT_LEAST: f64 = 0.8;
const BALANCE_AT_MOST: f64 = 2.0;

/// When the issue is gone. Written into the result's details, where `validate` reads it again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Goal {
    pub recall: f64,
    pub max_blind_share: f64,
}

impl Goal {
    pub fn of(context: &RepairContext) -> Self {
        Goal { recall: context.recall_target, max_blind_share: context.max_blind_share }
    }

    pub fn write(&self, report: &mut Report) {
        report.add("recall_target", self.recall);
        report.add("max_blind_share", self.max_blind_share);
    }

    pub fn read(result: &RepairResult) -> Option<Self> {
        Some(Goal { recall: detail(result, "recall_target")?, max_blind_share: detail(result, "max_blind_share")? })
    }

    /// # Errors
    /// What is still missing, with numbers. What could not be measured is missing, too.
    pub fn met(&self, kind: &IssueKind, health: &IndexHealth) -> Result<(), String> {
        match kind {
            IssueKind::Fragmentation(_) => below("fragmentation", health.fragmentation, FRAGMENTATION_BELOW),
            IssueKind::OrphanNodes(_) => match health.orphan_count {
                Some(count) if count < ORPHANS_BELOW => Ok(()),
                Some(count) => Err(format!("{count} orphans, fewer than {ORPHANS_BELOW} are wanted")),
                None => unknown("the number of orphans"),
            },
            IssueKind::PoorConnectivity(_) => match health.connectivity_score {
                Some(score) if score >= CONNECTIVITY_AT_LEAST => Ok(()),
                Some(score) => Err(format!("connectivity {score:.3}, {CONNECTIVITY_AT_LEAST} is wanted")),
                None => unknown("connectivity"),
            },
            IssueKind::UnbalancedClusters(_) => match health.cluster_balance {
                Some(balance) if balance <= BALANCE_AT_MOST => Ok(()),
                Some(balance) => Err(format!("cluster balance {balance:.2}, at most {BALANCE_AT_MOST} is wanted")),
                None => unknown("cluster balance"),
            },
            IssueKind::LowRecall(_) => self.search(health),
            IssueKind::BlindSpots(_) => self.search(health).and_then(|()| self.findable(health)),
            // A build is what these need; that there is one is checked by the host.
            IssueKind::StaleTraining(_) | IssueKind::InvalidIndex(_) => Ok(()),
            _ => Err("not an issue of this strategy".to_owned()),
        }
    }

    fn search(&self, health: &IndexHealth) -> Result<(), String> {
        let (Some(recall), Some(blind)) = (health.recall, health.blind_share) else {
            return unknown("recall or blind share");
        };
        if recall >= self.recall && blind <= self.max_blind_share {
            return Ok(());
        }
        Err(format!(
            "recall {recall:.4} with {:.2} % blind queries, {} with at most {:.2} % are wanted",
            blind * 100.0,
            self.recall,
            self.max_blind_share * 100.0
        ))
    }

    fn findable(&self, health: &IndexHealth) -> Result<(), String> {
        match unfindable_share(health) {
            Some(share) if share <= self.max_blind_share => Ok(()),
            Some(share) => Err(format!(
                "{:.2} % of the elements cannot be found, at most {:.2} % are wanted",
                share * 100.0,
                self.max_blind_share * 100.0
            )),
            // ivfflat has no graph to get lost in; where the share is unknown, blind queries tell enough.
            None => Ok(()),
        }
    }
}

pub fn unfindable_share(health: &IndexHealth) -> Option<f64> {
    match (health.unfindable?, health.unfindable_of?) {
        (_, 0) => Some(0.0),
        (count, of) => Some(count as f64 / of as f64),
    }
}

fn below(what: &str, value: Option<f64>, bound: f64) -> Result<(), String> {
    match value {
        Some(value) if value < bound => Ok(()),
        Some(value) => Err(format!("{what} {value:.3}, less than {bound} is wanted")),
        None => unknown(what),
    }
}

fn unknown(what: &str) -> Result<(), String> {
    Err(format!("{what} could not be measured"))
}
