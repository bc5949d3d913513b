//! `idem release`

use idem_core::store::State;
use serde_json::json;

use crate::{
    audit::Intent,
    change,
    cli::ReleaseArgs,
    failure::{Failure, Kind},
    output::{GOOD, Output, printable},
    place::Opened,
    record::{self, Standing},
};

pub(crate) async fn run(
    opened: &Opened,
    args: &ReleaseArgs,
    output: &Output,
) -> Result<(), Failure> {
    let store = &*opened.store;
    let (key, stored) = change::look(store, &args.key, &args.seen, output).await?;
    let standing = Standing::of(&stored);
    let refused = |why: &str| Err(Failure::new(Kind::NotAllowed, why));
    let question = match standing {
        Standing::InFlight => return refused("it runs: wait until its lease is over"),
        Standing::Released => return refused("it is released already"),
        Standing::Completed if !args.completed => {
            return refused(
                "it is completed: released, it would run a second time; --completed does it anyway",
            );
        }
        Standing::Completed => "Its answer is lost, and the next request has its effect AGAIN.",
        Standing::Failed => "Its failure is lost, and the next request runs.",
        Standing::Abandoned | Standing::Halted | Standing::Retryable => {
            "The next request runs: be sure that the vanished one had no effect."
        }
    };
    change::confirm(output, &args.change, question)?;

    let before = &stored.record;
    let intent = Intent {
        subject: key.as_str().to_owned(),
        action: "release",
        from: standing.name().to_owned(),
        to: "released".to_owned(),
        version: Some(record::version(&before.version)),
    };
    let after = record::successor(before, State::Released);
    let write = change::replace(store, &key, before, &after, args.seen.retention);
    change::audited(store, &args.change, intent, write).await?;
    output.say(
        &json!({
            "type": "changed", "action": "release", "key": key.as_str(),
            "from": standing.name(), "to": "released",
        }),
        || {
            let from = standing.name();
            format!(
                "{GOOD}released{GOOD:#}  {}: {from} -> released",
                printable(key.as_str())
            )
        },
    );
    Ok(())
}
