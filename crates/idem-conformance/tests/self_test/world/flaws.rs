//! Broken stores break the promises in the simulation, too.

use idem_conformance::world::{Failure, Plan, run_over};

use crate::broken::{Broken, Flaw};

const SEEDS: u64 = 1000;

fn first_failure(flaw: Flaw) -> Option<Failure> {
    (0..SEEDS).find_map(|seed| {
        let plan = Plan {
            store_clock_rate: 1.0,
            ..Plan::from_seed(seed)
        };
        run_over(&plan, |_| Broken::new(flaw).handle()).err()
    })
}

macro_rules! breaks_a_promise {
    ($($test:ident: $flaw:ident;)+) => {
        $(
            #[test]
            fn $test() {
                assert!(first_failure(Flaw::$flaw).is_some(), "{SEEDS} seeds find nothing");
            }
        )+
    };
}

breaks_a_promise! {
    check_then_insert: CheckThenInsert;
    create_overwrites: CreateOverwrites;
    loser_told_itself: LoserToldItself;
    loser_told_old_record: LoserToldOldRecord;
    unfenced_update: UnfencedUpdate;
    revision_ignored: RevisionIgnored;
    unfenced_renew: UnfencedRenew;
    check_then_update: CheckThenUpdate;
    refused_told_absent: RefusedToldAbsent;
    version_not_advanced: VersionNotAdvanced;
    half_written: HalfWritten;
    unfenced_delete: UnfencedDelete;
    tombstone: Tombstone;
    age_zero: AgeZero;
    age_from_creation: AgeFromCreation;
    refused_told_no_age: RefusedToldNoAge;
    ttl_is_lease: TtlIsLease;
    failure_is_success: FailureIsSuccess;
    scope_ignored: ScopeIgnored;
    keys_concatenated: KeysConcatenated;
    keys_folded: KeysFolded;
}

#[test]
fn a_failure_tells_what_happened_line_by_line() {
    let failure = first_failure(Flaw::UnfencedUpdate).expect("it breaks a promise");
    let text = failure.to_string();
    for part in [
        "asks process",
        "claim: Acquired",
        "HAS ITS EFFECT",
        "Plan {",
        "seed:",
    ] {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
    let times = failure
        .timeline
        .iter()
        .map(|line| line.trim_start().split(' ').next());
    let times: Vec<f64> = times.map(|time| time.unwrap().parse().unwrap()).collect();
    assert!(times.is_sorted(), "{text}");
}
