//! Asking before a change.

use idem_console::operate::{self, Author};
use idem_core::{
    RecordKey,
    store::{Store, Stored},
};

use crate::{
    cli::{ChangeArgs, KeyArgs, SeenArgs},
    commands,
    failure::Failure,
    output::Output,
};

/// The record to change: looked up, compared with the version that was asked for, and shown.
pub(crate) async fn look(
    store: &dyn Store,
    args: &KeyArgs,
    seen: &SeenArgs,
    output: &Output,
) -> Result<(RecordKey, Stored), Failure> {
    let key = commands::key_of(args)?;
    let stored = operate::look(store, &key, seen.if_version).await?;
    if !output.json {
        commands::show::text(output, &key, &stored, false);
    }
    Ok((key, stored))
}

/// Asks, unless `--yes` was given. Who does it, and why.
pub(crate) fn confirm(
    output: &Output,
    args: &ChangeArgs,
    question: &str,
) -> Result<Author, Failure> {
    let is_missing = |text: &Option<String>| text.as_deref().unwrap_or_default().trim().is_empty();
    if is_missing(&args.reason) {
        return Err(Failure::usage("--reason TEXT: say why, in a few words"));
    }
    if is_missing(&args.who) {
        return Err(Failure::usage("--by NAME: say who does it"));
    }
    let author = Author {
        who: args.who.clone().unwrap_or_default(),
        why: args.reason.clone().unwrap_or_default(),
        keep: args.keep_audit,
    };
    if args.yes {
        return Ok(author);
    }
    match output.ask(question) {
        Some(true) => Ok(author),
        Some(false) => Err(Failure::error("not confirmed, nothing was changed")),
        None => Err(Failure::usage(
            "there is nobody to ask: look with `idem show`, then give --yes, and --if-version \
             with the version that it printed",
        )),
    }
}
