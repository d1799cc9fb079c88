use anyhow::{Context, bail};

use super::ExitStatus;
use super::arguments::{InstallCommand, UninstallCommand};
use crate::cli::output::{aside, say, say_as_is};
use crate::install::{self, Installed, Parameters};
use crate::postgres::Connector;

pub(super) async fn install(command: InstallCommand) -> anyhow::Result<ExitStatus> {
    let parameters = Parameters {
        endpoint: command.endpoint,
        user: command.user,
        ssl_mode: command.sslmode,
        ssl_root_certificate: command.sslrootcert,
        target: command.target,
        time_limit_ms: command.time_limit_ms,
        function_schema: command.function_schema,
        daemon_role: command.daemon_role,
        hop: command.hop,
        managed: command.managed,
    };
    // Spliced into a command of psql, where nothing quotes it.
    let variable = command.password_env;
    if variable.is_empty() || !variable.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        bail!("--password-env {variable:?} is no name of an environment variable");
    }
    if command.print {
        say_as_is!("{}", install::printed_install(&parameters, &variable));
        return Ok(ExitStatus::Healthy);
    }
    let connector = Connector::parse(&command.url)?;
    let password = std::env::var(&variable).ok().filter(|password| !password.is_empty()).with_context(|| {
        format!("{variable} is not set: it holds the password of the endpoint's user {}", parameters.user)
    })?;
    let installed =
        install::install(&connector, &parameters, &password).await.context(connector.server().to_owned())?;
    tell(&installed, &parameters);
    match installed.hop_problem {
        None => Ok(ExitStatus::Healthy),
        Some(problem) => bail!(
            "the functions are installed, but cannot open their second session on the server: {problem}\n\
             Let it in (pg_hba.conf: `host {} /^pgheal_hop_ 127.0.0.1/32 scram-sha-256`) and install again, \
             or say which way with --hop HOST:PORT.",
            installed.database
        ),
    }
}

fn tell(installed: &Installed, parameters: &Parameters) {
    for warning in &installed.warnings {
        aside!("warning: {warning}");
    }
    say!("pgheal's functions (version {}) are installed in database {}.", installed.version, installed.database);
    match &installed.daemon_problem {
        None if installed.hop_problem.is_none() => say!("The daemon answers at {}.", parameters.endpoint),
        None => {}
        Some(problem) => say!(
            "The daemon does not answer yet: {problem}\nIts pgheal.toml needs, besides [endpoint]:\n\n  \
             [endpoint.user.{}]\n  password_env = \"...\"    # or password_file\n  role = \"admin\"\n  forwards = true\n",
            parameters.user
        ),
    }
    if !installed.has_page_reader {
        say!("There is no page reader here: it needs a superuser and the extension pageinspect.");
    }
    say!("Who may call them: GRANT pgheal_reader (or pgheal_operator, pgheal_admin) TO somebody;");
    if parameters.daemon_role.is_none() {
        say!("A daemon whose role is no superuser: install again with --daemon-role ROLE.");
    }
}

pub(super) async fn uninstall(command: UninstallCommand) -> anyhow::Result<ExitStatus> {
    if command.print {
        say_as_is!("{}", install::printed_uninstall());
        return Ok(ExitStatus::Healthy);
    }
    let connector = Connector::parse(&command.url)?;
    let done = install::uninstall(&connector).await.context(connector.server().to_owned())?;
    if done.was_installed {
        say!("pgheal's functions are gone from database {}.", done.database);
    } else {
        say!("pgheal's functions were not installed in database {}.", done.database);
    }
    for left in &done.left {
        say!("  {left}");
    }
    Ok(ExitStatus::Healthy)
}
