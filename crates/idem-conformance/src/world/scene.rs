//! [`Scene`]: a world while it runs.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use idem_core::{
    Fingerprint, Idempotency, OnAbandoned, Policy, ProbeResult, Prober, Resolution, spi::Spawner,
    store::Store,
};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::time::{Instant, sleep, sleep_until};

use super::{
    Abandoned, ClientPlan, Failure, Outage, Plan, Trouble, client,
    failure::Timeline,
    key::{Key, KeyBooks},
    prober::Truthful,
    process::Process,
    verdict,
};
use crate::{CallFault, FaultStore};

/// What a run came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// Faults that struck, by [`CallFault::name`], and `crash`, `pause` and `clock-jump`.
    pub faults: BTreeMap<&'static str, u64>,
    /// What probers said: `committed`, `not committed`, `unknown`.
    pub verdicts: BTreeMap<&'static str, u64>,
    /// Calls in the histories that were checked.
    pub calls: usize,
    /// Whether a history had too many orders to try: neither explained nor refuted.
    pub undecided: bool,
    /// How often the effect happened.
    pub effects: usize,
    /// Confirmed answers that clients got.
    pub answers: usize,
}

/// A world while it runs; clones share it.
#[derive(Clone)]
pub(super) struct Scene {
    pub(super) shared: Arc<World>,
}

pub(super) struct World {
    pub(super) plan: Plan,
    pub(super) began: Instant,
    pub(super) keys: Vec<Key>,
    /// The store itself, without faults.
    pub(super) store: Arc<dyn Store>,
    /// The store as everybody reaches it, in an outage or not.
    reach: FaultStore<dyn Store>,
    pub(super) books: Mutex<Books>,
    servers: Mutex<Vec<Server>>,
    executions: AtomicU64,
    doubts: Mutex<StdRng>,
    calm: AtomicBool,
}

/// What is written down in a run.
#[derive(Default)]
pub(super) struct Books {
    pub(super) timeline: Timeline,
    pub(super) faults: BTreeMap<&'static str, u64>,
    pub(super) verdicts: BTreeMap<&'static str, u64>,
    /// As [`World::keys`].
    pub(super) keys: Vec<KeyBooks>,
}

/// A process that serves, its engine, and its connection to the store.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) name: String,
    pub(super) process: Process,
    pub(super) engine: Idempotency,
    pub(super) network: FaultStore<dyn Store>,
}

/// Longer than a plan lasts.
pub(super) const RETENTION: Duration = Duration::from_secs(3600);

/// Longer than anything of a plan goes on by itself.
const AFTERMATH: Duration = Duration::from_secs(60);

impl Scene {
    pub(super) fn new(plan: Plan, store: Arc<dyn Store>, with_timeline: bool) -> Self {
        let began = Instant::now();
        let keys = Key::some(plan.keys, began);
        let scene = Self {
            shared: Arc::new(World {
                reach: FaultStore::over(Arc::clone(&store)),
                began,
                store,
                books: Mutex::new(Books {
                    timeline: Timeline::new(with_timeline),
                    keys: keys.iter().map(|_| KeyBooks::default()).collect(),
                    ..Books::default()
                }),
                keys,
                servers: Mutex::default(),
                executions: AtomicU64::new(0),
                doubts: Mutex::new(StdRng::seed_from_u64(plan.seed.rotate_left(32))),
                calm: AtomicBool::new(false),
                plan,
            }),
        };
        for number in 0..scene.shared.plan.processes {
            let process = Process::start(number, &scene.shared.plan.interruptions);
            let server = scene.serve(number, 0, process);
            scene.servers().push(server);
        }
        scene
    }

    pub(super) async fn play(self) -> Result<Summary, Failure> {
        for number in 0..self.shared.plan.processes {
            tokio::spawn(self.clone().supervise(number));
        }
        for outage in self.shared.plan.outages.clone() {
            tokio::spawn(self.clone().suffer(outage));
        }
        let clients = 0..self.shared.plan.clients.len();
        join_all(clients.map(|number| client::ask(self.clone(), number))).await;
        self.calm_down().await;
        verdict::judge(&self).await
    }

    /// Ends all faults, and waits until nothing goes on by itself.
    async fn calm_down(&self) {
        self.note("world", || "all faults are over".to_owned());
        self.shared.reach.heal();
        for server in self.servers().iter() {
            server.network.heal();
        }
        self.shared.calm.store(true, Ordering::SeqCst);
        sleep(AFTERMATH).await;
        let servers = self.servers().clone();
        for server in &servers {
            self.note_news(server);
            self.books().count(&server.network);
        }
        let mut books = self.books();
        books.count(&self.shared.reach);
    }

    /// Starts a process again when it crashed.
    async fn supervise(self, number: usize) {
        for life in 1_u64.. {
            let crashed = self.servers()[number].clone();
            let down = crashed.process.crashed().await;
            self.note_news(&crashed);
            self.books().count(&crashed.network);
            sleep(down).await;
            let server = self.serve(number, life, crashed.process.restart());
            self.note(&server.name, || "starts".to_owned());
            self.servers()[number] = server;
        }
    }

    async fn suffer(self, outage: Outage) {
        sleep_until(self.shared.began + outage.at).await;
        self.note("store", || {
            format!("is out of reach for {:?}", outage.lasts)
        });
        self.shared.reach.on_every_call(CallFault::Refuse);
        sleep(outage.lasts).await;
        self.shared.reach.heal();
        self.note("store", || "is back".to_owned());
    }

    fn serve(&self, number: usize, life: u64, process: Process) -> Server {
        let plan = &self.shared.plan;
        let seed = plan.seed ^ (life << 32) ^ ((number as u64 + 1) << 48);
        let network = FaultStore::over(Arc::new(self.shared.reach.clone()) as Arc<dyn Store>);
        network.at_random(plan.odds, seed);
        let spawning = process.clone();
        let (clock, began) = (process.clone(), self.shared.began);
        let engine = Idempotency::builder(network.clone())
            .policy(self.policy())
            .spawner(Spawner::new(move |task| spawning.spawn(task)))
            .wall_clock(move || clock.wall_clock(began.elapsed()))
            .seed(seed)
            .build()
            .expect("a plan's policy can work");
        Server {
            name: format!("process {number}"),
            process,
            engine,
            network,
        }
    }

    pub(super) fn policy(&self) -> Policy {
        Policy::default()
            .lease(self.shared.plan.lease)
            .retention(RETENTION)
            .call_timeout(Duration::from_millis(300).min(self.shared.plan.lease / 3))
            .retry_budget(Duration::from_millis(500))
            .on_abandoned(match self.shared.plan.abandoned {
                Abandoned::Reclaim => OnAbandoned::Reclaim,
                Abandoned::Halt => OnAbandoned::Halt,
                Abandoned::Probe => OnAbandoned::Probe(Truthful::of(self) as Arc<dyn Prober>),
            })
    }

    /// An engine that reaches the store itself.
    pub(super) fn faultless(&self, seed: u64) -> Idempotency {
        Idempotency::builder(Arc::clone(&self.shared.store))
            .policy(self.policy())
            .seed(seed)
            .build()
            .expect("a plan's policy can work")
    }

    /// The server with this number, unless it is down.
    pub(super) fn server(&self, number: usize) -> Option<Server> {
        let server = self.servers()[number].clone();
        server.process.is_up().then_some(server)
    }

    /// The number of a client's key.
    pub(super) fn key_of(&self, client: &ClientPlan) -> usize {
        client.key % self.shared.keys.len()
    }

    pub(super) fn next_execution(&self) -> u64 {
        self.shared.executions.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// The last one that was named.
    pub(super) fn latest_execution(&self) -> u64 {
        self.shared.executions.load(Ordering::SeqCst)
    }

    /// Whether a prober cannot tell this time; when all faults are over it always can.
    pub(super) fn doubts(&self) -> bool {
        let doubts = &self.shared.doubts;
        let mut rng = doubts.lock().unwrap_or_else(PoisonError::into_inner);
        !self.shared.calm.load(Ordering::SeqCst) && rng.random_bool(self.shared.plan.doubts)
    }

    pub(super) fn note(&self, who: &str, what: impl FnOnce() -> String) {
        let at = self.shared.began.elapsed();
        self.books().timeline.note(at, who, what);
    }

    /// Notes what happened to a process, too, which cannot speak for itself.
    pub(super) fn note_news(&self, server: &Server) {
        for (when, trouble) in server.process.news() {
            let at = when.duration_since(self.shared.began);
            let mut books = self.books();
            let (kind, what) = match trouble {
                Trouble::Crash(down) => ("crash", format!("CRASHES, for {down:?}")),
                Trouble::Pause(lasts) => ("pause", format!("STANDS STILL, for {lasts:?}")),
                Trouble::ClockJump(by) => ("clock-jump", format!("ITS CLOCK JUMPS, by {by} ms")),
            };
            *books.faults.entry(kind).or_default() += 1;
            books.timeline.note(at, &server.name, || what);
        }
    }

    pub(super) fn books(&self) -> MutexGuard<'_, Books> {
        self.shared
            .books
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn servers(&self) -> MutexGuard<'_, Vec<Server>> {
        self.shared
            .servers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Books {
    fn count(&mut self, network: &FaultStore<dyn Store>) {
        for (kind, times) in network.struck() {
            *self.faults.entry(kind).or_default() += times;
        }
    }

    pub(super) fn probed(&mut self, found: &ProbeResult) {
        let name = found.resolution().map_or("unknown", Resolution::name);
        *self.verdicts.entry(name).or_default() += 1;
    }
}

/// What the number of a request stands for.
pub(super) fn fingerprint(request: u8) -> Fingerprint {
    Fingerprint::of("world/v1", &[request])
}
