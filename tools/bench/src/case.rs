//! What a benchmark is made of.

use std::{future::Future, num::NonZeroUsize, sync::Arc, time::Duration};

use anyhow::Result;
use futures_util::future::BoxFuture;

use crate::slice::{self, Slice};

/// An operation to repeat, and the world that it needs.
///
/// A suite implements it twice for each case: with idem, and for the floor, which does by hand
/// what cannot be done without. Both are called through generics, so neither pays for the other.
pub(crate) trait Load: Send + Sync + 'static {
    /// What all operations of a row share: a store with records in it, connections.
    type World: Send + Sync + 'static;
    /// What one slice needs on top: keys, say.
    type Batch: Send + Sync + 'static;

    /// How long a slice of the slower of the two sides is meant to take; what the side with idem
    /// says counts.
    ///
    /// Short, so that whatever else the machine does interrupts few slices and the median is one
    /// that it left alone; long beside an operation, since a slice ends with its slowest task.
    const SLICE: Duration = Duration::from_millis(200);
    /// Of how many operations one has its latency taken. Above 1 where reading the clock twice
    /// would be a good part of the operation.
    const SAMPLE: usize = 1;
    /// How many operations a world is good for; then another is made.
    const WORLD: usize = usize::MAX;

    /// Makes a world. Not timed.
    fn world(&self) -> impl Future<Output = Result<Self::World>> + Send;

    /// Makes what the next `ops` operations in this world need. Not timed.
    fn batch(world: &Self::World, ops: usize) -> impl Future<Output = Result<Self::Batch>> + Send;

    /// The operation; `index` counts up from 0 to `ops` within the slice.
    fn op(
        world: &Self::World,
        batch: &Self::Batch,
        index: usize,
    ) -> impl Future<Output = Result<()>> + Send;
}

/// An operation beside its floor.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) slice: Duration,
    subject: Box<dyn Open>,
    floor: Box<dyn Open>,
}

impl Case {
    pub(crate) fn new<S: Load>(name: &'static str, subject: S, floor: impl Load) -> Self {
        let subject = Box::new(Opening(Arc::new(subject)));
        let floor = Box::new(Opening(Arc::new(floor)));
        Self {
            name,
            slice: S::SLICE,
            subject,
            floor,
        }
    }

    /// Both sides, each with a world to come.
    pub(crate) fn open(&self) -> Sides {
        Sides {
            subject: self.subject.open(),
            floor: self.floor.open(),
        }
    }
}

/// The two sides of a case, for the time of one row.
pub(crate) struct Sides {
    pub(crate) subject: Box<dyn Slices>,
    pub(crate) floor: Box<dyn Slices>,
}

trait Open: Send + Sync {
    fn open(&self) -> Box<dyn Slices>;
}

/// Runs slices of a load whose type is forgotten: one virtual call a slice, none an operation.
pub(crate) trait Slices: Send {
    /// Times `ops` operations on so many tasks.
    fn slice(&mut self, tasks: NonZeroUsize, ops: usize) -> BoxFuture<'_, Result<Slice>>;
}

struct Opening<L>(Arc<L>);

impl<L: Load> Open for Opening<L> {
    fn open(&self) -> Box<dyn Slices> {
        Box::new(Opened {
            load: Arc::clone(&self.0),
            world: None,
        })
    }
}

struct Opened<L: Load> {
    load: Arc<L>,
    /// The world, and how many operations it has seen.
    world: Option<(Arc<L::World>, usize)>,
}

impl<L: Load> Opened<L> {
    async fn run(&mut self, tasks: NonZeroUsize, ops: usize) -> Result<Slice> {
        let (world, seen) = match self.world.take() {
            Some((world, seen)) if seen < L::WORLD => (world, seen),
            _ => (Arc::new(self.load.world().await?), 0),
        };
        let slice = slice::time::<L>(&world, tasks, ops).await?;
        self.world = Some((world, seen.saturating_add(slice.ops)));
        Ok(slice)
    }
}

impl<L: Load> Slices for Opened<L> {
    fn slice(&mut self, tasks: NonZeroUsize, ops: usize) -> BoxFuture<'_, Result<Slice>> {
        Box::pin(self.run(tasks, ops))
    }
}
