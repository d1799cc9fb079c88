use super::http::{Request, Response};
use super::{health, metrics};
use crate::daemon::api::Engine;

const PATHS: &str = "\
/metrics       for Prometheus
/healthz       200 while the daemon runs
/readyz        200 while it leads on a target or stands by for one, else 503
/healing.json  the counters of the healing loop, by target; ?target=NAME for one
";

/// The answer to a request. Nothing here waits for a database.
pub fn answer(engine: &dyn Engine, request: &Request) -> Response {
    match request.path.as_str() {
        "/" => Response::text(200, format!("pgheal {}\n{PATHS}", env!("CARGO_PKG_VERSION"))),
        "/metrics" => Response::new(200, metrics::Exposition::CONTENT_TYPE, metrics::page(engine)),
        "/healthz" => Response::text(200, "ok\n"),
        "/readyz" => health::readiness(engine),
        "/healing.json" => health::healing(engine, request.parameter("target")),
        _ => Response::text(404, PATHS),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::daemon::api::TargetState;
    use crate::telemetry::played::{Played, target};

    fn get(engine: &dyn Engine, target: &str) -> Response {
        let request = Request::parse(format!("GET {target} HTTP/1.1\r\n\r\n").as_bytes()).unwrap();
        answer(engine, &request)
    }

    #[test]
    fn every_path_is_served() {
        let engine = Played::with_everything();
        for path in ["/", "/metrics", "/healthz", "/readyz", "/healing.json"] {
            assert_eq!(get(&engine, path).status, 200, "{path}");
        }
        assert_eq!(get(&engine, "/etc/passwd").status, 404);
        assert!(get(&engine, "/metrics").content_type.starts_with("text/plain; version=0.0.4"));
    }

    #[test]
    fn one_target_that_works_makes_it_ready() {
        let failed = || TargetState::Failed { reason: "refused".to_owned() };
        let check = |states: &[TargetState], expected: u16| {
            let targets = states.iter().zip('a'..).map(|(state, name)| target(&name.to_string(), state.clone()));
            let engine = Played::new(targets.collect());
            assert_eq!(get(&engine, "/readyz").status, expected, "{states:?}");
            assert_eq!(get(&engine, "/healthz").status, 200);
        };
        check(&[], 503);
        check(&[TargetState::Connecting], 503);
        check(&[failed(), TargetState::Connecting], 503);
        check(&[failed(), TargetState::Leading], 200);
        check(&[TargetState::Standby], 200);
        let engine = Played::new(vec![target("shop", failed())]);
        let told: Value = serde_json::from_str(&get(&engine, "/readyz").body).unwrap();
        assert_eq!(told, json!({"ready": false, "targets": {"shop": {"state": "failed", "reason": "refused"}}}));
    }

    #[test]
    fn healing_metrics_are_those_of_the_specification() {
        let engine = Played::with_everything();
        let one: Value = serde_json::from_str(&get(&engine, "/healing.json?target=shop").body).unwrap();
        for (name, value) in [
            ("checks_performed", json!(42)),
            ("issues_detected", json!(12)),
            ("repairs_initiated", json!(10)),
            ("repairs_successful", json!(8)),
            ("repairs_failed", json!(2)),
            ("repairs_rolled_back", json!(1)),
            ("success_rate", json!(0.8)),
            ("avg_repair_time_ms", json!(6150.0)),
            ("total_repair_time_ms", json!(61_500)),
        ] {
            assert_eq!(one[name], value, "{name} of {one:#}");
        }
        let all: Value = serde_json::from_str(&get(&engine, "/healing.json").body).unwrap();
        assert_eq!(all["shop"], one);
        assert_eq!(get(&engine, "/healing.json?target=elsewhere").status, 404);
    }
}
