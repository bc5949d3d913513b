//! What a deployment is started with.

use std::{net::SocketAddr, time::Duration};

use super::{SERVICE, Sentinel};
use crate::{
    TestbedError,
    redis::{Redis, RedisBuilder, member::Member},
    unblock::unblock,
};

const REPLICAS: usize = 2;
const SENTINELS: usize = 3;

/// How many Sentinels must agree that the primary is down.
const QUORUM: usize = 2;

const DOWN_AFTER: Duration = Duration::from_millis(500);

/// How often a Sentinel does what, in milliseconds.
///
/// They depend on each other, and on the one second after which a Sentinel asks a replica how it is
/// while a failover is under way, which nothing changes:
/// - For five `ping-period`s such an answer makes the replica fit to be promoted. Were it for less
///   than that second, there would mostly be none that is fit.
/// - Four `publish-period`s after a replica has become a primary, a Sentinel that was not told why
///   makes it a replica again. By then the one that leads the failover must have asked.
const PERIODS: [[&str; 2]; 4] = [
    ["info-period", "200"],
    ["ping-period", "400"],
    ["ask-period", "100"],
    ["publish-period", "700"],
];

/// After this many milliseconds a promotion that was not seen to succeed is given up, and after
/// twice as many another one is tried.
const FAILOVER_TIMEOUT: &str = "3000";

/// What a deployment is started with.
#[derive(Debug, Clone, Default)]
pub struct SentinelBuilder {
    node: RedisBuilder,
    proxied: bool,
    down_after: Option<Duration>,
}

impl SentinelBuilder {
    /// What the primary and each replica are started with.
    #[must_use]
    pub fn node(mut self, node: RedisBuilder) -> Self {
        self.node = node;
        self
    }

    /// Puts a [`FaultyProxy`](crate::FaultyProxy) before the primary and each replica. The Sentinels name the proxies
    /// to clients, and themselves go through them, as do the replicas: a request to a rule without
    /// a command is also their `PING`.
    #[must_use]
    pub fn behind_proxies(mut self) -> Self {
        self.proxied = true;
        self
    }

    /// After this long without an answer a server is taken for down, and replaced: half a second
    /// unless said otherwise. Where nothing is to fail it should be so long that a busy machine is
    /// not taken for a fault.
    #[must_use]
    pub fn down_after(mut self, silence: Duration) -> Self {
        self.down_after = Some(silence);
        self
    }

    /// Starts a primary, two replicas and three Sentinels, and waits until a failover is possible.
    ///
    /// # Errors
    ///
    /// As [`RedisBuilder::start`], and [`TestbedError::Timeout`] if they do not find together.
    pub async fn start(self) -> Result<Sentinel, TestbedError> {
        unblock(move || self.start_blocking()).await
    }

    /// [`start`](Self::start) for code that is not on a runtime.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn start_blocking(self) -> Result<Sentinel, TestbedError> {
        let primary = self.start_node(None)?;
        let mut nodes = vec![primary.clone()];
        for _ in 0..REPLICAS {
            nodes.push(self.start_node(Some(primary.address()))?);
        }
        let mut sentinels = Vec::new();
        for _ in 0..SENTINELS {
            sentinels.push(self.start_sentinel(primary.address())?);
        }
        hurry(&sentinels);
        let deployment = Sentinel::of(nodes, sentinels);
        deployment.wait_until_settled()?;
        Ok(deployment)
    }

    fn start_node(&self, of: Option<SocketAddr>) -> Result<Member, TestbedError> {
        let mut node = self.node.clone();
        if let Some(primary) = of {
            node = node.directive("replicaof", &host_and_port(primary));
        }
        Member::start(node, self.proxied, "replica-announce-port")
    }

    fn start_sentinel(&self, primary: SocketAddr) -> Result<Redis, TestbedError> {
        let of_service = |rest: &str| format!("{SERVICE} {rest}");
        let watched = format!("{} {QUORUM}", host_and_port(primary));
        let down_after = self.down_after.unwrap_or(DOWN_AFTER).as_millis();
        let down_after = of_service(&down_after.to_string());
        let mut builder = RedisBuilder::default()
            .for_sentinel()
            .directive("sentinel monitor", &of_service(&watched))
            .directive("sentinel down-after-milliseconds", &down_after)
            .directive("sentinel failover-timeout", &of_service(FAILOVER_TIMEOUT));
        if let Some(binary) = self.node.chosen_binary() {
            builder = builder.binary(binary.clone());
        }
        builder.start_blocking()
    }
}

/// Has the Sentinels look around more often than the ten seconds they take by default. Those of
/// older servers cannot, and take their time.
fn hurry(sentinels: &[Redis]) {
    for sentinel in sentinels {
        let command = ["SENTINEL", "DEBUG"].iter().chain(PERIODS.as_flattened());
        let _ = sentinel.command(&command.collect::<Vec<_>>());
    }
}

fn host_and_port(address: SocketAddr) -> String {
    format!("{} {}", address.ip(), address.port())
}
