//! `idem list`

use serde_json::{Value, json};

use crate::{
    cli::ListArgs, commands, failure::Failure, filter::Filter, output::Output, place::Opened,
    record, scan::Scan,
};

pub(crate) async fn run(opened: &Opened, args: &ListArgs, output: &Output) -> Result<(), Failure> {
    for scope in [&args.filter.scope, &args.filter.under]
        .into_iter()
        .flatten()
    {
        commands::scope(scope)?;
    }
    let filter = Filter::of(&args.filter);
    let mut scan = match &args.after {
        Some(mark) => Scan::behind(&*opened.browse, &filter.asked, mark).await?,
        None => Scan::new(&*opened.browse, &filter.asked),
    };
    let most = if args.all { usize::MAX } else { args.limit };
    let mut listed = 0;
    let progress = output.progress("records found", None);
    while listed < most {
        let Some((key, stored)) = scan.next().await? else {
            progress.finish_and_clear();
            scan.tell_unreadable(output);
            if listed == 0 && scan.unreadable == 0 {
                output.note("no such record");
            }
            return Ok(());
        };
        progress.set_position(scan.listed as u64);
        progress.suspend(|| scan.tell_unreadable(output));
        if !filter.passes(&key, &stored) {
            continue;
        }
        if listed == 0 && !output.json {
            progress.suspend(|| output.line(&record::head()));
        }
        listed += 1;
        progress.suspend(|| match output.json {
            true => output.value(&Value::Object(record::json(&key, &stored))),
            false => output.line(&record::row(&key, &stored)),
        });
    }
    progress.finish_and_clear();
    let mark = scan.mark();
    match output.json {
        true => output.value(&json!({ "type": "page", "after": mark })),
        false => output.note(&format!("there may be more: idem list --after {mark}")),
    }
    Ok(())
}
