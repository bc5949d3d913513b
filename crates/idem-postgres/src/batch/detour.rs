//! Calls whose row somebody's open transaction holds, or may hold: each waits alone, on a connection
//! of its own, and holds up nobody else.

use std::{sync::Arc, time::Duration};

use idem_core::store::StoreError;
use idem_sql::{
    Stage,
    batch::{Group, Kind as _, Reply, UnderWay},
};
use tokio::runtime::Handle;

use super::{MAX_RACES, kind::Kind, lane::statement};
use crate::{call::Argument, rows::answer, session::Sessions};

/// Sends the one group of `alone` by itself, waiting for its row as long as the configuration says.
pub(super) fn start(mut alone: UnderWay<Sessions>) {
    alone.change_kinds(Kind::thorough);
    metrics::counter!("idem_postgres_detours_total").increment(1);
    // Called by a lane alone, which runs on a runtime.
    if let Ok(runtime) = Handle::try_current() {
        runtime.spawn(async move {
            let reply = ask(&alone).await;
            alone.settle([reply]);
        });
    }
}

async fn ask(alone: &UnderWay<Sessions>) -> Reply {
    let sessions = alone.lanes();
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
    Err(StoreError::unavailable(
        "the call raced with others without end",
    ))
}

/// The statement that waits for the row, and its arguments.
fn waiting(alone: &UnderWay<Sessions>, timeout: Duration) -> (&Arc<str>, Vec<Argument<'_>>) {
    let (sql, mut arguments) = statement(alone, timeout);
    match alone.groups() {
        [group] if group.kind() == Kind::Get => {
            arguments.push(Argument::lock_timeout(timeout));
            (&alone.lanes().sql().get_decided, arguments)
        }
        _ => (sql, arguments),
    }
}

/// Whether the statement is older than what it met: its answer is about the row before.
fn has_to_ask_again(alone: &UnderWay<Sessions>, reply: &Reply) -> bool {
    let again = |group: &Group<Kind>| {
        group.kind().has_raced(reply) || super::lane::is_undecided(group, reply)
    };
    alone.groups().iter().any(again)
}
