//! What clients intend, drawn from a seed.

use std::time::Duration;

use bytes::Bytes;
use rand::{RngExt, rngs::StdRng};

use crate::{
    event::{Digest, Ending, Id, digest},
    key::{Class, KeyId, LARGE, LEASE},
};

/// What a client does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Errand {
    /// Claim, and hold what was acquired by hand.
    Claim {
        request: u8,
        waiting: bool,
    },
    /// Claim, run and end in one call.
    Execute {
        request: u8,
        waiting: bool,
    },
    Lookup,
    /// Settle the key by hand, on a hunch: mostly there is nothing to settle.
    Resolve,
}

pub(super) fn errand(rng: &mut StdRng, key: KeyId) -> Errand {
    let request = u8::from(rng.random_bool(0.12));
    let waiting = rng.random_bool(0.15);
    match rng.random_range(0..100) {
        0..3 => Errand::Lookup,
        3..6 if key.class() != Class::Halt => Errand::Resolve,
        3..25 => Errand::Execute { request, waiting },
        _ => Errand::Claim { request, waiting },
    }
}

/// After how long a client goes away, if it does.
pub(super) fn patience(rng: &mut StdRng) -> Option<Duration> {
    rng.random_bool(0.03).then(|| up_to(rng, 25))
}

/// What a holder does between its claim and its ending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Course {
    pub(super) steps: Vec<Step>,
    /// How it ends; without an ending the execution is abandoned.
    pub(super) end: Option<End>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing, unwatched: the lease may run out.
    Idle(Duration),
    /// Something that is renewed meanwhile.
    Run(Duration),
    Renew,
    Checkpoint,
    /// The effect in the ledger, once per course; only halting keys have one.
    Effect,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Complete,
    Fail,
    Retry,
    Release,
}

pub(super) fn course(rng: &mut StdRng, class: Class) -> Course {
    match class {
        Class::Halt => halting(rng),
        class => Course {
            steps: steps(rng),
            end: (!rng.random_bool(0.1)).then(|| end(rng, class)),
        },
    }
}

/// Before its effect an execution may do as it likes. After it, it completes or is abandoned.
fn halting(rng: &mut StdRng) -> Course {
    let mut steps = steps(rng);
    match rng.random_range(0..100) {
        0..25 => return Course { steps, end: None },
        25..45 => {
            let end = Some(End::Retry);
            return Course { steps, end };
        }
        45..50 => {
            let end = Some(End::Release);
            return Course { steps, end };
        }
        _ => steps.push(Step::Effect),
    }
    if rng.random_bool(0.3) {
        steps.push(Step::Idle(up_to(rng, 50)));
    }
    let end = (!rng.random_bool(0.3)).then_some(End::Complete);
    Course { steps, end }
}

fn steps(rng: &mut StdRng) -> Vec<Step> {
    match rng.random_range(0..100) {
        0..30 => vec![Step::Idle(up_to(rng, 30))],
        30..55 => Vec::new(),
        55..65 => vec![Step::Run(LEASE.mul_f64(rng.random_range(0.1..2.2)))],
        65..71 => vec![Step::Idle(LEASE.mul_f64(rng.random_range(1.02..1.5)))],
        _ => (0..rng.random_range(1..4))
            .flat_map(|_| {
                let step = if rng.random_bool(0.6) {
                    Step::Checkpoint
                } else {
                    Step::Renew
                };
                [Step::Idle(up_to(rng, 120)), step]
            })
            .collect(),
    }
}

fn end(rng: &mut StdRng, class: Class) -> End {
    let (complete, fail, retry) = match class {
        Class::Restless => (1, 1, 50),
        Class::Short => (50, 20, 15),
        Class::Reclaim | Class::Halt => (10, 6, 44),
    };
    match rng.random_range(0..100) {
        dice if dice < complete => End::Complete,
        dice if dice < complete + fail => End::Fail,
        dice if dice < complete + fail + retry => End::Retry,
        _ => End::Release,
    }
}

/// An answer that no other execution gives. Now and then it is long.
pub(super) fn answer(rng: &mut StdRng, key: KeyId, execution: Id) -> String {
    let mut answer = format!("{key} {execution:x}");
    let length = match rng.random_range(0..100) {
        0..3 => rng.random_range(1_000..40_000),
        3..25 => rng.random_range(LARGE..LARGE * 3 / 2),
        _ => return answer,
    };
    if key.class() != Class::Halt {
        answer.push(' ');
        answer.push_str(&"x".repeat(length));
    }
    answer
}

/// A success, as every way of completing stores it.
pub(super) fn completed(answer: &str) -> (Bytes, Digest) {
    stored(&serde_json::json!(answer))
}

/// A failure, as every way of failing stores it.
pub(super) fn failed(answer: &str) -> (Bytes, Digest) {
    stored(&serde_json::json!({ "error": answer }))
}

/// A panic, as it is stored.
pub(super) fn panicked(message: &str) -> (Bytes, Digest) {
    stored(&serde_json::json!({ "panic": message }))
}

/// What stands in for a typed answer that the store refused, because there was no room for it.
pub(super) fn unstorable() -> (Bytes, Digest) {
    stored(&serde_json::json!({
        "unstorable": "the store refuses the answer: it is too large for it, or there is no room"
    }))
}

fn stored(value: &serde_json::Value) -> (Bytes, Digest) {
    let bytes = Bytes::from(value.to_string());
    let digest = digest(&bytes);
    (bytes, digest)
}

impl End {
    /// The bytes to end with, and how that is written down.
    pub(super) fn with(self, answer: &str) -> (Bytes, Ending) {
        match self {
            Self::Complete => {
                let (bytes, digest) = completed(answer);
                (bytes, Ending::Complete(digest))
            }
            Self::Fail => {
                let (bytes, digest) = failed(answer);
                (bytes, Ending::Fail(digest))
            }
            Self::Retry => (Bytes::new(), Ending::Retry),
            Self::Release => (Bytes::new(), Ending::Release),
        }
    }
}

pub(super) fn up_to(rng: &mut StdRng, millis: u64) -> Duration {
    Duration::from_micros(rng.random_range(0..millis * 1000))
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn after_its_effect_a_halting_execution_completes_or_is_abandoned() {
        let mut rng = StdRng::seed_from_u64(1);
        for _ in 0..1000 {
            let course = course(&mut rng, Class::Halt);
            let has_effect = course.steps.contains(&Step::Effect);
            assert_eq!(
                course.end == Some(End::Complete),
                has_effect && course.end.is_some()
            );
        }
    }

    #[test]
    fn all_endings_and_abandonments_come_up() {
        let mut rng = StdRng::seed_from_u64(1);
        let ends: Vec<_> = (0..2000)
            .map(|_| course(&mut rng, Class::Reclaim).end)
            .collect();
        for end in [
            None,
            Some(End::Complete),
            Some(End::Fail),
            Some(End::Retry),
            Some(End::Release),
        ] {
            assert!(ends.contains(&end), "{end:?}");
        }
    }
}
