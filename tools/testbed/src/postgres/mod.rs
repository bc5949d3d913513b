//! PostgreSQL: one server, its standby, and PgBouncer.

mod builder;
mod pgbouncer;
mod place;
mod programs;
mod server;
mod shared_memory;
mod sql;
mod standby;

pub use builder::{Durability, PostgresBuilder};
pub use pgbouncer::{PgBouncer, PgBouncerBuilder};
pub use programs::PostgresPrograms;
pub use server::Postgres;
pub use sql::{Row, SqlClient, SqlError};
pub use standby::Replication;
