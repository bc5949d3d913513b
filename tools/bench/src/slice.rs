//! One slice: so many operations on so many tasks, timed.

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use anyhow::Result;
use tokio::{sync::Barrier, task::JoinSet, time::Instant};

use crate::case::Load;

/// What a slice took.
pub(crate) struct Slice {
    pub(crate) ops: usize,
    pub(crate) time: Duration,
    /// Latencies of the operations that were sampled.
    pub(crate) latencies: Vec<Duration>,
}

impl Slice {
    pub(crate) fn ops_per_second(&self) -> f64 {
        self.ops as f64 / self.time.as_secs_f64()
    }
}

/// Runs `ops` operations on `tasks` tasks, and times them from the first start to the last end.
pub(crate) async fn time<L: Load>(
    world: &Arc<L::World>,
    tasks: NonZeroUsize,
    ops: usize,
) -> Result<Slice> {
    let tasks = tasks.get();
    let each = ops.div_ceil(tasks).max(1);
    let ops = each * tasks;
    let batch = Arc::new(L::batch(world, ops).await?);
    let barrier = Arc::new(Barrier::new(tasks + 1));
    let mut running = JoinSet::new();
    for task in 0..tasks {
        let (world, batch) = (Arc::clone(world), Arc::clone(&batch));
        let barrier = Arc::clone(&barrier);
        running.spawn(async move {
            barrier.wait().await;
            let started = Instant::now();
            let latencies = repeat::<L>(&world, &batch, task * each..(task + 1) * each).await?;
            Ok::<_, anyhow::Error>((started, Instant::now(), latencies))
        });
    }
    barrier.wait().await;
    let mut latencies = Vec::with_capacity(ops / L::SAMPLE + tasks);
    let mut span: Option<(Instant, Instant)> = None;
    while let Some(ran) = running.join_next().await {
        let (started, ended, some) = ran??;
        let (first, last) = span.unwrap_or((started, ended));
        span = Some((first.min(started), last.max(ended)));
        latencies.extend(some);
    }
    let time = span.map_or(Duration::ZERO, |(first, last)| last - first);
    Ok(Slice {
        ops,
        time: time.max(Duration::from_nanos(1)),
        latencies,
    })
}

async fn repeat<L: Load>(
    world: &L::World,
    batch: &L::Batch,
    indices: std::ops::Range<usize>,
) -> Result<Vec<Duration>> {
    let mut latencies = Vec::with_capacity(indices.len() / L::SAMPLE + 1);
    for index in indices {
        if index % L::SAMPLE == 0 {
            let started = Instant::now();
            L::op(world, batch, index).await?;
            latencies.push(started.elapsed());
        } else {
            L::op(world, batch, index).await?;
        }
    }
    Ok(latencies)
}
