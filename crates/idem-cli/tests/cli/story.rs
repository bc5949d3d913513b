//! The same story on every store: look, settle, free, erase, read the audit.

use idem_core::{
    Fingerprint, RecordKey,
    store::{State, Store},
};
use idem_mysql::MySqlStore;
use idem_postgres::PostgresStore;
use idem_redis::RedisStore;
use idem_testbed::{AppendFsync, MariaDb, Postgres, Redis, skip_or_fail};
use serde_json::Value;

use crate::{idem::Idem, planted};

#[tokio::test]
async fn redis_tells_the_story() {
    let started = Redis::builder()
        .append_only(AppendFsync::Always)
        .start()
        .await;
    let Some(redis) = skip_or_fail(started) else {
        return;
    };
    let store = RedisStore::connect(&redis.url()).await.unwrap();
    tell(&redis.url(), &store).await;
}

#[tokio::test]
async fn postgres_tells_the_story() {
    let Some(postgres) = skip_or_fail(Postgres::start().await) else {
        return;
    };
    Idem::at(postgres.url()).run("migrate --check").expect(5);
    Idem::at(postgres.url()).run("migrate").expect(0);
    let store = PostgresStore::connect(&postgres.url()).await.unwrap();
    tell(&postgres.url(), &store).await;
    let sql = Idem::at(postgres.url()).run("migrate --sql");
    assert!(sql.expect(0).out.contains("CREATE TABLE"));
}

#[tokio::test]
async fn mariadb_tells_the_story() {
    let Some(mariadb) = skip_or_fail(MariaDb::start().await) else {
        return;
    };
    mariadb.sql("CREATE DATABASE shop").unwrap();
    let url = mariadb.url_of("shop");
    Idem::at(&*url).run("migrate --check").expect(5);
    Idem::at(&*url).run("migrate").expect(0);
    let store = MySqlStore::connect(&url).await.unwrap();
    tell(&url, &store).await;
}

/// What an operator does, from the first look to the audit.
pub(crate) async fn tell(url: &str, store: &dyn Store) {
    planted::every_state(store).await;
    let idem = Idem::at(url);
    idem.run("migrate --check").expect(0);
    counts(&idem);
    lists(&idem);
    shows(&idem);
    resolves(&idem, store).await;
    releases(&idem);
    erases(&idem, store).await;
    tells_what_was_done(&idem);
    idem.run("sweep").expect(0);
}

fn counts(idem: &Idem) {
    let status = &idem.json("status")[0];
    assert_eq!(status["type"], "status");
    assert_eq!(status["records"], 9);
    for state in [
        "in-flight",
        "abandoned",
        "halted",
        "failed",
        "retryable",
        "released",
    ] {
        assert_eq!(status["states"][state], 1, "{state}");
    }
    assert_eq!(status["states"]["completed"], 3);
    assert!(status["store_bytes"].as_u64().unwrap() > 0);
    assert!(status["oldest_in_flight"]["key"].is_string());
    assert!(!status["store"].to_string().contains('?'));
}

fn keys(lines: &[Value]) -> Vec<String> {
    let records = lines.iter().filter(|line| line["type"] == "record");
    let mut keys: Vec<_> = records
        .map(|line| line["key"].as_str().unwrap().to_owned())
        .collect();
    keys.sort();
    keys
}

fn lists(idem: &Idem) {
    assert_eq!(keys(&idem.json("list")).len(), 9);
    let stuck = idem.json("list --state halted --state abandoned");
    assert_eq!(keys(&stuck), ["shop:abandoned", "shop:halted"]);
    assert_eq!(keys(&idem.json("list --under shop")).len(), 6);
    assert_eq!(keys(&idem.json("list --scope shop")).len(), 4);
    assert_eq!(keys(&idem.json("list --older 1h")).len(), 0);
    assert_eq!(keys(&idem.json("list --newer 1h --attempts 2")).len(), 9);
    assert_eq!(keys(&idem.json("list --attempts 3")).len(), 0);
    idem.run("list --scope not:a:scope").expect(2);
    idem.run("list --after 00").expect(2);

    // Pages of two: together they are the whole.
    let (mut all, mut after) = (Vec::new(), String::new());
    for _ in 0..20 {
        let page = idem.json(&format!("list --limit 2 {after}"));
        all.extend(keys(&page));
        match page.last() {
            Some(last) if last["type"] == "page" => {
                after = format!("--after {}", last["after"].as_str().unwrap());
            }
            _ => break,
        }
    }
    all.sort();
    assert_eq!(all, keys(&idem.json("list --all")));

    let text = idem.run("list");
    assert!(text.out.contains("\\u{202e}evil"), "{}", text.out);
    assert!(!text.out.contains(['\u{202e}', '\u{1b}']), "{}", text.out);
    // A key can be pasted back as it was printed, and as JSON has it.
    idem.run("show other:\\u{202e}evil").expect(0);
    idem.run("show --scope other \\u{202e}evil").expect(0);
    idem.run("show --literal other:\u{202e}evil").expect(0);
    idem.run("show --literal other:\\u{202e}evil").expect(3);
}

fn shows(idem: &Idem) {
    let hidden = idem.run("show shop:paid");
    assert!(hidden.expect(0).out.contains("HTTP 201"), "{hidden:?}");
    assert!(!hidden.out.contains("Ada"));
    assert!(!idem.run("show shop:paid --json").out.contains("Ada"));
    let shown = idem.run("show shop:paid --payload");
    assert!(shown.out.contains("{\"name\":\"Ada\"}"), "{shown:?}");
    let json = &idem.json("show shop:paid --payload")[0];
    assert_eq!(json["payload"]["kind"], "http");
    assert_eq!(json["payload"]["status"], 201);
    assert_eq!(json["payload"]["headers"][0][0], "content-type");
    let json = &idem.json("show --scope shop/refunds typed --payload")[0];
    assert_eq!(json["payload"]["value"]["id"], 17);
    idem.run("show shop:nothing").expect(3);
    idem.run("show nothing").expect(2);
    idem.run("show :free").expect(0);
}

async fn resolves(idem: &Idem, store: &dyn Store) {
    let resolve = |key: &str, how: &[&str]| {
        let mut arguments = vec![
            "resolve",
            key,
            "--yes",
            "--reason",
            "looked it up at the bank",
        ];
        arguments.extend(how);
        idem.with(&arguments)
    };
    resolve("shop:running", &["--run-again"]).expect(6);
    resolve("shop:paid", &["--run-again"]).expect(6);
    resolve("shop:nothing", &["--run-again"]).expect(3);
    let other = "00000000000000000000000000000000.3";
    resolve("shop:halted", &["--run-again", "--if-version", other]).expect(4);
    // Without --yes there is nobody to ask.
    idem.run("resolve shop:halted --run-again --reason because")
        .expect(2);
    idem.run("resolve shop:halted --run-again --yes").expect(2);
    assert_eq!(idem.state("shop:halted"), "halted");

    let version = idem.json("show shop:halted")[0]["version"].clone();
    let body = ["--completed-json", "{\"id\":18}", "--http", "201"];
    let seen = ["--if-version", version.as_str().unwrap()];
    resolve("shop:halted", &[body.as_slice(), &seen].concat()).expect(0);
    let shown = &idem.json("show shop:halted --payload")[0];
    assert_eq!(shown["state"], "completed");
    assert_eq!(shown["payload"]["body"], "{\"id\":18}");
    let entry = &shown["history"][0];
    assert_eq!(
        (&entry["by"], &entry["outcome"]),
        (&"ada".into(), &"done".into())
    );
    assert_eq!(
        (&entry["from"], &entry["to"]),
        (&"halted".into(), &"completed".into())
    );
    assert_eq!(entry["reason"], "looked it up at the bank");
    // The engine that answers repeats reads it, too.
    let key = RecordKey::parse("shop:halted").unwrap();
    let stored = store.get(&key).await.unwrap().unwrap();
    assert!(matches!(stored.record.state, State::Completed { .. }));

    resolve("shop:abandoned", &["--failed-json", "\"card expired\""]).expect(0);
    assert_eq!(idem.state("shop:abandoned"), "failed");
}

fn releases(idem: &Idem) {
    let release = |key: &str, how: &[&str]| {
        let mut arguments = vec!["release", key, "--yes", "--reason", "a bug, mended"];
        arguments.extend(how);
        idem.with(&arguments)
    };
    release("shop:running", &[]).expect(6);
    release("shop:paid", &[]).expect(6);
    release(":free", &[]).expect(6);
    release("shop:abandoned", &[]).expect(0);
    assert_eq!(idem.state("shop:abandoned"), "released");
    release("other:retryable", &["--by", "grace"]).expect(0);
    assert_eq!(idem.state("other:retryable"), "released");
}

async fn erases(idem: &Idem, store: &dyn Store) {
    let dry = idem.run("erase --scope shop/refunds");
    // Nobody to ask, so nothing was done, and a script is told so.
    assert!(dry.expect(2).out.contains("2 answers to erase"), "{dry:?}");
    let json = &idem.json("erase --scope shop/refunds")[0];
    assert_eq!((&json["answers"], &json["erased"]), (&2.into(), &0.into()));
    idem.run("erase --scope shop/refunds --yes").expect(2);
    let done = idem.json("erase --scope shop/refunds --reason erasure --yes");
    assert_eq!(done[0]["erased"], 2);
    let again = idem.json("erase --scope shop/refunds --reason erasure --yes");
    assert_eq!(
        (&again[0]["answers"], &again[0]["erased_before"]),
        (&0.into(), &2.into())
    );
    // Its keys are there and do not run again.
    for name in ["shop/refunds:typed", "shop/refunds:declined"] {
        let key = RecordKey::parse(name).unwrap();
        let left = store.get(&key).await.unwrap().unwrap().record;
        assert!(left.state.is_final(), "{name}: {left:?}");
        let shown = idem.with(&["show", name, "--payload"]);
        assert!(shown.out.contains("erased by hand"), "{shown:?}");
    }
    // One runs still, so the scope as a whole is not done.
    let whole = idem.run("erase --scope shop --under --reason erasure --yes");
    whole.expect(6);
    let paid = &idem.json("show shop:paid --payload")[0];
    assert_eq!(paid["state"], "completed");
    assert_eq!(
        (&paid["payload"]["status"], &paid["payload"]["body_omitted"]),
        (&201.into(), &true.into())
    );
    assert_eq!(idem.state("shop:running"), "in-flight");
}

fn tells_what_was_done(idem: &Idem) {
    let entries = idem.json("audit");
    let actions: Vec<_> = entries
        .iter()
        .map(|entry| entry["action"].as_str().unwrap())
        .collect();
    let actions = actions.join(" ");
    assert_eq!(
        actions, "resolve resolve release release erase erase",
        "{entries:?}"
    );
    assert_eq!(idem.json("audit --key shop:abandoned").len(), 2);
    assert!(entries.iter().all(|entry| entry["outcome"] == "done"));
    assert!(entries.iter().any(|entry| entry["by"] == "grace"));
    // Nobody changes the audit by its own commands.
    let subject = Fingerprint::of("idem-audit/v1", b"shop:halted");
    let hash: String = subject
        .as_bytes()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let own = format!("%audit:{hash}");
    idem.with(&["show", &own]).expect(0);
    idem.with(&["release", &own, "--completed", "--reason", "x", "--yes"])
        .expect(6);
    idem.with(&["erase", "--scope", "%audit", "--reason", "x", "--yes"])
        .expect(0);
    assert_eq!(idem.json("audit").len(), entries.len());
    // The audit's own records are none of the application's.
    assert_eq!(idem.json("status")[0]["records"], 9);
    assert!(!idem.run("list --all").out.contains("audit"));
}
