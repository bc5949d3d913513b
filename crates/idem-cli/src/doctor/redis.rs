//! What is wrong with Redis or Valkey.

use std::collections::BTreeMap;

use idem_redis::{RedisFacts, RedisStore, ServerFacts};

use super::{
    Findings,
    room::{ENOUGH_RECORDS, Room},
};
use crate::{
    cli::{DoctorArgs, Survives},
    place::Place,
    words,
};

pub(crate) async fn findings(place: &Place, args: &DoctorArgs) -> Findings {
    let mut found = Findings::default();
    let facts = match facts(place).await {
        Ok(facts) => facts,
        Err(error) => {
            found.unusable(&error);
            return found;
        }
    };
    for server in &facts.servers {
        role(&mut found, place, server);
        // A Sentinel keeps no records.
        if server.info.get("redis_mode").map(String::as_str) != Some("sentinel") {
            memory(&mut found, server);
            persistence(&mut found, server, args.survives);
            replicas(&mut found, server, args.survives);
        }
        if let Some(ahead) = server.clock_ahead_ms {
            found.clock(ahead);
        }
    }
    found.room(&room(&facts), args);
    namespace(&mut found, &facts);
    // Each node of a Cluster says the same.
    found
        .0
        .sort_by(|one, other| (one.code, &one.what).cmp(&(other.code, &other.what)));
    found
        .0
        .dedup_by(|one, other| one.code == other.code && one.what == other.what);
    found
}

async fn facts(place: &Place) -> Result<RedisFacts, idem_core::store::StoreError> {
    let store = RedisStore::connect_with(&place.url, Place::redis_config()).await?;
    store.inspect().await
}

fn number(fields: &BTreeMap<String, String>, name: &str) -> Option<u64> {
    fields.get(name)?.parse().ok()
}

/// Whether the URL leads to a server that can take part.
fn role(found: &mut Findings, place: &Place, server: &ServerFacts) {
    let scheme = place.url.split(':').next().unwrap_or_default();
    let is_plain = !scheme.contains('+');
    let is = |name, value| server.info.get(name).map(String::as_str) == Some(value);
    if is("redis_mode", "sentinel") {
        found.error(
            "redis-sentinel-url",
            "the URL leads to a Sentinel, which keeps no records",
            "write redis+sentinel://HOST,HOST,HOST/NAME, with all Sentinels and the primary's name",
        );
    } else if is("cluster_enabled", "1") && is_plain {
        found.error(
            "redis-cluster-url",
            "the server is a node of a Cluster, and the URL names it as if it were alone: keys of \
             other nodes are refused",
            "write redis+cluster://HOST,HOST,HOST, with some of the Cluster's nodes",
        );
    } else if is("role", "slave") && is_plain {
        found.error(
            "redis-replica-url",
            "the server is a replica: it takes no writes",
            "name the primary, or all Sentinels in redis+sentinel://HOST,HOST,HOST/NAME",
        );
    } else if server.watched_by_sentinel == Some(true) && is_plain {
        found.warning(
            "redis-behind-sentinel",
            "a Sentinel watches this server, and the URL names the server itself: after a failover \
             it leads to the old primary",
            "write redis+sentinel://HOST,HOST,HOST/NAME, with all Sentinels and the primary's name",
        );
    }
    if server.settings.is_none() || server.info.is_empty() {
        found.note(
            "redis-cannot-ask",
            "this user may not ask for the server's configuration or `INFO`, so not all was checked",
            "run it as an operator, or: ACL SETUSER NAME +info +config|get",
        );
    }
}

fn memory(found: &mut Findings, server: &ServerFacts) {
    let Some(settings) = &server.settings else {
        return;
    };
    let policy = settings.get("maxmemory-policy").map_or("", String::as_str);
    let limit = number(settings, "maxmemory").unwrap_or(0);
    if !policy.is_empty() && policy != "noeviction" {
        found.error(
            "redis-evicts",
            format!(
                "maxmemory-policy is `{policy}`: a full server throws records away, and a request \
                 whose record is gone runs twice"
            ),
            "CONFIG SET maxmemory-policy noeviction, and the same in redis.conf",
        );
    }
    let Some(used) = number(&server.info, "used_memory") else {
        return;
    };
    if limit == 0 {
        found.warning(
            "redis-no-maxmemory",
            "maxmemory is not set: a server that outgrows its host is killed by the system, and \
             does not refuse claims before",
            "CONFIG SET maxmemory to some 60 % of the host's memory, and the same in redis.conf",
        );
    } else if used * 10 >= limit * 8 {
        found.warning(
            "redis-memory-near",
            format!(
                "{} of maxmemory's {} are used; a full server refuses every claim",
                words::size(used),
                words::size(limit)
            ),
            "raise maxmemory, shorten the retention, or store smaller answers",
        );
    }
}

/// The room below `maxmemory`, of all servers.
fn room(facts: &RedisFacts) -> Room {
    let of_one = |server: &ServerFacts| {
        let limit = number(server.settings.as_ref()?, "maxmemory").filter(|limit| *limit > 0)?;
        Some(limit.saturating_sub(number(&server.info, "used_memory")?))
    };
    let a_record = facts.record_bytes.filter(|_| facts.names >= ENOUGH_RECORDS);
    // `db0:keys=17,expires=17,…`, of all databases: names that were not looked at are taken for records.
    let keys = |server: &ServerFacts| {
        let databases = server
            .info
            .iter()
            .filter(|(name, _)| name.starts_with("db"));
        let keys = databases.filter_map(|(_, value)| {
            let keys = value.strip_prefix("keys=")?.split(',').next()?;
            keys.parse::<u64>().ok()
        });
        keys.sum::<u64>()
    };
    let records = match facts.are_all_names {
        true => facts.names,
        false => facts.servers.iter().map(keys).sum(),
    };
    Room {
        taken: a_record.unwrap_or(0).saturating_mul(records),
        a_record,
        left: facts.servers.iter().map(of_one).sum(),
    }
}

fn persistence(found: &mut Findings, server: &ServerFacts, survives: Survives) {
    let Some(settings) = &server.settings else {
        return;
    };
    let is = |name, value| settings.get(name).map(String::as_str) == Some(value);
    let has_log = is("appendonly", "yes");
    let has_snapshots = settings.get("save").is_some_and(|save| !save.is_empty());
    let mend_log = "CONFIG SET appendonly yes, and the same in redis.conf";
    if !has_log && !has_snapshots {
        found.error(
            "redis-no-persistence",
            "nothing is written to the disk: a restart forgets every key, and its requests run again",
            mend_log,
        );
    } else if !has_log {
        found.error(
            "redis-snapshots-only",
            "snapshots are all that is written to the disk: a crash forgets the keys of the last \
             minutes, and their requests run again",
            mend_log,
        );
    } else if is("appendfsync", "no") && survives >= Survives::Power {
        found.error(
            "redis-fsync-no",
            "appendfsync is `no`: a power cut forgets the keys of the last half minute or more",
            "CONFIG SET appendfsync always, and the same in redis.conf",
        );
    } else if is("appendfsync", "everysec") && survives >= Survives::Power {
        found.warning(
            "redis-fsync-everysec",
            "appendfsync is `everysec`: a power cut forgets the keys of up to two seconds",
            "CONFIG SET appendfsync always; or let the application wait for the disk with \
             Durability::Fsynced; --survives process accepts it",
        );
    }
    let failed = |name| server.info.get(name).is_some_and(|status| status != "ok");
    if has_log && failed("aof_last_write_status") {
        found.error(
            "redis-log-fails",
            "the append-only file cannot be written to",
            "look into the server's log; the disk is full, most likely",
        );
    }
    if has_snapshots && failed("rdb_last_bgsave_status") {
        found.error(
            "redis-snapshot-fails",
            "the last snapshot failed; the server refuses all writes meanwhile, unless \
             stop-writes-on-bgsave-error is off",
            "look into the server's log; the disk is full or memory is short, most likely",
        );
    }
}

fn replicas(found: &mut Findings, server: &ServerFacts, survives: Survives) {
    let Some(settings) = &server.settings else {
        return;
    };
    let replicas = number(&server.info, "connected_slaves").unwrap_or(0);
    let wanted = number(settings, "min-replicas-to-write").unwrap_or(0);
    if replicas == 0 && survives >= Survives::Failover {
        found.error(
            "redis-no-replica",
            "the server has no replica: what it knows is lost with it",
            "add a replica, and Sentinels or a Cluster that make it the primary",
        );
    } else if replicas > 0 && wanted == 0 {
        found.warning(
            "redis-min-replicas",
            "a primary that is cut off from its replicas goes on to take claims, and forgets them \
             when another one has taken its place",
            "CONFIG SET min-replicas-to-write 1, and the same in redis.conf; an application that \
             waits with Durability::Replicated is safe as well",
        );
    }
}

fn namespace(found: &mut Findings, facts: &RedisFacts) {
    if facts.foreign_names > 0 {
        found.warning(
            "redis-shared-prefix",
            format!(
                "{} of the {} names under the prefix `{}` that were looked at are no records: \
                 another application uses the prefix",
                facts.foreign_names, facts.names, facts.prefix
            ),
            "give each application a prefix of its own, none the start of another: ?prefix=NAME: in \
             the URL, or RedisConfig::prefix",
        );
    }
}

pub(crate) async fn size(place: &Place) -> Option<u64> {
    let facts = facts(place).await.ok()?;
    let used = facts.servers.iter();
    used.map(|server| number(&server.info, "used_memory")).sum()
}
