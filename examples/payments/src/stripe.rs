//! What `--profile stripe` takes besides the layer's profile: form bodies, and this service's own
//! errors in Stripe's words, so that the official clients work with it.

use axum::{
    body::{Body, to_bytes},
    extract::Request,
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value, json};

use crate::problem::Problem;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Hands a form to the handlers as the JSON that they read. It stands inside of the idempotency
/// layer, which has to see the body that the client sent.
pub(crate) async fn forms(request: Request, next: Next) -> Response {
    let says_form = request
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| {
            value
                .as_bytes()
                .starts_with(b"application/x-www-form-urlencoded")
        });
    if !says_form {
        return next.run(request).await;
    }
    let (mut head, body) = request.into_parts();
    // The layer outside has read it whole, up to its limit.
    let Ok(form) = to_bytes(body, usize::MAX).await else {
        return Problem::unreadable(StatusCode::BAD_REQUEST, "The body broke off").into_response();
    };
    head.headers.insert(header::CONTENT_TYPE, JSON);
    head.headers.remove(header::CONTENT_LENGTH);
    let body = Body::from(object(&form).to_string());
    next.run(Request::from_parts(head, body)).await
}

/// `a[b]=1` is the member `b` of the member `a`.
fn object(form: &[u8]) -> Value {
    let mut object = Map::new();
    for (name, text) in form_urlencoded::parse(form).into_owned() {
        let nested = name.strip_suffix(']').and_then(|name| name.split_once('['));
        match nested {
            Some((outer, inner)) => {
                let members = object.entry(outer).or_insert_with(|| json!({}));
                // Of a text and an object under one name, the last one wins.
                if !members.is_object() {
                    *members = json!({});
                }
                members[inner] = value(inner, text);
            }
            None => {
                let value = value(&name, text);
                object.insert(name, value);
            }
        }
    }
    Value::Object(object)
}

/// Numbers and truth values by their spelling; what people write is always text.
fn value(name: &str, text: String) -> Value {
    let typed = match name {
        "description" | "currency" => None,
        _ => serde_json::from_str(&text).ok(),
    };
    match typed {
        Some(value @ (Value::Number(_) | Value::Bool(_))) => value,
        _ => Value::String(text),
    }
}

/// Writes this service's problems as Stripe writes errors. It stands inside of the idempotency layer,
/// for the answers that are stored, and outside of everything, for all others.
pub(crate) async fn errors(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    if response.headers().get(header::CONTENT_TYPE) != Some(&Problem::CONTENT_TYPE) {
        return response;
    }
    let (mut head, body) = response.into_parts();
    let problem = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let problem: Value = serde_json::from_slice(&problem).unwrap_or_default();
    head.headers.insert(header::CONTENT_TYPE, JSON);
    head.headers.remove(header::CONTENT_LENGTH);
    if head.status == StatusCode::UNPROCESSABLE_ENTITY {
        head.status = StatusCode::BAD_REQUEST;
    }
    let error = json!({"error": {
        "type": error_type(head.status),
        "code": problem["code"],
        "message": problem["detail"],
        "param": problem["errors"][0]["field"],
    }});
    Response::from_parts(head, Body::from(error.to_string()))
}

fn error_type(status: StatusCode) -> &'static str {
    match status {
        StatusCode::PAYMENT_REQUIRED => "card_error",
        _ if status.is_server_error() => "api_error",
        _ => "invalid_request_error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_becomes_the_json_that_handlers_read() {
        let form =
            "amount=500&currency=usd&description=12&sandbox[delay_ms]=5&sandbox%5Bpanic%5D=true";
        assert_eq!(
            object(form.as_bytes()),
            json!({
                "amount": 500,
                "currency": "usd",
                "description": "12",
                "sandbox": {"delay_ms": 5, "panic": true},
            })
        );
    }

    #[test]
    fn of_a_text_and_an_object_under_one_name_the_last_one_wins() {
        assert_eq!(object(b"a=1&a[b]=2"), json!({"a": {"b": 2}}));
    }
}
