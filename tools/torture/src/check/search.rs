//! A second opinion, by other means: the search of `idem-conformance` for one order of all calls on
//! the store, and for one order of all that clients were told.
//!
//! It knows neither failovers nor ages, and may give up on a history that is too entangled; but it
//! shares nothing with the checks beside it.

mod clients;

use std::time::Duration;

use idem_conformance::history::{
    Call as Searched, Imprint, Limit, Model, Register, StoreCall as Asked, StoreReply, Violation,
    check as search,
};
use idem_core::store::{ClaimToken, Version};

use self::clients::Clients;
use super::{Findings, Rule, Rules};
use crate::{
    clock::Nanos,
    event::{Call, Fault, Reply, Summary, Ver},
    history::{History, StoreCall},
    key::KeyId,
};

/// Configurations to try for one order. An order that there is is mostly found within a few thousand.
const LIMIT: Limit = Limit {
    configurations: 200_000,
};

/// Looks for both orders, and says how many of them it gave up on.
pub(super) fn check(key: KeyId, history: &History, rules: &Rules, found: &mut Findings) -> u64 {
    let slack = Duration::from_nanos(rules.slack);
    let register = Register {
        slack,
        resends: false,
    };
    let clients = Clients::of(key, slack);
    let store = judge(
        &register,
        &store_calls(&history.calls),
        "store calls",
        found,
    );
    let told = judge(&clients, &clients::calls(key, history), "answers", found);
    u64::from(!store) + u64::from(!told)
}

/// Whether the search came to an end.
fn judge<M: Model>(
    model: &M,
    calls: &[Searched<M::Call, M::Reply>],
    what: &str,
    found: &mut Findings,
) -> bool {
    match search(model, calls, LIMIT) {
        Ok(()) => true,
        Err(Violation::Inexplicable(stuck)) => {
            let at = calls.first().map_or(0, |call| nanos(call.invoked));
            let what = format!("no order of all {what} explains them:\n{stuck}");
            found.add(Rule::Search, at, what);
            true
        }
        Err(_) => false,
    }
}

fn store_calls(calls: &[StoreCall]) -> Vec<Searched<Asked, StoreReply>> {
    let mut searched: Vec<_> = calls
        .iter()
        .map(|call| Searched {
            client: 0,
            invoked: time(call.sent),
            replied: call
                .reply
                .and_then(|(got, reply)| Some((time(got), replied(reply)?))),
            void_after: None,
            call: asked(call.what),
        })
        .collect();
    searched.sort_by_key(|call| call.invoked);
    searched
}

fn asked(call: Call) -> Asked {
    match call {
        Call::Create { record, ttl_ms } => Asked::Create(imprint(record), millis(ttl_ms)),
        Call::Update {
            expected,
            record,
            ttl_ms,
        } => Asked::Update(version(expected), imprint(record), millis(ttl_ms)),
        Call::Delete { expected } => Asked::Delete(version(expected)),
        Call::Get => Asked::Get,
    }
}

fn replied(reply: Reply) -> Option<StoreReply> {
    match reply {
        Reply::Applied => Some(StoreReply::Applied),
        Reply::Found(seen) => Some(StoreReply::Found(Some(imprint(seen.record)))),
        Reply::Vacant => Some(StoreReply::Found(None)),
        Reply::Failed(Fault::Unknown) => None,
        Reply::Failed(_) => Some(StoreReply::Refused),
    }
}

fn imprint(record: Summary) -> Imprint {
    Imprint {
        version: version(record.ver),
        hash: record.digest,
    }
}

fn version(Ver(token, revision): Ver) -> Version {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&token.to_be_bytes());
    Version {
        token: ClaimToken::from_bytes(bytes),
        revision,
    }
}

fn time(at: Nanos) -> Duration {
    Duration::from_nanos(at)
}

fn nanos(time: Duration) -> Nanos {
    u64::try_from(time.as_nanos()).unwrap_or(Nanos::MAX)
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
