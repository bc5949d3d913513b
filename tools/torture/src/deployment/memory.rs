//! A store in the memory of one worker, which breaks its calls by itself.

use anyhow::Result;
use async_trait::async_trait;
use idem_testbed::FaultyProxy;

use super::Deployment;
use crate::{
    check::Promise,
    fault::{Kind, Strike},
    worker::Target,
};

/// How many engines share the store.
const ENGINES: u16 = 4;

pub(super) struct Memory;

#[async_trait]
impl Deployment for Memory {
    fn promise(&self) -> Promise {
        Promise::Durable
    }

    fn kinds(&self) -> Vec<Kind> {
        Vec::new()
    }

    fn target(&self, _place: usize) -> Target {
        Target::Memory { engines: ENGINES }
    }

    fn healed_target(&self) -> Target {
        self.target(0)
    }

    async fn strike(&mut self, _strike: &Strike) -> Result<()> {
        Ok(())
    }

    fn is_failover(&self, _kind: Kind) -> bool {
        false
    }

    fn proxies(&self) -> Vec<FaultyProxy> {
        Vec::new()
    }
}
