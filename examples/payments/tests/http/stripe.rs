//! The official clients of Stripe against this service in Stripe's profile, through a proxy that
//! breaks connections: one charge each, and the class of error that Stripe's users expect.
//!
//! `cargo xtask stripe` installs the clients and runs these tests.

mod client;
mod troubles;

use idem_testbed::FaultyProxy;

use crate::service::Service;
use client::{Client, Said};
use troubles::{Trouble, troubles};

#[tokio::test]
#[ignore = "needs the official client: `cargo xtask stripe` installs it"]
async fn the_official_python_client() {
    survives(&Client::python()).await;
}

#[tokio::test]
#[ignore = "needs the official client: `cargo xtask stripe` installs it"]
async fn the_official_node_client() {
    survives(&Client::node()).await;
}

/// Tries out every trouble, and then says all that went wrong.
async fn survives(client: &Client) {
    let rejecting = Service::start(&["--profile", "stripe"]).await;
    let waiting = Service::start(&["--profile", "stripe", "--on-busy", "wait:60s"]).await;
    let mut failures = Vec::new();
    for trouble in troubles() {
        let service = match trouble.waits {
            true => &waiting,
            false => &rejecting,
        };
        match suffer(client, service, &trouble).await {
            Ok(()) => println!("{}: passed", trouble.name),
            Err(why) => failures.push(format!("{}: {why}", trouble.name)),
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Each trouble has a merchant of its own, so its charges are counted apart.
async fn suffer(client: &Client, service: &Service, trouble: &Trouble) -> Result<(), String> {
    let proxy = FaultyProxy::start(service.address).unwrap();
    if let Some(rule) = &trouble.rule {
        proxy.arm(rule.clone());
    }
    if trouble.refuses {
        proxy.refuse();
    }
    let base = format!("http://{}", proxy.address());
    let calls = trouble.calls();
    let said = match trouble.at_once {
        false => client.start().make(&base, &calls).await,
        true => {
            let (first, second) = calls.split_at(1);
            let (one, other) = (client.start(), client.start());
            let (first, second) = tokio::join!(one.make(&base, first), async {
                service.at_work(trouble.name).await;
                other.make(&base, second).await
            });
            [first, second].concat()
        }
    };
    let charges = service.charges(trouble.name).await;
    let sendings = proxy.counts().forwarded;
    if said.iter().map(Said::summary).collect::<Vec<_>>() != trouble.expected {
        return Err(format!("{said:#?} instead of {:?}", trouble.expected));
    }
    if charges != trouble.charges {
        return Err(format!("{charges} charges instead of {}", trouble.charges));
    }
    if trouble
        .sendings
        .is_some_and(|expected| expected != sendings)
    {
        return Err(format!(
            "{sendings} requests instead of {:?}",
            trouble.sendings
        ));
    }
    one_answer(&said)
}

/// All that succeeded got the same payment, and a replay names the request that made it.
fn one_answer(said: &[Said]) -> Result<(), String> {
    let mut paid = said.iter().filter(|said| said.id.is_some());
    let Some(first) = paid.next() else {
        return Ok(());
    };
    let same = paid.all(|other| other.id == first.id && other.original == first.original);
    let named = said.iter().all(|said| match said.replayed {
        Some(replayed) => replayed == (said.request != said.original),
        None => true,
    });
    match same && named {
        true => Ok(()),
        false => Err(format!("different answers: {said:#?}")),
    }
}
