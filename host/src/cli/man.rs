use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, CommandFactory};
use clap_mangen::Man;

use super::{Arguments, ExitStatus};

#[derive(Debug, Args)]
pub(super) struct ManCommand {
    /// Made where it is missing.
    directory: PathBuf,
}

/// What clap does not know of the program, for its own page.
const MORE: &str = r#".SH FILES
.TP
\fI/etc/pgheal/pgheal.toml\fR
The configuration of the packaged daemon.
.TP
\fI/etc/pgheal/environment\fR
Its environment, for passwords; readable by root only.
.TP
\fI/usr/lib/pgheal/policies\fR
The policies that come with the package.
.TP
\fI/var/lib/pgheal\fR, \fI/var/cache/pgheal\fR
What the daemon remembers of policies, and what it compiled of them.
.TP
\fI/run/pgheal\fR
The socket of the SQL endpoint, where it is configured.
.SH ENVIRONMENT
.TP
\fBPGPASSWORD\fR
The password for the database, where the URL has none.
.TP
\fBPGHEAL_LOG\fR
Filters the log, for example \fBpgheal=debug,warn\fR.
.TP
\fBPGHEAL_LOG_FORMAT\fR
\fBtext\fR or \fBjson\fR.
.TP
\fBPGHEAL_POLICIES_DIR\fR
The directory of the policies.
.SH EXIT STATUS
.TP
\fB0\fR
Healthy, or healed.
.TP
\fB1\fR
Issues were found, or are left.
.TP
\fB2\fR
Wrong usage, no connection, or nothing to look at.
.TP
\fB3\fR
A repair failed and was rolled back, or a policy was not taken.
.TP
\fB4\fR
A rollback failed.
.SH SEE ALSO
\fI/usr/share/doc/pgheal\fR, \fBsystemctl\fR(1), \fBpsql\fR(1)
"#;

pub(super) fn man(command: &ManCommand) -> anyhow::Result<ExitStatus> {
    let directory = &command.directory;
    fs::create_dir_all(directory).with_context(|| format!("{} cannot be made", directory.display()))?;
    for (name, text) in pages()? {
        let path = directory.join(name);
        fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))?;
    }
    Ok(ExitStatus::Healthy)
}

/// A page for the program, and one for each command, by file name.
fn pages() -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    let mut root = Arguments::command().disable_help_subcommand(true);
    root.build();
    let mut pages = Vec::new();
    collect(&root, true, &mut pages)?;
    Ok(pages)
}

fn collect(command: &clap::Command, is_root: bool, pages: &mut Vec<(String, Vec<u8>)>) -> anyhow::Result<()> {
    let man = Man::new(command.clone()).manual("pgheal").source(format!("pgheal {}", env!("CARGO_PKG_VERSION")));
    let mut text = Vec::new();
    man.render(&mut text)?;
    if is_root {
        text.extend_from_slice(MORE.as_bytes());
    }
    pages.push((man.get_filename(), text));
    for subcommand in command.get_subcommands().filter(|subcommand| !subcommand.is_hide_set()) {
        collect(subcommand, false, pages)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page() {
        let pages = pages().unwrap();
        let names: Vec<&str> = pages.iter().map(|(name, _)| name.as_str()).collect();
        for name in ["pgheal.1", "pgheal-check.1", "pgheal-run.1", "pgheal-policy.1", "pgheal-policy-deploy.1"] {
            assert!(names.contains(&name), "{name} is not among {names:?}");
        }
        let root = String::from_utf8(pages[0].1.clone()).unwrap();
        for part in [".TH pgheal 1", "PGHEAL_LOG", "EXIT STATUS", "pgheal\\-check(1)"] {
            assert!(root.contains(part), "{part} is not in {root}");
        }
    }
}
