//! [`Plan`]: all that happens in a world, drawn before it begins.

use std::time::Duration;

use bytes::Bytes;
use rand::{RngExt, SeedableRng, rngs::StdRng};

use crate::Odds;

/// All that happens in a world. One plan gives one run.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// What is not said below is drawn from this: which call is hit by which fault, tokens, jitter.
    pub seed: u64,
    /// How many processes serve, each with an engine and a connection of its own.
    pub processes: usize,
    /// How many keys there are, [`KEYS`](Self::KEYS) at most. All look alike.
    pub keys: usize,
    /// Who wants what.
    pub clients: Vec<ClientPlan>,
    /// Crashes, pauses, and jumps of clocks.
    pub interruptions: Vec<Interruption>,
    /// When the store is out of reach of everybody.
    pub outages: Vec<Outage>,
    /// What happens to store calls.
    pub odds: Odds,
    /// How fast the store's clock runs beside everybody else's; 1 for as fast.
    pub store_clock_rate: f64,
    /// How long a holder is trusted, by the store's clock.
    pub lease: Duration,
    /// What becomes of abandoned keys.
    pub abandoned: Abandoned,
    /// How often a prober cannot tell, between 0 and 1.
    pub doubts: f64,
    /// What executions that succeed answer.
    pub answers: Answers,
}

/// What executions that succeed answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answers {
    /// Their number, so that one is told from the other.
    Numbers,
    /// JSON's `null`, which some take for no answer at all.
    Null,
}

impl Answers {
    pub(super) fn value(self, execution: u64) -> Option<String> {
        match self {
            Self::Numbers => Some(execution.to_string()),
            Self::Null => None,
        }
    }

    /// As the engine writes it.
    pub(super) fn payload(self, execution: u64) -> Bytes {
        json(self.value(execution).as_deref())
    }
}

/// A value as the engine writes it.
pub(super) fn json(value: Option<&str>) -> Bytes {
    value.map_or_else(|| "null".into(), |value| format!("\"{value}\"").into())
}

/// What becomes of a key whose holder vanished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Abandoned {
    /// It runs again.
    Reclaim,
    /// It is halted. When all is over, an operator looks into it and resolves it.
    Halt,
    /// A prober is asked, who tells the truth unless it cannot tell.
    Probe,
}

/// One client, with one request, until it has an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientPlan {
    /// When it comes.
    pub arrives: Duration,
    /// Under which key; counted round when there are fewer.
    pub key: usize,
    /// Which request it sends: another number is another request under the same key.
    pub request: u8,
    /// How long it waits for an answer before it asks again.
    pub patience: Duration,
    /// How often it asks.
    pub tries: u8,
    /// How its calls arrive at the engine.
    pub arrival: Arrival,
    /// How long a claim waits while the key is busy.
    pub waits: Option<Duration>,
    /// What running it takes.
    pub work: WorkPlan,
}

/// How a call arrives at the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// `claim`, `run`, and an ending.
    Claim,
    /// `execute`.
    Execute,
}

/// What running a request takes.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkPlan {
    /// Time before its effect.
    pub before: Duration,
    /// Time after its effect.
    pub after: Duration,
    /// Whether it leaves a checkpoint before its effect.
    pub checkpoint: bool,
    /// How it ends.
    pub ending: Ending,
}

/// How work ends. Those without effect are tried a few times; then the work completes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// With an effect and an answer.
    Complete,
    /// With an effect and a failure.
    Fail,
    /// Without effect, to be tried again.
    Retry,
    /// Without effect, and the key is free for any request.
    Release,
    /// With an effect and a panic.
    Panic,
    /// With an effect and no ending: a bug in the worker.
    Vanish,
}

/// Something that happens to a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interruption {
    /// To which process.
    pub process: usize,
    /// When the tasks of the process were polled so often: any await can be hit.
    pub at_poll: u32,
    /// What happens.
    pub trouble: Trouble,
}

/// What can happen to a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// It dies, and comes back empty after so long.
    Crash(Duration),
    /// It stands still for so long.
    Pause(Duration),
    /// Its wall clock is set forward by so many milliseconds, or back when there are less than
    /// none. A crash leaves the clock as it is.
    ClockJump(i64),
}

/// A time in which the store is out of reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outage {
    /// When it begins.
    pub at: Duration,
    /// How long it lasts.
    pub lasts: Duration,
}

impl Plan {
    /// The greatest number of keys.
    pub const KEYS: usize = 4;

    /// Draws a plan.
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let processes = rng.random_range(1..=3);
        let keys = [1, 1, 2, 3, 4][rng.random_range(0..5)];
        let clients = rng.random_range(1..=3 + keys);
        let interruptions = rng.random_range(0..=3);
        let outages = rng.random_range(0..=1);
        let mut plan = Self {
            seed,
            processes,
            keys,
            clients: (0..clients).map(|_| ClientPlan::draw(&mut rng)).collect(),
            interruptions: (0..interruptions)
                .map(|_| Interruption::draw(&mut rng, processes))
                .collect(),
            outages: (0..outages).map(|_| Outage::draw(&mut rng)).collect(),
            odds: Odds::even(
                [0.0, 0.1, 0.3, 0.6][rng.random_range(0..4)],
                millis(&mut rng, 2000),
            ),
            store_clock_rate: [0.5, 1.0, 1.0, 2.0][rng.random_range(0..4)],
            lease: Duration::from_millis(rng.random_range(300..2000)),
            abandoned: match rng.random_range(0..4) {
                0 => Abandoned::Halt,
                1 => Abandoned::Probe,
                _ => Abandoned::Reclaim,
            },
            doubts: [0.0, 0.3][rng.random_range(0..2)],
            answers: Answers::Numbers,
        };
        let jumps = rng.random_range(0..=3);
        let jumps = (0..jumps).map(|_| Interruption::jump(&mut rng, processes));
        plan.interruptions.extend(jumps);
        if rng.random_bool(0.1) {
            plan.answers = Answers::Null;
        }
        plan
    }
}

impl ClientPlan {
    fn draw(rng: &mut StdRng) -> Self {
        Self {
            arrives: millis(rng, 3000),
            key: rng.random_range(0..Plan::KEYS),
            request: u8::from(rng.random_bool(0.1)),
            patience: Duration::from_millis(50) + millis(rng, 3000),
            tries: rng.random_range(1..=5),
            arrival: match rng.random_bool(0.5) {
                true => Arrival::Claim,
                false => Arrival::Execute,
            },
            waits: rng.random_bool(0.3).then(|| millis(rng, 2000)),
            work: WorkPlan {
                before: millis(rng, 1500),
                after: millis(rng, 1500),
                checkpoint: rng.random_bool(0.3),
                ending: match rng.random_range(0..12) {
                    0 => Ending::Fail,
                    1 => Ending::Retry,
                    2 | 3 => Ending::Release,
                    4 => Ending::Panic,
                    5 => Ending::Vanish,
                    _ => Ending::Complete,
                },
            },
        }
    }
}

impl Interruption {
    fn draw(rng: &mut StdRng, processes: usize) -> Self {
        Self {
            process: rng.random_range(0..processes),
            at_poll: rng.random_range(0..80),
            trouble: match rng.random_bool(0.5) {
                true => Trouble::Crash(millis(rng, 2000)),
                false => Trouble::Pause(millis(rng, 4000)),
            },
        }
    }

    /// By anything from a millisecond to thirty years.
    fn jump(rng: &mut StdRng, processes: usize) -> Self {
        let far = 10_i64.pow(rng.random_range(0..=12));
        Self {
            process: rng.random_range(0..processes),
            at_poll: rng.random_range(0..80),
            trouble: Trouble::ClockJump([far, -far][rng.random_range(0..2)]),
        }
    }
}

impl Outage {
    fn draw(rng: &mut StdRng) -> Self {
        Self {
            at: millis(rng, 4000),
            lasts: millis(rng, 3000),
        }
    }
}

fn millis(rng: &mut StdRng, most: u64) -> Duration {
    Duration::from_millis(rng.random_range(0..most))
}
