//! The dashboard and the alert rules of `docs/observability`, on a real Prometheus.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::Command,
};

use idem_testbed::{Program, TestbedError, skip_or_fail};
use serde_json::Value;

/// Seconds since 1970: when the samples begin, and how long they go on.
const BEGIN: u64 = 1_790_000_000;
const LASTS: u64 = 3600;
const EVERY: u64 = 60;

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(path)
}

fn text(path: &str) -> String {
    fs::read_to_string(repository(path)).unwrap()
}

fn dashboard() -> Value {
    serde_json::from_str(&text("docs/observability/grafana.json")).unwrap()
}

/// Every query of the dashboard, as Grafana would send it, with the title of its panel.
fn queries() -> Vec<(String, String)> {
    let dashboard = dashboard();
    let panels = dashboard["panels"].as_array().unwrap();
    let of_panel = panels.iter().flat_map(|panel| {
        let targets = panel["targets"].as_array().cloned().unwrap_or_default();
        let title = panel["title"].as_str().unwrap().to_owned();
        targets.into_iter().map(move |target| {
            let query = target["expr"].as_str().unwrap();
            let query = query
                .replace("$__rate_interval", "5m")
                .replace("$__range", "1h")
                .replace("$store", ".*")
                .replace("$route", ".*");
            (title.clone(), query)
        })
    });
    of_panel.collect()
}

/// The names of metrics in a text, as the code has them.
fn metrics_in(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_lowercase() || c == '_';
    let words = text.split(|c: char| !is_part(c));
    let names = words.filter(|word| word.starts_with("idem_")).map(|word| {
        let of_histogram = ["_bucket", "_sum", "_count"];
        let base = of_histogram.iter().find_map(|end| word.strip_suffix(end));
        base.unwrap_or(word).to_owned()
    });
    names.collect()
}

fn sources(folder: &Path, found: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn dashboard_and_alerts_ask_for_metrics_that_the_code_has() {
    let mut code = String::new();
    for krate in fs::read_dir(repository("crates")).unwrap() {
        let folder = krate.unwrap().path().join("src");
        if folder.is_dir() {
            sources(&folder, &mut code);
        }
    }
    let queries: String = queries()
        .into_iter()
        .map(|(_, query)| query + "\n")
        .collect();
    let alerts = text("docs/observability/alerts.yml");
    for name in metrics_in(&(queries + alerts.as_str())) {
        assert!(code.contains(&format!("\"{name}\"")), "{name} is nowhere");
    }
}

#[test]
fn each_alert_is_tested_and_has_a_runbook_entry() {
    let alerts = text("docs/observability/alerts.yml");
    let tests = text("docs/observability/alerts.test.yml");
    let runbook = text("docs/runbook.md");
    let names: Vec<_> = alerts
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
        .collect();
    assert!(names.len() > 10);
    for name in names {
        let anchor = format!("runbook.html#{}\"", name.to_lowercase());
        assert!(alerts.contains(&anchor), "{name} has no runbook_url");
        assert!(
            runbook.contains(&format!("\n## {name}\n")),
            "{name} has no entry in docs/runbook.md"
        );
        assert!(
            tests.contains(&format!("alertname=\"{name}\"")),
            "{name} is never seen to fire"
        );
    }
}

/// Runs a program of Debian's package `prometheus` to its end.
fn run(program: &str, args: &[&str], folder: &Path) -> Option<String> {
    let ran = Command::new(program)
        .args(args)
        .current_dir(folder)
        .output();
    let output = match ran {
        Ok(output) => Ok(output),
        Err(_) => Err(TestbedError::Missing {
            program: program.to_owned(),
            hint: "install the package prometheus".to_owned(),
        }),
    };
    let output = skip_or_fail(output)?;
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{program} {args:?}: {text}");
    Some(text)
}

#[test]
fn alerts_fire_where_they_should_and_nowhere_else() {
    let folder = repository("docs/observability");
    if run("promtool", &["check", "rules", "alerts.yml"], &folder).is_some() {
        run("promtool", &["test", "rules", "alerts.test.yml"], &folder);
    }
}

const COUNTERS: [(&str, &str); 14] = [
    ("idem_claims_total", "outcome=\"acquired\""),
    ("idem_endings_total", "ending=\"superseded\""),
    ("idem_renewals_total", "result=\"done\""),
    ("idem_store_retries_total", "kind=\"unknown\""),
    ("idem_takeovers_total", ""),
    ("idem_executions_dropped_total", ""),
    ("idem_probes_without_result_total", ""),
    ("idem_releases_lapsed_total", ""),
    ("idem_endings_lost_total", ""),
    ("idem_leases_cut_short_total", ""),
    ("idem_unprotected_total", ""),
    ("idem_postgres_swept_total", ""),
    ("idem_mysql_swept_total", ""),
    ("idem_sqlite_swept_total", ""),
];
const GAUGES: [&str; 2] = ["idem_abandoned_keys", "idem_endings_pending"];

/// An hour of every metric, in the form of OpenMetrics.
fn samples() -> String {
    let mut text = String::new();
    let times = || (BEGIN..=BEGIN + LASTS).step_by(EVERY as usize).zip(1..);
    for (name, label) in COUNTERS {
        let family = name.strip_suffix("_total").unwrap();
        writeln!(text, "# TYPE {family} counter").unwrap();
        for (at, n) in times() {
            writeln!(text, "{name}{{{label}}} {n} {at}").unwrap();
        }
    }
    for name in GAUGES {
        writeln!(text, "# TYPE {name} gauge").unwrap();
        for (at, _) in times() {
            writeln!(text, "{name} 1 {at}").unwrap();
        }
    }
    for (name, bounds) in idem_core::observe::BUCKETS {
        let labels = match name {
            "idem_batch_calls" => "store=\"redis\"",
            _ => "store=\"redis\",route=\"default\"",
        };
        writeln!(text, "# TYPE {name} histogram").unwrap();
        let ends = bounds.iter().map(|bound| format!("{bound:?}"));
        for end in ends.chain(["+Inf".to_owned()]) {
            for (at, n) in times() {
                writeln!(text, "{name}_bucket{{{labels},le=\"{end}\"}} {n} {at}").unwrap();
            }
        }
        for suffix in ["sum", "count"] {
            for (at, n) in times() {
                writeln!(text, "{name}_{suffix}{{{labels}}} {n} {at}").unwrap();
            }
        }
    }
    text + "# EOF\n"
}

/// The numbers that a query gives at the end of the samples.
fn ask(address: &str, query: &str) -> Vec<f64> {
    let escaped: String = query.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let time = BEGIN + LASTS;
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "GET /api/v1/query?time={time}&query={escaped} HTTP/1.0\r\n\r\n"
    )
    .unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    let (_, body) = reply.split_once("\r\n\r\n").unwrap();
    let body: Value = serde_json::from_str(body).unwrap_or_else(|_| panic!("{query}: {reply}"));
    assert_eq!(body["status"], "success", "{query}: {body}");
    let result = body["data"]["result"].as_array().unwrap();
    let number = |series: &Value| series["value"][1].as_str().unwrap().parse().unwrap();
    result.iter().map(number).collect()
}

#[tokio::test]
async fn each_query_of_the_dashboard_has_an_answer() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("samples"), samples()).unwrap();
    fs::write(folder.path().join("prometheus.yml"), "global: {}\n").unwrap();
    let blocks = [
        "tsdb",
        "create-blocks-from",
        "openmetrics",
        "samples",
        "data",
    ];
    if run("promtool", &blocks, folder.path()).is_none() {
        return;
    }
    let path = |name: &str| folder.path().join(name).display().to_string();
    let args = [
        "--web.listen-address=127.0.0.1:0".to_owned(),
        "--storage.tsdb.retention.time=100y".to_owned(),
        format!("--storage.tsdb.path={}", path("data")),
        format!("--config.file={}", path("prometheus.yml")),
    ];
    let started = Program::start("prometheus", args, |log| {
        log.contains("Server is ready to receive web requests")
            .then_some(())?;
        let (_, address) = log.split_once("msg=\"Listening on\" address=")?;
        Some(address.split_whitespace().next()?.to_owned())
    });
    let Some((_prometheus, address)) = skip_or_fail(started.await) else {
        return;
    };
    let queries = queries();
    assert!(queries.len() > 20);
    for (title, query) in queries {
        let numbers = ask(&address, &query);
        assert!(
            numbers.iter().any(|number| number.is_finite()),
            "{title}: {query} gives {numbers:?}"
        );
    }
}
