//! `idem resolve`

use std::{
    io::Read as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use http::{HeaderValue, StatusCode, header};
use idem_core::{Idempotency, Policy, Resolution, store::Stored};
use idem_http::StoredResponse;
use serde_json::{Value, json};

use crate::{
    audit::Intent,
    change,
    cli::ResolveArgs,
    failure::{Failure, Kind},
    output::{GOOD, Output, printable},
    place::Opened,
    record::{self, Standing},
    words,
};

pub(crate) async fn run(
    opened: &Opened,
    args: &ResolveArgs,
    output: &Output,
) -> Result<(), Failure> {
    let resolution = resolution(args)?;
    let to = resolution.name();
    let store = &*opened.store;
    let (key, stored) = change::look(store, &args.key, &args.seen, output).await?;
    refuse_ended(&stored)?;
    let from = Standing::of(&stored).name();
    let question = format!("Settle it as {to}.");
    change::confirm(output, &args.change, &question)?;

    let version = stored.record.version;
    let intent = Intent {
        subject: key.as_str().to_owned(),
        action: "resolve",
        from: from.to_owned(),
        to: to.to_owned(),
        version: Some(record::version(&version)),
    };
    let policy = Policy::default().retention(args.seen.retention);
    let idem = Idempotency::builder(Arc::clone(&opened.store))
        .policy(policy)
        .build()
        .map_err(|error| Failure::usage(error.to_string()))?;
    let settling = async {
        let settled = idem.resolve_version(&key, version, resolution).await;
        settled.map_err(Failure::from)
    };
    change::audited(store, &args.change, intent, settling).await?;
    output.say(
        &json!({
            "type": "changed", "action": "resolve", "key": key.as_str(), "from": from, "to": to,
        }),
        || {
            format!(
                "{GOOD}resolved{GOOD:#}  {}: {from} -> {to}",
                printable(key.as_str())
            )
        },
    );
    Ok(())
}

/// Says so before anybody is asked.
fn refuse_ended(stored: &Stored) -> Result<(), Failure> {
    let standing = Standing::of(stored);
    match standing {
        Standing::Abandoned | Standing::Halted => Ok(()),
        Standing::InFlight => Err(Failure::new(
            Kind::NotAllowed,
            format!(
                "it runs: its holder wrote {} ago; wait until its lease is over",
                words::time(record::age(stored))
            ),
        )),
        _ => Err(Failure::new(
            Kind::NotAllowed,
            format!(
                "the key is {} already, and the first ending wins",
                standing.name()
            ),
        )),
    }
}

fn resolution(args: &ResolveArgs) -> Result<Resolution, Failure> {
    let how = &args.how;
    if how.run_again {
        return Ok(Resolution::retry());
    }
    let is_failure = how.failed.is_some() || how.failed_json.is_some();
    let file = how.completed.as_ref().or(how.failed.as_ref());
    let value = match (
        file,
        how.completed_json.as_ref().or(how.failed_json.as_ref()),
    ) {
        (Some(file), _) => read(file)?,
        (None, Some(json)) => json.clone().into_bytes(),
        (None, None) => Vec::new(),
    };
    if let Some(status) = args.http {
        let status =
            StatusCode::from_u16(status).map_err(|_| Failure::usage("--http: no such status"))?;
        let media = HeaderValue::from_str(&args.content_type)
            .map_err(|_| Failure::usage("--content-type: not a media type"))?;
        let answer = StoredResponse::new(status, value)
            .header(header::CONTENT_TYPE, media)
            .encode();
        return Ok(match is_failure {
            true => Resolution::failed_raw(answer),
            false => Resolution::completed_raw(answer),
        });
    }
    if args.raw {
        return Ok(match is_failure {
            true => Resolution::failed_raw(value),
            false => Resolution::completed_raw(value),
        });
    }
    let value: Value = serde_json::from_slice(&value).map_err(|error| {
        Failure::usage(format!(
            "the value is not JSON ({error}); --raw stores bytes as they are"
        ))
    })?;
    let resolution = match is_failure {
        true => Resolution::failed(&value),
        false => Resolution::completed(&value),
    };
    resolution.map_err(|error| Failure::usage(error.to_string()))
}

fn read(file: &PathBuf) -> Result<Vec<u8>, Failure> {
    let read = match file == Path::new("-") {
        true => {
            let mut bytes = Vec::new();
            std::io::stdin().read_to_end(&mut bytes).map(|_| bytes)
        }
        false => std::fs::read(file),
    };
    read.map_err(|error| Failure::error(format!("{}: {error}", file.display())))
}
