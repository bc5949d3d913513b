//! What a benchmark is made of.

use std::{future::Future, num::NonZeroUsize};

use anyhow::Result;
use futures_util::future::BoxFuture;

use crate::slice::{self, Slice};

/// An operation to repeat, and the world that it needs.
///
/// A suite implements it twice for each case: with idem, and for the floor, which does by hand
/// what cannot be done without. Both are called through generics, so neither pays for the other.
pub(crate) trait Load: Send + Sync + 'static {
    /// What one slice needs: a store, keys, connections.
    type World: Send + Sync + 'static;

    /// Of how many operations one has its latency taken. Above 1 where reading the clock twice
    /// would be a good part of the operation.
    const SAMPLE: usize = 1;

    /// Makes what a slice of `ops` operations needs. Not timed, and neither is its drop.
    fn world(&self, ops: usize) -> impl Future<Output = Result<Self::World>> + Send;

    /// The operation; `index` counts up from 0 to `ops` within the slice.
    fn op(world: &Self::World, index: usize) -> impl Future<Output = Result<()>> + Send;
}

/// An operation beside its floor.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    subject: Box<dyn Slices>,
    floor: Box<dyn Slices>,
}

impl Case {
    pub(crate) fn new(name: &'static str, subject: impl Load, floor: impl Load) -> Self {
        Self {
            name,
            subject: Box::new(Slicing(subject)),
            floor: Box::new(Slicing(floor)),
        }
    }

    /// Times `ops` operations with idem.
    pub(crate) async fn subject(&self, tasks: NonZeroUsize, ops: usize) -> Result<Slice> {
        self.subject.slice(tasks, ops).await
    }

    /// Times `ops` operations without.
    pub(crate) async fn floor(&self, tasks: NonZeroUsize, ops: usize) -> Result<Slice> {
        self.floor.slice(tasks, ops).await
    }
}

/// A [`Load`] whose type is forgotten: one virtual call a slice, none an operation.
trait Slices: Send + Sync {
    fn slice(&self, tasks: NonZeroUsize, ops: usize) -> BoxFuture<'_, Result<Slice>>;
}

struct Slicing<L>(L);

impl<L: Load> Slices for Slicing<L> {
    fn slice(&self, tasks: NonZeroUsize, ops: usize) -> BoxFuture<'_, Result<Slice>> {
        Box::pin(slice::time(&self.0, tasks, ops))
    }
}
