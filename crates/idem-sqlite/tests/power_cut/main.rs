//! The power goes (G2, G7): what was answered is there, once, and rows are there if and only if their
//! record is.
//!
//! A process works under `strace`, which writes down what it writes and syncs. From that, the files are
//! built as a power cut may leave them at many moments: with everything that was synced, and with none,
//! or any part, of what was not. Without `strace` nothing is shown, and that is said.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod trace;

use std::{
    collections::BTreeSet,
    env, fs,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use idem_core::{Failure, Fingerprint, Idempotency, IdempotencyKey, RecordKey, Recording, Scope};
use idem_sqlite::{Durability, SqliteConfig, SqliteStore, Transactional};
use idem_testbed::{TestbedError, skip_or_fail};

use trace::{Disk, Event};

const FILE: &str = "IDEM_SQLITE_POWER_FILE";
const TASKS: usize = 4;
const KEYS: usize = 60;
/// Large enough that the log is written back into the file meanwhile.
const ANSWER: usize = 90_000;
/// At every how many answers the power goes.
const EVERY: usize = 6;

/// The body of the process that is watched; does nothing in the one that runs the tests.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn works_until_the_power_goes() {
    let Ok(file) = env::var(FILE) else {
        return;
    };
    let config = match env::var("IDEM_SQLITE_POWER_NORMAL") {
        Ok(_) => SqliteConfig::default().durability(Durability::Normal),
        Err(_) => SqliteConfig::default(),
    };
    let transactional = connect(Path::new(&file), config).await;
    let create = sqlx::raw_sql("CREATE TABLE payments (n INTEGER)");
    create.execute(transactional.pool()).await.unwrap();
    let tasks = (0..TASKS).map(|task| {
        let transactional = transactional.clone();
        tokio::spawn(async move {
            for n in (task..KEYS).step_by(TASKS) {
                assert!(!run(&transactional, n).await);
                writeln!(std::io::stdout(), "answered {n}").unwrap();
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    // Closing the file would write it back.
    std::process::abort();
}

async fn connect(file: &Path, config: SqliteConfig) -> Transactional {
    let url = format!("sqlite:{}", file.display());
    let store = SqliteStore::connect_with(&url, config).await.unwrap();
    let idem = Idempotency::new(store.clone());
    store.transactional(&idem)
}

/// Runs a key, or replays it: even ones in a transaction with a payment, odd ones without.
async fn run(transactional: &Transactional, n: usize) -> bool {
    let request = Fingerprint::of("power", b"request");
    let key = key(n);
    if n.is_multiple_of(2) {
        let paid = transactional.once_in_tx(&key, &request, async |tx| {
            let insert = sqlx::query("INSERT INTO payments VALUES (?)");
            let insert = insert.bind(i64::try_from(n).unwrap());
            insert.execute(tx).await.map(|_| answer(n))
        });
        let paid = paid.await.unwrap();
        assert_eq!(paid.value, answer(n));
        return paid.replayed;
    }
    let work = async |_| Ok::<_, Failure<String>>(answer(n));
    let done = transactional.engine().execute(&key, &request, work);
    let done = done.await.unwrap();
    assert_eq!(done.value, answer(n));
    // An answer is given even if the store is slow to take it, and that is said.
    if done.recording != Recording::Stored {
        transactional.engine().wait_idle().await;
    }
    done.replayed
}

fn answer(n: usize) -> String {
    format!("{n} {}", "x".repeat(ANSWER))
}

fn key(n: usize) -> RecordKey {
    let key = IdempotencyKey::new(format!("key-{n}")).unwrap();
    Scope::new("power").unwrap().key(&key)
}

#[tokio::test]
async fn g7_a_power_cut_takes_nothing_that_was_answered() {
    let Some(events) = watch(false) else {
        return;
    };
    let lost = cut_again_and_again(events).await;
    assert_eq!(lost, 0);
}

/// The test can tell: with `synchronous = NORMAL` commits are not synced.
#[tokio::test]
async fn with_normal_durability_a_power_cut_is_seen_to_take_answers() {
    let Some(events) = watch(true) else {
        return;
    };
    let lost = cut_again_and_again(events).await;
    assert!(lost > 0);
}

/// What a process did; nothing without `strace`.
fn watch(normal: bool) -> Option<(String, Vec<Event>)> {
    let folder = tempfile::tempdir().unwrap();
    let (file, written) = (folder.path().join("idem.db"), folder.path().join("trace"));
    let mut strace = Command::new("strace");
    strace
        .args(trace::ARGS)
        .args([trace::SIGNALS, "-o"])
        .arg(&written)
        .arg(env::current_exe().unwrap())
        .args(["--exact", "works_until_the_power_goes", "--nocapture"])
        .env(FILE, &file)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if normal {
        strace.env("IDEM_SQLITE_POWER_NORMAL", "1");
    }
    let traced = strace.status().map_err(|error| TestbedError::Missing {
        program: "strace".to_owned(),
        hint: format!("install the package `strace` ({error})"),
    });
    skip_or_fail(traced)?;
    let events = trace::read(&fs::read_to_string(written).unwrap());
    Some((file.display().to_string(), events))
}

/// Cuts the power at many moments, and counts the answers that were lost. Panics where a payment and its
/// record are not together.
async fn cut_again_and_again((file, events): (String, Vec<Event>)) -> usize {
    let wal = format!("{file}-wal");
    let (mut disk, mut answered, mut lost) = (Disk::default(), BTreeSet::new(), 0);
    let mut written_back = false;
    let mut dice = 1_u64;
    for event in events {
        let n = match &event {
            Event::Said(line) => line.trim().strip_prefix("answered "),
            Event::Write { file: written, .. } => {
                written_back |= *written == file && !answered.is_empty();
                None
            }
            _ => None,
        };
        let n: Option<usize> = n.map(|n| n.parse().unwrap());
        disk.apply(event);
        let Some(n) = n else {
            continue;
        };
        answered.insert(n);
        if !answered.len().is_multiple_of(EVERY) {
            continue;
        }
        for some in [false, true] {
            let mut survives = || {
                dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                some && dice >> 63 == 1
            };
            let folder = tempfile::tempdir().unwrap();
            let copy = folder.path().join("idem.db");
            fs::write(&copy, disk.after_power_cut(&file, &mut survives)).unwrap();
            let log = disk.after_power_cut(&wal, &mut survives);
            fs::write(folder.path().join("idem.db-wal"), log).unwrap();
            lost += look(&copy, &answered).await;
        }
    }
    assert_eq!(answered.len(), KEYS, "the process did all its work");
    assert!(written_back, "the log was written back meanwhile");
    lost
}

/// How many answers are not there any more.
async fn look(file: &Path, answered: &BTreeSet<usize>) -> usize {
    let transactional = connect(file, SqliteConfig::default()).await;
    let payments = sqlx::query_scalar("SELECT n FROM payments");
    // With NORMAL the table may be lost as well.
    let payments = payments.fetch_all(transactional.pool()).await;
    let payments: Vec<i64> = payments.unwrap_or_default();
    let mut lost = 0;
    for n in 0..KEYS {
        let number = i64::try_from(n).unwrap();
        let paid = payments.iter().filter(|paid| **paid == number).count();
        let found = transactional.engine().lookup(&key(n)).await.unwrap();
        let is_completed = found.is_some_and(|found| found.record.state.name() == "completed");
        if n.is_multiple_of(2) {
            assert_eq!(paid, usize::from(is_completed), "G7: payment {n}");
        }
        if answered.contains(&n) && !is_completed {
            eprintln!("the answer of key {n} is lost");
            lost += 1;
        }
    }
    lost
}
