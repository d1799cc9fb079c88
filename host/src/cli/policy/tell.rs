//! What the commands say.

use crate::cli::ExitStatus;
use crate::cli::output::say;
use crate::components::{Placed, PoliciesOptions, Waited};

/// As much of a digest as people look at.
const SHORT: usize = 12;

pub(super) fn short(digest: &str) -> &str {
    digest.get(..SHORT).unwrap_or(digest)
}

pub(super) fn placed(placed: &Placed, options: &PoliciesOptions) -> String {
    let before = match &placed.before {
        Some(before) if *before == placed.digest => " (the version before, too)".to_owned(),
        Some(before) => format!(" in the place of {}", short(before)),
        None => String::new(),
    };
    let path = options.directory.join(&placed.file);
    format!("{} {}: version {} is in {}{before}", placed.kind, placed.name, short(&placed.digest), path.display())
}

/// Says what became of it.
pub(super) fn waited(waited: &Waited) -> ExitStatus {
    match waited {
        Waited::Active(after) => {
            say!("Active after {} ms.", after.as_millis());
            ExitStatus::Healthy
        }
        Waited::NotServed => {
            say!("No daemon serves this directory: it loads at the next start.");
            ExitStatus::Healthy
        }
        Waited::Refused(failure) => {
            say!("Not active: {failure}");
            ExitStatus::RolledBack
        }
        Waited::TimedOut { serving } => {
            let serving = serving.as_deref().map_or_else(|| "nothing".to_owned(), |digest| short(digest).to_owned());
            say!("Not active yet; {serving} serves. `pgheal policy list` tells how it goes on.");
            ExitStatus::RolledBack
        }
    }
}

/// Milliseconds since 1970 as a date and time in UTC.
pub(super) fn time(ms: u64) -> String {
    let (days, seconds) = (ms / 86_400_000, ms / 1_000 % 86_400);
    // Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms": civil_from_days, for days after 1970.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year}-{month:02}-{day:02} {:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_dates() {
        let check = |ms: u64, expected: &str| assert_eq!(time(ms), expected);
        check(0, "1970-01-01 00:00:00");
        check(951_782_399_999, "2000-02-28 23:59:59");
        check(951_782_400_000, "2000-02-29 00:00:00");
        check(1_709_251_200_000, "2024-03-01 00:00:00");
        check(1_767_225_599_000, "2025-12-31 23:59:59");
    }
}
