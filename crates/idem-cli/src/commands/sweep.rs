//! `idem sweep`

use serde_json::json;

use crate::{
    failure::Failure,
    output::{GOOD, Output},
    place::Opened,
    words,
};

/// So many at a time, so that the progress is seen and nobody is held up for long.
const AT_ONCE: usize = 1000;

pub(crate) async fn run(opened: &Opened, output: &Output) -> Result<(), Failure> {
    let progress = output.progress("removed", None);
    let mut removed = 0;
    loop {
        let now = opened.sweep.sweep(AT_ONCE).await?;
        removed += now;
        progress.set_position(removed as u64);
        if now < AT_ONCE {
            break;
        }
    }
    progress.finish_and_clear();
    output.say(&json!({ "type": "swept", "removed": removed }), || {
        format!(
            "{GOOD}removed{GOOD:#}  {}",
            words::count(removed, "expired record")
        )
    });
    Ok(())
}
