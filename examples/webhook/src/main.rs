//! Webhooks of Stripe and of a sender that follows Standard Webhooks: verified, stored in SQLite,
//! answered, and worked off once.

use std::{env, time::Duration};

use anyhow::{Context as _, Result};
use axum::{Router, routing::post};
use idem::{
    Idempotency, OnPanic, Policy,
    sqlite::SqliteStore,
    webhook::{BoxError, Delivery, Event, Inbox, Receipt, Verifier},
};
use tokio::{net::TcpListener, signal, time::interval};

/// The verified delivery is the argument: what is not signed never gets here.
async fn hook(delivery: Delivery) -> Receipt {
    delivery.accept(work_off).await
}

/// `Ok` settles the event for good. After an error it runs again.
async fn work_off(event: Event) -> Result<(), BoxError> {
    let body: serde_json::Value = event.json()?;
    println!(
        "{}, attempt {}: {}",
        event.id().as_str(),
        event.attempt(),
        body["type"]
    );
    // Hand `event.derive_key("…")` to the APIs that this calls.
    Ok(())
}

#[tokio::main]
async fn main() -> Result<()> {
    let store = SqliteStore::connect("sqlite:webhooks.db").await?;
    // Longer than senders go on delivering, and than this service may be down.
    let policy = Policy::default().retention(Duration::from_secs(30 * 24 * 3600));
    let policy = policy.on_panic(OnPanic::Retry);
    let idem = Idempotency::builder(store.clone()).policy(policy).build()?;
    let stripe = Verifier::stripe(secrets("STRIPE_SECRETS")?)?;
    let standard = Verifier::standard(secrets("STANDARD_SECRETS")?)?;
    let inboxes = [
        (
            "/hooks/stripe",
            Inbox::new(&idem, "stripe", "billing", stripe)?,
        ),
        (
            "/hooks/partner",
            Inbox::new(&idem, "partner", "orders", standard)?,
        ),
    ];

    let mut app = Router::new();
    for (path, inbox) in inboxes {
        app = app.merge(
            Router::new()
                .route(path, post(hook))
                .with_state(inbox.clone()),
        );
        tokio::spawn(catch_up(inbox, store.clone()));
    }
    let listener = TcpListener::bind("127.0.0.1:8082").await?;
    println!("the inbox listens on http://{}", listener.local_addr()?);
    let stopped = async {
        let _ = signal::ctrl_c().await;
    };
    axum::serve(listener, app)
        .with_graceful_shutdown(stopped)
        .await?;
    idem.wait_idle().await;
    Ok(())
}

/// Works off, now and every minute, what a crash or an error left.
async fn catch_up(inbox: Inbox, store: SqliteStore) {
    let mut minutes = interval(Duration::from_secs(60));
    loop {
        minutes.tick().await;
        if let Err(error) = inbox.work_off(&store, work_off).await {
            eprintln!("the store cannot be listed: {error}");
        }
    }
}

/// Several with commas between them, while one is rotated.
fn secrets(variable: &str) -> Result<Vec<String>> {
    let secrets = env::var(variable).with_context(|| format!("set {variable}"))?;
    Ok(secrets.split(',').map(str::to_owned).collect())
}
