//! [`RedisStore`]: four conditional writes over one string key per record.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use idem_core::{
    Created, Deleted, Record, RecordKey, State, Store, StoreError, StoreErrorKind, Stored, Updated,
    Version, codec,
};
use redis::Value;

use crate::{
    Connection, RedisConfig, check,
    connection::Target,
    error::{Failure, unexpected_reply},
    keys::Names,
    link::Link,
    native::Native,
    reply,
    watch::Listener,
};

/// How often a call starts anew because the record it found was gone a moment later. That happens
/// when a record expires or is released between two commands, and hardly ever twice.
const ROUNDS: usize = 100;

/// A store on Redis or Valkey: one server, a Sentinel deployment or a Cluster.
///
/// Cheap to clone; clones share the connection. See the [crate's documentation](crate) for what it
/// promises and needs.
#[derive(Clone)]
pub struct RedisStore {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) names: Names,
    pub(crate) link: Link,
    native: Native,
    pub(crate) listener: Option<Arc<Listener>>,
}

impl RedisStore {
    /// Connects by a URL, with the defaults of [`RedisConfig`].
    ///
    /// | URL | |
    /// |---|---|
    /// | `redis://[user[:password]@]host[:port][/database]` | one server |
    /// | `redis+sentinel://[…@]host[:port],host[:port]…/primary[/database]` | the primary of this name; user and password are the server's, those of the Sentinels are `?sentinel_user=…&sentinel_password=…` |
    /// | `redis+cluster://[…@]host[:port],host[:port]…` | a Cluster, by some of its nodes |
    ///
    /// With `rediss` instead of `redis` connections are encrypted (feature `tls`). `valkey` and
    /// `valkeys` mean the same.
    ///
    /// The connection comes back by itself when it breaks, when the server does not answer within
    /// the response timeout, and when a failover made another server the primary.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use idem_core::Idempotency;
    /// use idem_redis::RedisStore;
    ///
    /// let store = RedisStore::connect("redis://127.0.0.1/").await?;
    /// let idem = Idempotency::builder(store).build()?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Config`](StoreErrorKind::Config) for a URL that is none, a server that is too old or that
    /// evicts keys, and a user or password that it does not take;
    /// [`Unavailable`](StoreErrorKind::Unavailable) when there is no connection.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        Self::connect_with(url, RedisConfig::default()).await
    }

    /// [`connect`](Self::connect) with other settings.
    ///
    /// # Errors
    /// As for [`connect`](Self::connect), and [`Config`](StoreErrorKind::Config) for settings that
    /// cannot work.
    pub async fn connect_with(url: &str, config: RedisConfig) -> Result<Self, StoreError> {
        let target = Target::parse(url)?;
        let connection = target.clone().open(&config).await?;
        let listener = Listener::new(target, config.clone());
        Self::over(connection, config, Some(Arc::new(listener))).await
    }

    /// A store over a connection that is there already; see [`Connection`].
    ///
    /// # Errors
    /// As for [`connect_with`](Self::connect_with).
    pub async fn new(
        connection: impl Into<Connection>,
        config: RedisConfig,
    ) -> Result<Self, StoreError> {
        Self::over(connection.into(), config, None).await
    }

    async fn over(
        connection: Connection,
        config: RedisConfig,
        listener: Option<Arc<Listener>>,
    ) -> Result<Self, StoreError> {
        let names = Names::new(&config.prefix)?;
        let delete = check::check(&connection, &config).await?;
        Ok(Self {
            shared: Arc::new(Shared {
                names,
                link: Link::new(connection, config.durability),
                native: Native::new(delete),
                listener,
            }),
        })
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("connection", &self.shared.link.connection)
            .field("durability", &self.shared.link.durability)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Store for RedisStore {
    async fn create(
        &self,
        key: &RecordKey,
        record: &Record,
        ttl: Duration,
    ) -> Result<Created, StoreError> {
        self.shared
            .create(&Write::new(self, key, record, ttl))
            .await
    }

    async fn update(
        &self,
        key: &RecordKey,
        expected: Version,
        record: &Record,
        ttl: Duration,
    ) -> Result<Updated, StoreError> {
        let write = Write::new(self, key, record, ttl);
        self.shared.update(&write, expected).await
    }

    async fn delete(&self, key: &RecordKey, expected: Version) -> Result<Deleted, StoreError> {
        let name = self.shared.names.name(key);
        self.shared.delete(&name, expected).await
    }

    async fn get(&self, key: &RecordKey) -> Result<Option<Stored>, StoreError> {
        let name = self.shared.names.name(key);
        reply::read(self.shared.link.read(&name).await?)
    }
}

/// A record on its way to the server.
struct Write<'a> {
    name: String,
    record: &'a Record,
    value: Bytes,
    ttl: u64,
}

impl<'a> Write<'a> {
    fn new(store: &RedisStore, key: &RecordKey, record: &'a Record, ttl: Duration) -> Self {
        Self {
            name: store.shared.names.name(key),
            record,
            value: codec::encode(record, ttl),
            ttl: millis(ttl),
        }
    }
}

impl Shared {
    async fn create(&self, write: &Write<'_>) -> Result<Created, StoreError> {
        for _ in 0..ROUNDS {
            let Some(found) = self.create_if_absent(write).await? else {
                self.native.remember(write.record.version, &write.value);
                return Ok(Created::New);
            };
            if let Some(found) = self.settled(&write.name, write.record, found).await? {
                return Ok(Created::Exists(found));
            }
        }
        Err(restless())
    }

    /// What is there already, or nothing after writing.
    async fn create_if_absent(&self, write: &Write<'_>) -> Result<Option<Stored>, StoreError> {
        let mut set = redis::cmd("SET");
        set.arg(&write.name).arg(&write.value[..]);
        set.arg("NX").arg("GET").arg("PX").arg(write.ttl);
        match self.link.write(&write.name, set).await {
            Ok(written) => match written.reply {
                Value::Nil => written.confirmed().map(|()| None),
                Value::BulkString(value) => reply::found(value).map(Some),
                _ => Err(unexpected_reply()),
            },
            Err(failure) => self.find_in_full_store(write, failure).await.map(Some),
        }
    }

    /// A server without room refuses the command before it looks whether the record is there. One
    /// that is there needs no room, and is still found.
    async fn find_in_full_store(
        &self,
        write: &Write<'_>,
        failure: Failure,
    ) -> Result<Stored, StoreError> {
        if failure.kind() == StoreErrorKind::Full
            && let Some(found) = reply::read(self.link.read(&write.name).await?)?
        {
            return Ok(found);
        }
        Err(failure.into())
    }

    async fn update(&self, write: &Write<'_>, expected: Version) -> Result<Updated, StoreError> {
        for _ in 0..ROUNDS {
            let Some(conflict) = self.replace(write, expected).await? else {
                if matches!(write.record.state, State::InFlight { .. }) {
                    self.native.remember(write.record.version, &write.value);
                }
                return Ok(Updated::Done);
            };
            let Some(found) = conflict else {
                return Ok(Updated::Conflict(None));
            };
            if let Some(found) = self.settled(&write.name, write.record, found).await? {
                return Ok(Updated::Conflict(Some(found)));
            }
        }
        Err(restless())
    }

    /// What is there instead of the expected version, or nothing after writing.
    async fn replace(
        &self,
        write: &Write<'_>,
        expected: Version,
    ) -> Result<Option<Option<Stored>>, StoreError> {
        let Write {
            name, value, ttl, ..
        } = write;
        if let Some(attempt) = self.native.replace(name, expected, value, *ttl) {
            let (cmd, support) = attempt.into_parts();
            if let Some(written) = support.applied(self.link.write(name, cmd).await)? {
                return written.confirmed().map(|()| None);
            }
        }
        let prefix = codec::version_prefix(expected);
        let ttl = ttl.to_string();
        let args: [&[u8]; 3] = [&prefix, value, ttl.as_bytes()];
        let script = &self.link.scripts.update;
        let written = self.link.run(script, name, &args).await?;
        conflict(written)
    }

    async fn delete(&self, name: &str, expected: Version) -> Result<Deleted, StoreError> {
        if let Some(attempt) = self.native.remove(name, expected) {
            let (cmd, support) = attempt.into_parts();
            if let Some(written) = support.applied(self.link.write(name, cmd).await)? {
                return written.confirmed().map(|()| Deleted::Done);
            }
        }
        let prefix = codec::version_prefix(expected);
        let script = &self.link.scripts.delete;
        let written = self.link.run(script, name, &[&prefix]).await?;
        Ok(match conflict(written)? {
            None => Deleted::Done,
            Some(found) => Deleted::Conflict(found),
        })
    }

    /// Completes what is known of a record that was found, so that a decision may rest on it: the age
    /// of one that is in flight, the durability of one that is an answer or the caller's own. `None`
    /// when it is gone, or another, by now.
    async fn settled(
        &self,
        name: &str,
        own: &Record,
        found: Stored,
    ) -> Result<Option<Stored>, StoreError> {
        let is_own = found.record.version.token == own.version.token;
        let rests_on_it = is_own || found.record.state.is_final();
        if self.link.durability.wait().is_some()
            && rests_on_it
            && !self.link.confirm(name, found.record.version).await?
        {
            return Ok(None);
        }
        let needs_age = matches!(found.record.state, State::InFlight { .. }) && found.age.is_none();
        match needs_age {
            true => reply::read(self.link.read(name).await?),
            false => Ok(Some(found)),
        }
    }
}

/// What a script that writes found instead of the expected version; `None` if it wrote.
fn conflict(written: crate::link::Written) -> Result<Option<Option<Stored>>, StoreError> {
    match written.reply {
        Value::Int(1) => written.confirmed().map(|()| None),
        _ => reply::read(written.reply).map(Some),
    }
}

fn restless() -> StoreError {
    StoreError::unavailable("the record came and went as often as it was looked at")
}

/// Whole milliseconds, rounded up as the codec does; the server takes no 0.
fn millis(ttl: Duration) -> u64 {
    u64::try_from(ttl.as_nanos().div_ceil(1_000_000))
        .unwrap_or(u64::MAX)
        .max(1)
}
