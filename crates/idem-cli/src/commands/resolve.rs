//! `idem resolve`

use std::{
    io::Read as _,
    path::{Path, PathBuf},
};

use idem_console::operate::{self, Form, Settlement};
use serde_json::json;

use crate::{
    change,
    cli::ResolveArgs,
    failure::Failure,
    key,
    output::{GOOD, Output},
    place::Opened,
    record::Standing,
};

pub(crate) async fn run(
    opened: &Opened,
    args: &ResolveArgs,
    output: &Output,
) -> Result<(), Failure> {
    let resolution = settlement(args)?.into_resolution()?;
    let to = resolution.name();
    let store = &opened.store;
    let (key, stored) = change::look(&**store, &args.key, &args.seen, output).await?;
    operate::check_resolve(&stored)?;
    let from = Standing::of(&stored).name();
    let question = format!("Settle it as {to}.");
    let author = change::confirm(output, &args.change, &question)?;
    let retention = args.seen.retention;
    operate::resolve(store, &key, &stored, resolution, retention, &author).await?;
    output.say(
        &json!({
            "type": "changed", "action": "resolve", "key": key.as_str(), "from": from, "to": to,
        }),
        || {
            format!(
                "{GOOD}resolved{GOOD:#}  {}: {from} -> {to}",
                key::shown(key.as_str())
            )
        },
    );
    Ok(())
}

fn settlement(args: &ResolveArgs) -> Result<Settlement, Failure> {
    let how = &args.how;
    if how.run_again {
        return Ok(Settlement::RunAgain);
    }
    let file = how.completed.as_ref().or(how.failed.as_ref());
    let json = how.completed_json.as_ref().or(how.failed_json.as_ref());
    let value = match (file, json) {
        (Some(file), _) => read(file)?,
        (None, json) => json.cloned().unwrap_or_default().into_bytes(),
    };
    let form = match args.http {
        Some(status) => Form::Http {
            status,
            content_type: args.content_type.clone(),
        },
        None if args.raw => Form::Raw,
        None => Form::Json,
    };
    Ok(match how.failed.is_some() || how.failed_json.is_some() {
        true => Settlement::Failed(value, form),
        false => Settlement::Completed(value, form),
    })
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
