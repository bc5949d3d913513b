//! G1 to G8 in simulated schedules.

use std::{collections::BTreeMap, time::Duration};

use idem_conformance::{
    Odds,
    world::{
        Abandoned, Answers, Arrival, ClientPlan, Ending, Interruption, Plan, Summary, Trouble,
        WorkPlan, run,
    },
};
use proptest::test_runner::{Config, TestRunner};

use super::strategy::plans;

/// Schedules per test; there are three, and `IDEM_SCHEDULES` asks for more, or fewer.
fn schedules() -> u32 {
    let asked = std::env::var("IDEM_SCHEDULES").ok();
    asked.map_or(5_000, |asked| asked.parse().expect("a number of schedules"))
}

/// Where output is captured, a line for people has to go around the test harness.
fn tell(line: &str) {
    use std::io::Write as _;
    // Nobody may be there to read it.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// What many runs came to.
#[derive(Debug, Default)]
struct Account {
    schedules: u64,
    undecided: u64,
    calls: usize,
    effects: usize,
    answers: usize,
    faults: BTreeMap<&'static str, u64>,
    verdicts: BTreeMap<&'static str, u64>,
}

impl Account {
    fn add(&mut self, summary: Summary) {
        self.schedules += 1;
        self.undecided += u64::from(summary.undecided);
        self.calls += summary.calls;
        self.effects += summary.effects;
        self.answers += summary.answers;
        for (kind, times) in summary.faults {
            *self.faults.entry(kind).or_default() += times;
        }
        for (verdict, times) in summary.verdicts {
            *self.verdicts.entry(verdict).or_default() += times;
        }
    }
}

fn explore(abandoned: Abandoned) {
    let mut runner = TestRunner::new(Config {
        cases: schedules(),
        source_file: Some(file!()),
        ..Config::default()
    });
    let account = std::cell::RefCell::new(Account::default());
    let explored = runner.run(&plans(abandoned), |plan| {
        let summary = run(&plan)
            .map_err(|failure| proptest::test_runner::TestCaseError::fail(failure.to_string()))?;
        account.borrow_mut().add(summary);
        Ok(())
    });
    if let Err(failure) = explored {
        panic!("{failure}");
    }
    let account = account.into_inner();
    tell(&format!(
        "{} simulated schedules under {abandoned:?}, 0 violations: {account:?}",
        account.schedules
    ));
    let kinds = account.faults.len();
    let verdicts = match abandoned {
        Abandoned::Reclaim | Abandoned::Halt => 0,
        Abandoned::Probe => 3,
    };
    assert!(
        account.verdicts.len() == verdicts || account.schedules < 1000,
        "every verdict of a prober: {account:?}"
    );
    assert!(
        kinds == 12 || account.schedules < 1000,
        "every kind of fault: {account:?}"
    );
    assert!(account.undecided * 1000 <= account.schedules, "{account:?}");
}

#[test]
fn the_promises_are_kept_under_reclaim() {
    explore(Abandoned::Reclaim);
}

#[test]
fn the_promises_are_kept_under_halt() {
    explore(Abandoned::Halt);
}

#[test]
fn the_promises_are_kept_under_probe() {
    explore(Abandoned::Probe);
}

/// Two clients, two processes, no fault but what is added.
fn plain() -> Plan {
    let client = |arrives, arrival| ClientPlan {
        arrives: Duration::from_millis(arrives),
        key: 0,
        request: 0,
        patience: Duration::from_secs(2),
        tries: 10,
        arrival,
        waits: None,
        work: WorkPlan {
            before: Duration::from_millis(700),
            after: Duration::from_millis(700),
            checkpoint: true,
            ending: Ending::Complete,
        },
    };
    Plan {
        seed: 1,
        processes: 2,
        keys: 1,
        clients: vec![client(0, Arrival::Claim), client(500, Arrival::Execute)],
        interruptions: Vec::new(),
        outages: Vec::new(),
        odds: Odds::NONE,
        store_clock_rate: 1.0,
        lease: Duration::from_secs(1),
        abandoned: Abandoned::Reclaim,
        doubts: 0.0,
        answers: Answers::Numbers,
    }
}

#[test]
fn a_world_without_faults_has_one_effect_and_answers_everybody() {
    let summary = run(&plain()).unwrap();
    assert_eq!((summary.effects, summary.answers), (1, 2), "{summary:?}");
    assert_eq!(summary.faults, BTreeMap::new());
}

/// Every await of every task of a process, by the number of its poll.
#[test]
fn a_crash_or_a_pause_at_any_await_breaks_no_promise() {
    for abandoned in [Abandoned::Reclaim, Abandoned::Halt, Abandoned::Probe] {
        for trouble in [
            Trouble::Crash(Duration::from_millis(300)),
            Trouble::Pause(Duration::from_millis(1500)),
        ] {
            let mut struck = 0;
            for at_poll in 1.. {
                let interruptions = (0..2).map(|process| Interruption {
                    process,
                    at_poll,
                    trouble,
                });
                let plan = Plan {
                    interruptions: interruptions.collect(),
                    abandoned,
                    ..plain()
                };
                let summary = run(&plan).unwrap();
                if summary.faults.is_empty() {
                    break;
                }
                struck += 1;
            }
            assert!(struck >= 10, "{trouble:?} struck at {struck} polls");
        }
    }
}

/// Nothing is decided by a worker's wall clock: where clocks jump, the run is the one in which they
/// do not.
#[test]
fn clocks_that_jump_change_nothing() {
    let mut jumped = 0;
    for seed in 0..2000 {
        let plan = Plan::from_seed(seed);
        let mut steady = plan.clone();
        steady
            .interruptions
            .retain(|interruption| !matches!(interruption.trouble, Trouble::ClockJump(_)));
        let mut summary = run(&plan).unwrap();
        jumped += summary.faults.remove("clock-jump").unwrap_or(0);
        assert_eq!(summary, run(&steady).unwrap(), "seed {seed}");
    }
    assert!(jumped >= 500, "only {jumped} clocks jumped");
}

#[test]
fn one_plan_gives_one_run() {
    for seed in 0..50 {
        let plan = Plan::from_seed(seed);
        assert_eq!(run(&plan), run(&plan), "seed {seed}");
    }
}
