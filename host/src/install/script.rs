use super::Parameters;
use crate::postgres::quote_literal;

/// Counts up with every change of what is installed; an older pgheal does not install over a newer one.
pub const FUNCTIONS_VERSION: i32 = 1;

/// The setting that carries the password of the endpoint's user.
pub(super) const PASSWORD: &str = "pgheal_install.endpoint_password";

/// Before any password is named.
pub(super) const QUIET: &str = include_str!("sql/quiet.sql");

/// One transaction, in this order, after the settings.
pub(super) const INSTALL: [&str; 18] = [
    include_str!("sql/guard.sql"),
    include_str!("sql/roles.sql"),
    include_str!("sql/schema.sql"),
    include_str!("sql/links.sql"),
    include_str!("sql/installation.sql"),
    include_str!("sql/servers.sql"),
    include_str!("sql/proof.sql"),
    include_str!("sql/last_seen.sql"),
    include_str!("sql/check_setting.sql"),
    include_str!("sql/ask_daemon.sql"),
    include_str!("sql/call_hop.sql"),
    include_str!("sql/forward.sql"),
    include_str!("sql/resolve_table.sql"),
    include_str!("sql/functions.sql"),
    include_str!("sql/test_hop.sql"),
    include_str!("sql/wrappers.sql"),
    include_str!("sql/page_reader.sql"),
    include_str!("sql/ownership.sql"),
];

pub(super) const UNINSTALL: &str = include_str!("sql/uninstall.sql");

/// The script that `install` runs, for psql. It takes the password from the environment variable of this name, so that
/// the script itself can be kept and shown.
pub fn printed_install(parameters: &Parameters, password_variable: &str) -> String {
    let mut script = format!(
        "-- Installs the functions of pgheal {} (version {FUNCTIONS_VERSION} of the functions).\n\
         -- Run it with psql 14 or newer, as a superuser or (managed servers) as the administrator, in the database that\n\
         -- pgheal watches. It may be run again. Environment: {password_variable}, the password of the endpoint's user.\n\
         \\set ON_ERROR_STOP on\n\\getenv endpoint_password {password_variable}\n\nBEGIN;\n\n{QUIET}\n",
        env!("CARGO_PKG_VERSION"),
    );
    script.push_str("-- What differs between installations; it is gone when the transaction ends.\n");
    script.push_str("SELECT count(pg_catalog.set_config(p.name, p.value, true)) AS parameters FROM (VALUES\n");
    for (name, value) in parameters.settings() {
        script.push_str(&format!("    ({}, {}),\n", quote_literal(name), quote_literal(&value)));
    }
    script.push_str(&format!("    ({}, :'endpoint_password')) AS p(name, value);\n", quote_literal(PASSWORD)));
    for part in INSTALL {
        script.push('\n');
        script.push_str(part);
    }
    script.push_str(
        "\nCOMMIT;\n\n-- Null, or why the functions cannot open their second session on this server.\n\
         SELECT pgheal.test_hop();\n",
    );
    script
}

/// The script that `uninstall` runs, for psql.
pub fn printed_uninstall() -> String {
    format!(
        "-- Takes the functions of pgheal out of this database.\n\\set ON_ERROR_STOP on\n\nBEGIN;\n\n{UNINSTALL}\nCOMMIT;\n"
    )
}

#[cfg(test)]
mod tests {
    use super::super::parameters::example;
    use super::*;

    #[test]
    fn every_file_of_the_folder_is_used() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/install/sql");
        let used: Vec<&str> = INSTALL.into_iter().chain([QUIET, UNINSTALL]).collect();
        let mut files = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(used.contains(&text.as_str()), "{} is not used", path.display());
            files += 1;
        }
        assert_eq!(files, used.len());
    }

    #[test]
    fn the_script_holds_no_password_and_values_cannot_leave_their_literals() {
        let mut parameters = example("127.0.0.1:6433");
        parameters.user = "x'); DROP TABLE docs; --".to_owned();
        parameters.target = Some("a\\'b".to_owned());
        let script = printed_install(&parameters, "SHOP_PASSWORD");
        assert!(script.contains("\\getenv endpoint_password SHOP_PASSWORD\n"));
        assert!(script.contains("'pgheal_install.endpoint_user', 'x''); DROP TABLE docs; --'"));
        assert!(script.contains(" E'a\\\\''b'"));
    }

    /// Parts are sent and printed as they are, so nothing in them may be psql's or a template's.
    #[test]
    fn parts_are_plain_sql() {
        for part in INSTALL.into_iter().chain([QUIET, UNINSTALL]) {
            assert!(part.starts_with("-- ") && part.ends_with(";\n"), "{part}");
            assert!(!part.contains("{{") && !part.contains("${"), "{part}");
            assert!(!part.lines().any(|line| line.starts_with('\\')), "{part}");
        }
    }
}
