//! Sweeping: by many at once, past rows that are locked, and in the background.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use idem_core::store::Sweep;
use idem_postgres::{PostgresConfig, PostgresStore};
use idem_testbed::{Postgres, postgres::SqlClient, skip_or_fail};
use metrics_util::debugging::{DebugValue, DebuggingRecorder};

/// Files so many records, all but every tenth of them expired.
fn fill(postgres: &Postgres, records: u32) {
    let insert = format!(
        "INSERT INTO idem.records (created_at, updated_at, expires_at, attempt, revision, token, \
         fingerprint, status, scope, key, payload) \
         SELECT now(), now(), now() + CASE WHEN n % 10 = 0 THEN interval '1 day' \
         ELSE interval '-1 second' END, 1, 2, decode(md5(n::text), 'hex'), \
         sha256(n::text::bytea), 'completed', 'sweeping', n::text, 'x' \
         FROM generate_series(1, {records}) AS n"
    );
    postgres.sql(&insert).unwrap();
}

fn left(postgres: &Postgres) -> u32 {
    let rows = postgres.sql("SELECT count(*) FROM idem.records").unwrap();
    rows[0][0].as_ref().unwrap().parse().unwrap()
}

async fn start() -> Option<(Postgres, PostgresStore)> {
    let postgres = skip_or_fail(Postgres::start().await)?;
    let config = PostgresConfig::default().sweep_every(None);
    let url = postgres.url();
    let store = PostgresStore::connect_with(&url, config).await.unwrap();
    store.migrate().await.unwrap();
    Some((postgres, store))
}

#[tokio::test]
async fn many_sweepers_at_once_remove_each_expired_record_once() {
    let Some((postgres, _)) = start().await else {
        return;
    };
    fill(&postgres, 30_000);
    let mut sweepers = Vec::new();
    for _ in 0..5 {
        let store = PostgresStore::connect(&postgres.url()).await.unwrap();
        sweepers.push(tokio::spawn(async move { store.sweep(usize::MAX).await }));
    }
    let mut swept = 0;
    for sweeper in sweepers {
        swept += sweeper.await.unwrap().unwrap();
    }
    // What one of them had locked, another may have left to the next time.
    let (_, store) = (
        &postgres,
        PostgresStore::connect(&postgres.url()).await.unwrap(),
    );
    swept += store.sweep(usize::MAX).await.unwrap();
    assert_eq!(swept, 27_000);
    assert_eq!(left(&postgres), 3_000, "what is live stays");
}

#[tokio::test]
async fn no_more_than_asked_for_is_removed_at_once() {
    let Some((postgres, store)) = start().await else {
        return;
    };
    fill(&postgres, 5_000);
    assert_eq!(store.sweep(0).await.unwrap(), 0);
    assert_eq!(store.sweep(1_700).await.unwrap(), 1_700);
    assert_eq!(left(&postgres), 3_300);
    assert_eq!(store.sweep(10_000).await.unwrap(), 2_800);
    assert_eq!(store.sweep(10_000).await.unwrap(), 0);
}

#[tokio::test]
async fn a_row_that_is_locked_is_left_for_the_next_time() {
    let Some((postgres, store)) = start().await else {
        return;
    };
    fill(&postgres, 100);
    let mut somebody = SqlClient::connect(postgres.address(), "postgres").unwrap();
    somebody
        .query("BEGIN; SELECT 1 FROM idem.records WHERE key = '7' FOR UPDATE")
        .unwrap();
    assert_eq!(store.sweep(1000).await.unwrap(), 89);
    somebody.query("COMMIT").unwrap();
    assert_eq!(store.sweep(1000).await.unwrap(), 1);
}

#[tokio::test]
async fn a_sweeper_in_the_background_sweeps_until_it_is_dropped() {
    let Some((postgres, store)) = start().await else {
        return;
    };
    let sweeper = store.sweep_in_background(Duration::from_millis(20));
    for _ in 0..2 {
        postgres.sql("DELETE FROM idem.records").unwrap();
        fill(&postgres, 3_000);
        while left(&postgres) > 300 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    drop(sweeper);
    assert_eq!(left(&postgres), 300);
}

/// Until the last clone of the store is gone.
#[tokio::test]
async fn a_store_that_was_connected_sweeps_by_itself() {
    let Some((postgres, _)) = start().await else {
        return;
    };
    fill(&postgres, 3_000);
    let often = PostgresConfig::default().sweep_every(Some(Duration::from_millis(20)));
    let url = postgres.url();
    let store = PostgresStore::connect_with(&url, often).await.unwrap();
    while left(&postgres) > 300 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let clone = store.clone();
    drop(store);
    fill_anew(&postgres);
    while left(&postgres) > 300 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    clone.pool().close().await;
    drop(clone);
    // Nothing of it is left, or this does not end.
    while tokio::runtime::Handle::current()
        .metrics()
        .num_alive_tasks()
        > 0
    {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn fill_anew(postgres: &Postgres) {
    postgres.sql("DELETE FROM idem.records").unwrap();
    fill(postgres, 3_000);
}

/// Of many processes one sweeps at a time, and the next one when that one has gone.
#[tokio::test]
async fn a_process_that_sweeps_keeps_the_turn() {
    let Some((postgres, store)) = start().await else {
        return;
    };
    fill(&postgres, 3_000);
    postgres
        .sql(
            "INSERT INTO idem.sweeper (owner, until) VALUES (1, now() + interval '1 hour'); \
             CREATE TABLE asked (who bigint); \
             CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             INSERT INTO asked VALUES (NEW.owner); RETURN NEW; END $$; \
             CREATE TRIGGER note BEFORE INSERT ON idem.sweeper \
             FOR EACH ROW EXECUTE FUNCTION note()",
        )
        .unwrap();
    let asked = || {
        let rows = postgres.sql("SELECT count(*) FROM asked").unwrap();
        rows[0][0].as_ref().unwrap().parse::<u32>().unwrap()
    };
    let _sweeper = store.sweep_in_background(Duration::from_millis(5));
    while asked() < 5 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(left(&postgres), 3_000, "it is another's turn");
    postgres
        .sql("UPDATE idem.sweeper SET until = now()")
        .unwrap();
    while left(&postgres) > 300 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// How far it has got, and what it removed, is in the metrics.
#[tokio::test]
async fn a_sweep_in_the_background_tells_its_progress() {
    let Some((postgres, store)) = start().await else {
        return;
    };
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _recording = metrics::set_default_local_recorder(&recorder);
    fill(&postgres, 3_000);
    let (mut swept, mut progress) = (0, 0.0);
    let sweeper = store.sweep_in_background(Duration::from_millis(20));
    while swept < 2_700 || progress < 1.0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        // A snapshot takes away what it tells of a counter.
        for (key, _, _, value) in snapshotter.snapshot().into_vec() {
            match (key.key().name(), value) {
                ("idem_postgres_swept_total", DebugValue::Counter(rows)) => swept += rows,
                ("idem_postgres_sweep_progress", DebugValue::Gauge(share)) => {
                    progress = share.into_inner();
                }
                _ => {}
            }
        }
        assert!((0.0..=1.0).contains(&progress), "{progress}");
    }
    drop(sweeper);
    assert_eq!((swept, left(&postgres)), (2_700, 300));
}

/// The room of what was swept is used again: the table is no larger after many rounds than after
/// the first few.
#[tokio::test]
async fn churn_does_not_make_the_table_grow() {
    let Some((postgres, store)) = start().await else {
        return;
    };
    let pages = || {
        let rows = postgres
            .sql("SELECT pg_relation_size('idem.records') / 8192")
            .unwrap();
        rows[0][0].as_ref().unwrap().parse::<u64>().unwrap()
    };
    let mut sizes = Vec::new();
    for _ in 0..12 {
        fill(&postgres, 10_000);
        postgres
            .sql("UPDATE idem.records SET expires_at = now()")
            .unwrap();
        store.sweep(usize::MAX).await.unwrap();
        // What the server does by itself, when it gets to it.
        postgres.sql("VACUUM idem.records").unwrap();
        sizes.push(pages());
    }
    println!("pages after each round: {sizes:?}");
    assert_eq!(sizes[11], sizes[2], "{sizes:?}");
}
