//! Stores by their URL. A new kind of store is one arm and one name here.

use anyhow::{Context as _, Result, bail};
use idem_core::{Idempotency, Policy};
use idem_memory::MemoryStore;
use idem_mysql::MySqlStore;
use idem_postgres::PostgresStore;
use idem_redis::RedisStore;
use idem_sqlite::SqliteStore;

use crate::ledger::{Ledger, MemoryLedger, MySqlLedger, PostgresLedger, SqliteLedger};

/// The schemes that [`open`] knows, with an example each: for error messages.
const KNOWN: &[&str] = &[
    "memory:",
    "sqlite:payments.db",
    "redis://127.0.0.1:6379/",
    "redis+cluster://10.0.0.1,10.0.0.2",
    "redis+sentinel://10.0.0.1,10.0.0.2/primary",
    #[cfg(feature = "tls")]
    "rediss://cache.example/, rediss+cluster://…, rediss+sentinel://…",
    "postgres://user@127.0.0.1/database",
    "mysql://user@127.0.0.1/database",
];

/// Where keys and answers are, and the books.
pub(crate) struct Stores {
    pub(crate) idem: Idempotency,
    pub(crate) ledger: Ledger,
}

/// Opens the store that `url` names, and the books that go with it.
pub(crate) async fn open(url: &str, policy: Policy) -> Result<Stores> {
    let (scheme, _) = url.split_once(':').unwrap_or((url, ""));
    match scheme {
        "memory" => {
            let store = MemoryStore::new();
            let idem = Idempotency::builder(store.clone()).watch(store);
            Ok(with_books_in_memory(idem.policy(policy).build()?))
        }
        "redis" | "redis+cluster" | "redis+sentinel" => redis(url, policy).await,
        "rediss" | "rediss+cluster" | "rediss+sentinel" if cfg!(feature = "tls") => {
            redis(url, policy).await
        }
        "rediss" | "rediss+cluster" | "rediss+sentinel" => {
            bail!("`{scheme}:` takes a build with `--features tls`")
        }
        "sqlite" => sqlite(url, policy).await,
        "postgres" | "postgresql" => postgres(url, policy).await,
        "mysql" | "mariadb" => mysql(url, policy).await,
        _ => bail!(
            "unknown store `{scheme}:`, known are:\n  {}",
            KNOWN.join("\n  ")
        ),
    }
}

async fn redis(url: &str, policy: Policy) -> Result<Stores> {
    let store = RedisStore::connect(url).await?;
    let idem = Idempotency::builder(store.clone()).watch(store);
    Ok(with_books_in_memory(idem.policy(policy).build()?))
}

fn with_books_in_memory(idem: Idempotency) -> Stores {
    Stores {
        idem,
        ledger: Ledger::Memory(MemoryLedger::default()),
    }
}

/// Keys and books in one file, so that they commit together.
async fn sqlite(url: &str, policy: Policy) -> Result<Stores> {
    let store = SqliteStore::connect(url).await?;
    let idem = Idempotency::builder(store.clone()).policy(policy).build()?;
    let ledger = SqliteLedger::open(store.transactional(&idem)).await;
    Ok(Stores {
        ledger: Ledger::Sqlite(ledger.context("the books cannot be opened")?),
        idem,
    })
}

/// Keys and books in one database, so that they commit together.
async fn postgres(url: &str, policy: Policy) -> Result<Stores> {
    let store = PostgresStore::connect(url).await?;
    store.migrate().await?;
    let idem = Idempotency::builder(store.clone()).policy(policy).build()?;
    let ledger = PostgresLedger::open(url, store.transactional(&idem)).await;
    Ok(Stores {
        ledger: Ledger::Postgres(ledger.context("the books cannot be opened")?),
        idem,
    })
}

/// Keys and books in one MySQL or MariaDB database, so that they commit together.
async fn mysql(url: &str, policy: Policy) -> Result<Stores> {
    let store = MySqlStore::connect(url).await?;
    store.migrate().await?;
    let idem = Idempotency::builder(store.clone()).policy(policy).build()?;
    let ledger = MySqlLedger::open(url, store.transactional(&idem)).await;
    Ok(Stores {
        ledger: Ledger::MySql(ledger.context("the books cannot be opened")?),
        idem,
    })
}
