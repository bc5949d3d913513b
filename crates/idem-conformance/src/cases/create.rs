//! S1: of concurrent creates exactly one wins, and everybody learns who.

use std::sync::Arc;

use idem_core::{
    RecordKey, Timestamp,
    store::{Created, Record, State, Store},
};

use crate::{
    Harness, Verdict,
    call::{all, expect_conflict, expect_record, handles, look, ok, put, replace},
    sample::{self, Keys, LAST_STAMP, LONG},
};

const ROUNDS: usize = 40;
const TASKS: usize = 32;

/// **S1.** A create on an absent key answers `New`, and the record is there.
pub async fn s1_a_create_on_an_absent_key_is_new(harness: &dyn Harness) -> Verdict {
    let (store, key) = (harness.store().await, Keys::draw(harness).random());
    assert_eq!(look(&*store, &key).await, None, "S1: nothing is there yet");
    let record = sample::claim();
    put(&*store, &key, &record, LONG).await;
    expect_record(&*store, &key, &record, "S1: what was created is there").await;
    Ok(())
}

/// **S1.** A create over a record of any state answers `Exists` with it, and changes nothing.
pub async fn s1_a_create_over_a_record_tells_it_and_changes_nothing(
    harness: &dyn Harness,
) -> Verdict {
    let (store, keys) = (harness.store().await, Keys::draw(harness));
    for state in [
        sample::claim().state,
        State::Retryable { checkpoint: None },
        State::Completed {
            payload: "done".into(),
        },
        State::Failed {
            payload: "no".into(),
        },
    ] {
        let (key, there) = (keys.random(), sample::record(state));
        put(&*store, &key, &there, LONG).await;
        let created = ok("create", store.create(&key, &sample::claim(), LONG).await);
        expect_exists(&created, &there);
        expect_record(
            &*store,
            &key,
            &there,
            "S1: a create that lost wrote nothing",
        )
        .await;
    }
    Ok(())
}

/// **S1.** Of many concurrent creates on one key, through several handles, as of several processes,
/// exactly one is `New`; over many rounds.
pub async fn s1_single_winner_over_several_handles(harness: &dyn Harness) -> Verdict {
    let stores = handles(harness).await;
    let keys = Keys::draw(harness);
    for _ in 0..ROUNDS {
        race(&stores, &keys.random()).await.expect_one_winner();
    }
    Ok(())
}

/// **S1.** Whoever loses is told the winner's record, whole, and never "nothing".
pub async fn s1_every_loser_is_told_the_winner(harness: &dyn Harness) -> Verdict {
    let stores = handles(harness).await;
    let keys = Keys::draw(harness);
    for _ in 0..ROUNDS {
        let key = keys.random();
        let race = race(&stores, &key).await;
        let winner = race.winner();
        for created in race.losers() {
            expect_exists(created, &winner);
        }
        expect_record(&*stores[0], &key, &winner, "S1: the winner's record stays").await;
    }
    Ok(())
}

/// **S1.** A winner that ended meanwhile is told to the losers as it is now: they never see an
/// older record than one that a finished write left.
pub async fn s1_a_loser_is_told_what_the_winner_left(harness: &dyn Harness) -> Verdict {
    let (ours, theirs) = (harness.store().await, harness.store().await);
    let keys = Keys::draw(harness);
    for round in 0..ROUNDS {
        let (key, claim) = (keys.random(), sample::claim());
        put(&*ours, &key, &claim, LONG).await;
        let done = sample::completed(&claim, format!("answer {round}"));
        replace(&*ours, &key, claim.version, &done, LONG).await;
        let created = ok("create", theirs.create(&key, &sample::claim(), LONG).await);
        expect_exists(&created, &done);
    }
    Ok(())
}

/// **S1.** The first of two creates wins, whatever the clocks of the two workers showed: one may be
/// years behind, or ahead. Nor does a stamp make a record expire (S4, S5).
pub async fn s1_stamps_decide_nothing(harness: &dyn Harness) -> Verdict {
    let (store, keys) = (harness.store().await, Keys::draw(harness));
    let stamped = |millis| Record {
        created_at: Timestamp::from_millis(millis),
        ..sample::claim()
    };
    let stamps = [0, Timestamp::now().as_millis(), LAST_STAMP];
    for (first, second) in stamps.into_iter().flat_map(|a| stamps.map(|b| (a, b))) {
        let (key, there) = (keys.random(), stamped(first));
        put(&*store, &key, &there, LONG).await;
        let created = ok("create", store.create(&key, &stamped(second), LONG).await);
        expect_exists(&created, &there);
        let done = Record {
            created_at: Timestamp::from_millis(second),
            ..sample::completed(&there, "done")
        };
        replace(&*store, &key, there.version, &done, LONG).await;
        let told = "S2: an update at its version is applied, whatever its stamp";
        expect_record(&*store, &key, &done, told).await;
    }
    Ok(())
}

/// **G5.** A create that is sent again finds itself: its caller learns that it had won.
pub async fn g5_a_create_sent_again_finds_itself(harness: &dyn Harness) -> Verdict {
    let (store, key) = (harness.store().await, Keys::draw(harness).random());
    let record = sample::claim();
    put(&*store, &key, &record, LONG).await;
    for _ in 0..3 {
        let created = ok("create", store.create(&key, &record, LONG).await);
        expect_exists(&created, &record);
    }
    expect_record(&*store, &key, &record, "G5: sending again changes nothing").await;
    Ok(())
}

#[track_caller]
fn expect_exists(created: &Created, record: &Record) {
    match created {
        Created::Exists(found) => {
            expect_conflict(
                Some(found),
                Some(record),
                "S1: `Exists` tells what is there",
            );
            assert!(
                found.age.is_some() || !matches!(record.state, State::InFlight { .. }),
                "S4: a record in flight comes with its age"
            );
        }
        Created::New => panic!("S1: a create over a record cannot be new"),
    }
}

/// Concurrent creates on one key, each with a token of its own.
struct Race(Vec<(Record, Created)>);

async fn race(stores: &[Arc<dyn Store>], key: &RecordKey) -> Race {
    let tasks = (0..TASKS).map(|n| {
        let (store, key) = (stores[n % stores.len()].clone(), key.clone());
        tokio::spawn(async move {
            let record = sample::claim();
            let created = ok("create", store.create(&key, &record, LONG).await);
            (record, created)
        })
    });
    Race(all(tasks).await)
}

impl Race {
    #[track_caller]
    fn expect_one_winner(&self) {
        let winners = self.0.iter().filter(|(_, c)| *c == Created::New).count();
        assert_eq!(
            winners, 1,
            "S1: exactly one of {TASKS} concurrent creates wins"
        );
    }

    #[track_caller]
    fn winner(&self) -> Record {
        self.expect_one_winner();
        let winner = self.0.iter().find(|(_, c)| *c == Created::New);
        winner
            .expect("there is one winner, as just counted")
            .0
            .clone()
    }

    fn losers(&self) -> impl Iterator<Item = &Created> {
        self.0
            .iter()
            .map(|(_, c)| c)
            .filter(|c| **c != Created::New)
    }
}
