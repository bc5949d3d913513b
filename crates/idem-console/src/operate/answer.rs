//! [`Settlement`]: how an abandoned key is settled, and the bytes that its repeats get.

use http::{HeaderValue, StatusCode, header};
use idem_core::Resolution;
use idem_http::StoredResponse;
use serde_json::Value;

use super::{Kind, OperateError};

/// What happened outside the store, as somebody found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settlement {
    /// It happened: repeats get this value.
    Completed(Vec<u8>, Form),
    /// It failed for good: repeats get this error.
    Failed(Vec<u8>, Form),
    /// It had no effect and can have none: the next request runs.
    RunAgain,
}

/// What a value is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// JSON: what a job's work returns.
    Json,
    /// The body of an HTTP answer.
    Http {
        /// Its status.
        status: u16,
        /// Its media type.
        content_type: String,
    },
    /// Bytes that are stored as they are.
    Raw,
}

impl Settlement {
    /// The resolution that stores it.
    ///
    /// # Errors
    /// [`Kind::Usage`] where the value does not have its form.
    pub fn into_resolution(self) -> Result<Resolution, OperateError> {
        let (value, form, is_failure) = match self {
            Self::RunAgain => return Ok(Resolution::retry()),
            Self::Completed(value, form) => (value, form, false),
            Self::Failed(value, form) => (value, form, true),
        };
        let raw = match form {
            Form::Json => return typed(&value, is_failure),
            Form::Raw => value,
            Form::Http {
                status,
                content_type,
            } => http(status, &content_type, value)?,
        };
        Ok(match is_failure {
            true => Resolution::failed_raw(raw),
            false => Resolution::completed_raw(raw),
        })
    }
}

fn typed(value: &[u8], is_failure: bool) -> Result<Resolution, OperateError> {
    let value: Value = serde_json::from_slice(value)
        .map_err(|error| usage(format!("the value is not JSON: {error}")))?;
    let resolution = match is_failure {
        true => Resolution::failed(&value),
        false => Resolution::completed(&value),
    };
    resolution.map_err(|error| usage(error.to_string()))
}

fn http(status: u16, content_type: &str, body: Vec<u8>) -> Result<Vec<u8>, OperateError> {
    let status = StatusCode::from_u16(status)
        .ok()
        .filter(|status| !status.is_informational())
        .ok_or_else(|| usage(format!("{status} is not the status of an answer")))?;
    let media = HeaderValue::from_str(content_type)
        .map_err(|_| usage("that is not a media type".to_owned()))?;
    let answer = StoredResponse::new(status, body).header(header::CONTENT_TYPE, media);
    Ok(answer.encode().to_vec())
}

fn usage(message: String) -> OperateError {
    OperateError::new(Kind::Usage, message)
}
