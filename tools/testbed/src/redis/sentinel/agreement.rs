//! What the Sentinels think of the servers and each other, and waiting until they agree.

use super::{SERVICE, Sentinel};
use crate::{
    TestbedError,
    redis::{
        Redis, Reply,
        member::{self, Member},
    },
    wait::{Not, Wait},
};

impl Sentinel {
    pub(super) fn order_failover(&self) -> Result<(), TestbedError> {
        self.wait_for("a Sentinel that agrees to a failover", || {
            let sentinel = self.serving_sentinels().next().ok_or_else(none_serves)?;
            ask(sentinel, &["SENTINEL", "FAILOVER", SERVICE])?;
            Ok(())
        })
    }

    pub(super) fn wait_for_primary(
        &self,
        other_than: Option<&Redis>,
    ) -> Result<Redis, TestbedError> {
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

    pub(super) fn wait_until_settled(&self) -> Result<(), TestbedError> {
        self.wait_for("all nodes following one primary", || {
            let primary = self.agreed_primary()?;
            for node in self.serving_nodes() {
                if !node.redis.is(&primary.redis) {
                    node.follows(primary.address())?;
                }
            }
            self.serving_sentinels()
                .try_for_each(|sentinel| self.knows_all(sentinel, primary))
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

    /// Whether a Sentinel has no failover under way, finds enough of its like for one, and has itself
    /// seen every node in its present role. One that last saw a node as a primary takes it for the
    /// same lost primary when a failover makes it one again, and undoes that.
    fn knows_all(&self, sentinel: &Redis, primary: &Member) -> Result<(), Not> {
        let watched = ask(sentinel, &["SENTINEL", "MASTER", SERVICE])?;
        match field(&watched, "flags").as_deref() {
            Some("master") => {}
            flags => {
                return Err(Not::Yet(format!(
                    "a Sentinel sees a primary with {flags:?}"
                )));
            }
        }
        ask(sentinel, &["SENTINEL", "CKQUORUM", SERVICE])?;
        let others = ask(sentinel, &["SENTINEL", "SENTINELS", SERVICE])?;
        let replicas = ask(sentinel, &["SENTINEL", "REPLICAS", SERVICE])?;
        let primary = primary.address().port().to_string();
        let replica = ["slave", "slave", &primary, "ok"];
        let seen = [
            seen(
                &others,
                self.serving_sentinels().map(|sentinel| sentinel.port()),
                &["flags"],
            ),
            seen(
                &replicas,
                self.serving_nodes().map(|node| node.address().port()),
                &[
                    "flags",
                    "role-reported",
                    "master-port",
                    "master-link-status",
                ],
            ),
        ];
        let wanted = [
            vec![vec!["sentinel"]; self.serving_sentinels().count() - 1],
            vec![replica.to_vec(); self.serving_nodes().count() - 1],
        ];
        if seen == wanted {
            Ok(())
        } else {
            Err(Not::Yet(format!(
                "a Sentinel sees {seen:?} and not {wanted:?}"
            )))
        }
    }

    fn serving_nodes(&self) -> impl Iterator<Item = &Member> {
        let nodes = self.members().iter();
        nodes.filter(|node| node.redis.is_serving())
    }

    fn serving_sentinels(&self) -> impl Iterator<Item = &Redis> {
        let sentinels = self.sentinels().iter();
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
                let nodes = self.members().iter().map(|node| &node.redis);
                member::logs(nodes.chain(self.sentinels()))
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

/// These fields of each of the instances that a Sentinel lists, but for those that do not run.
fn seen(
    instances: &Reply,
    serving: impl Iterator<Item = u16>,
    fields: &[&str],
) -> Vec<Vec<String>> {
    let ports: Vec<String> = serving.map(|port| port.to_string()).collect();
    let serves =
        |instance: &&Reply| field(instance, "port").is_some_and(|port| ports.contains(&port));
    let of = |instance: &Reply| {
        let fields = fields.iter().filter_map(|name| field(instance, name));
        // What a Sentinel once said of an earlier primary, which Valkey 9 does not forget.
        fields
            .map(|value| value.replace(",master_down", ""))
            .collect()
    };
    instances.elements().iter().filter(serves).map(of).collect()
}

/// A value of a list in which names and values take turns.
fn field(list: &Reply, name: &str) -> Option<String> {
    let mut pairs = list.elements().chunks_exact(2);
    pairs.find(|pair| pair[0].text().as_deref() == Some(name))?[1].text()
}
