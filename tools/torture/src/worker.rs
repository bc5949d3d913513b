//! One of the processes that use idem: engines over the real store, and many clients.

mod assignment;
mod client;
mod control;
mod final_pass;
mod hold;
mod ledger;
mod operator;
mod plan;
mod service;
mod target;
mod typed;

use std::{fs, panic, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};

pub(crate) use assignment::{Assignment, Task};
pub(crate) use control::{Order, Progress, give_order, read_progress};
pub(crate) use ledger::{Entry, Ledger};
pub(crate) use target::Target;

use crate::{event, event::Event, journal::Journal};
use control::Control;
use service::Service;

/// Between two signs of life.
const BEAT: Duration = Duration::from_millis(25);

/// What panics on purpose begin with.
const ON_PURPOSE: &str = "on purpose";

/// Works until it is told to stop, or for as long as it is alive.
pub(crate) fn run(assignment: &Assignment) -> Result<()> {
    let journal = Arc::new(Journal::create(&assignment.history(), assignment.process)?);
    note_panics(Arc::clone(&journal));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start a runtime")?;
    let struck = runtime.block_on(work(assignment, journal))?;
    runtime.shutdown_background();
    fs::write(assignment.struck(), serde_json::to_vec(&struck)?)
        .context("cannot say which faults struck")
}

/// The faults that struck inside of this process, by kind.
type Struck = std::collections::BTreeMap<String, u64>;

async fn work(assignment: &Assignment, journal: Arc<Journal>) -> Result<Struck> {
    tokio::spawn(beat(Arc::clone(&journal)));
    let control = Arc::new(Control::of(assignment)?);
    let Some((stores, inside)) = target::open(assignment, &control).await? else {
        return Ok(Struck::default());
    };
    let services = stores
        .iter()
        .map(|store| Service::new(store, &journal, &control, assignment))
        .collect::<Result<Vec<_>>>()?;
    match assignment.task {
        Task::Serve { clients } => {
            client::serve(&services, clients, assignment.seed, &control).await;
            if inside.is_some() {
                // Nobody else can, afterwards.
                let eras = control.era() + 1;
                final_pass::settle(&services[0], eras, assignment.keys).await;
            }
        }
        Task::Settle { eras } => final_pass::settle(&services[0], eras, assignment.keys).await,
    }
    let mut has_ended = true;
    for service in &services {
        has_ended &= service.drain().await;
    }
    if has_ended {
        journal.write(Event::Drained);
    }
    Ok(inside.map_or_else(Struck::default, |inside| inside.struck()))
}

/// Shows that the process and its runtime are alive.
async fn beat(journal: Arc<Journal>) {
    loop {
        journal.write(Event::Beat);
        tokio::time::sleep(BEAT).await;
    }
}

/// What stands for the payload of a completion with this answer.
pub(crate) fn payload_of(answer: &str) -> event::Digest {
    plan::completed(answer).1
}

/// What stands for the answer that takes the place of one that the store had no room for.
pub(crate) fn fallback() -> event::Digest {
    plan::unstorable().1
}

/// A panic that is not part of the plan is a finding.
fn note_panics(journal: Arc<Journal>) {
    let report = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        let message = panic.payload_as_str().unwrap_or_default();
        if !message.starts_with(ON_PURPOSE) {
            journal.write(Event::Panicked {
                message: event::digest(message.as_bytes()),
            });
            report(panic);
        }
    }));
}
