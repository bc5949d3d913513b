//! `idem release`

use idem_console::operate;
use serde_json::json;

use crate::{
    change,
    cli::ReleaseArgs,
    failure::Failure,
    key,
    output::{GOOD, Output},
    place::Opened,
    record::Standing,
};

pub(crate) async fn run(
    opened: &Opened,
    args: &ReleaseArgs,
    output: &Output,
) -> Result<(), Failure> {
    let store = &*opened.store;
    let (key, stored) = change::look(store, &args.key, &args.seen, output).await?;
    let standing = Standing::of(&stored);
    let question = operate::check_release(&stored, args.completed)?;
    let author = change::confirm(output, &args.change, question)?;
    let retention = args.seen.retention;
    operate::release(store, &key, &stored, args.completed, retention, &author).await?;
    output.say(
        &json!({
            "type": "changed", "action": "release", "key": key.as_str(),
            "from": standing.name(), "to": "released",
        }),
        || {
            let from = standing.name();
            format!(
                "{GOOD}released{GOOD:#}  {}: {from} -> released",
                key::shown(key.as_str())
            )
        },
    );
    Ok(())
}
