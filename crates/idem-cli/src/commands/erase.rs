//! `idem erase`: answers are forgotten, and their keys stay.

use http::StatusCode;
use idem_console::operate::{self, OperateError};
use idem_core::{
    Bytes,
    store::{Record, State, Within},
};
use idem_http::{StoredBody, StoredResponse, encode_answer};
use serde_json::json;

use crate::{
    audit::{self, Intent},
    change,
    cli::EraseArgs,
    commands,
    failure::{Failure, Kind},
    filter::Filter,
    output::{BOLD, GOOD, Output, printable},
    place::Opened,
    scan::Scan,
    words,
};

/// What a repeat of typed work is told instead of its answer, in the core's form for an answer that
/// could not be kept.
const ERASED: &[u8] = br#"{"unstorable":"the answer was erased by hand"}"#;

/// What there is to erase, and what was erased.
#[derive(Debug, Default)]
struct Count {
    answers: usize,
    /// Erased before.
    already: usize,
    /// Without an ending: in flight, abandoned, halted, retryable with a checkpoint.
    unended: usize,
    /// Nothing of the request's is in them.
    empty: usize,
    /// Written by somebody else meanwhile.
    changed: usize,
    /// Damaged, or written by a newer release.
    unreadable: usize,
}

pub(crate) async fn run(opened: &Opened, args: &EraseArgs, output: &Output) -> Result<(), Failure> {
    let scope = commands::scope(&args.scope)?;
    let within = || match args.under {
        true => Within::Under(scope.to_owned()),
        false => Within::Only(scope.to_owned()),
    };
    let found = walk(opened, &Filter::within(within()), output, None).await?;
    let name = match scope {
        "" => "the global scope".to_owned(),
        scope => printable(scope),
    };
    let below = if args.under { " and below it" } else { "" };
    let plan = format!(
        "in {name}{below}: {} to erase, {} erased before, {} without an ending",
        words::count(found.answers, "answer"),
        found.already,
        found.unended
    );
    let is_dry = !args.change.yes && !output.can_ask();
    if found.answers == 0 || is_dry {
        output.say(&json(&found, 0, args), || plan);
        if is_dry && found.answers > 0 {
            return Err(Failure::usage(
                "nothing was erased, and there is nobody to ask: --reason TEXT --yes erases",
            ));
        }
        return unended(&found);
    }
    if !output.json {
        output.line(&plan);
    }
    let author = change::confirm(output, &args.change, "They cannot be had back.")?;

    let intent = Intent {
        subject: audit::subject_of_scope(scope, args.under),
        action: "erase",
        from: words::count(found.answers, "answer"),
        to: "erased".to_owned(),
        version: None,
    };
    let mut erased = Count::default();
    let work = async {
        let total = found.answers as u64;
        let walked = walk(opened, &Filter::within(within()), output, Some(total)).await;
        erased =
            walked.map_err(|failure| OperateError::new(operate::Kind::Failed, failure.message))?;
        Ok(())
    };
    operate::audited(&*opened.store, &author, intent, work).await?;
    output.say(&json(&found, erased.answers, args), || {
        format!(
            "{GOOD}erased{GOOD:#}  {}; their keys do not run again",
            words::count(erased.answers, "answer")
        )
    });
    match erased.changed {
        0 => unended(&erased),
        changed => Err(Failure::new(
            Kind::Changed,
            format!(
                "{} changed meanwhile and stayed: run it again",
                words::count(changed, "record")
            ),
        )),
    }
}

fn json(found: &Count, erased: usize, args: &EraseArgs) -> serde_json::Value {
    json!({
        "type": "erase",
        "scope": args.scope,
        "under": args.under,
        "answers": found.answers,
        "erased": erased,
        "erased_before": found.already,
        "without_ending": found.unended,
        "unreadable": found.unreadable,
    })
}

/// What cannot be read may have data of the person. So may the checkpoint of what has no ending, which gets an
/// answer later.
fn unended(count: &Count) -> Result<(), Failure> {
    if count.unreadable > 0 {
        return Err(Failure::error(format!(
            "{} cannot be read, and stayed as they are: `idem list` names them",
            words::count(count.unreadable, "record")
        )));
    }
    match count.unended {
        0 => Ok(()),
        left => Err(Failure::new(
            Kind::NotAllowed,
            format!(
                "{} without an ending stayed as they are: settle them (`idem list --under SCOPE \
                 --state abandoned --state halted --state retryable`), then run it again",
                words::count(left, "record")
            ),
        )),
    }
}

/// Counts what is to be erased, and erases it where `erase` has the number.
async fn walk(
    opened: &Opened,
    filter: &Filter,
    output: &Output,
    erase: Option<u64>,
) -> Result<Count, Failure> {
    let progress = match erase {
        Some(total) => output.progress("erased", Some(total)),
        None => output.progress("records found", None),
    };
    let mut count = Count::default();
    let mut scan = Scan::new(&*opened.browse, &filter.asked);
    while let Some((key, stored)) = scan.next().await? {
        if erase.is_none() {
            progress.set_position(scan.listed as u64);
        }
        if !filter.passes(&key, &stored) {
            continue;
        }
        let before = &stored.record;
        match tombstone(before) {
            What::Erase(state) => {
                if erase.is_some() {
                    let after = operate::successor(before, state);
                    // As long as the answer would have been kept, and a day where the store does
                    // not say.
                    let left = stored
                        .remaining
                        .unwrap_or(std::time::Duration::from_secs(86_400));
                    let wrote = operate::replace(&*opened.store, &key, before, &after, left).await;
                    match wrote {
                        Ok(()) => {}
                        Err(failure) if failure.kind == operate::Kind::Changed => {
                            count.changed += 1;
                            continue;
                        }
                        Err(failure) => return Err(failure.into()),
                    }
                    progress.inc(1);
                }
                count.answers += 1;
            }
            What::Already => count.already += 1,
            What::NoEnding => count.unended += 1,
            What::Empty => count.empty += 1,
        }
    }
    progress.finish_and_clear();
    count.unreadable = scan.unreadable;
    if count.unended > 0 && erase.is_none() {
        output.note(&format!(
            "{BOLD}{}{BOLD:#} in flight, abandoned, halted or retryable with a checkpoint",
            words::count(count.unended, "record")
        ));
    }
    Ok(count)
}

enum What {
    Erase(State),
    Already,
    NoEnding,
    Empty,
}

/// The ending without its answer. Of an HTTP answer the status stays; typed work and raw bytes end as
/// failed, in the form of an answer that could not be kept.
fn tombstone(record: &Record) -> What {
    match &record.state {
        State::InFlight { .. } => What::NoEnding,
        State::Retryable { checkpoint } => match checkpoint {
            Some(_) => What::NoEnding,
            None => What::Empty,
        },
        State::Released => What::Empty,
        State::Completed { payload } | State::Failed { payload } => {
            let is_completed = matches!(record.state, State::Completed { .. });
            match StoredResponse::decode(payload) {
                Ok(answer) => {
                    let payload = without_body(answer.status());
                    if is_erased(&answer, &payload) {
                        return What::Already;
                    }
                    What::Erase(match is_completed {
                        true => State::Completed { payload },
                        false => State::Failed { payload },
                    })
                }
                Err(_) if payload == ERASED => What::Already,
                Err(_) => What::Erase(State::Failed {
                    payload: Bytes::from_static(ERASED),
                }),
            }
        }
    }
}

fn without_body(status: StatusCode) -> Bytes {
    encode_answer(status, &[], None, &[], None)
}

fn is_erased(answer: &StoredResponse, bare: &Bytes) -> bool {
    matches!(answer.body(), StoredBody::Omitted) && answer.encode() == *bare
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, header};
    use idem_core::{
        Fingerprint, Timestamp,
        store::{ClaimToken, Version},
    };

    use super::*;

    fn record(state: State) -> Record {
        Record {
            fingerprint: Fingerprint::of("t", b"t"),
            attempt: 1,
            version: Version {
                token: ClaimToken::from_bytes([1; 16]),
                revision: 1,
            },
            created_at: Timestamp::from_millis(0),
            state,
        }
    }

    #[test]
    fn an_http_answer_keeps_its_status_alone_and_is_erased_once() {
        let payload = StoredResponse::new(StatusCode::CREATED, &b"{\"name\":\"Ada\"}"[..])
            .header(header::LOCATION, HeaderValue::from_static("/people/ada"))
            .encode();
        let What::Erase(state) = tombstone(&record(State::Completed { payload })) else {
            panic!("not erased");
        };
        let State::Completed { payload } = &state else {
            panic!("{state:?}");
        };
        assert!(!String::from_utf8_lossy(payload).contains("da"));
        let left = StoredResponse::decode(payload).unwrap();
        assert_eq!(left.status(), StatusCode::CREATED);
        assert_eq!(*left.body(), StoredBody::Omitted);
        assert!(matches!(tombstone(&record(state)), What::Already));
    }

    #[test]
    fn what_has_no_ending_is_left() {
        let in_flight = State::InFlight {
            lease: std::time::Duration::from_secs(1),
            checkpoint: None,
        };
        assert!(matches!(tombstone(&record(in_flight)), What::NoEnding));
    }
}
