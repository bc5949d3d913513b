//! A server as a part of a deployment.

use std::net::{Ipv4Addr, SocketAddr};

use super::{Redis, RedisBuilder, Reply};
use crate::{FaultyProxy, TestbedError, log_tail, wait::Not};

/// A server, and the proxy that the others and the clients are told to reach it through.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) redis: Redis,
    pub(super) proxy: Option<FaultyProxy>,
}

impl Member {
    /// Starts the server. Where it is to be behind a proxy, `announce` is the directive by which it
    /// is told the port that it goes by.
    pub(super) fn start(
        builder: RedisBuilder,
        proxied: bool,
        announce: &str,
    ) -> Result<Self, TestbedError> {
        if !proxied {
            let redis = builder.start_blocking()?;
            return Ok(Self { redis, proxy: None });
        }
        // Before its server, whose configuration names it, and so for a moment leading nowhere.
        let proxy = FaultyProxy::start((Ipv4Addr::LOCALHOST, 1).into())?;
        let redis = builder
            .directive(announce, &proxy.port().to_string())
            .start_blocking()?;
        proxy.set_target(redis.address());
        Ok(Self {
            redis,
            proxy: Some(proxy),
        })
    }

    /// Where it is reached by those who follow what the deployment says.
    pub(super) fn address(&self) -> SocketAddr {
        match &self.proxy {
            Some(proxy) => proxy.address(),
            None => self.redis.address(),
        }
    }

    /// Asks the server itself; an answer that did not come is a reason to ask again.
    pub(super) fn ask(&self, command: &[&str]) -> Result<Reply, Not> {
        self.redis
            .command(command)
            .map_err(|error| Not::Yet(error.to_string()))
    }

    /// Whether it follows the primary at `primary`, and receives what that one writes.
    pub(super) fn follows(&self, primary: SocketAddr) -> Result<(), Not> {
        let role = self.ask(&["ROLE"])?;
        let fields: Vec<String> = role
            .elements()
            .iter()
            .take(4)
            .filter_map(Reply::text)
            .collect();
        let port = primary.port().to_string();
        match fields.as_slice() {
            [role, _, of, state] if role == "slave" && *of == port && state == "connected" => {
                Ok(())
            }
            other => Err(Not::Yet(format!(
                "{} answers ROLE with {other:?} and not as a replica of port {port}",
                self.redis.name()
            ))),
        }
    }
}

/// Of each member's log, where there are many.
const LINES_EACH: usize = 12;

/// The end of every member's log, for messages.
pub(super) fn logs<'a>(members: impl IntoIterator<Item = &'a Redis>) -> String {
    members
        .into_iter()
        .map(|redis| {
            format!(
                "{}:\n{}\n",
                redis.name(),
                log_tail::end(&redis.log_tail(), LINES_EACH)
            )
        })
        .collect()
}
