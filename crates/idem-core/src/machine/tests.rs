//! The transition table, line by line, and random histories against the promises.

mod claims;
mod histories;
mod holders;

use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::{
    Fingerprint, Refused, Timestamp,
    store::{ClaimToken, Record, State, StoreErrorKind, Stored},
};

const LEASE: Duration = Duration::from_secs(30);
const NO_GRACE: Duration = Duration::ZERO;

fn request(token: u8, print: u8) -> Request {
    Request {
        fingerprint: Fingerprint::from_bytes([print; 32]),
        token: ClaimToken::from_bytes([token; 16]),
        sent: 0,
        created_at: Timestamp::from_millis(1_700_000_000_000),
        lease: LEASE,
        lapsed: LapsedRule::Reclaim,
        max_attempts: None,
    }
}

fn claiming(token: u8, print: u8) -> Claiming {
    Claiming::new(request(token, print))
}

fn stored(record: Record, age: Duration) -> Stored {
    Stored {
        record,
        age: Some(age),
        remaining: None,
    }
}

fn found(record: &Record, age: Duration) -> Reply {
    Reply::Found(Some(stored(record.clone(), age)))
}

fn bytes(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

/// The record that the first claim of a key creates.
fn created(token: u8, print: u8) -> Record {
    match claiming(token, print).next() {
        Op::Create(record) => record.clone(),
        other => panic!("expected a create, got {other:?}"),
    }
}

/// The write that goes out next.
fn update(op: Option<Op<'_>>) -> Write {
    match op {
        Some(Op::Update(write)) => write.clone(),
        other => panic!("expected an update, got {other:?}"),
    }
}

/// What a claim sends after it found this record; it has to take it over.
fn take_over(claiming: &mut Claiming, record: &Record, age: Duration) -> Write {
    let _ = claiming.next();
    let claimed = claiming.on_reply(found(record, age), NO_GRACE);
    assert_eq!(claimed, Claimed::Again);
    update(Some(claiming.next()))
}

/// The holder of a key that nobody claimed before.
fn holding() -> Holding {
    let mut claiming = claiming(1, 1);
    let _ = claiming.next();
    match claiming.on_reply(Reply::Applied, NO_GRACE) {
        Claimed::Own(holding) => holding,
        other => panic!("expected to own the key, got {other:?}"),
    }
}

fn wanting(mut holding: Holding, want: Want) -> Holding {
    holding.want(want).unwrap();
    holding
}

/// The write for this wish.
fn sent(holding: &mut Holding, want: Want) -> Write {
    holding.want(want).unwrap();
    update(holding.next())
}

fn complete(text: &'static str) -> Want {
    Want::end(Ending::Complete(bytes(text)))
}

/// A record of request 1, in every state.
fn every_state() -> [Record; 4] {
    let end = |ending| sent(&mut holding(), Want::end(ending)).record;
    [
        created(1, 1),
        end(Ending::Retry),
        end(Ending::Complete(bytes("ok"))),
        end(Ending::Fail(bytes("no"))),
    ]
}
