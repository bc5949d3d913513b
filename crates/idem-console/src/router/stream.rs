//! The overview, as it changes.

use std::{convert::Infallible, time::Duration};

use axum::{
    extract::State,
    response::{Sse, sse::Event},
};
use futures_util::{Stream, stream};
use serde_json::json;
use tokio::time::sleep;

use super::App;
use crate::operate::with_causes;

const EVERY: Duration = Duration::from_secs(2);

/// One overview every two seconds, and `trouble` where the store does not answer.
pub(super) async fn events(
    State(app): State<App>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let events = stream::unfold((app, false), |(app, waits)| async move {
        if waits {
            sleep(EVERY).await;
        }
        let event = match app.overviews.get().await {
            Ok(overview) => Event::default().event("overview").json_data(&*overview),
            Err(error) => Event::default()
                .event("trouble")
                .json_data(json!({ "message": with_causes(&error) })),
        };
        let event = event.unwrap_or_default();
        Some((Ok(event), (app, true)))
    });
    Sse::new(events)
}
