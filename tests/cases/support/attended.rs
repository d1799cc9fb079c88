use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use pgheal_test_server::{Client, single};
use serde_json::Value;
use tokio::process::Child;

use super::{ConfigFile, SICK_OPTIONS, World, fill_table, free_port, grouped_rows, pgheal_with, start};

const DEADLINE: Duration = Duration::from_secs(60);
const PASSWORDS: [(&str, &str); 2] =
    [("PGHEAL_ENDPOINT_PASSWORD", "of the functions"), ("DBA_PASSWORD", Attended::PASSWORD)];

/// A database with sick indexes, the program as a daemon that watches it, its endpoint, and the functions in the
/// database. It repairs nothing by itself.
pub struct Attended {
    pub world: World,
    pub port: u16,
    pub daemon: Child,
    _config: ConfigFile,
}

impl Attended {
    /// Of the endpoint's users.
    pub const PASSWORD: &str = "of-the-dba";

    /// Tables of that many rows, each with `id`, `embedding` and a sick index `TABLE_idx`. Its issues are known when
    /// this returns.
    pub async fn new(world: World, tables: &[&str], rows: usize, check_interval_ms: u32) -> Result<Attended> {
        for (table, seed) in tables.iter().zip(5..) {
            fill_table(&world, table, &grouped_rows(rows, seed)).await?;
            let index = format!("{table}_idx ON {table} USING hnsw (embedding vector_cosine_ops) {SICK_OPTIONS}");
            world.sql(&format!("CREATE INDEX {index}")).await?;
        }
        let port = free_port()?;
        let settings = format!(
            "[[target]]\nurl = \"{}\"\n[healing]\nauto_heal_enabled = false\n\
             check_interval_ms = {check_interval_ms}\nmax_concurrent_repairs = 16\n[endpoint]\nlisten = \"127.0.0.1:{port}\"\n\
             [endpoint.user.pgheal_functions]\npassword_env = \"PGHEAL_ENDPOINT_PASSWORD\"\nrole = \"reader\"\n\
             forwards = true\n[endpoint.user.dba]\npassword_env = \"DBA_PASSWORD\"\nrole = \"admin\"\n\
             [endpoint.user.watcher]\npassword_env = \"DBA_PASSWORD\"\nrole = \"reader\"\n",
            world.url()
        );
        let config = ConfigFile::write(&world.database, &settings)?;
        let daemon = start(&["run", "--config", &config.0.display().to_string()], &PASSWORDS)?;
        let install = ["install", &world.url(), "--endpoint", &format!("127.0.0.1:{port}")];
        pgheal_with(&install, &PASSWORDS).await?.expect(0);
        let attended = Attended { world, port, daemon, _config: config };
        // How sick each is differs between builds.
        let sick = |status: &Value, how: &str| status["indexes"][how].as_u64().unwrap_or(0);
        let seen = |status: &Value| sick(status, "critical") + sick(status, "degraded") == tables.len() as u64;
        until(&attended.world.client, "SELECT ruvector_dag_healing_status()", seen).await?;
        Ok(attended)
    }

    /// Of the endpoint: `dba` is an admin there, `watcher` a reader.
    pub fn endpoint_url(&self, user: &str) -> String {
        format!("postgresql://{user}:{}@127.0.0.1:{}/{}", Attended::PASSWORD, self.port, self.world.database)
    }

    /// The worst issue of a table.
    pub async fn issue(&self, table: &str) -> Result<String> {
        let sql =
            format!("SELECT issue_id FROM ruvector_dag_detected_issues('{table}') ORDER BY severity, issue_id LIMIT 1");
        self.world.text(&sql).await
    }

    /// Waits until a repair of the issue has healed. A strategy that cannot help says so first.
    pub async fn healed(&self, table: &str, issue: &str) -> Result<()> {
        let history = format!(
            "SELECT to_jsonb(EXISTS (SELECT FROM ruvector_dag_repair_history('{table}', 7) \
             WHERE outcome = 'healed' AND issue_id = '{issue}'))"
        );
        until(&self.world.client, &history, |healed| *healed == true).await.map(drop)
    }

    pub fn is_running(&mut self) -> Result<()> {
        ensure!(self.daemon.try_wait()?.is_none(), "the daemon has ended");
        Ok(())
    }
}

/// The JSON that a statement gives.
pub async fn answer(client: &Client, sql: &str) -> Result<Value> {
    let text = single(client, sql).await?.with_context(|| format!("{sql} answers nothing"))?;
    Ok(serde_json::from_str(&text)?)
}

/// Asks until the answer is as it should be; refusals in between (the daemon starts) are no end.
async fn until(client: &Client, sql: &str, holds: impl Fn(&Value) -> bool) -> Result<Value> {
    let began = Instant::now();
    loop {
        let found = answer(client, sql).await;
        match &found {
            Ok(value) if holds(value) => return found,
            _ if began.elapsed() > DEADLINE => return found.and_then(|value| anyhow::bail!("in vain: {value:#}")),
            _ => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}
