//! `idem-postgres` over a large table beside a small one, beside its own sweeper, and beside a
//! transaction that does not end.
//!
//! On both sides it is claim and completion with idem. In `ten-million` over a table that holds ten
//! million live rows, and, as the floor, over one that holds ten thousand; `IDEM_BENCH_ROWS` holds
//! fewer. In the others over one table, and the side that is measured does so while a million
//! expired rows are swept from it, or while a transaction holds a key that others ask for.

mod held;

use std::sync::Arc;

use anyhow::Result;

use super::{
    connections,
    world::{Engine, Server},
};
use crate::{
    case::Case,
    suites::sql::{Disturbed, FEW, Full, Swept, Undisturbed, rows},
};
use held::Held;

const MANY: u64 = 10_000_000;
const EXPIRED: u64 = 1_000_000;

pub(crate) async fn cases() -> Result<Vec<Case>> {
    let server = Server::start(connections()?).await?;
    let large = Full::new(Engine::open(&server, "large").await?, rows(MANY)?);
    let small = Full::new(Engine::open(&server, "small").await?, FEW);
    let swept = Engine::open(&server, "swept").await?;
    let swept = Arc::new(Swept::new(swept, EXPIRED));
    let held = Arc::new(Held::new(Engine::open(&server, "held").await?));
    Ok(vec![
        Case::new("ten-million", large, small),
        Case::new("sweeping", Disturbed(swept.clone()), Undisturbed(swept)),
        Case::new("held-key", Disturbed(held.clone()), Undisturbed(held)),
    ])
}
