//! Plans that broke a promise once, as proptest had shrunk them. Beside them, proptest keeps the
//! seeds of whatever fails next in `proptest-regressions/`; those draw the same plan only as long
//! as the strategy stays as it is, so they move here when it changes.

use std::time::Duration;

use idem_conformance::{
    Odds,
    world::{Abandoned, Answers, Arrival, ClientPlan, Ending, Outage, Plan, WorkPlan, run},
};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn client(arrives: u64, patience: u64, tries: u8, ending: Ending) -> ClientPlan {
    ClientPlan {
        arrives: ms(arrives),
        key: 0,
        request: 0,
        patience: ms(patience),
        tries,
        arrival: Arrival::Claim,
        waits: None,
        work: WorkPlan {
            before: Duration::ZERO,
            after: Duration::ZERO,
            checkpoint: false,
            ending,
        },
    }
}

/// Every kind of fault, an outage, and a store whose clock is twice as fast.
#[test]
fn four_clients_of_one_process_through_an_outage() {
    let mut works = client(751, 1224, 3, Ending::Complete);
    works.work.before = ms(577);
    works.work.after = ms(806);
    let mut waits = client(1422, 435, 2, Ending::Complete);
    waits.waits = Some(ms(331));
    let plan = Plan {
        seed: 734_248_479_979_607,
        processes: 1,
        keys: 1,
        clients: vec![
            client(1833, 936, 5, Ending::Complete),
            works,
            waits,
            client(2126, 1328, 3, Ending::Vanish),
        ],
        interruptions: Vec::new(),
        outages: vec![Outage {
            at: ms(1673),
            lasts: ms(2267),
        }],
        odds: Odds::even(0.6, ms(67)),
        store_clock_rate: 2.0,
        lease: ms(1652),
        abandoned: Abandoned::Reclaim,
        doubts: 0.0,
        answers: Answers::Numbers,
    };
    run(&plan).unwrap();
}
