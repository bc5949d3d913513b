//! Calls of one store that are made to fail by a proxy before its server.

use std::sync::{Arc, Mutex};

use idem_conformance::{Fault, Faults, Skipped, async_trait};
use idem_core::store::Store;
use idem_testbed::{self as testbed, Armed, FaultyProxy};

use crate::deployment::{Deployment, own_database};

/// A store behind a proxy of its own.
pub(crate) struct FaultyConnection {
    deployment: Deployment,
    proxy: FaultyProxy,
    database: String,
    store: Arc<dyn Store>,
    armed: Mutex<Vec<Armed>>,
}

impl FaultyConnection {
    pub(crate) async fn of(deployment: &Deployment) -> Box<dyn Faults> {
        let database = own_database();
        let (proxy, url) = deployment.behind(&database);
        Box::new(Self {
            store: Arc::new(deployment.connect_by(&url, &database).await),
            deployment: deployment.clone(),
            proxy,
            database,
            armed: Mutex::default(),
        })
    }
}

#[async_trait]
impl Faults for FaultyConnection {
    async fn store(&self) -> Arc<dyn Store> {
        self.store.clone()
    }

    async fn truth(&self) -> Arc<dyn Store> {
        Arc::new(self.deployment.connect(&self.database).await)
    }

    async fn inject(&self, fault: Fault) -> Result<(), Skipped> {
        let rule = match fault {
            Fault::LoseReply => testbed::Fault::LoseReply.once(),
            Fault::LoseRequest => testbed::Fault::CutBeforeRequest.once(),
            Fault::Hang => testbed::Fault::HangReply.always(),
            Fault::Down => testbed::Fault::CutBeforeRequest.always(),
            _ => return Err(Skipped::because("no proxy does this")),
        };
        // Not the question whether a connection is still there.
        let rule = rule.larger_than(64);
        self.armed.lock().unwrap().push(self.proxy.arm(rule));
        Ok(())
    }

    async fn heal(&self) {
        for armed in self.armed.lock().unwrap().drain(..) {
            armed.release();
        }
    }
}
