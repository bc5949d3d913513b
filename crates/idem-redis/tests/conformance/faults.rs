//! Calls of one store that are made to fail by the proxies before its servers.

use std::sync::{Arc, Mutex};

use idem_conformance::{Fault, Faults, Skipped, async_trait};
use idem_core::store::Store;
use idem_testbed::{self as testbed, Armed, FaultyProxy};

use crate::{deployment::Deployment, harness::own_prefix};

/// A deployment behind proxies that others may use as well: faults hit the one store that has this
/// prefix.
pub(crate) struct FaultyDeployment {
    /// Reaches the same data, by a way on which no fault is armed while it is used.
    truth: Deployment,
    proxies: Vec<FaultyProxy>,
    prefix: String,
    store: Arc<dyn Store>,
    armed: Mutex<Vec<Armed>>,
}

impl FaultyDeployment {
    pub(crate) async fn of(deployment: &Deployment) -> Option<Box<dyn Faults>> {
        let faulty = match deployment {
            Deployment::Alone(alone) => Deployment::Alone(alone.clone().behind_proxy().unwrap()),
            other => other.clone(),
        };
        let prefix = own_prefix();
        Some(Box::new(Self {
            truth: deployment.clone(),
            proxies: proxies(&faulty),
            store: Arc::new(faulty.connect(&prefix).await),
            prefix,
            armed: Mutex::default(),
        }))
    }
}

fn proxies(deployment: &Deployment) -> Vec<FaultyProxy> {
    match deployment {
        Deployment::Alone(alone) => alone.proxy.iter().cloned().collect(),
        Deployment::Sentinel(sentinel) => {
            let nodes = sentinel.nodes();
            let proxies = nodes.iter().map(|node| sentinel.proxy_of(node));
            proxies.flatten().collect()
        }
        Deployment::Cluster(cluster) => {
            let nodes = cluster.nodes();
            let proxies = nodes.iter().map(|node| cluster.proxy_of(node));
            proxies.flatten().collect()
        }
    }
}

#[async_trait]
impl Faults for FaultyDeployment {
    async fn store(&self) -> Arc<dyn Store> {
        self.store.clone()
    }

    async fn truth(&self) -> Arc<dyn Store> {
        Arc::new(self.truth.connect(&self.prefix).await)
    }

    async fn inject(&self, fault: Fault) -> Result<(), Skipped> {
        let rule = match fault {
            Fault::LoseReply => testbed::Fault::LoseReply.once(),
            Fault::LoseRequest => testbed::Fault::CutBeforeRequest.once(),
            Fault::Hang => testbed::Fault::HangReply.always(),
            Fault::Down => testbed::Fault::CutBeforeRequest.always(),
            _ => return Err(Skipped::because("no proxy does this")),
        };
        let rule = rule.containing(self.prefix.as_bytes());
        let armed = self.proxies.iter().map(|proxy| proxy.arm(rule.clone()));
        self.armed.lock().unwrap().extend(armed);
        Ok(())
    }

    async fn heal(&self) {
        for armed in self.armed.lock().unwrap().drain(..) {
            armed.release();
        }
    }
}
