//! Plans for proptest, built of parts so that they shrink.

use std::time::Duration;

use idem_conformance::{
    Odds,
    world::{
        Abandoned, Answers, Arrival, ClientPlan, Ending, Interruption, Outage, Plan, Trouble,
        WorkPlan,
    },
};
use proptest::{collection::vec, option, prelude::*};

pub(super) fn plans(abandoned: Abandoned) -> impl Strategy<Value = Plan> {
    let odds = (
        prop_oneof![Just(0.0), Just(0.1), Just(0.3), Just(0.6)],
        millis(0..2000),
    );
    (
        any::<u64>(),
        1_usize..=3,
        keys_and_clients(),
        vec(interruption(), 0..=3),
        vec(outage(), 0..=1),
        odds.prop_map(|(share, longest)| Odds::even(share, longest)),
        prop_oneof![Just(1.0), Just(0.5), Just(2.0)],
        millis(300..2000),
        prop_oneof![Just(0.0), Just(0.3)],
        vec(clock_jump(), 0..=3),
        prop_oneof![9 => Just(Answers::Numbers), 1 => Just(Answers::Null)],
    )
        .prop_map(
            move |(
                seed,
                processes,
                (keys, clients),
                interruptions,
                outages,
                odds,
                store_clock_rate,
                lease,
                doubts,
                clock_jumps,
                answers,
            )| Plan {
                seed,
                processes,
                keys,
                clients,
                interruptions: [interruptions, clock_jumps].concat(),
                outages,
                odds,
                store_clock_rate,
                lease,
                abandoned,
                doubts,
                answers,
            },
        )
}

/// The more keys, the more clients; half of all plans have a single key.
fn keys_and_clients() -> impl Strategy<Value = (usize, Vec<ClientPlan>)> {
    let keys = prop_oneof![
        3 => Just(1_usize),
        1 => Just(2_usize),
        1 => Just(3_usize),
        1 => Just(Plan::KEYS),
    ];
    keys.prop_flat_map(|keys| (Just(keys), vec(client(), 1..=3 + keys)))
}

fn client() -> impl Strategy<Value = ClientPlan> {
    (
        millis(0..3000),
        0..Plan::KEYS,
        prop_oneof![9 => Just(0_u8), 1 => Just(1)],
        millis(50..3000),
        1_u8..=5,
        prop_oneof![Just(Arrival::Claim), Just(Arrival::Execute)],
        option::weighted(0.3, millis(0..2000)),
        work(),
    )
        .prop_map(
            |(arrives, key, request, patience, tries, arrival, waits, work)| ClientPlan {
                arrives,
                key,
                request,
                patience,
                tries,
                arrival,
                waits,
                work,
            },
        )
}

fn work() -> impl Strategy<Value = WorkPlan> {
    let ending = prop_oneof![
        6 => Just(Ending::Complete),
        1 => Just(Ending::Fail),
        1 => Just(Ending::Retry),
        2 => Just(Ending::Release),
        1 => Just(Ending::Panic),
        1 => Just(Ending::Vanish),
    ];
    (millis(0..1500), millis(0..1500), any::<bool>(), ending).prop_map(
        |(before, after, checkpoint, ending)| WorkPlan {
            before,
            after,
            checkpoint,
            ending,
        },
    )
}

fn interruption() -> impl Strategy<Value = Interruption> {
    let trouble = prop_oneof![
        millis(0..2000).prop_map(Trouble::Crash),
        millis(0..4000).prop_map(Trouble::Pause),
    ];
    (0_usize..3, 0_u32..80, trouble).prop_map(|(process, at_poll, trouble)| Interruption {
        process,
        at_poll,
        trouble,
    })
}

/// By anything from a millisecond to thirty years.
fn clock_jump() -> impl Strategy<Value = Interruption> {
    let by = (0_u32..=12, any::<bool>()).prop_map(|(digits, forward)| {
        let far = 10_i64.pow(digits);
        if forward { far } else { -far }
    });
    (0_usize..3, 0_u32..80, by).prop_map(|(process, at_poll, by)| Interruption {
        process,
        at_poll,
        trouble: Trouble::ClockJump(by),
    })
}

fn outage() -> impl Strategy<Value = Outage> {
    (millis(0..4000), millis(0..3000)).prop_map(|(at, lasts)| Outage { at, lasts })
}

fn millis(range: std::ops::Range<u64>) -> impl Strategy<Value = Duration> {
    range.prop_map(Duration::from_millis)
}
