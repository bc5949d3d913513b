//! Broken stores break the promises in the simulation, too.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use idem_conformance::{
    Odds, async_trait,
    world::{Abandoned, Arrival, Ending, Failure, Plan, Trouble, run_over},
};
use idem_core::{
    RecordKey,
    store::{Created, Deleted, Record, Store, StoreError, Stored, Updated, Version},
};

use crate::{
    broken::{Broken, Flaw},
    reference::ReferenceStore,
};

const SEEDS: u64 = 5000;

/// Two handles, called in turns: they have clocks and caches of their own.
struct Turns {
    handles: [Arc<dyn Store>; 2],
    calls: AtomicUsize,
}

impl Turns {
    fn of(handles: [Arc<dyn Store>; 2]) -> Self {
        let calls = AtomicUsize::new(0);
        Self { handles, calls }
    }

    fn over(flaw: Flaw) -> Self {
        // A world has few keys.
        let broken = Broken::with_room_for(flaw, 1);
        Self::of([broken.handle(), broken.handle()])
    }

    fn next(&self) -> &dyn Store {
        let turn = self.calls.fetch_add(1, Ordering::Relaxed);
        &*self.handles[turn % self.handles.len()]
    }
}

#[async_trait]
impl Store for Turns {
    async fn create(
        &self,
        key: &RecordKey,
        record: &Record,
        ttl: Duration,
    ) -> Result<Created, StoreError> {
        self.next().create(key, record, ttl).await
    }

    async fn update(
        &self,
        key: &RecordKey,
        expected: Version,
        record: &Record,
        ttl: Duration,
    ) -> Result<Updated, StoreError> {
        self.next().update(key, expected, record, ttl).await
    }

    async fn delete(&self, key: &RecordKey, expected: Version) -> Result<Deleted, StoreError> {
        self.next().delete(key, expected).await
    }

    async fn get(&self, key: &RecordKey) -> Result<Option<Stored>, StoreError> {
        self.next().get(key).await
    }
}

fn first_failure(flaw: Flaw) -> Option<Failure> {
    first_failure_over(|| Turns::over(flaw))
}

fn first_failure_over(store: impl Fn() -> Turns) -> Option<Failure> {
    first_failure_in(Plan::from_seed, store)
}

fn first_failure_in(plan: impl Fn(u64) -> Plan, store: impl Fn() -> Turns) -> Option<Failure> {
    (0..SEEDS).find_map(|seed| {
        let plan = Plan {
            store_clock_rate: 1.0,
            ..plan(seed)
        };
        run_over(&plan, |_| Arc::new(store())).err()
    })
}

#[test]
fn a_sound_store_breaks_none() {
    let failure = first_failure_over(|| {
        let store = ReferenceStore::default();
        Turns::of([Arc::new(store.clone()), Arc::new(store)])
    });
    assert_eq!(failure, None);
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
    earlier_stamp_wins: EarlierStampWins;
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
    island_per_handle: IslandPerHandle;
    app_clock: AppClock;
    evicting: Evicting;
    upsert: Upsert;
    stale_replica: StaleReplica;
    token_ignored: TokenIgnored;
    check_then_delete: CheckThenDelete;
    loser_told_unavailable: LoserToldUnavailable;
    falsy_payload_lost: FalsyPayloadLost;
    expired_stops_create: ExpiredStopsCreate;
    expired_check_then_insert: ExpiredCheckThenInsert;
}

/// Two processes that release one key, and stand still in between. A holder that wakes up releases a
/// record that its successor has removed. Drawn plans rarely come to this: mostly a renewal finds the
/// successor first.
fn releases_after_pauses(seed: u64) -> Plan {
    let mut plan = Plan {
        processes: 2,
        keys: 1,
        outages: Vec::new(),
        odds: Odds::NONE,
        abandoned: Abandoned::Reclaim,
        ..Plan::from_seed(seed)
    };
    for client in &mut plan.clients {
        client.request = 0;
        client.arrival = Arrival::Claim;
        client.work.checkpoint = false;
        client.work.ending = Ending::Release;
    }
    for interruption in &mut plan.interruptions {
        if let Trouble::Crash(lasts) = interruption.trouble {
            interruption.trouble = Trouble::Pause(lasts);
        }
    }
    plan
}

#[test]
fn delete_of_nothing_done() {
    let broken = || Turns::over(Flaw::DeleteOfNothingDone);
    let failure = first_failure_in(releases_after_pauses, broken);
    assert!(failure.is_some(), "{SEEDS} seeds find nothing");
    let sound = || {
        let store = ReferenceStore::default();
        Turns::of([Arc::new(store.clone()), Arc::new(store)])
    };
    assert_eq!(first_failure_in(releases_after_pauses, sound), None);
}

/// S4: where nothing goes wrong but that clocks jump, a store that trusts stamps breaks a promise;
/// where they do not even jump, it is not found out.
#[test]
fn who_trusts_stamps_is_found_out_by_clocks_alone() {
    let faultless = |seed| Plan {
        outages: Vec::new(),
        odds: Odds::NONE,
        ..Plan::from_seed(seed)
    };
    let clocks_jump = |seed| {
        let mut plan = faultless(seed);
        plan.interruptions
            .retain(|interruption| matches!(interruption.trouble, Trouble::ClockJump(_)));
        plan
    };
    let nothing_happens = |seed| Plan {
        interruptions: Vec::new(),
        ..faultless(seed)
    };
    let store = || Turns::over(Flaw::EarlierStampWins);
    assert!(first_failure_in(clocks_jump, store).is_some());
    assert_eq!(first_failure_in(nothing_happens, store), None);
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
