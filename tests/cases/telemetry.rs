//! The outside of the program: what it writes for shells and readers, what it logs, the roles that it is given, and how
//! the daemon is watched over HTTP.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use pgheal_test_server::{Client, execute};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Child;

use super::support::{
    ConfigFile, PolicyDirectory, Run, World, fill_table, grouped_rows, indexes_of, pgheal, pgheal_with, start,
    workspace,
};

/// The essence of what `pgheal install` puts there.
const PAGE_READER: &str = "
CREATE FUNCTION pgheal.read_index_pages(index regclass, first_block bigint, block_count bigint)
RETURNS TABLE (block bigint, page bytea) LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT b.n, public.get_raw_page(index::text, b.n)
        FROM generate_series(first_block, first_block + block_count - 1) AS b(n);
END;
REVOKE ALL ON FUNCTION pgheal.read_index_pages FROM PUBLIC";

#[tokio::test]
async fn completions_are_programs_of_their_shells() -> Result<()> {
    let directory = PolicyDirectory::new("completions")?;
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let run = pgheal(&["completions", shell]).await?;
        run.expect(0);
        for word in ["heal", "history", "policy", "once"] {
            ensure!(run.stdout.contains(word), "{shell} does not complete {word}");
        }
        let file = directory.path(shell);
        fs::write(&file, &run.stdout)?;
        // Where the shell is installed, it reads them.
        if let ("bash" | "zsh" | "fish", Ok(read)) = (shell, Command::new(shell).arg("-n").arg(&file).output()) {
            ensure!(read.status.success(), "{shell}: {}", String::from_utf8_lossy(&read.stderr));
        }
    }
    pgheal(&["completions", "tcl"]).await?.expect(2);
    Ok(())
}

#[tokio::test]
async fn every_command_has_a_man_page() -> Result<()> {
    let directory = PolicyDirectory::new("man")?;
    let pages = directory.path("pages");
    pgheal(&["man", &pages.display().to_string()]).await?.expect(0);
    for name in ["pgheal.1", "pgheal-check.1", "pgheal-run.1", "pgheal-policy.1", "pgheal-policy-deploy.1"] {
        let text = fs::read_to_string(pages.join(name)).with_context(|| name.to_owned())?;
        ensure!(text.contains(".SH NAME") && text.contains(".SH SYNOPSIS"), "{name}: {text}");
        // Where there is a man, it finds nothing wrong.
        let mut man = Command::new("man");
        man.args(["--warnings", "--encoding=UTF-8", "--local-file"]).arg(pages.join(name));
        if let Ok(shown) = man.env("LC_ALL", "C.UTF-8").env("MANROFFSEQ", "").env("MANPAGER", "cat").output() {
            let complaints = String::from_utf8_lossy(&shown.stderr).into_owned();
            ensure!(shown.status.success() && complaints.is_empty(), "{name}: {complaints}");
        }
    }
    Ok(())
}

/// The package's configuration, as it is and with everything that it has to offer, and the one that the documentation
/// shows.
#[tokio::test]
async fn the_configurations_that_are_shown_can_be_read() -> Result<()> {
    let packaged = fs::read_to_string(workspace().join("packaging/pgheal.toml"))?;
    // A setting is commented out without a space; a remark has one.
    let is_setting = |line: &str| line.starts_with(|c: char| c.is_ascii_lowercase() || c == '[');
    let uncommented: Vec<&str> =
        packaged.lines().map(|line| line.strip_prefix('#').filter(|rest| is_setting(rest)).unwrap_or(line)).collect();
    let operations = fs::read_to_string(workspace().join("docs/OPERATIONS.md"))?;
    let shown = operations.split_once("```toml\n[[target]]").context("no configuration in OPERATIONS.md")?.1;
    let shown = format!("[[target]]{}", shown.split_once("```").context("it does not end")?.0);
    let policies = PolicyDirectory::new("shown")?;
    let directory = policies.0.display().to_string();
    for text in [packaged.clone(), uncommented.join("\n"), shown] {
        let file =
            ConfigFile::write("shown", &text.replace("/var/lib/pgheal/versions", &format!("{directory}/state")))?;
        let path = file.0.display().to_string();
        pgheal_with(&["policy", "list", "--config", &path], &[("PGHEAL_POLICIES_DIR", &directory)]).await?.expect(0);
    }
    Ok(())
}

/// The script for servers whose administrator is no superuser. Without page access nothing proves that a repair helped:
/// what was built is taken back, and all is as it was.
#[tokio::test]
async fn the_managed_role_measures_and_leaves_nothing_behind() -> Result<()> {
    let world = World::new("outside_managed").await?;
    world
        .sql(
            "CREATE ROLE outside_cloud_admin LOGIN CREATEROLE; \
             GRANT pg_monitor TO outside_cloud_admin WITH ADMIN OPTION; \
             ALTER DATABASE outside_managed OWNER TO outside_cloud_admin",
        )
        .await?;
    let admin = Client::connect(&world.url_as("outside_cloud_admin")).await?;
    execute(&admin, "CREATE ROLE outside_managed_owner").await?;
    let names =
        [("pgheal", "outside_managed_role"), ("app_owner", "outside_managed_owner"), ("shop", "outside_managed")];
    execute(&admin, &script("managed.sql", &names)?).await?;

    sick_table(&world, "outside_managed_owner").await?;
    let before = indexes_of(&world, "docs").await?;
    let run = heal_as(&world, "outside_managed_role").await?;
    let document = run.json()?;
    let recall = document["issues"][0]["details"]["recall"].as_f64();
    ensure!(recall.is_some_and(|recall| recall < 0.9), "it was not measured: {document:#}");
    let outcomes: BTreeSet<&str> =
        document["repairs"].as_array().context("no repairs")?.iter().filter_map(|r| r["outcome"].as_str()).collect();
    assert_eq!(outcomes, BTreeSet::from(["inconclusive", "rolled_back"]), "{document:#}\n{}", run.stderr);
    assert_eq!(indexes_of(&world, "docs").await?, before);
    let owner = world.text("SELECT pg_get_userbyid(relowner)::text FROM pg_class WHERE relname = 'docs_idx'").await?;
    assert_eq!(owner, "outside_managed_owner", "the index changed hands");
    Ok(())
}

/// The script for servers of one's own. The log tells what belongs to what.
#[tokio::test]
async fn the_self_hosted_role_can_heal_and_tells_how() -> Result<()> {
    let world = World::new("outside_hosted").await?;
    world
        .sql(
            "CREATE ROLE outside_hosted_owner; CREATE ROLE outside_hosted_admin; \
             ALTER DATABASE outside_hosted OWNER TO outside_hosted_admin",
        )
        .await?;
    let names = [
        ("pgheal", "outside_hosted_role"),
        ("app_owner", "outside_hosted_owner"),
        ("shop_owner", "outside_hosted_admin"),
        ("shop", "outside_hosted"),
    ];
    world.sql(&script("self-hosted.sql", &names)?).await?;
    world.sql(PAGE_READER).await?;
    world.sql("GRANT EXECUTE ON FUNCTION pgheal.read_index_pages TO outside_hosted_role").await?;

    sick_table(&world, "outside_hosted_owner").await?;
    let run = heal_as(&world, "outside_hosted_role").await?;
    healed(&run)?;

    let lines: Vec<Value> = run
        .stderr
        .lines()
        .map(|line| serde_json::from_str(line).with_context(|| format!("a line of the log is no JSON: {line}")))
        .collect::<Result<_>>()?;
    let ended = |name: &str| {
        lines
            .iter()
            .filter(|line| line["span"]["name"] == name && line["fields"]["message"] == "close")
            .collect::<Vec<_>>()
    };
    ensure!(!ended("cycle").is_empty() && !ended("repair").is_empty(), "{lines:#?}");
    ensure!(
        ended("cycle").iter().all(|line| line["span"]["server"].as_str().is_some_and(|s| s.contains("outside_hosted")))
    );
    ensure!(
        ended("repair")
            .iter()
            .all(|line| line["span"]["issue"].is_string() && line["span"]["index"] == "public.docs_idx")
    );
    let functions: BTreeSet<&str> =
        ended("guest_call").iter().filter_map(|line| line["span"]["function"].as_str()).collect();
    for function in ["prioritize", "can_repair", "repair", "validate"] {
        ensure!(functions.contains(function), "no call of {function}: {functions:?}");
    }
    for call in ended("guest_call") {
        ensure!(call["span"]["policy"].is_string() && call["span"]["outcome"] == "ok", "{call:#}");
    }
    let within = |inner: &str, outer: &str| {
        lines
            .iter()
            .filter(|line| line["span"]["name"] == inner)
            .any(|line| line["spans"].as_array().is_some_and(|spans| spans.iter().any(|span| span["name"] == outer)))
    };
    ensure!(within("guest_call", "cycle") && within("guest_call", "repair"), "{lines:#?}");
    Ok(())
}

/// A script of `packaging/sql` with other names in place of its own.
fn script(file: &str, names: &[(&str, &str)]) -> Result<String> {
    let text = fs::read_to_string(workspace().join("packaging/sql").join(file))?;
    let statements: Vec<&str> = text.lines().filter(|line| !line.starts_with("--")).collect();
    // The schema's name stays what it is.
    let mut sql = statements.join("\n").replace("IF NOT EXISTS pgheal ", "IF NOT EXISTS \u{1} ");
    for (name, replacement) in names {
        sql = replace_word(&sql, name, replacement);
    }
    Ok(sql.replace('\u{1}', "pgheal"))
}

fn replace_word(text: &str, word: &str, replacement: &str) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut result = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(word) {
        let end = at + word.len();
        let alone = !rest[..at].ends_with(is_part) && !rest[end..].starts_with(is_part);
        result.push_str(&rest[..at]);
        result.push_str(if alone { replacement } else { word });
        rest = &rest[end..];
    }
    result + rest
}

/// An index that needs a repair, on a table of this owner.
async fn sick_table(world: &World, owner: &str) -> Result<()> {
    fill_table(world, "docs", &grouped_rows(3_000, 1)).await?;
    world
        .sql(&format!(
            "ALTER TABLE docs OWNER TO {owner}; GRANT CREATE ON SCHEMA public TO {owner}; \
             CREATE INDEX docs_idx ON docs USING hnsw (embedding vector_cosine_ops) WITH (m = 2, ef_construction = 4)"
        ))
        .await
}

async fn heal_as(world: &World, role: &str) -> Result<Run> {
    let url = world.url_as(role);
    let variables = [("PGHEAL_LOG", "pgheal=info,warn"), ("PGHEAL_LOG_FORMAT", "json")];
    pgheal_with(&["heal", &url, "--once", "--json"], &variables).await
}

fn healed(run: &Run) -> Result<()> {
    let document = run.json()?;
    let repairs = document["repairs"].as_array().context("no repairs")?;
    ensure!(repairs.iter().any(|repair| repair["outcome"] == "healed"), "{document:#}\n{}", run.stderr);
    Ok(())
}

/// The daemon, from its start to its stop.
#[tokio::test]
async fn a_daemon_is_watched_over_http() -> Result<()> {
    let world = World::new("outside_watched").await?;
    fill_table(&world, "docs", &grouped_rows(1_000, 1)).await?;
    world.sql("CREATE INDEX docs_idx ON docs USING hnsw (embedding vector_cosine_ops)").await?;
    let address = free_address().await?;
    let config = ConfigFile::write(
        "watched",
        &format!(
            "[[target]]\nname = \"the \\\"shop\\\"\"\nurl = \"{}\"\n[healing]\nauto_heal_enabled = false\n\
             check_interval_ms = 1000\n[metrics]\nlisten = \"{address}\"\n[log]\nformat = \"json\"\n",
            world.url()
        ),
    )?;
    let daemon = start(&["run", "--config", &config.0.display().to_string()], &[])?;

    let label = r#"target="the \"shop\"""#;
    let page = until_page(&address, |page| {
        has_value(page, &format!("pgheal_checks_performed_total{{{label}}}"), |n| n >= 1.0)
    })
    .await?;
    let index = format!(r#"{{{label},schema="public",table="docs",index="docs_idx""#);
    for line in [
        format!("pgheal_target_state{{{label},state=\"leading\"}} 1"),
        format!("pgheal_target_auto_heal_enabled{{{label}}} 0"),
        format!("pgheal_index_info{index},method=\"hnsw\"}} 1"),
        "pgheal_policy_state{policy=\"prioritizer_default\",kind=\"prioritizer\",state=\"active\"} 1".to_owned(),
    ] {
        ensure!(page.lines().any(|found| found == line), "{line} is not in\n{page}");
    }
    ensure!(has_value(&page, &format!("pgheal_index_recall_ratio{index}}}"), |recall| recall > 0.5), "{page}");
    promtool_agrees(&page).await?;

    ensure!(get(&address, "/healthz").await?.starts_with("HTTP/1.1 200 "));
    let ready = get(&address, "/readyz").await?;
    ensure!(ready.starts_with("HTTP/1.1 200 ") && ready.contains("\"leading\""), "{ready}");
    let healing = get(&address, "/healing.json?target=the%20%22shop%22").await?;
    let healing: Value = serde_json::from_str(body(&healing)?)?;
    ensure!(healing["checks_performed"].as_u64() >= Some(1) && healing["success_rate"] == 1.0, "{healing:#}");

    let log = stop(daemon).await?;
    ensure!(log.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "not all is JSON: {log}");
    ensure!(log.contains("\"cycle\""), "no span of a cycle: {log}");
    ensure!(TcpStream::connect(&address).await.is_err(), "it still listens");
    Ok(())
}

/// An address that nobody listens on.
async fn free_address() -> Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0").await?.local_addr()?.to_string())
}

async fn get(address: &str, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

fn body(answer: &str) -> Result<&str> {
    Ok(answer.split_once("\r\n\r\n").context("no answer")?.1)
}

/// The first page of metrics that is as wanted.
async fn until_page(address: &str, wanted: impl Fn(&str) -> bool) -> Result<String> {
    let looking = async {
        loop {
            // Until it listens, there is none.
            let page = get(address, "/metrics").await.unwrap_or_default();
            if wanted(&page) {
                return body(&page).map(str::to_owned);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), looking).await.context("the metrics never became as wanted")?
}

fn has_value(page: &str, sample: &str, holds: impl Fn(f64) -> bool) -> bool {
    let value = page.lines().find_map(|line| line.strip_prefix(sample)?.trim().parse::<f64>().ok());
    value.is_some_and(holds)
}

/// Where there is a promtool, it finds nothing wrong.
async fn promtool_agrees(page: &str) -> Result<()> {
    let mut command = tokio::process::Command::new("promtool");
    command.args(["check", "metrics"]).stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let Ok(mut tool) = command.stderr(std::process::Stdio::piped()).kill_on_drop(true).spawn() else { return Ok(()) };
    tool.stdin.take().context("no input")?.write_all(page.as_bytes()).await?;
    let told = tool.wait_with_output().await?;
    let words = format!("{}{}", String::from_utf8_lossy(&told.stdout), String::from_utf8_lossy(&told.stderr));
    ensure!(told.status.success() && words.trim().is_empty(), "promtool: {words}");
    Ok(())
}

/// Asks the daemon to stop; what it logged.
async fn stop(daemon: Child) -> Result<String> {
    let pid = daemon.id().context("it has ended by itself")?;
    Command::new("kill").args(["-TERM", &pid.to_string()]).status()?;
    let output =
        tokio::time::timeout(Duration::from_secs(60), daemon.wait_with_output()).await.context("no stop")??;
    ensure!(output.status.success(), "{}", output.status);
    Ok(String::from_utf8(output.stderr)?)
}
