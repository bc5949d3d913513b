//! [`RedisStore`]: four conditional writes over one string key per record.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use idem_core::{
    RecordKey,
    spi::SeenKeys,
    store::{Created, Deleted, Record, Store, StoreError, Stored, Updated, Version},
};

use crate::{
    Connection, RedisConfig, check, config::DEFAULT_PREFIX, connection::Target, keys::Names,
    link::Link, native::Native, watch::Listener, write::Write,
};

/// A store on Redis or Valkey: one server, a Sentinel deployment or a Cluster.
///
/// Cheap to clone; clones share the connection. See the [crate's documentation](crate) for what it
/// promises and needs.
#[derive(Clone)]
pub struct RedisStore {
    shared: Arc<Shared>,
}

/// What all clones have in common.
pub(crate) struct Shared {
    pub(crate) names: Names,
    pub(crate) link: Link,
    pub(crate) native: Native,
    /// Keys that were seen to have ended: the next claim of one is a replay, and reads first.
    pub(crate) ended: SeenKeys,
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
    /// With `rediss` instead of `redis` connections are encrypted (feature `tls`), by the process's
    /// rustls `CryptoProvider`; where none is installed, *ring*'s is. Authorities are those that the
    /// operating system trusts, or those in the PEM file that the variable `SSL_CERT_FILE` names.
    /// `valkey` and `valkeys` mean the same.
    ///
    /// `?prefix=billing:` names the prefix of all keys, as [`RedisConfig::prefix`] does, and wins over
    /// it. The value is percent-encoded.
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
    /// [`Config`](idem_core::store::StoreErrorKind::Config) for a URL that is none, a server that is too old or that
    /// evicts keys, a user or password that it does not take, and a certificate that is not trusted;
    /// [`Unavailable`](idem_core::store::StoreErrorKind::Unavailable) when there is no connection.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        Self::connect_with(url, RedisConfig::default()).await
    }

    /// [`connect`](Self::connect) with other settings.
    ///
    /// # Errors
    /// As for [`connect`](Self::connect), and [`Config`](idem_core::store::StoreErrorKind::Config) for settings that
    /// cannot work.
    pub async fn connect_with(url: &str, config: RedisConfig) -> Result<Self, StoreError> {
        let mut config = config;
        if let Some(prefix) = Target::prefix(url)? {
            config.prefix = prefix;
        }
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
        let facts = check::check(&connection, &config).await?;
        if config.prefix == DEFAULT_PREFIX {
            tracing::info!(
                prefix = DEFAULT_PREFIX,
                "records are kept under the default prefix, which every application on this Redis \
                 shares that does not name another one; name one with `RedisConfig::prefix` or \
                 `?prefix=` in the URL"
            );
        }
        Ok(Self {
            shared: Arc::new(Shared {
                names,
                link: Link::new(connection, &config, facts),
                native: Native::new(),
                ended: SeenKeys::new(),
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
            .field("connection", &self.shared.link.connection())
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
        let write = Write::new(self.shared.names.name(key), record, ttl);
        if self.shared.has_ended(&write) {
            // Boxed: it would make every other claim's future larger.
            let finding = Box::pin(self.shared.find_ended(&write));
            if let Some(found) = finding.await? {
                return Ok(Created::Exists(found));
            }
        }
        self.shared.create(&write).await
    }

    async fn update(
        &self,
        key: &RecordKey,
        expected: Version,
        record: &Record,
        ttl: Duration,
    ) -> Result<Updated, StoreError> {
        let write = Write::new(self.shared.names.name(key), record, ttl);
        self.shared.update(&write, expected).await
    }

    async fn delete(&self, key: &RecordKey, expected: Version) -> Result<Deleted, StoreError> {
        let name = self.shared.names.name(key);
        self.shared.delete(&name, expected).await
    }

    async fn get(&self, key: &RecordKey) -> Result<Option<Stored>, StoreError> {
        let name = self.shared.names.name(key);
        self.shared.link.read(&name).await
    }
}
