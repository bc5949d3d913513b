//! What a store may offer beyond the four operations: `Watch`, `Browse`. (`Sweep` needs time to
//! pass, and stands in [`time`](super::time).)

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use idem_core::{
    Claim, IdempotencyKey, OnBusy, RecordKey, Scope,
    store::{Cursor, Filter, Record, State, StateKind, StoreErrorKind, Watcher, Within},
};

use crate::{
    Harness, Verdict,
    call::{PATIENCE, all, ok, put, remove, replace, scaled, why},
    case::needs,
    engine::{self, acquire, claim, expect_stored, patient},
    sample::{self, Keys, LONG},
};

/// A listing has an end.
const MOST_PAGES: usize = 100_000;
const WATCH: &str = "notifications (`Watch`)";
/// How long nothing is changed.
const QUIET: Duration = Duration::from_millis(300);
const BROWSE: &str = "listing (`Browse`)";

/// **Watch.** An ending through another handle wakes a watcher that was there before it.
pub async fn watch_wakes_on_an_ending_elsewhere(harness: &dyn Harness) -> Verdict {
    let watch = needs(harness.watch().await, WATCH)?;
    let (store, keys) = (harness.store().await, Keys::draw(harness));
    for _ in 0..10 {
        let (key, record) = (keys.random(), sample::claim());
        put(&*store, &key, &record, LONG).await;
        let mut watcher = ok("watch", watch.watch(&key).await);
        let done = sample::completed(&record, "answer");
        replace(&*store, &key, record.version, &done, LONG).await;
        expect_wake(harness, &mut *watcher, "an update").await;
    }
    Ok(())
}

/// **Watch.** A release wakes as well.
pub async fn watch_wakes_on_a_delete(harness: &dyn Harness) -> Verdict {
    let watch = needs(harness.watch().await, WATCH)?;
    let (store, key) = (harness.store().await, Keys::draw(harness).random());
    let record = sample::claim();
    put(&*store, &key, &record, LONG).await;
    let mut watcher = ok("watch", watch.watch(&key).await);
    remove(&*store, &key, record.version).await;
    expect_wake(harness, &mut *watcher, "a delete").await;
    Ok(())
}

/// **Watch.** A change that comes while nobody is polling the watcher is not lost, and every one of
/// several watchers wakes.
pub async fn watch_keeps_a_wake_up_for_who_is_not_looking(harness: &dyn Harness) -> Verdict {
    let watch = needs(harness.watch().await, WATCH)?;
    let (store, keys) = (harness.store().await, Keys::draw(harness));
    let (key, mut there) = (keys.random(), sample::claim());
    put(&*store, &key, &there, LONG).await;
    let mut watchers = Vec::new();
    for _ in 0..5 {
        watchers.push(ok("watch", watch.watch(&key).await));
    }
    for _ in 0..3 {
        let next = sample::next(&there, there.state.clone());
        replace(&*store, &key, there.version, &next, LONG).await;
        there = next;
        for watcher in &mut watchers {
            expect_wake(harness, &mut **watcher, "an update").await;
        }
    }
    Ok(())
}

/// **Watch.** Dropping watchers, also half-way through a wait, harms neither the store nor the
/// others.
pub async fn watch_survives_dropped_watchers(harness: &dyn Harness) -> Verdict {
    let watch = needs(harness.watch().await, WATCH)?;
    let (store, key) = (harness.store().await, Keys::draw(harness).random());
    let record = sample::claim();
    put(&*store, &key, &record, LONG).await;
    let mut stays = ok("watch", watch.watch(&key).await);
    for _ in 0..20 {
        let mut goes = ok("watch", watch.watch(&key).await);
        let _ = tokio::time::timeout(Duration::from_millis(1), goes.changed()).await;
    }
    let done = sample::completed(&record, "answer");
    replace(&*store, &key, record.version, &done, LONG).await;
    expect_wake(harness, &mut *stays, "an update").await;
    Ok(())
}

/// **Watch.** While nothing changes a watcher sleeps. Now and then it may wake for nothing; one that is
/// always ready makes each waiter ask as fast as it can.
pub async fn watch_is_quiet_while_nothing_changes(harness: &dyn Harness) -> Verdict {
    const MOST: usize = 100;
    let watch = needs(harness.watch().await, WATCH)?;
    let (store, key) = (harness.store().await, Keys::draw(harness).random());
    put(&*store, &key, &sample::claim(), LONG).await;
    let mut watcher = ok("watch", watch.watch(&key).await);
    let mut woken = 0;
    let counting = async {
        while woken <= MOST {
            watcher.changed().await;
            woken += 1;
        }
    };
    let quiet = tokio::time::timeout(scaled(harness, QUIET), counting).await;
    assert!(
        quiet.is_err(),
        "Watch: {woken} wake-ups, and nothing had changed"
    );
    Ok(())
}

/// **Watch, G2.** A waiter that is woken claims again, and gets the answer.
pub async fn watch_wakes_a_waiting_claim(harness: &dyn Harness) -> Verdict {
    let watch = needs(harness.watch().await, WATCH)?;
    let key = Keys::draw(harness).random();
    let ours = engine::fresh(harness, patient(harness)).await;
    let wait = patient(harness).on_busy(OnBusy::Wait(scaled(harness, PATIENCE)));
    let theirs = engine::watching(harness.store().await, watch, wait);
    let execution = acquire(&ours, &key).await;
    let waiting = tokio::spawn({
        let key = key.clone();
        async move { claim(&theirs, &key).await }
    });
    expect_stored(execution.complete("done").await);
    match all([waiting]).await.remove(0) {
        Claim::Replay(payload) => assert_eq!(payload, "done", "G2: the stored answer"),
        other => panic!("G2: it is completed, but the waiter is told {other:?}"),
    }
    Ok(())
}

/// **Browse, S8.** Every record is listed with its key, page by page, as it stands; also one in the scope
/// of the audit, whose text is no path of segments.
pub async fn browse_lists_every_record(harness: &dyn Harness) -> Verdict {
    let browsing = needs(harness.browse().await, BROWSE)?;
    let keys = Keys::draw(harness);
    let mut written = HashMap::new();
    for n in 0..25 {
        let key = match n % 3 {
            0 => keys.random(),
            1 => keys.named(&format!("* {{{n}}}: ключ?")),
            _ => sample::key_in(&child(&keys, &format!("a:b/{n}")), "c%d"),
        };
        let record = match n % 2 {
            0 => sample::claim(),
            _ => sample::completed(&sample::claim(), format!("answer {n}")),
        };
        put(&*browsing.store, &key, &record, LONG).await;
        written.insert(key, record);
    }
    // A tool's own records are listed like any other.
    let (key, record) = (
        Scope::audit().key(&IdempotencyKey::random()),
        sample::claim(),
    );
    put(&*browsing.store, &key, &record, LONG).await;
    written.insert(key, record);
    for limit in [1, 7, 1000] {
        let listed = list(&browsing, &Filter::default(), limit).await;
        for (key, record) in &written {
            let found = listed.get(key).map(|stored| &stored.record);
            assert_eq!(found, Some(record), "Browse: {:?} is listed", key.as_str());
        }
    }
    Ok(())
}

/// **Browse.** A record that is there from the first page to the last is listed, whatever else is
/// deleted and written meanwhile: pages go on after a record, and not after a number of them.
pub async fn browse_lists_every_record_while_others_go(harness: &dyn Harness) -> Verdict {
    const LIMIT: usize = 4;
    let browsing = needs(harness.browse().await, BROWSE)?;
    let (store, keys) = (&*browsing.store, Keys::draw(harness));
    let mut stay = HashSet::new();
    let mut go = HashMap::new();
    for n in 0..40 {
        let (key, record) = (keys.random(), sample::claim());
        put(store, &key, &record, LONG).await;
        if n % 2 == 0 {
            stay.insert(key);
        } else {
            go.insert(key, record.version);
        }
    }
    let (all, mut after) = (Filter::default(), None);
    for _ in 0..MOST_PAGES {
        let page = browsing.browse.browse(&all, after.as_ref(), LIMIT).await;
        let page = ok("browse", page);
        for (key, _) in &page.records {
            stay.remove(key);
            // What was listed goes, so that a place in the list is no place to go on from.
            if let Some(version) = go.remove(key) {
                remove(store, key, version).await;
                put(store, &keys.random(), &sample::claim(), LONG).await;
            }
        }
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    assert!(
        stay.is_empty(),
        "Browse: {} of 20 records that stayed are not listed",
        stay.len()
    );
    Ok(())
}

/// **Browse.** A filtered listing has every record that passes and no other, in pages of any size: also
/// where a page has none that passes, and there are more behind it.
pub async fn browse_lists_what_passes_and_nothing_else(harness: &dyn Harness) -> Verdict {
    let browsing = needs(harness.browse().await, BROWSE)?;
    let keys = Keys::draw(harness);
    let own = keys.scope().as_str().to_owned();
    let mut written = HashMap::new();
    for n in 0..30_u32 {
        let key = match n % 3 {
            0 => keys.random(),
            1 => sample::key_in(&child(&keys, "below"), &format!("below-{n}")),
            _ => sample::key_in(&child(&keys, "below2"), &format!("beside-{n}")),
        };
        let in_flight = sample::claim();
        let mut record = match n % 5 {
            0 => in_flight,
            1 => sample::completed(&in_flight, "answer"),
            2 => sample::next(
                &in_flight,
                State::Failed {
                    payload: "failure".into(),
                },
            ),
            3 => sample::next(&in_flight, State::Retryable { checkpoint: None }),
            _ => sample::next(&in_flight, State::Released),
        };
        record.attempt = 1 + n % 2;
        put(&*browsing.store, &key, &record, LONG).await;
        written.insert(key, record);
    }
    let of_scope = |within| Filter {
        within: Some(within),
        ..Filter::default()
    };
    let under = of_scope(Within::Under(own.clone()));
    let below = format!("{own}/below");
    for filter in [
        under.clone(),
        of_scope(Within::Only(own.clone())),
        of_scope(Within::Under(below.clone())),
        of_scope(Within::Only(below)),
        Filter {
            states: vec![StateKind::InFlight],
            ..under.clone()
        },
        Filter {
            states: vec![StateKind::Retryable, StateKind::Failed, StateKind::Released],
            attempts: Some(2),
            ..under.clone()
        },
        Filter {
            states: vec![StateKind::Completed],
            newer: Some(LONG),
            ..under.clone()
        },
        Filter {
            older: Some(LONG),
            ..under
        },
    ] {
        let passes = |key: &RecordKey, record: &Record| {
            let scope = filter
                .within
                .as_ref()
                .is_none_or(|within| within.holds(key.scope()));
            let state = filter.states.is_empty() || filter.states.contains(&record.state.kind());
            scope
                && state
                && filter.older.is_none()
                && filter.attempts.is_none_or(|least| record.attempt >= least)
        };
        let expected = written.iter().filter(|(key, record)| passes(key, record));
        let expected: HashMap<_, _> = expected
            .map(|(key, record)| (key.clone(), record.clone()))
            .collect();
        for limit in [2, 1000] {
            let listed = list(&browsing, &filter, limit).await.into_iter();
            let listed: HashMap<_, _> = listed.map(|(key, stored)| (key, stored.record)).collect();
            assert_eq!(
                (listed.len(), listed == expected),
                (expected.len(), true),
                "Browse: what passes {filter:?} is listed, and nothing else"
            );
        }
    }
    Ok(())
}

/// **Browse.** What is deleted is not listed any more.
pub async fn browse_lists_nothing_that_is_gone(harness: &dyn Harness) -> Verdict {
    let browsing = needs(harness.browse().await, BROWSE)?;
    let (key, record) = (Keys::draw(harness).random(), sample::claim());
    put(&*browsing.store, &key, &record, LONG).await;
    remove(&*browsing.store, &key, record.version).await;
    assert!(
        !list(&browsing, &Filter::default(), 100)
            .await
            .contains_key(&key),
        "Browse: what is gone is not listed"
    );
    Ok(())
}

/// **Browse.** A cursor that this store did not give is refused, and not taken for another place.
pub async fn browse_refuses_a_foreign_cursor(harness: &dyn Harness) -> Verdict {
    let browsing = needs(harness.browse().await, BROWSE)?;
    let foreign = Cursor("'; not a cursor of yours *".to_owned());
    match browsing
        .browse
        .browse(&Filter::default(), Some(&foreign), 10)
        .await
    {
        Err(error) => assert_eq!(
            error.kind(),
            StoreErrorKind::Config,
            "Browse: {}",
            why(&error)
        ),
        Ok(page) => panic!(
            "Browse: a foreign cursor is refused, but {} records came",
            page.records.len()
        ),
    }
    Ok(())
}

/// **Browse, S7.** Records that cannot be read are told with their keys, and the listing goes on: also
/// where one of them is the last of its page.
pub async fn browse_tells_what_cannot_be_read(harness: &dyn Harness) -> Verdict {
    let corrupt = needs(harness.corrupt().await, "way to damage what is stored")?;
    let browse = needs(corrupt.browse().await, BROWSE)?;
    let (store, keys) = (corrupt.store().await, Keys::draw(harness));
    let (mut whole, mut broken) = (HashSet::new(), HashSet::new());
    for n in 0..8 {
        let key = keys.random();
        put(&*store, &key, &sample::claim(), LONG).await;
        match n {
            0..2 => corrupt.damage(&key).await,
            2..4 => corrupt.write_unknown_format(&key).await,
            _ => {}
        }
        let texts = if n < 4 { &mut broken } else { &mut whole };
        texts.insert(key.as_str().to_owned());
    }
    let filter = Filter {
        within: Some(Within::Only(keys.scope().as_str().to_owned())),
        ..Filter::default()
    };
    for limit in [1, 100] {
        let (mut read, mut unreadable, mut after) = (HashSet::new(), HashSet::new(), None);
        for _ in 0..MOST_PAGES {
            let page = ok(
                "Browse: a page with a record that cannot be read",
                browse.browse(&filter, after.as_ref(), limit).await,
            );
            read.extend(page.records.iter().map(|(key, _)| key.as_str().to_owned()));
            unreadable.extend(page.unreadable.into_iter().map(|row| row.key));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(read, whole, "Browse: what can be read is listed");
        assert_eq!(unreadable, broken, "Browse: what cannot be read is told");
    }
    Ok(())
}

fn child(keys: &Keys, segment: &str) -> Scope {
    keys.scope()
        .child(segment)
        .expect("the suite uses segments that are segments")
}

/// All pages; a listing has an end.
pub(super) async fn list(
    browsing: &crate::Browsing,
    filter: &Filter,
    limit: usize,
) -> HashMap<RecordKey, idem_core::store::Stored> {
    let (mut listed, mut after) = (HashMap::new(), None);
    for _ in 0..MOST_PAGES {
        let page = ok(
            "browse",
            browsing.browse.browse(filter, after.as_ref(), limit).await,
        );
        listed.extend(page.records);
        match page.next {
            Some(next) => after = Some(next),
            None => return listed,
        }
    }
    panic!("Browse: no end after {MOST_PAGES} pages")
}

async fn expect_wake(harness: &dyn Harness, watcher: &mut dyn Watcher, what: &str) {
    let limit = scaled(harness, PATIENCE);
    let woken = tokio::time::timeout(limit, watcher.changed()).await;
    assert!(woken.is_ok(), "Watch: {what} wakes the watcher");
}
