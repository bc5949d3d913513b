//! The protocol, explored completely within bounds, over the very functions of `machine`.
//!
//! Workers claim, run, renew, end and crash; leases run out; every request may be lost before it
//! arrives, lose its reply, or arrive late, after its sender has sent it again. Each reachable
//! state is visited and held against the promises G1–G5.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use idem_core::machine::LapsedRule;
use stateright::{Checker, Model};
use world::{Bounds, Protocol};

fn explore(name: &str, protocol: Protocol) {
    let checker = protocol.checker().threads(2).spawn_bfs().join();
    println!(
        "{name}: {} states, {} of them distinct",
        checker.state_count(),
        checker.unique_state_count()
    );
    checker.assert_properties();
    assert!(
        checker.is_done(),
        "the bounds were not explored to their end"
    );
}

#[test]
fn g1_to_g5_two_workers_with_every_fault() {
    explore(
        "two workers, reclaim",
        Protocol {
            prints: vec![1, 1],
            rule: LapsedRule::Reclaim,
            bounds: Bounds {
                claims: 3,
                faults: 2,
                lapses: 1,
                crashes: 1,
                steps: 1,
                pending_endings: false,
            },
        },
    );
}

#[test]
fn g1_to_g5_three_workers_of_which_one_sends_another_request() {
    explore(
        "three workers, reclaim, one with another fingerprint",
        Protocol {
            prints: vec![1, 1, 2],
            rule: LapsedRule::Reclaim,
            bounds: Bounds {
                claims: 3,
                faults: 1,
                lapses: 1,
                crashes: 1,
                steps: 0,
                pending_endings: false,
            },
        },
    );
}

#[test]
fn g8_under_halt_a_key_runs_once_unless_it_ended_without_effect() {
    explore(
        "two workers, halt",
        Protocol {
            prints: vec![1, 1],
            rule: LapsedRule::Halt,
            bounds: Bounds {
                claims: 3,
                faults: 2,
                lapses: 1,
                crashes: 1,
                steps: 1,
                pending_endings: false,
            },
        },
    );
}

#[test]
fn g1_to_g5_two_workers_whose_endings_are_refused_and_renewed_between() {
    explore(
        "two workers, reclaim, pending endings",
        Protocol {
            prints: vec![1, 1],
            rule: LapsedRule::Reclaim,
            bounds: Bounds {
                claims: 2,
                faults: 2,
                lapses: 1,
                crashes: 0,
                steps: 1,
                pending_endings: true,
            },
        },
    );
}
