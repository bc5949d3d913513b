//! A client that is killed between sending and answer, and goes on with the same intent.
//!
//! `intent-journal JOURNAL URL [ORDER]` first sends again what an earlier process left in the journal,
//! and then ORDER. JOURNAL is `sqlite:FILE`, or a folder.

mod file;
mod sqlite;

use std::{
    env,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, Result, anyhow};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper_util::{
    client::legacy::{Client, Error},
    rt::TokioExecutor,
};
use idem::http::client::{Entry, GaveUp, Intent, IntentError, IntentLayer, Journal, RetryRules};
use tower::{ServiceBuilder, ServiceExt as _};

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = env::args().skip(1);
    let journal = arguments.next().context("name a journal")?;
    let url = arguments.next().context("name a URL")?;
    let order = arguments.next();
    match journal.starts_with("sqlite:") {
        true => work(&sqlite::Table::open(&journal).await?, &url, order).await,
        false => work(&file::Folder::open(&journal).await?, &url, order).await,
    }
}

async fn work(
    journal: &impl Journal<Error = anyhow::Error>,
    url: &str,
    order: Option<String>,
) -> Result<()> {
    for entry in journal.open().await? {
        let intent = entry.resume(SystemTime::now(), RetryRules::default());
        println!("resumed; it may have run: {}", intent.may_have_run());
        // One without an outcome holds up no other.
        if let Err(error) = settle(journal, url, &entry, intent).await {
            eprintln!("{} stays in the journal: {error:#}", entry.key.as_str());
        }
    }
    if let Some(order) = order {
        let entry = Entry::new(order, SystemTime::now());
        journal.write(&entry).await?; // before the first sending
        let intent = entry.intent(RetryRules::default());
        settle(journal, url, &entry, intent).await?;
    }
    Ok(())
}

/// Sends until there is an outcome, and takes the entry out of the journal then.
async fn settle(
    journal: &impl Journal<Error = anyhow::Error>,
    url: &str,
    entry: &Entry,
    intent: Intent,
) -> Result<()> {
    match send(url, entry, intent).await {
        Ok(answer) => println!("{answer}"),
        Err(error) => match IntentError::of(&*error).map(IntentError::gave_up) {
            Some(GaveUp::NothingRan(reason)) => println!("nothing ran: {reason}"),
            // It stays in the journal, for the next start or for a person.
            _ => return Err(anyhow!(error)),
        },
    }
    journal.remove(&entry.key).await
}

async fn send(
    url: &str,
    entry: &Entry,
    intent: Intent,
) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
    let layer = IntentLayer::default()
        .timeout(Duration::from_secs(10))
        .not_sent(|error| {
            let error = error.downcast_ref::<Error>();
            error.is_some_and(Error::is_connect)
        });
    let client = ServiceBuilder::new()
        .layer(layer)
        .service(Client::builder(TokioExecutor::new()).build_http());
    let mut request = Request::post(url).body(Full::<Bytes>::from(entry.request.clone()))?;
    request.extensions_mut().insert(intent);
    let answer = client.oneshot(request).await?;
    let status = answer.status();
    let body = answer.into_body().collect().await?.to_bytes();
    Ok(format!("{status}: {}", String::from_utf8_lossy(&body)))
}
