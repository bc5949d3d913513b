//! The two changes: settle, and release.

use axum::{Json, extract::State};
use http::{StatusCode, request::Parts};
use idem_core::{RecordKey, store::Stored};
use serde::Deserialize;
use serde_json::{Value, json};

use axum::response::{IntoResponse, Response};

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
    let Some(author) = author(&app, &parts, &asked.which) else {
        return nobody();
    };
    act(&app, &asked.which, async |key, shown| {
        let form = match asked.status {
            Some(status) => Form::Http {
                status,
                content_type: (asked.content_type.clone())
                    .unwrap_or_else(|| "application/json".to_owned()),
            },
            None => Form::Json,
        };
        let value = asked.value.clone().into_bytes();
        let settlement = match asked.how {
            How::Completed => Settlement::Completed(value, form),
            How::Failed => Settlement::Failed(value, form),
            How::RunAgain => Settlement::RunAgain,
        };
        let resolution = settlement.into_resolution()?;
        let (store, retention) = (&app.console.store, app.console.retention);
        operate::resolve(store, key, shown, resolution, retention, &author).await
    })
    .await
}

pub(super) async fn release(
    State(app): State<App>,
    parts: Parts,
    Json(asked): Json<Which>,
) -> Response {
    let Some(author) = author(&app, &parts, &asked) else {
        return nobody();
    };
    act(&app, &asked, async |key, shown| {
        // A completed key is released on the command line alone: its effect happens again.
        let (store, retention) = (&*app.console.store, app.console.retention);
        operate::release(store, key, shown, false, retention, &author).await
    })
    .await
}

fn author(app: &App, parts: &Parts, which: &Which) -> Option<Author> {
    Some(Author {
        who: app.console.actor(parts)?,
        why: which.reason.clone(),
        keep: Author::KEEP,
    })
}

fn nobody() -> Response {
    refused(
        StatusCode::FORBIDDEN,
        "read-only",
        "you may look, and not act",
    )
}

/// Looks the record up, compares it with what was shown, and changes it.
async fn act(
    app: &App,
    which: &Which,
    change: impl AsyncFnOnce(&RecordKey, &Stored) -> Result<(), OperateError>,
) -> Response {
    let acted = async {
        let key = parse_key(&which.key)?;
        let version =
            parse_version(&which.version).map_err(|error| OperateError::new(Kind::Usage, error))?;
        let shown = operate::look(&*app.console.store, &key, Some(version)).await?;
        change(&key, &shown).await
    };
    let acted = acted.await;
    app.overviews.forget().await;
    match acted {
        Ok(()) => Json::<Value>(json!({ "done": true })).into_response(),
        Err(error) => Refusal(error).into_response(),
    }
}
