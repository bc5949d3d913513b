//! A key that a transaction holds, while others ask for it.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use anyhow::{Result, ensure};
use idem_core::RecordKey;
use idem_postgres::InTx;
use sqlx::{Postgres, Transaction};
use tokio::{sync::Mutex, task::JoinSet};

use super::super::world::Engine;
use crate::suites::sql::{self, Disturbance, Engine as _, record_key};

/// How many ask for the key, all the time.
const OTHERS: usize = 4;

pub(super) struct Held {
    engine: Arc<Engine>,
    holding: Mutex<Option<Holding>>,
    held: AtomicU64,
}

struct Holding {
    transaction: Transaction<'static, Postgres>,
    others: JoinSet<Result<()>>,
}

impl Held {
    pub(super) fn new(engine: Arc<Engine>) -> Self {
        Self {
            engine,
            holding: Mutex::default(),
            held: AtomicU64::new(0),
        }
    }
}

impl Disturbance for Held {
    type Engine = Engine;

    fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    async fn prepare(&self) -> Result<()> {
        self.engine.settle().await
    }

    async fn begin(&self) -> Result<()> {
        let number = self.held.fetch_add(1, Ordering::Relaxed);
        let key = record_key(format!("held-{number}"))?;
        let mut transaction = self.engine.server.pool.begin().await?;
        let fingerprint = self.engine.fingerprint();
        let transactional = &self.engine.transactional;
        let claimed = transactional.claim_in_tx(&mut transaction, &key, &fingerprint);
        ensure!(matches!(claimed.await?, InTx::Acquired(_)), "it was there");
        let mut others = JoinSet::new();
        for _ in 0..OTHERS {
            others.spawn(ask(Arc::clone(&self.engine), key.clone()));
        }
        *self.holding.lock().await = Some(Holding {
            transaction,
            others,
        });
        Ok(())
    }

    async fn end(&self) -> Result<()> {
        let Some(mut holding) = self.holding.lock().await.take() else {
            return Ok(());
        };
        // They only end when they are told that the key is theirs.
        if let Some(ended) = holding.others.try_join_next() {
            ended??;
        }
        holding.others.shutdown().await;
        holding.transaction.rollback().await?;
        Ok(())
    }
}

/// Asks for a key that cannot be had, again and again.
async fn ask(engine: Arc<Engine>, key: RecordKey) -> Result<()> {
    loop {
        let had = sql::execute(&*engine, &key).await.is_ok();
        ensure!(!had, "a key that is held was had");
    }
}
