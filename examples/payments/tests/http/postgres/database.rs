//! A database of its own, of a server that all tests share.

use std::sync::{
    OnceLock,
    atomic::{AtomicUsize, Ordering},
};

use idem_testbed::{Postgres, postgres::SqlClient, skip_or_fail};
use tokio::task::spawn_blocking;

use crate::service::Service;

pub(super) struct Database {
    server: Postgres,
    name: String,
}

/// What is left of one key after a crash: its status, if it has a record, and its rows.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Left {
    status: Option<String>,
    transfers: usize,
}

impl Left {
    /// Both, or neither.
    pub(super) const COMMITTED: (Option<&'static str>, usize) = (Some("completed"), 1);
    pub(super) const UNDER_WAY: (Option<&'static str>, usize) = (Some("in-flight"), 0);

    pub(super) fn pair(&self) -> (Option<&str>, usize) {
        (self.status.as_deref(), self.transfers)
    }
}

impl Database {
    pub(super) async fn fresh() -> Option<Self> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let server = spawn_blocking(server).await.unwrap()?;
        let name = format!("payments_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        server.sql(&format!("CREATE DATABASE {name}")).unwrap();
        Some(Self { server, name })
    }

    /// Starts one of several processes over it.
    pub(super) async fn service(&self, args: &[&str]) -> Service {
        let url = self.server.url_of(&self.name);
        Service::start(&[&["--store", &url], args].concat()).await
    }

    /// How many rows of this merchant's were committed.
    pub(super) fn transfers(&self, merchant: &str) -> usize {
        self.left(merchant, "").transfers
    }

    /// Record and rows of a merchant with one key, as of one moment.
    pub(super) fn left(&self, merchant: &str, key: &str) -> Left {
        let rows = self.sql(&format!(
            "SELECT (SELECT status FROM idem.records WHERE key = '{key}'), \
             (SELECT count(*) FROM payments.transfers WHERE merchant = '{merchant}')"
        ));
        let [row] = &rows[..] else {
            panic!("one row: {rows:?}");
        };
        Left {
            status: row[0].clone(),
            transfers: row[1].as_ref().unwrap().parse().unwrap(),
        }
    }

    fn sql(&self, sql: &str) -> Vec<Vec<Option<String>>> {
        let mut client = SqlClient::connect(self.server.address(), &self.name).unwrap();
        client.query(sql).unwrap()
    }
}

fn server() -> Option<Postgres> {
    static SERVER: OnceLock<Option<Postgres>> = OnceLock::new();
    SERVER
        .get_or_init(|| skip_or_fail(Postgres::start_blocking()))
        .clone()
}
