//! Starts servers, says where they are, and holds them until it is killed.
//!
//! For trying things by hand, and for the test of what is left behind when nobody cleans up:
//!
//! ```text
//! hold-servers redis sentinel cluster postgres standby pgbouncer nats rabbitmq moto
//! ```

use std::{any::Any, env, error::Error, io::Write as _, process::ExitCode, thread};

use idem_testbed::{
    Cluster, Moto, Nats, PgBouncer, Postgres, RabbitMq, Redis, Replication, Sentinel,
};
use tokio::runtime::Builder;

/// A server that goes when this is dropped.
type Held = Box<dyn Any>;

fn main() -> ExitCode {
    match hold(env::args().skip(1)) {
        Ok(_held) => loop {
            thread::park();
        },
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn hold(kinds: impl Iterator<Item = String>) -> Result<Vec<Held>, Box<dyn Error>> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let mut held = Vec::new();
    for kind in kinds {
        held.push(runtime.block_on(start(&kind))?);
    }
    say("ready", "")?;
    Ok(held)
}

async fn start(kind: &str) -> Result<Held, Box<dyn Error>> {
    match kind {
        "redis" => {
            let redis = Redis::start().await?;
            say(kind, &redis.url())?;
            Ok(Box::new(redis))
        }
        "sentinel" => {
            let sentinel = Sentinel::start().await?;
            say(kind, &format!("{:?}", sentinel.sentinel_addresses()))?;
            Ok(Box::new(sentinel))
        }
        "cluster" => {
            let cluster = Cluster::start().await?;
            say(kind, &cluster.urls().join(" "))?;
            Ok(Box::new(cluster))
        }
        "postgres" => {
            let postgres = Postgres::start().await?;
            say(kind, &postgres.url())?;
            Ok(Box::new(postgres))
        }
        "standby" => {
            let primary = Postgres::start().await?;
            let standby = primary.add_standby(Replication::Synchronous).await?;
            say(kind, &format!("{} {}", primary.url(), standby.url()))?;
            Ok(Box::new((primary, standby)))
        }
        "pgbouncer" => {
            let postgres = Postgres::start().await?;
            let bouncer = PgBouncer::start(postgres.address()).await?;
            say(kind, &bouncer.url())?;
            Ok(Box::new((postgres, bouncer)))
        }
        "nats" => {
            let nats = Nats::start().await?;
            say(kind, &nats.url())?;
            Ok(Box::new(nats))
        }
        "rabbitmq" => {
            let rabbitmq = RabbitMq::start().await?;
            say(kind, &rabbitmq.url())?;
            Ok(Box::new(rabbitmq))
        }
        "moto" => {
            let moto = Moto::start().await?;
            say(kind, &moto.url())?;
            Ok(Box::new(moto))
        }
        other => Err(format!("`{other}` is no kind of server that is known here").into()),
    }
}

/// Past the buffer: who reads this may kill the process at the next moment.
fn say(what: &str, where_it_is: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{what} {where_it_is}")?;
    out.flush()
}
