//! The stores that a worker works on.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use idem_core::store::StoreErrorKind;
use serde::{Deserialize, Serialize};

use super::{Assignment, control::Control};
use crate::deployment::{self, Inside, Opened, Plan};

/// Between two attempts to reach a server that is down.
const TRY_AGAIN: Duration = Duration::from_millis(100);

/// Where the store is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Target {
    /// The name of the deployment.
    pub(crate) plan: String,
    pub(crate) url: String,
}

impl Target {
    pub(crate) fn plan(&self) -> Result<&'static dyn Plan> {
        deployment::named(&self.plan).context("there is no such deployment")
    }
}

/// Opens the stores, one for each engine, however long it takes; `None` when told to stop before.
pub(super) async fn open(
    assignment: &Assignment,
    control: &Arc<Control>,
) -> Result<Option<(Vec<Opened>, Option<Inside>)>> {
    let following = Arc::clone(control);
    tokio::spawn(async move { following.follow().await });
    let Target { url, .. } = &assignment.target;
    let plan = assignment.target.plan()?;
    if plan.is_in_worker() {
        let (stores, inside) = deployment::inside(assignment.seed);
        return Ok(Some((stores, Some(inside))));
    }
    loop {
        match plan.open(url).await {
            Ok(opened) => return Ok(Some((vec![opened], None))),
            Err(error) if error.kind() == StoreErrorKind::Config => {
                return Err(error).context("the store cannot be used as it is");
            }
            Err(_) if control.is_stopped() => return Ok(None),
            Err(_) => tokio::time::sleep(TRY_AGAIN).await,
        }
    }
}
