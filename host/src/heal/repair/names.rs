//! Names of our own: unique, recognisable, and within PostgreSQL's limit.

/// NAMEDATALEN - 1.
const MAX_BYTES: usize = 63;

/// The name of the index that the step with this number builds beside `original`.
pub fn candidate_name(original: &str, repair_id: i64, number: u32) -> String {
    shortened(original, &format!("_pgheal_{repair_id:x}_{number}"))
}

/// The name of a replaced index until its rollback window ends.
pub fn kept_name(original: &str, repair_id: i64, number: u32) -> String {
    shortened(original, &format!("_pgheal_old_{repair_id:x}_{number}"))
}

fn shortened(original: &str, suffix: &str) -> String {
    let mut end = original.len().min(MAX_BYTES - suffix.len());
    while !original.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{suffix}", &original[..end])
}

/// Whether PostgreSQL would have named a leftover of REINDEX CONCURRENTLY on `original` so: `_ccnew` or `_ccold`,
/// perhaps with a number, behind the name shortened to make room.
pub fn is_reindex_leftover(original: &str, name: &str) -> bool {
    ["_ccnew", "_ccold"].iter().any(|suffix| {
        let Some((prefix, number)) = name.rsplit_once(suffix) else { return false };
        !prefix.is_empty()
            && number.bytes().all(|b| b.is_ascii_digit())
            && original.starts_with(prefix)
            && (prefix.len() == original.len() || name.len() + 4 > MAX_BYTES)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(original: &str, expected: &str) {
        let name = candidate_name(original, 0x2a, 1);
        assert_eq!(name, expected);
        assert!(name.len() <= MAX_BYTES);
    }

    #[test]
    fn names_fit_and_end_with_what_makes_them_unique() {
        check("docs_idx", "docs_idx_pgheal_2a_1");
        check(&"x".repeat(63), &format!("{}_pgheal_2a_1", "x".repeat(51)));
        // 25 characters of two bytes fit, a half one does not.
        check(&"é".repeat(31), &format!("{}_pgheal_2a_1", "é".repeat(25)));
        check("we\"ird name", "we\"ird name_pgheal_2a_1");
        assert_eq!(kept_name("a", 255, 3), "a_pgheal_old_ff_3");
        assert!(kept_name(&"y".repeat(63), i64::MAX, u32::MAX).len() <= MAX_BYTES);
    }

    fn check_leftover(original: &str, name: &str, expected: bool) {
        assert_eq!(is_reindex_leftover(original, name), expected, "{name} of {original}");
    }

    #[test]
    fn leftovers_of_reindex_are_told_from_user_names() {
        check_leftover("docs_idx", "docs_idx_ccnew", true);
        check_leftover("docs_idx", "docs_idx_ccold2", true);
        check_leftover("docs_idx", "docs_idx2_ccnew", false);
        check_leftover("docs_idx", "docs_ccnew", false);
        check_leftover("docs_idx", "docs_idx_ccnew_mine", false);
        check_leftover("docs_idx", "docs_idx", false);
        let long = "z".repeat(63);
        check_leftover(&long, &format!("{}_ccnew", "z".repeat(57)), true);
    }
}
