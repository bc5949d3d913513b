//! Calls whose row somebody's open transaction holds, or may hold: each waits alone, on a connection
//! of its own, and holds up nobody else.

use std::{sync::Arc, time::Duration};

use tokio::runtime::Handle;

use super::{
    MAX_RACES,
    job::{Group, Reply, has_raced, raced},
    kind::Kind,
    lane::statement,
    under_way::UnderWay,
};
use crate::{call::Argument, error::Stage, rows::answer};

/// Sends the one group of `alone` by itself, waiting for its row as long as the configuration says.
pub(super) fn start(mut alone: UnderWay) {
    alone.kind = alone.kind.thorough();
    metrics::counter!("idem_postgres_detours_total").increment(1);
    // Called by a lane alone, which runs on a runtime.
    if let Ok(runtime) = Handle::try_current() {
        runtime.spawn(run(alone));
    }
}

async fn run(mut alone: UnderWay) {
    let reply = ask(&alone).await;
    let Some(group) = alone.groups.pop() else {
        return;
    };
    alone.release(vec![group.settle(alone.kind, reply)]);
}

async fn ask(alone: &UnderWay) -> Reply {
    let sessions = &alone.shared.sessions;
    let mut connection = sessions.own().spare().await?;
    for _ in 0..MAX_RACES {
        let (sql, arguments) = waiting(alone, sessions.config().lock_timeout);
        let sent = sessions.send(&mut connection, sql, &arguments).await;
        let rows = sent.map_err(|failure| failure.into_store_error(Stage::Sent))?;
        let reply = rows.first().map(|row| answer(row).1).transpose();
        if !has_to_ask_again(alone, &reply) {
            return reply;
        }
    }
    Err(raced())
}

/// The statement that waits for the row, and its arguments.
fn waiting(alone: &UnderWay, timeout: Duration) -> (&Arc<str>, Vec<Argument<'_>>) {
    let (sql, mut arguments) = statement(alone, timeout);
    match alone.kind {
        Kind::Get => {
            arguments.push(Argument::lock_timeout(timeout));
            (&alone.shared.sessions.sql().get_decided, arguments)
        }
        _ => (sql, arguments),
    }
}

/// Whether the statement is older than what it met: its answer is about the row before.
fn has_to_ask_again(alone: &UnderWay, reply: &Reply) -> bool {
    let undecided = |group: &Group| group.is_undecided(alone.kind, reply);
    has_raced(alone.kind, reply) || alone.groups.iter().any(undecided)
}
