//! [`Target`]: what a URL points at.

use std::time::Duration;

use idem_core::store::StoreError;
use redis::{
    ConnectionInfo, IntoConnectionInfo, ProtocolVersion, RedisResult, aio::AsyncPushSender,
    cluster::ClusterClientBuilder,
};

use super::{
    Connection, Slots,
    connector::{Connector, tcp_settings},
    sentinel::Sentinels,
};
use crate::{RedisConfig, error::Failure};

const SENTINEL_PORT: u16 = 26379;
/// How long a Sentinel may take to connect, and to answer. All are asked at once.
const SENTINEL_PATIENCE: Duration = Duration::from_millis(500);

/// A server, a Sentinel deployment or a Cluster.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    Server(ConnectionInfo),
    Cluster(Vec<ConnectionInfo>),
    Sentinels(Sentinels),
}

impl Target {
    /// The prefix that the URL's query names.
    pub(crate) fn prefix(url: &str) -> Result<Option<String>, StoreError> {
        let Some(prefix) = Parts::of(url)?.query_value("prefix") else {
            return Ok(None);
        };
        percent_decoded(prefix)
            .map(Some)
            .ok_or_else(|| StoreError::config("the URL's `prefix` is not percent-encoded text"))
    }

    /// Reads a URL; see [`RedisStore::connect`](crate::RedisStore::connect).
    pub(crate) fn parse(url: &str) -> Result<Self, StoreError> {
        let parts = Parts::of(url)?;
        if parts.tls {
            choose_cryptography();
        }
        parts
            .target()
            .map_err(|error| StoreError::from(Failure::not_sent(error)))
    }

    /// Opens it; a server or a Sentinel deployment only with the first command.
    pub(crate) async fn open(self, config: &RedisConfig) -> Result<Connection, StoreError> {
        let connector = match self {
            Self::Server(info) => Connector::server(info, config).map_err(Failure::not_sent)?,
            Self::Sentinels(sentinels) => Connector::sentinels(sentinels, config),
            Self::Cluster(seeds) => {
                return Ok(Connection::slots(Slots::find(seeds, config).await?));
            }
        };
        Ok(Connection::kept(connector))
    }

    /// Opens a connection that hands on what servers say unasked.
    pub(crate) async fn open_listening(
        self,
        config: &RedisConfig,
        heard: impl AsyncPushSender,
    ) -> Result<Connection, StoreError> {
        let opened = match self {
            Self::Server(info) => Connector::server(resp3(info), config)
                .map(|connector| Connection::kept(connector.listening(heard))),
            Self::Sentinels(mut sentinels) => {
                sentinels.server = resp3(sentinels.server);
                let connector = Connector::sentinels(sentinels, config);
                Ok(Connection::kept(connector.listening(heard)))
            }
            Self::Cluster(nodes) => {
                let nodes = nodes.into_iter().map(resp3).collect();
                connect_to(cluster(nodes, config).push_sender(heard)).await
            }
        };
        opened.map_err(|error| Failure::not_sent(error).into())
    }
}

/// The driver panics over an encrypted connection unless the process has chosen who does the
/// cryptography. An application that has is not overruled.
fn choose_cryptography() {
    #[cfg(feature = "tls")]
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // It only fails when somebody else has chosen meanwhile.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
}

fn resp3(info: ConnectionInfo) -> ConnectionInfo {
    let settings = info.redis_settings().clone();
    info.set_redis_settings(settings.set_protocol(ProtocolVersion::RESP3))
}

fn cluster(nodes: Vec<ConnectionInfo>, config: &RedisConfig) -> ClusterClientBuilder {
    let response_timeout = config.answer_within();
    ClusterClientBuilder::new(nodes)
        .retries(0)
        .connection_timeout(config.connect_timeout)
        .response_timeout(response_timeout)
        // A call may wait for the driver to find its way in the Cluster again.
        .overall_response_timeout(Some(
            response_timeout.saturating_add(config.connect_timeout),
        ))
        .tcp_settings(tcp_settings())
}

async fn connect_to(cluster: ClusterClientBuilder) -> RedisResult<Connection> {
    let connection = cluster.build()?.get_async_connection().await?;
    Ok(Connection::driver(connection))
}

/// The parts of a URL with one host or several.
struct Parts<'a> {
    tls: bool,
    kind: &'a str,
    user: &'a str,
    hosts: &'a str,
    path: &'a str,
    query: &'a str,
}

impl<'a> Parts<'a> {
    fn of(url: &'a str) -> Result<Self, StoreError> {
        let (scheme, rest) = url.split_once("://").ok_or_else(not_a_url)?;
        let (protocol, kind) = scheme.split_once('+').unwrap_or((scheme, ""));
        let tls = match protocol {
            "redis" | "valkey" => false,
            "rediss" | "valkeys" => true,
            _ => return Err(not_a_url()),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        let (user, hosts) = match authority.rfind('@') {
            Some(at) => authority.split_at(at + 1),
            None => ("", authority),
        };
        let (path, query) = rest.split_at(rest.find(['?', '#']).unwrap_or(rest.len()));
        Ok(Self {
            tls,
            kind,
            user,
            hosts,
            path: path.trim_matches('/'),
            query,
        })
    }

    fn target(&self) -> RedisResult<Target> {
        match self.kind {
            "" => self
                .info(self.user, self.hosts, self.path)
                .map(Target::Server),
            "cluster" => {
                let nodes = self.hosts.split(',');
                let infos = nodes.map(|host| self.info(self.user, host, self.path));
                infos.collect::<RedisResult<_>>().map(Target::Cluster)
            }
            "sentinel" => self.sentinels().map(Target::Sentinels),
            _ => Err(invalid("the URL's scheme is none of those that are known")),
        }
    }

    /// `…/NAME`, `…/NAME/DATABASE`: the Sentinels take no user, unless the query names one.
    fn sentinels(&self) -> RedisResult<Sentinels> {
        let (primary, database) = self.path.split_once('/').unwrap_or((self.path, ""));
        if primary.is_empty() {
            return Err(invalid(
                "the URL of a Sentinel deployment ends with the name of the primary",
            ));
        }
        let user = self.query_user();
        let sentinels = self.hosts.split(',').map(|host| {
            let host = match has_port(host) {
                true => host.to_owned(),
                false => format!("{host}:{SENTINEL_PORT}"),
            };
            self.info(&user, &host, "")
        });
        Ok(Sentinels {
            sentinels: sentinels.collect::<RedisResult<_>>()?,
            primary: primary.to_owned(),
            // The address is replaced by the one that the Sentinels give.
            server: self.info(self.user, "primary", database)?,
            patience: SENTINEL_PATIENCE,
        })
    }

    /// `sentinel_user` and `sentinel_password` of the query, in front of a host.
    fn query_user(&self) -> String {
        match (
            self.query_value("sentinel_user"),
            self.query_value("sentinel_password"),
        ) {
            (None, None) => String::new(),
            (user, password) => format!(
                "{}:{}@",
                user.unwrap_or_default(),
                password.unwrap_or_default()
            ),
        }
    }

    fn query_value(&self, name: &str) -> Option<&'a str> {
        let pairs = self.query.trim_start_matches('?').split(['&', '#']);
        pairs
            .filter_map(|pair| pair.split_once('='))
            .find_map(|(key, value)| (key == name).then_some(value))
    }

    /// What the driver makes of a URL with this one host.
    fn info(&self, user: &str, host: &str, path: &str) -> RedisResult<ConnectionInfo> {
        let scheme = if self.tls { "rediss" } else { "redis" };
        format!("{scheme}://{user}{host}/{path}{}", self.query)
            .into_connection_info()
            .map(|info| info.set_tcp_settings(tcp_settings()))
    }
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

fn has_port(host: &str) -> bool {
    host.rsplit_once(':')
        .is_some_and(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()))
}

fn invalid(what: &'static str) -> redis::RedisError {
    (redis::ErrorKind::InvalidClientConfig, what).into()
}

fn not_a_url() -> StoreError {
    StoreError::config(
        "not a URL of redis://, rediss://, redis+cluster:// or redis+sentinel://HOSTS/NAME",
    )
}

#[cfg(test)]
mod tests {
    use redis::ConnectionAddr;

    use super::*;

    fn address(info: &ConnectionInfo) -> String {
        info.addr().to_string()
    }

    #[test]
    fn one_server() {
        let Ok(Target::Server(info)) = Target::parse("redis://app:s%40ap@cache:7000/3") else {
            panic!("not one server");
        };
        assert_eq!(address(&info), "cache:7000");
        assert_eq!(info.redis_settings().username(), Some("app"));
        assert_eq!(info.redis_settings().password(), Some("s@ap"));
        assert_eq!(info.redis_settings().db(), 3);
    }

    #[test]
    fn a_cluster() {
        let url = "redis+cluster://:pw@[::1]:7000,b:7001,c?protocol=resp3";
        let Ok(Target::Cluster(nodes)) = Target::parse(url) else {
            panic!("not a cluster");
        };
        let addresses: Vec<_> = nodes.iter().map(address).collect();
        assert_eq!(addresses, ["::1:7000", "b:7001", "c:6379"]);
        let protocols: Vec<_> = nodes
            .iter()
            .map(|node| node.redis_settings().protocol())
            .collect();
        assert_eq!(protocols, [ProtocolVersion::RESP3; 3]);
        assert_eq!(nodes[2].redis_settings().password(), Some("pw"));
    }

    #[test]
    fn a_sentinel_deployment() {
        let url = "redis+sentinel://app:pw@a:1,b/main/2?sentinel_password=spw";
        let Ok(Target::Sentinels(sentinels)) = Target::parse(url) else {
            panic!("not a sentinel deployment");
        };
        let addresses: Vec<_> = sentinels.sentinels.iter().map(address).collect();
        assert_eq!(addresses, ["a:1", "b:26379"]);
        assert_eq!(sentinels.primary, "main");
        let asked = sentinels.sentinels[0].redis_settings();
        assert_eq!((asked.username(), asked.password()), (None, Some("spw")));
        let server = sentinels.server.redis_settings();
        assert_eq!((server.username(), server.db()), (Some("app"), 2));
    }

    #[test]
    fn encryption_is_by_the_scheme() {
        let parsed = Target::parse("rediss+cluster://a:1,b:2");
        if cfg!(feature = "tls") {
            let Ok(Target::Cluster(nodes)) = parsed else {
                panic!("not a cluster");
            };
            assert!(matches!(nodes[1].addr(), ConnectionAddr::TcpTls { .. }));
        } else {
            let error = parsed.unwrap_err();
            assert_eq!(error.kind(), idem_core::store::StoreErrorKind::Config);
        }
    }

    #[test]
    fn what_is_no_url_is_refused_without_showing_it() {
        for url in [
            "",
            "localhost:6379",
            "http://a",
            "redis+ring://a",
            "redis+sentinel://a:1",
            "redis://a/not-a-number",
        ] {
            let error = Target::parse(url).unwrap_err();
            assert_eq!(
                error.kind(),
                idem_core::store::StoreErrorKind::Config,
                "{url}"
            );
        }
        let error = Target::parse("redis://app:secret@a:notaport/").unwrap_err();
        let source = std::error::Error::source(&error).map(ToString::to_string);
        assert!(!format!("{error} {source:?}").contains("secret"));
    }
}
