//! Faults on the way between workers and servers.

use std::net::SocketAddr;

use idem_testbed::{Armed, Fault, FaultyProxy, TestbedError};
use tokio::time::sleep;

use super::WORKERS;
use crate::{
    fault::{Kind, Strike},
    key::{LARGE, LEASE},
};

/// A way to the server for each worker, so that it can be broken for one alone.
pub(super) fn proxies(server: SocketAddr) -> Result<Vec<FaultyProxy>, TestbedError> {
    (0..WORKERS).map(|_| FaultyProxy::start(server)).collect()
}

/// Strikes at one of the proxies, at requests of one of the commands where some are given; `false`
/// when this is no fault of the network.
///
/// Where servers speak to each other through the proxies, the commands keep them out of it.
pub(super) async fn strike(strike: &Strike, proxies: &[FaultyProxy], commands: &[&str]) -> bool {
    let proxy = &proxies[strike.which % proxies.len()];
    if let Some(fault) = strike.kind.of_requests(strike.delay) {
        let rule = fault.times(strike.requests);
        let rule = match commands {
            [] => rule,
            commands => rule.command(commands[strike.which / proxies.len() % commands.len()]),
        };
        let armed = proxy.arm(rule);
        sleep(strike.lasts).await;
        armed.release();
        return true;
    }
    match strike.kind {
        Kind::ConnectionsCut => proxy.cut_connections(),
        Kind::ConnectionsRefused => {
            proxy.refuse();
            proxy.cut_connections();
            sleep(strike.lasts).await;
            proxy.accept();
        }
        _ => return false,
    }
    true
}

/// Makes the ways of all workers so slow that a large request takes longer than a call may, and a
/// small one no time; or lets no large request through at all.
pub(super) async fn stop_large_ones(strike: &Strike, proxies: &[FaultyProxy]) {
    let per_second = (LARGE as f64 / LEASE.as_secs_f64() * 2.5) as u64;
    let rule = match strike.which % 2 {
        0 => Fault::SlowRequest { per_second }.always(),
        _ => Fault::CutBeforeRequest.always().larger_than(LARGE),
    };
    let armed: Vec<_> = proxies
        .iter()
        .map(|proxy| proxy.arm(rule.clone()))
        .collect();
    sleep(strike.lasts).await;
    armed.iter().for_each(Armed::release);
}
