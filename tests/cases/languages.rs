use std::path::Path;
use std::time::Instant;
use pgheal::components::*;
use super::components_played::*;

#[tokio::test(flavor = "multi_thread")]
async fn explore() {
    let ws = super::support::workspace();
    for (file, name) in [("target/policies-examples/javascript_rebuild.wasm", "javascript_rebuild"), ("target/policies-examples/python_reinsert.wasm", "python_reinsert"), ("target/test-policies/javascript_misbehaving.wasm","javascript_misbehaving"), ("target/test-policies/python_misbehaving.wasm","python_misbehaving")] {
        let dir = std::env::temp_dir().join(format!("pgheal-lang-{name}"));
        let cache = dir.join("cache");
        let _ = std::fs::create_dir_all(&dir);
        std::fs::copy(ws.join(file), dir.join("p.wasm")).unwrap();
        let limits = Limits::default();
        for _ in 0..2 {
            let began = Instant::now();
            let (p, f) = Policies::load_dir(Path::new(&dir), &limits, Some(&cache)).await.unwrap();
            println!("{name}: load {:?} failures {f:?}", began.elapsed());
            if p.strategies().is_empty() { break; }
            let issue = issue("x");
            let began = Instant::now();
            for _ in 0..50 { p.can_repair(name, &issue).await.unwrap(); }
            println!("{name}: can_repair {:?}", began.elapsed() / 50);
        }
        let (p, _) = Policies::load_dir(Path::new(&dir), &limits, Some(&cache)).await.unwrap();
            if p.strategies().is_empty() { continue; }
        for id in ["x", "panic", "overflow", "memory", "loop", "capabilities"] {
            let issue = issue(id);
            let began = Instant::now();
            let r = p.can_repair(name, &issue).await;
            println!("{name} {id}: can_repair {r:?} {:?}", began.elapsed());
            if !name.ends_with("misbehaving") { break }
            if id == "loop" { continue; }
            let began = Instant::now();
            let r = p.propose(name, &issue, &context(&issue), Played::new()).await;
            println!("{name} {id}: propose {r:?} {:?}", began.elapsed());
        }
        for what in ["fuel", "memory"] {
            let (mut lo, mut hi) = (0u64, 2_000_000_000u64);
            if what == "memory" { hi = 64 << 20; }
            while hi - lo > hi / 50 {
                let mid = (lo + hi) / 2;
                let mut l = limits.clone();
                if what == "fuel" { l.pure.fuel = mid; } else { l.memory_bytes = mid as usize & !0xffff; }
                let Ok((p, f)) = Policies::load_dir(Path::new(&dir), &l, Some(&cache)).await else { lo = mid; continue };
                if f.is_empty() && p.can_repair(name, &issue("x")).await.is_ok() { hi = mid } else { lo = mid }
            }
            println!("{name}: needs {what} {hi}");
        }
    }
}
