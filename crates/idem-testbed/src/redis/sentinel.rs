//! A primary, its replicas, and the Sentinels that watch them.

use std::{net::SocketAddr, sync::Arc};

use super::{
    Redis, RedisBuilder, Reply,
    member::{self, Member},
};
use crate::{
    FaultyProxy, TestbedError,
    unblock::unblock,
    wait::{Not, Wait},
};

/// By what name clients ask for the primary.
const SERVICE: &str = "idem";

const REPLICAS: usize = 2;
const SENTINELS: usize = 3;

/// How many Sentinels must agree that the primary is down.
const QUORUM: usize = 2;

/// How often a Sentinel does what, in milliseconds.
///
/// They depend on each other: four `publish-period`s after a replica has become a primary, a
/// Sentinel that has not heard of it from the others makes it a replica again. By then the one that
/// leads the failover must have found out, for which it reconnects, once every `ping-period`.
const PERIODS: [[&str; 2]; 4] = [
    ["info-period", "200"],
    ["ping-period", "100"],
    ["ask-period", "100"],
    ["publish-period", "500"],
];

/// What a deployment is started with.
#[derive(Debug, Clone, Default)]
pub struct SentinelBuilder {
    node: RedisBuilder,
    proxied: bool,
}

impl SentinelBuilder {
    /// What the primary and each replica are started with.
    #[must_use]
    pub fn node(mut self, node: RedisBuilder) -> Self {
        self.node = node;
        self
    }

    /// Puts a [`FaultyProxy`] before the primary and each replica. The Sentinels name the proxies
    /// to clients, and themselves go through them, as do the replicas: a request to a rule without
    /// a command is also their `PING`.
    #[must_use]
    pub fn behind_proxies(mut self) -> Self {
        self.proxied = true;
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
        let deployment = Sentinel {
            parts: Arc::new(Parts { nodes, sentinels }),
        };
        deployment.hurry();
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
        let mut builder = RedisBuilder::default()
            .for_sentinel()
            .directive("sentinel monitor", &of_service(&watched))
            .directive("sentinel down-after-milliseconds", &of_service("500"))
            .directive("sentinel failover-timeout", &of_service("2000"));
        if let Some(binary) = self.node.chosen_binary() {
            builder = builder.binary(binary.clone());
        }
        builder.start_blocking()
    }
}

#[derive(Debug)]
struct Parts {
    nodes: Vec<Member>,
    sentinels: Vec<Redis>,
}

/// A running primary with two replicas and three Sentinels, who declare it down after half a
/// second. Clones are handles of the same deployment.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), idem_testbed::TestbedError> {
/// use idem_testbed::{Sentinel, skip_or_fail};
///
/// let Some(sentinel) = skip_or_fail(Sentinel::start().await) else {
///     return Ok(());
/// };
/// let old = sentinel.primary().await?;
/// let new = sentinel.kill_primary().await?;
/// assert_ne!(new.port(), old.port());
/// old.restart().await?;
/// sentinel.settled().await?;
/// assert_eq!(sentinel.primary().await?.port(), new.port(), "it came back as a replica");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Sentinel {
    parts: Arc<Parts>,
}

impl Sentinel {
    /// What to start it with.
    #[must_use]
    pub fn builder() -> SentinelBuilder {
        SentinelBuilder::default()
    }

    /// Starts a deployment that keeps nothing on disk.
    ///
    /// # Errors
    ///
    /// As [`SentinelBuilder::start`].
    pub async fn start() -> Result<Self, TestbedError> {
        Self::builder().start().await
    }

    /// By what name clients ask for the primary.
    #[must_use]
    pub fn service_name(&self) -> &str {
        SERVICE
    }

    /// Where the Sentinels listen.
    #[must_use]
    pub fn sentinel_addresses(&self) -> Vec<SocketAddr> {
        self.parts.sentinels.iter().map(Redis::address).collect()
    }

    /// The Sentinels.
    #[must_use]
    pub fn sentinels(&self) -> &[Redis] {
        &self.parts.sentinels
    }

    /// The primary and the replicas, whichever is which at the moment; first the one that was the
    /// primary at the beginning.
    #[must_use]
    pub fn nodes(&self) -> Vec<Redis> {
        let nodes = self.parts.nodes.iter();
        nodes.map(|node| node.redis.clone()).collect()
    }

    /// The proxy before `node`; none if it is not of this deployment or not
    /// [behind one](SentinelBuilder::behind_proxies).
    #[must_use]
    pub fn proxy_of(&self, node: &Redis) -> Option<FaultyProxy> {
        let mut nodes = self.parts.nodes.iter();
        nodes.find(|member| member.redis.is(node))?.proxy.clone()
    }

    /// The primary, once all Sentinels that run name the same one and it sees itself as that.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Timeout`] if they do not come to agree.
    pub async fn primary(&self) -> Result<Redis, TestbedError> {
        let deployment = self.clone();
        unblock(move || deployment.wait_for_primary(None)).await
    }

    /// Kills the primary with SIGKILL, and waits for the Sentinels to make another one, which it
    /// returns.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Timeout`] if they do not.
    pub async fn kill_primary(&self) -> Result<Redis, TestbedError> {
        let deployment = self.clone();
        unblock(move || {
            let old = deployment.wait_for_primary(None)?;
            old.kill();
            deployment.wait_for_primary(Some(&old))
        })
        .await
    }

    /// Waits for the Sentinels to name another primary than `old`, which was killed, paused or cut
    /// off by other means, and returns it.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Timeout`] if they do not.
    pub async fn primary_after(&self, old: &Redis) -> Result<Redis, TestbedError> {
        let (deployment, old) = (self.clone(), old.clone());
        unblock(move || deployment.wait_for_primary(Some(&old))).await
    }

    /// Has a Sentinel make a replica the primary while the old one lives (`SENTINEL FAILOVER`),
    /// waits until all follow the new one, and returns it.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Timeout`] if that does not come about.
    pub async fn failover(&self) -> Result<Redis, TestbedError> {
        let deployment = self.clone();
        unblock(move || {
            let old = deployment.wait_for_primary(None)?;
            deployment.order_failover()?;
            let new = deployment.wait_for_primary(Some(&old))?;
            deployment.wait_until_settled()?;
            Ok(new)
        })
        .await
    }

    /// Waits until every node that runs follows the primary, and every Sentinel that runs knows the
    /// others and all nodes: then the next failover can come.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Timeout`] if that does not come about.
    pub async fn settled(&self) -> Result<(), TestbedError> {
        let deployment = self.clone();
        unblock(move || deployment.wait_until_settled()).await
    }

    /// Has the Sentinels look around more often than the ten seconds they take by default. Those
    /// of older servers cannot, and take their time.
    fn hurry(&self) {
        for sentinel in &self.parts.sentinels {
            let command = ["SENTINEL", "DEBUG"].iter().chain(PERIODS.as_flattened());
            let _ = sentinel.command(&command.collect::<Vec<_>>());
        }
    }

    fn order_failover(&self) -> Result<(), TestbedError> {
        self.wait_for("a Sentinel that agrees to a failover", || {
            let sentinel = self.serving_sentinels().next().ok_or_else(none_serves)?;
            ask(sentinel, &["SENTINEL", "FAILOVER", SERVICE])?;
            Ok(())
        })
    }

    fn wait_for_primary(&self, other_than: Option<&Redis>) -> Result<Redis, TestbedError> {
        self.wait_for("a primary that all agree on", || {
            let primary = self.agreed_primary()?;
            match other_than {
                Some(old) if primary.redis.is(old) => {
                    Err(Not::Yet(format!("still {}", old.name())))
                }
                _ => Ok(primary.redis.clone()),
            }
        })
    }

    fn wait_until_settled(&self) -> Result<(), TestbedError> {
        self.wait_for("all nodes following one primary", || {
            let primary = self.agreed_primary()?;
            for node in self.serving_nodes() {
                if !node.redis.is(&primary.redis) {
                    node.follows(primary.address())?;
                }
            }
            self.serving_sentinels()
                .try_for_each(|sentinel| self.knows_all(sentinel))
        })
    }

    fn agreed_primary(&self) -> Result<&Member, Not> {
        let mut named = Vec::new();
        for sentinel in self.serving_sentinels() {
            let answer = ask(sentinel, &["SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE])?;
            named.push(answer.elements().get(1).and_then(Reply::text));
        }
        named.dedup();
        let [Some(port)] = named.as_slice() else {
            return Err(Not::Yet(format!("the Sentinels name {named:?}")));
        };
        let mut nodes = self.serving_nodes();
        let node = nodes
            .find(|node| node.address().port().to_string() == *port)
            .ok_or_else(|| Not::Yet(format!("no node that runs has the port {port}")))?;
        let role = node.ask(&["ROLE"])?;
        if role.elements().first().and_then(Reply::text).as_deref() == Some("master") {
            Ok(node)
        } else {
            Err(Not::Yet(format!(
                "{} is not yet a primary",
                node.redis.name()
            )))
        }
    }

    /// Whether a Sentinel counts what is there, and finds enough of its like for a failover.
    fn knows_all(&self, sentinel: &Redis) -> Result<(), Not> {
        ask(sentinel, &["SENTINEL", "CKQUORUM", SERVICE])?;
        let others = ask(sentinel, &["SENTINEL", "SENTINELS", SERVICE])?;
        let replicas = ask(sentinel, &["SENTINEL", "REPLICAS", SERVICE])?;
        let flags = |of: &Reply| -> Vec<String> {
            let all = of.elements().iter();
            all.filter_map(|one| field(one, "flags"))
                // What a Sentinel once said of an earlier primary, which Valkey 9 does not forget.
                .map(|flags| flags.replace(",master_down", ""))
                .collect()
        };
        let found = [flags(&others), flags(&replicas)];
        let wanted = [
            vec!["sentinel"; self.serving_sentinels().count() - 1],
            vec!["slave"; self.serving_nodes().count() - 1],
        ];
        if found == wanted {
            Ok(())
        } else {
            Err(Not::Yet(format!(
                "a Sentinel sees {found:?} and not {wanted:?}"
            )))
        }
    }

    fn serving_nodes(&self) -> impl Iterator<Item = &Member> {
        let nodes = self.parts.nodes.iter();
        nodes.filter(|node| node.redis.is_serving())
    }

    fn serving_sentinels(&self) -> impl Iterator<Item = &Redis> {
        let sentinels = self.parts.sentinels.iter();
        sentinels.filter(|sentinel| sentinel.is_serving())
    }

    fn wait_for<T>(
        &self,
        what: &str,
        question: impl FnMut() -> Result<T, Not>,
    ) -> Result<T, TestbedError> {
        let wait = Wait {
            server: "the Sentinel deployment",
            what,
            log: &|| {
                let nodes = self.parts.nodes.iter().map(|node| &node.redis);
                member::logs(nodes.chain(&self.parts.sentinels))
            },
        };
        wait.until(question)
    }
}

fn ask(sentinel: &Redis, command: &[&str]) -> Result<Reply, Not> {
    sentinel
        .command(command)
        .map_err(|error| Not::Yet(error.to_string()))
}

fn none_serves() -> Not {
    Not::Yet("no Sentinel runs".to_owned())
}

/// A value of a list in which names and values take turns.
fn field(list: &Reply, name: &str) -> Option<String> {
    let mut pairs = list.elements().chunks_exact(2);
    pairs.find(|pair| pair[0].text().as_deref() == Some(name))?[1].text()
}

fn host_and_port(address: SocketAddr) -> String {
    format!("{} {}", address.ip(), address.port())
}
