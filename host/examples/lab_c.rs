use pgheal::components::*;
use pgheal::heal::repair::*;
use pgheal::measure::MeasureOptions;
use pgheal::model::*;
use pgheal::postgres::journal::NewRepair;
use pgheal::postgres::*;
use std::sync::Arc;
use std::time::{Duration, Instant};

struct P;
impl Progress for P {
    fn phase(&self, n: &str, t: Option<u64>) {
        if std::env::var("V").is_ok() {
            println!("   phase {n} {t:?}")
        }
    }
    fn done(&self, _: u64) {}
}

fn show(h: &IndexHealth) -> String {
    let s = &h.search;
    format!(
        "recall {:?} p5 {:?} blind {:?} unf {:?} size {}",
        s.recall.get(),
        s.recall_p5.get(),
        s.blind_share.get(),
        s.unfindable.get().map(|u| u.count),
        h.size_bytes
    )
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let url = std::env::var("URL").unwrap_or("postgresql://postgres@127.0.0.1:5463/postgres".into());
    let c = Connector::parse(&url)?;
    let args: Vec<String> = std::env::args().collect();
    let journal = Arc::new(Journal::open(&c).await?);
    println!("leader {}", journal.acquire_leadership().await?);
    match args[1].as_str() {
        "recover" => {
            println!("{:#?}", recover(&c, &journal).await);
            println!("{:?}", journal.kept_indexes().await?);
            return Ok(());
        }
        "expire" => {
            println!("{:#?}", drop_expired(&c, &journal).await);
            return Ok(());
        }
        "history" => {
            for r in journal.history(7, 20).await? {
                println!("{} {} {:?} {:?} {}", r.id, r.started_at, r.finished_at, r.outcome, r.reason);
                for s in journal.steps(r.id).await? {
                    println!("     {} {:?} {:?} {}", s.step.action.name(), s.state, s.object_oid, s.note)
                }
            }
            return Ok(());
        }
        _ => {}
    }
    let s = c.connect("lab").await?;
    let def = vector_indexes(&s, Some(&args[2])).await?.remove(0);
    let mut settings = RepairSettings::default();
    settings.consents.irreversible = std::env::var("IRR").is_ok();
    settings.rollback_window =
        Duration::from_secs(std::env::var("WINDOW").ok().and_then(|w| w.parse().ok()).unwrap_or(3600));
    if let Ok(w) = std::env::var("ROLE") {
        settings.policy_role = Some(PolicyRole { user: w, password: None, may_write: std::env::var("WRITE").is_ok() });
        settings.sql_timeout = Duration::from_secs(1);
        settings.sql_max_rows = 1000;
    }
    println!("refusals {:?}", refusals(&s, &def, &settings).await?);
    let issue = Issue {
        id: "x".into(),
        severity: Severity::High,
        kind: IssueKind::InvalidIndex { reason: "lab".into() },
        index: Some(def.name.clone()),
        evidence: vec![],
    };
    let diagnosis = Diagnosis {
        issue,
        cause: RootCause::Churn,
        confidence: 1.0,
        explanation: String::new(),
        evidence: vec![],
        impact: String::new(),
    };
    let agenda = AgendaItem { diagnosis, priority: 1.0, reason: String::new() };
    let id = journal
        .start_repair(&NewRepair { agenda: &agenda, strategy: "lab", digest: "0", before: &serde_json::Value::Null })
        .await?;
    let mut mo = MeasureOptions::default();
    mo.curve = false;
    let host = RepairHost::new(c.clone(), journal.clone(), id, Some(def.clone()), settings, mo, Arc::new(P));
    let name = &def.name;
    match args[1].as_str() {
        "reinsert" => {
            let rounds: usize = args[3].parse()?;
            let mut h = host.health(name).await?;
            println!("before {}", show(&h));
            for r in 0..rounds {
                let rows = host.unfindable_rows(name, 100_000).await?;
                if rows.is_empty() {
                    break;
                }
                let re = host.reinsert_rows(name, rows).await?;
                let v = host.vacuum(name).await?;
                let t = Instant::now();
                h = host.health(name).await?;
                println!("round {r} {re:?} vacuum {v} ms, measure {} ms: {}", t.elapsed().as_millis(), show(&h));
            }
        }
        "rebuild" => {
            let o = BuildOptions {
                m: args.get(3).and_then(|a| a.parse().ok()),
                ef_construction: args.get(4).and_then(|a| a.parse().ok()),
                lists: None,
            };
            let cand = host.build_beside(name, o).await?;
            println!("{cand:?}");
            let t = Instant::now();
            let cmp = host.compare(cand.id).await?;
            println!(
                "compare {} ms gate {} {}\n {:?} {:?}",
                t.elapsed().as_millis(),
                cmp.gate_passed,
                cmp.reason,
                cmp.latency_before_ms,
                cmp.latency_after_ms
            );
            let t = Instant::now();
            println!("swap {:?} {:?}", host.swap(cand.id).await, t.elapsed());
            if std::env::var("UNDO").is_ok() {
                let u = host.undo_open().await;
                println!("undo {u:?}");
                journal.finish_repair(id, Outcome::RolledBack, None, &u?.summary(), &serde_json::Value::Null).await?;
                return Ok(());
            }
        }
        "reindex" => println!("{:?}", host.reindex_concurrently(name).await),
        "param" => {
            println!("{:?}", host.set_parameter(&args[3], &args[4], SettingScope::Database).await);
            if std::env::var("UNDO").is_ok() {
                println!("undo {:?}", host.undo_open().await);
                journal.finish_repair(id, Outcome::RolledBack, None, "", &serde_json::Value::Null).await?;
                return Ok(());
            }
        }
        "scans" => println!("{:?}", host.validate_on_scans(name, args[3].parse()?).await),
        "abandon" => {
            let h = host.clone();
            let n = name.clone();
            let r = tokio::time::timeout(Duration::from_millis(300), async move {
                h.build_beside(&n, BuildOptions::default()).await
            })
            .await;
            println!("timed out {}", r.is_err());
            let t = Instant::now();
            println!("undo {:?} {:?}", host.undo_open().await, t.elapsed());
        }
        "sql" => {
            for q in &args[3..] {
                let t = Instant::now();
                let r = host.query(q, if q.contains("$1") { vec![SqlValue::Int64(5)] } else { vec![] }).await;
                println!("{q}\n   -> {:.300} ({:?})", format!("{r:?}"), t.elapsed());
            }
            println!("analyze {:?}", host.analyze(name).await);
            println!("commit {:?}", host.commit_sql().await);
        }
        _ => {}
    }
    println!("settle {:?}", host.settle().await);
    journal.finish_repair(id, Outcome::Healed, None, "lab", &serde_json::Value::Null).await?;
    Ok(())
}
