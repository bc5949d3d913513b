//! A simulated world: clients that retry, processes that crash and pause and whose clocks jump, and
//! a store that loses, delays and repeats calls, all on virtual time and from one [`Plan`].
//!
//! It alone catches a promise of the engine that breaks only when several things go wrong together.
//!
//! It does not run over a store behind a server: hours pass here in milliseconds, and a server's
//! clock, which ages and expiry are measured by, cannot be advanced. There the suite's groups `time`
//! and `faults` run in real time, and `idem-torture` loads real servers under real faults.
//!
//! The engine is the real one. Nothing sleeps: hours pass in milliseconds, on tokio's paused clock
//! and one thread, so that a plan always runs the same way. After a run the world checks what was
//! promised:
//!
//! - every answer that anybody got is explained by one linear history of its key (G1 to G5), see
//!   [`Executions`](crate::history::Executions), so that nothing of one key shows under another;
//! - confirmed answers are byte for byte the same;
//! - under `Halt`, resolved by an operator in the end, and under `Probe` with a prober that tells
//!   the truth where it can, the number of effects is the number of winning completions;
//! - when all faults are over, no key is stuck;
//! - past its retention each key is as new, and of two who come then one wins (G2, S1, S5).
//!
//! ```
//! use idem_conformance::world::{Plan, run};
//!
//! let summary = run(&Plan::from_seed(7)).expect("the promises are kept");
//! assert!(summary.calls > 0);
//! ```

mod client;
mod expired;
mod failure;
mod handler;
mod key;
mod plan;
mod prober;
mod process;
mod scene;
mod store;
mod verdict;

pub use failure::Failure;
pub use plan::{
    Abandoned, Answers, Arrival, ClientPlan, Ending, Interruption, Outage, Plan, Trouble, WorkPlan,
};
pub use scene::Summary;
pub use store::VirtualStore;

use std::sync::Arc;

use idem_core::store::Store;
use tokio::{runtime::Builder, time::Instant};

use scene::Scene;

/// Runs a plan over a [`VirtualStore`] with a clock of its own.
///
/// # Errors
/// [`Failure`] when a promise is broken: which, and the timeline of the run.
pub fn run(plan: &Plan) -> Result<Summary, Failure> {
    let store = |began| Arc::new(VirtualStore::new(began, plan.store_clock_rate)) as Arc<dyn Store>;
    run_over(plan, store)
}

/// Runs a plan over another store, which is made for the run and must take its time from tokio.
/// The plan's [`store_clock_rate`](Plan::store_clock_rate) has to be 1.
///
/// # Errors
/// As [`run`].
pub fn run_over(
    plan: &Plan,
    store: impl Fn(Instant) -> Arc<dyn Store>,
) -> Result<Summary, Failure> {
    run_once(plan, &store, false).map_err(|silent| {
        // The run is the same every time: once more, with a timeline.
        run_once(plan, &store, true).err().unwrap_or(silent)
    })
}

fn run_once(
    plan: &Plan,
    store: &impl Fn(Instant) -> Arc<dyn Store>,
    with_timeline: bool,
) -> Result<Summary, Failure> {
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without I/O takes nothing from the system that can be missing");
    runtime.block_on(async {
        let scene = Scene::new(plan.clone(), store(Instant::now()), with_timeline);
        scene.play().await
    })
}
