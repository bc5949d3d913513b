//! What to do when a worker vanished half-way: one choice per kind of work.

use std::{
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::Result;
use async_trait::async_trait;
use idem::{
    Abandonment, Idempotency, OnAbandoned, Policy, ProbeResult, Prober,
    consumer::{Backoff, Consumer, KeyFrom},
};

use crate::{
    job::Kind,
    records::Records,
    work::booked,
    world::{Booking, World},
};

/// One consumer per kind, over one store. `letters` is what happens to those whose worker vanished;
/// anything but halting prints some of them twice.
pub(crate) struct Consumers {
    payout: Consumer,
    report: Consumer,
    parcel: Consumer,
    letter: Consumer,
    pub(crate) probes: Arc<Probes>,
}

impl Consumers {
    pub(crate) fn start(
        records: &Records,
        world: &World,
        lease: Duration,
        letters: OnAbandoned,
    ) -> Result<Self> {
        let policy = |on_abandoned| {
            Policy::default()
                .lease(lease)
                .on_abandoned(on_abandoned)
                // Workers are dying all night, and it is not the jobs' fault.
                .max_attempts(NonZeroU32::MAX)
        };
        let probes = Arc::new(Probes::default());
        let ask = OnAbandoned::probe(AskTheCourier {
            world: world.clone(),
            probes: Arc::clone(&probes),
        });
        let reclaim = records.engine(policy(OnAbandoned::Reclaim))?;
        Ok(Self {
            report: consumer(&reclaim, Kind::Report)?,
            parcel: consumer(&reclaim.with_policy(policy(ask))?, Kind::Parcel)?,
            letter: consumer(&reclaim.with_policy(policy(letters))?, Kind::Letter)?,
            payout: consumer(&reclaim, Kind::Payout)?,
            probes,
        })
    }

    pub(crate) fn of(&self, kind: Kind) -> &Consumer {
        match kind {
            Kind::Payout => &self.payout,
            Kind::Report => &self.report,
            Kind::Parcel => &self.parcel,
            Kind::Letter => &self.letter,
        }
    }
}

/// A job's number is its key. A night is short, and so are the delays.
fn consumer(engine: &Idempotency, kind: Kind) -> Result<Consumer> {
    let backoff = Backoff::new(Duration::from_millis(5), Duration::from_millis(200));
    let number = KeyFrom::pointer("/number")?;
    let builder = Consumer::builder(engine.clone(), kind.scope()?, number);
    Ok(builder.backoff(backoff).build()?)
}

/// What the courier answered.
#[derive(Default)]
pub(crate) struct Probes {
    pub(crate) booked: AtomicUsize,
    pub(crate) not_booked: AtomicUsize,
}

/// Asks the courier what became of a vanished attempt.
pub(crate) struct AskTheCourier {
    world: World,
    probes: Arc<Probes>,
}

#[async_trait]
impl Prober for AskTheCourier {
    async fn probe(&self, abandoned: &Abandonment) -> ProbeResult {
        let Ok(parcel) = abandoned.key.key().parse() else {
            return ProbeResult::unknown();
        };
        match self.world.courier.find(parcel, abandoned.attempt) {
            Booking::There(number) => match ProbeResult::completed(&booked(number)) {
                Ok(found) => {
                    self.probes.booked.fetch_add(1, Ordering::Relaxed);
                    found
                }
                Err(_) => ProbeResult::unknown(),
            },
            Booking::Never => {
                self.probes.not_booked.fetch_add(1, Ordering::Relaxed);
                ProbeResult::retry()
            }
        }
    }
}
