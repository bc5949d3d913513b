//! PostgreSQL: one server.

mod programs;
mod server;
mod shared_memory;
mod sql;

pub use programs::PostgresPrograms;
pub use server::{Durability, Postgres, PostgresBuilder};
pub use sql::{Row, SqlClient, SqlError};
