//! `idem serve`

use std::sync::Arc;

use idem_console::Console;
use serde_json::json;
use tokio::net::TcpListener;

use crate::{
    cli::ServeArgs,
    failure::Failure,
    output::{BOLD, CARE, Output, printable},
    place::Place,
    words,
};

pub(crate) async fn run(place: &Place, args: &ServeArgs, output: &Output) -> Result<(), Failure> {
    let who = args.who.clone().unwrap_or_default();
    if args.allow_changes && who.trim().is_empty() {
        return Err(Failure::usage(
            "--by NAME: say in whose name changes are made",
        ));
    }
    let opened = place.open().await?;
    let token = match &args.token {
        Some(token) => token.clone(),
        None => words::hex(&rand::random::<[u8; 16]>()),
    };
    let title = args.title.clone().unwrap_or_else(|| place.shown());
    let mut console = Console::of(Arc::clone(&opened.store), Arc::clone(&opened.browse))
        .title(printable(&title))
        .retention(args.retention)
        .most_records(args.most_records)
        .token(&*token);
    if args.allow_changes {
        console = console.authorise(move |_| Some(who.clone()));
    }
    let listener = TcpListener::bind(args.listen).await?;
    let address = listener.local_addr()?;
    let url = format!("http://{address}/#token={token}");
    output.say(
        &json!({ "type": "serving", "url": url, "may_change": args.allow_changes }),
        || {
            let may = match args.allow_changes {
                true => "It shows, and changes",
                false => "It only shows: --allow-changes lets it settle and release",
            };
            format!("{BOLD}{url}{BOLD:#}\n{may}. Ctrl-C ends it.")
        },
    );
    if !address.ip().is_loopback() {
        output.note(&format!(
            "{CARE}warning:{CARE:#} others on the network can read what is sent, and the token: put TLS in front"
        ));
    }
    Ok(axum::serve(listener, console.into_router()).await?)
}
