//! Opening a store by its URL.

use std::sync::Arc;

use idem_core::store::{Browse, Store, Sweep};

use crate::{
    cli::Common,
    failure::{Failure, Kind},
};

/// Which store a URL names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoreKind {
    Sqlite,
    Redis,
    Postgres,
    MySql,
}

/// Where the store is.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) url: String,
    pub(crate) kind: StoreKind,
    pub(crate) schema: String,
}

/// A store that is open, and what it offers.
pub(crate) struct Opened {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) browse: Arc<dyn Browse>,
    pub(crate) sweep: Arc<dyn Sweep>,
}

impl Place {
    pub(crate) fn of(common: &Common) -> Result<Self, Failure> {
        let url = common.store.clone().ok_or_else(|| {
            Failure::usage("name the store: --store URL, or the variable IDEM_STORE")
        })?;
        let scheme = url.split(':').next().unwrap_or_default();
        let kind = match scheme.split('+').next().unwrap_or_default() {
            "sqlite" => StoreKind::Sqlite,
            "redis" | "rediss" | "valkey" | "valkeys" => StoreKind::Redis,
            "postgres" | "postgresql" => StoreKind::Postgres,
            "mysql" | "mariadb" => StoreKind::MySql,
            _ => {
                return Err(Failure::usage(
                    "the store's URL starts with none of sqlite:, redis://, postgres:// and mysql://",
                ));
            }
        };
        Ok(Self {
            url,
            kind,
            schema: common.schema.clone(),
        })
    }

    /// The URL without what is secret in it: no password, and no query, which may have one.
    pub(crate) fn shown(&self) -> String {
        let base = self.url.split(['?', '#']).next().unwrap_or_default();
        let Some((scheme, rest)) = base.split_once("://") else {
            return base.to_owned();
        };
        if !base.contains('@') && self.url.contains('@') {
            // The password, or the query, has a `?` or `#` in it: nobody can tell which.
            let user_or_host = rest.split([':', '/']).next().unwrap_or_default();
            return format!("{scheme}://{user_or_host}…");
        }
        let path_at = rest.find('/').unwrap_or(rest.len());
        // A password may have a slash in it, although it should not.
        let end = rest.rfind('@').map_or(path_at, |at| at.max(path_at));
        let (authority, path) = rest.split_at(end.min(rest.len()));
        match authority.rsplit_once('@') {
            Some((login, host)) => {
                let user = login.split(':').next().unwrap_or_default();
                format!("{scheme}://{user}@{host}{path}")
            }
            None => match path.rsplit_once('@') {
                Some((_, host)) => format!("{scheme}://{host}"),
                None => base.to_owned(),
            },
        }
    }

    /// Opens the store for reading and for changes by hand. It makes no table and no file, and
    /// sweeps nothing by itself.
    pub(crate) async fn open(&self) -> Result<Opened, Failure> {
        match self.kind {
            StoreKind::Sqlite => self.sqlite().await,
            StoreKind::Redis => self.redis().await,
            StoreKind::Postgres => self.postgres().await,
            StoreKind::MySql => self.mysql().await,
        }
    }

    /// Of an SQLite file: never makes one.
    #[cfg(feature = "sqlite")]
    pub(crate) fn existing_file(&self) -> String {
        match self.url.contains("mode=") {
            true => self.url.clone(),
            false => {
                let join = if self.url.contains('?') { '&' } else { '?' };
                format!("{}{join}mode=rw", self.url)
            }
        }
    }

    #[cfg(feature = "sqlite")]
    async fn sqlite(&self) -> Result<Opened, Failure> {
        let found = idem_sqlite::migrations(&self.existing_file()).await?;
        if found.applied < found.known {
            return Err(pending());
        }
        let config = idem_sqlite::SqliteConfig::default().sweep_every(None);
        let store = idem_sqlite::SqliteStore::connect_with(&self.existing_file(), config).await?;
        Ok(opened(store))
    }

    #[cfg(feature = "redis")]
    pub(crate) fn redis_config() -> idem_redis::RedisConfig {
        // `doctor` judges a server that evicts; looking into it is allowed.
        idem_redis::RedisConfig::default()
            .allow_eviction()
            .response_timeout(std::time::Duration::from_secs(5))
            .connect_timeout(std::time::Duration::from_secs(3))
    }

    #[cfg(feature = "redis")]
    async fn redis(&self) -> Result<Opened, Failure> {
        let store = idem_redis::RedisStore::connect_with(&self.url, Self::redis_config()).await?;
        Ok(opened(store))
    }

    #[cfg(feature = "postgres")]
    pub(crate) async fn postgres_store(&self) -> Result<idem_postgres::PostgresStore, Failure> {
        let config = idem_postgres::PostgresConfig::default()
            .sweep_every(None)
            // A pooler may be in between, and speed does not matter here.
            .protocol(idem_postgres::Protocol::Simple)
            .schema(&self.schema)
            .map_err(|error| Failure::usage(error.to_string()))?;
        Ok(idem_postgres::PostgresStore::connect_with(&self.url, config).await?)
    }

    #[cfg(feature = "postgres")]
    async fn postgres(&self) -> Result<Opened, Failure> {
        Ok(opened(self.postgres_store().await?))
    }

    #[cfg(feature = "mysql")]
    pub(crate) async fn mysql_store(&self) -> Result<idem_mysql::MySqlStore, Failure> {
        let config = idem_mysql::MySqlConfig::default().sweep_every(None);
        Ok(idem_mysql::MySqlStore::connect_with(&self.url, config).await?)
    }

    #[cfg(feature = "mysql")]
    async fn mysql(&self) -> Result<Opened, Failure> {
        Ok(opened(self.mysql_store().await?))
    }
}

/// What stands in for the stores that this program was built without.
macro_rules! without {
    ($($feature:literal $name:ident;)*) => {
        impl Place {
            $(
                #[cfg(not(feature = $feature))]
                async fn $name(&self) -> Result<Opened, Failure> {
                    Err(missing($feature))
                }
            )*
        }
    };
}

without! {
    "sqlite" sqlite;
    "redis" redis;
    "postgres" postgres;
    "mysql" mysql;
}

/// This program was built without a store.
#[cfg_attr(
    all(
        feature = "sqlite",
        feature = "redis",
        feature = "postgres",
        feature = "mysql"
    ),
    expect(dead_code, reason = "all stores are there")
)]
pub(crate) fn missing(feature: &str) -> Failure {
    Failure::error(format!(
        "this `idem` was built without the feature `{feature}`: install it with that"
    ))
}

#[cfg(feature = "sqlite")]
pub(crate) fn pending() -> Failure {
    Failure::new(
        Kind::Error,
        "the tables are missing or of an older release: run `idem migrate`",
    )
}

#[cfg(any(
    feature = "sqlite",
    feature = "redis",
    feature = "postgres",
    feature = "mysql"
))]
fn opened<S: Store + Browse + Sweep + 'static>(store: S) -> Opened {
    let store = Arc::new(store);
    Opened {
        store: Arc::clone(&store) as Arc<dyn Store>,
        browse: Arc::clone(&store) as Arc<dyn Browse>,
        sweep: store,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        for (url, shown) in [
            ("sqlite:payments.db?mode=ro", "sqlite:payments.db"),
            (
                "redis://app:s3cret@cache:7000/3",
                "redis://app@cache:7000/3",
            ),
            ("redis://:s3cret@cache", "redis://@cache"),
            (
                "redis+sentinel://a:1,b/main?sentinel_password=s3cret",
                "redis+sentinel://a:1,b/main",
            ),
            ("postgres://app:s3/cret@db/app", "postgres://db/app"),
            ("postgres://app:s3@cret@db/app", "postgres://app@db/app"),
            ("postgres://db/app?password=s3cret", "postgres://db/app"),
            ("postgres://app:s3#cret@db/app", "postgres://app…"),
            ("mysql://app:s3?cret@db/app", "mysql://app…"),
            (
                "mysql://root@127.0.0.1:3306/shop",
                "mysql://root@127.0.0.1:3306/shop",
            ),
        ] {
            let place = Place {
                url: url.to_owned(),
                kind: StoreKind::Redis,
                schema: String::new(),
            };
            let text = place.shown();
            assert!(!text.contains("cret"), "{text}");
            assert!(text == shown || url.contains("s3/"), "{text}");
        }
    }
}
