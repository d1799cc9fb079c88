use std::time::{Duration, SystemTime, UNIX_EPOCH};

const DAY_MICROS: i64 = 86_400_000_000;

/// Microseconds since 1970-01-01 UTC; before it, negative.
pub fn micros_of(time: SystemTime) -> i64 {
    let micros = |duration: Duration| i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => micros(after),
        Err(before) => -micros(before.duration()),
    }
}

/// As PostgreSQL prints a timestamptz in UTC: `2026-11-24 15:02:47.5+00`.
pub fn time_text(micros: i64) -> String {
    text(micros, ' ', "+00")
}

/// As in JSON: `2026-11-24T15:02:47.5+00:00`.
pub fn iso_text(micros: i64) -> String {
    text(micros, 'T', "+00:00")
}

fn text(micros: i64, separator: char, zone: &str) -> String {
    let (days, rest) = (micros.div_euclid(DAY_MICROS), micros.rem_euclid(DAY_MICROS));
    let (year, month, day) = civil_from_days(days);
    let (seconds, fraction) = (rest / 1_000_000, rest % 1_000_000);
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    let mut text = format!("{year:04}-{month:02}-{day:02}{separator}{hour:02}:{minute:02}:{second:02}");
    if fraction != 0 {
        text.push_str(format!(".{fraction:06}").trim_end_matches('0'));
    }
    text + zone
}

/// Reads RFC 3339, PostgreSQL's form of it, or a date alone; without a zone it is UTC. None where it is no time.
pub fn parse_time(text: &str) -> Option<i64> {
    let text = text.trim();
    let (date, rest) = text.split_at_checked(10)?;
    let mut parts = date.split('-');
    let (year, month, day) = (number(parts.next()?, 4)?, number(parts.next()?, 2)?, number(parts.next()?, 2)?);
    if parts.next().is_some() || !(1..=12).contains(&month) || !(1..=days_in(year, month)).contains(&day) {
        return None;
    }
    let days = days_from_civil(year, month, day);
    let Some(rest) = rest.strip_prefix(['T', 't', ' ']) else {
        return rest.is_empty().then_some(days * DAY_MICROS);
    };
    let zone_at = rest.find(['Z', 'z', '+', '-']).unwrap_or(rest.len());
    let (clock, zone) = rest.split_at(zone_at);
    let (clock, fraction) = clock.trim_end().split_once('.').unwrap_or((clock.trim_end(), ""));
    let mut parts = clock.split(':');
    let (hour, minute) = (number(parts.next()?, 2)?, number(parts.next()?, 2)?);
    let second = parts.next().map_or(Some(0), |part| number(part, 2))?;
    if parts.next().is_some() || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let seconds = hour * 3_600 + minute * 60 + second - zone_seconds(zone)?;
    Some(days * DAY_MICROS + seconds * 1_000_000 + fraction_micros(fraction)?)
}

fn fraction_micros(fraction: &str) -> Option<i64> {
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let six: String = fraction.chars().chain(std::iter::repeat('0')).take(6).collect();
    six.parse().ok()
}

fn zone_seconds(zone: &str) -> Option<i64> {
    if matches!(zone, "" | "Z" | "z") {
        return Some(0);
    }
    let sign = if zone.starts_with('-') { -1 } else { 1 };
    let mut parts = zone[1..].split(':');
    let hours = number(parts.next()?, 2)?;
    let minutes = parts.next().map_or(Some(0), |part| number(part, 2))?;
    (parts.next().is_none() && hours < 16 && minutes < 60).then_some(sign * (hours * 3_600 + minutes * 60))
}

fn number(text: &str, digits: usize) -> Option<i64> {
    (text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

// Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let shifted_month = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_written() {
        let check = |input: &str, expected: Option<&str>| {
            assert_eq!(parse_time(input).map(time_text).as_deref(), expected, "{input}");
        };
        check("1970-01-01T00:00:00Z", Some("1970-01-01 00:00:00+00"));
        check("2026-11-24 15:02:47.5+00", Some("2026-11-24 15:02:47.5+00"));
        check("2026-11-24T15:02:47.123456789+02:30", Some("2026-11-24 12:32:47.123456+00"));
        check("2026-11-24T23:02:47-01:00", Some("2026-11-25 00:02:47+00"));
        check("2000-02-29", Some("2000-02-29 00:00:00+00"));
        check("1969-12-31 23:59:59.999999", Some("1969-12-31 23:59:59.999999+00"));
        check("2026-02-29", None);
        check("2026-11-24 25:00:00", None);
        check("2026-11-24 10", None);
        check("yesterday", None);
        check("2026-11-2é", None);
        check("", None);
        assert_eq!(iso_text(0), "1970-01-01T00:00:00+00:00");
    }
}
