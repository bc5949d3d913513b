//! What a worker does, in a process of its own.

use std::{
    env,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use idem_core::{
    Failure, Fingerprint, Idempotency, IdempotencyKey, OnBusy, Policy, Scope, error::ExecuteError,
};
use idem_redis::{Durability, RedisConfig, RedisStore};

pub(crate) const TEST: &str = "worker::runs_when_it_is_told_to";
pub(crate) const URL: &str = "IDEM_LOAD_URL";
pub(crate) const PREFIX: &str = "IDEM_LOAD_PREFIX";
pub(crate) const REPLICAS: &str = "IDEM_LOAD_REPLICAS";
pub(crate) const SECONDS: &str = "IDEM_LOAD_SECONDS";

/// Tasks of one process.
const TASKS: u64 = 8;
/// How often a process asks for each key.
const REPEATS: u64 = 3;
/// Starts every line that a worker writes.
const MARK: &str = "event";

/// Something that happened to a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    /// Nanoseconds since the epoch; all processes share a clock.
    pub(crate) at: u128,
    pub(crate) key: u64,
    pub(crate) what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum What {
    /// The work ran, as this execution.
    Ran(String),
    /// A caller was answered with what this execution gave; asked at this time.
    Answered { execution: String, asked: u128 },
    /// A caller learned that another execution took over.
    Superseded,
    /// A caller got no answer.
    Failed(String),
}

impl Event {
    fn print(key: u64, what: &What) {
        let at = now();
        match what {
            What::Ran(execution) => println!("{MARK} {at} {key} ran {execution}"),
            What::Answered { execution, asked } => {
                println!("{MARK} {at} {key} answered {execution} {asked}");
            }
            What::Superseded => println!("{MARK} {at} {key} superseded"),
            What::Failed(why) => println!("{MARK} {at} {key} failed {why}"),
        }
    }

    pub(crate) fn parse(line: &str) -> Option<Self> {
        // The test harness writes into the first line.
        let (_, line) = line.split_once(&format!("{MARK} "))?;
        let mut words = line.splitn(4, ' ');
        let (at, key) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        let what = match (words.next()?, words.next().unwrap_or_default()) {
            ("ran", execution) => What::Ran(execution.to_owned()),
            ("answered", rest) => {
                let (execution, asked) = rest.split_once(' ')?;
                What::Answered {
                    execution: execution.to_owned(),
                    asked: asked.parse().ok()?,
                }
            }
            ("superseded", _) => What::Superseded,
            (_, why) => What::Failed(why.to_owned()),
        };
        Some(Self { at, key, what })
    }
}

fn now() -> u128 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap().as_nanos()
}

/// The body of a worker process; does nothing in the process that runs the tests.
#[test]
fn runs_when_it_is_told_to() {
    let Ok(url) = env::var(URL) else {
        return;
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(work(&url));
}

async fn work(url: &str) {
    let number = |name: &str| env::var(name).unwrap().parse::<u64>().unwrap();
    let durability = match u32::try_from(number(REPLICAS)).unwrap() {
        0 => Durability::Acknowledged,
        replicas => Durability::Replicated {
            replicas,
            timeout: Duration::from_millis(200),
        },
    };
    let config = RedisConfig::default()
        .prefix(env::var(PREFIX).unwrap())
        .durability(durability);
    let store = RedisStore::connect_with(url, config).await.unwrap();
    let policy = Policy::default()
        .retry_budget(Duration::from_secs(30))
        .on_busy(OnBusy::Wait(Duration::from_secs(60)));
    let engine = Idempotency::builder(store.clone())
        .watch(store)
        .policy(policy);
    let engine = engine.build().unwrap();
    let until = Instant::now() + Duration::from_secs(number(SECONDS));
    let turn = Arc::new(AtomicU64::new(0));
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| tokio::spawn(ask_for_keys(engine.clone(), Arc::clone(&turn), until)))
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    engine.wait_idle().await;
}

async fn ask_for_keys(engine: Idempotency, turn: Arc<AtomicU64>, until: Instant) {
    while Instant::now() < until {
        let turn = turn.fetch_add(1, Ordering::Relaxed);
        // Keys come back after a while, so that some are asked for on both sides of a failover.
        let key = match turn % REPEATS {
            0 => turn / REPEATS / 2,
            _ => turn / REPEATS,
        };
        ask_for(&engine, key).await;
    }
}

async fn ask_for(engine: &Idempotency, number: u64) {
    let scope = Scope::new("load").unwrap();
    let key = scope.key(&IdempotencyKey::new(number.to_string()).unwrap());
    let fingerprint = Fingerprint::of("load", &number.to_be_bytes());
    let asked = now();
    let answer = engine
        .execute(&key, &fingerprint, async |_| {
            let execution = IdempotencyKey::random().as_str().to_owned();
            Event::print(number, &What::Ran(execution.clone()));
            tokio::time::sleep(Duration::from_millis(2)).await;
            Ok::<_, Failure<String>>(execution)
        })
        .await;
    let what = match answer {
        Ok(outcome) => What::Answered {
            execution: outcome.value,
            asked,
        },
        Err(ExecuteError::Superseded) => What::Superseded,
        Err(error) => What::Failed(error.to_string().replace(' ', "_")),
    };
    Event::print(number, &what);
}

#[test]
fn events_are_read_as_they_were_written() {
    let line = "test worker ... event 17 3 answered abc 5";
    let what = What::Answered {
        execution: "abc".to_owned(),
        asked: 5,
    };
    assert_eq!(
        Event::parse(line),
        Some(Event {
            at: 17,
            key: 3,
            what
        })
    );
    assert_eq!(Event::parse("running 1 test"), None);
}
