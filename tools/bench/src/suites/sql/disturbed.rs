//! One table that is disturbed in every other slice.

use std::{future::Future, sync::Arc, time::Duration};

use anyhow::Result;
use idem_core::RecordKey;

use super::{Engine, Fresh, fresh_keys};
use crate::case::Load;

/// What may disturb the writers of a table.
pub(in crate::suites) trait Disturbance: Send + Sync + 'static {
    type Engine: Engine;

    fn engine(&self) -> &Arc<Self::Engine>;

    /// Before each row.
    fn prepare(&self) -> impl Future<Output = Result<()>> + Send;

    fn begin(&self) -> impl Future<Output = Result<()>> + Send;

    /// Ends it, and makes sure that it was there all the time. Nothing if it has not begun.
    fn end(&self) -> impl Future<Output = Result<()>> + Send;
}

/// Claim and completion meanwhile.
pub(in crate::suites) struct Disturbed<D>(pub(in crate::suites) Arc<D>);

/// Claim and completion without.
pub(in crate::suites) struct Undisturbed<D>(pub(in crate::suites) Arc<D>);

impl<D: Disturbance> Load for Disturbed<D> {
    type World = Arc<D>;
    type Batch = Vec<RecordKey>;
    const SLICE: Duration = Duration::from_secs(1);

    async fn world(&self) -> Result<Arc<D>> {
        self.0.prepare().await?;
        Ok(Arc::clone(&self.0))
    }

    async fn batch(it: &Arc<D>, ops: usize) -> Result<Vec<RecordKey>> {
        it.end().await?;
        it.begin().await?;
        fresh_keys(ops)
    }

    async fn op(it: &Arc<D>, keys: &Vec<RecordKey>, index: usize) -> Result<()> {
        Fresh::op(it.engine(), keys, index).await
    }
}

impl<D: Disturbance> Load for Undisturbed<D> {
    type World = Arc<D>;
    type Batch = Vec<RecordKey>;

    async fn world(&self) -> Result<Arc<D>> {
        Ok(Arc::clone(&self.0))
    }

    async fn batch(it: &Arc<D>, ops: usize) -> Result<Vec<RecordKey>> {
        it.end().await?;
        fresh_keys(ops)
    }

    async fn op(it: &Arc<D>, keys: &Vec<RecordKey>, index: usize) -> Result<()> {
        Fresh::op(it.engine(), keys, index).await
    }
}
