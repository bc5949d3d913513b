//! One file a suite. To add one: write `suites/NAME.rs` with a function that sets up what it needs
//! (a server's handle lives in its loads) and gives its cases, and name it here.

pub(crate) mod http;
mod memory;
mod mysql;
mod postgres;
mod redis;
mod sample;
mod sql;
mod sqlite;

use anyhow::Result;
use futures_util::{FutureExt, future::BoxFuture};

use crate::case::Case;

pub(crate) struct Suite {
    pub(crate) name: &'static str,
    pub(crate) open: fn() -> BoxFuture<'static, Result<Vec<Case>>>,
}

pub(crate) static SUITES: &[Suite] = &[
    Suite {
        name: "memory",
        open: || memory::cases().boxed(),
    },
    Suite {
        name: "http",
        open: || http::cases().boxed(),
    },
    Suite {
        name: "postgres",
        open: || postgres::cases().boxed(),
    },
    Suite {
        name: "postgres-large",
        open: || postgres::large_cases().boxed(),
    },
    Suite {
        name: "mysql",
        open: || mysql::cases().boxed(),
    },
    Suite {
        name: "mysql-large",
        open: || mysql::large_cases().boxed(),
    },
    Suite {
        name: "sqlite",
        open: || sqlite::cases().boxed(),
    },
    Suite {
        name: "sqlite-large",
        open: || sqlite::large_cases().boxed(),
    },
    Suite {
        name: "redis",
        open: || redis::cases().boxed(),
    },
];
