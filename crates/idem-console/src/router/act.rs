//! The two changes: settle, and release.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{StatusCode, request::Parts};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{App, Refusal, record::parse_key, refused};
use crate::operate::{self, Author, Form, Kind, OperateError, Settlement, parse_version};

/// What both changes say.
#[derive(Deserialize)]
pub(super) struct Which {
    key: String,
    /// The version that was shown.
    version: String,
    reason: String,
}

#[derive(Deserialize)]
pub(super) struct Resolve {
    #[serde(flatten)]
    which: Which,
    how: How,
    #[serde(default)]
    value: String,
    /// Of an HTTP answer.
    status: Option<u16>,
    content_type: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum How {
    Completed,
    Failed,
    RunAgain,
}

pub(super) async fn resolve(
    State(app): State<App>,
    parts: Parts,
    Json(asked): Json<Resolve>,
) -> Response {
    let form = match asked.status {
        Some(status) => Form::Http {
            status,
            content_type: (asked.content_type).unwrap_or_else(|| "application/json".to_owned()),
        },
        None => Form::Json,
    };
    let value = asked.value.into_bytes();
    let settlement = match asked.how {
        How::Completed => Settlement::Completed(value, form),
        How::Failed => Settlement::Failed(value, form),
        How::RunAgain => Settlement::RunAgain,
    };
    act(app, &parts, asked.which, Change::Resolve(settlement)).await
}

pub(super) async fn release(
    State(app): State<App>,
    parts: Parts,
    Json(asked): Json<Which>,
) -> Response {
    act(app, &parts, asked, Change::Release).await
}

enum Change {
    Resolve(Settlement),
    Release,
}

/// Changes a record if somebody may. A change that was begun runs to its end, also where the page is
/// closed meanwhile: its audit entry would say *begun* for ever.
async fn act(app: App, parts: &Parts, which: Which, change: Change) -> Response {
    let Some(who) = app.console.actor(parts) else {
        return refused(
            StatusCode::FORBIDDEN,
            "read-only",
            "you may look, and not act",
        );
    };
    let acting = tokio::spawn(async move {
        let changed = apply(&app, &which, who, change).await;
        app.overviews.forget();
        changed
    });
    let changed = acting.await.unwrap_or_else(|_| {
        let why = "the change broke off: look at the record and its history";
        Err(OperateError::new(Kind::Failed, why))
    });
    match changed {
        Ok(()) => Json::<Value>(json!({ "done": true })).into_response(),
        Err(error) => Refusal(error).into_response(),
    }
}

/// Looks the record up, compares it with what was shown, and changes it.
async fn apply(app: &App, which: &Which, who: String, change: Change) -> Result<(), OperateError> {
    let key = parse_key(&which.key)?;
    let version =
        parse_version(&which.version).map_err(|error| OperateError::new(Kind::Usage, error))?;
    let author = Author {
        who,
        why: which.reason.clone(),
        keep: Author::KEEP,
    };
    let (store, retention) = (&app.console.store, app.console.retention);
    let shown = operate::look(&**store, &key, Some(version)).await?;
    match change {
        Change::Resolve(settlement) => {
            let resolution = settlement.into_resolution()?;
            operate::resolve(store, &key, &shown, resolution, retention, &author).await
        }
        // A completed key is released on the command line alone: its effect happens again.
        Change::Release => {
            operate::release(&**store, &key, &shown, false, retention, &author).await
        }
    }
}
