/// Quotes a text as an SQL literal that means the same whatever `standard_conforming_strings` says.
pub fn quote_literal(text: &str) -> String {
    let doubled = text.replace('\'', "''");
    if text.contains('\\') { format!(" E'{}'", doubled.replace('\\', "\\\\")) } else { format!("'{doubled}'") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(input: &str, expected: &str) {
        assert_eq!(quote_literal(input), expected);
    }

    #[test]
    fn literals_cannot_be_left() {
        check("plain", "'plain'");
        check("it's", "'it''s'");
        check("a\\'b", " E'a\\\\''b'");
        check("\"s\".\"n\"", "'\"s\".\"n\"'");
    }
}
