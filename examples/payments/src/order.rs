//! The body of `POST /v1/payments` and `POST /v1/refunds`.

use axum::body::Bytes;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    ledger::Order,
    money::{Amount, Currency},
    problem::{FieldError, Problem},
    sandbox::Sandbox,
};

/// Longer descriptions are refused.
const MAX_DESCRIPTION: usize = 500;

/// The members as they came, of any type: so that every mistake gets words of its own.
#[derive(Debug, Deserialize)]
struct Members {
    amount: Option<Value>,
    currency: Option<Value>,
    description: Option<Value>,
    sandbox: Option<Value>,
}

/// Reads an order and the trouble it asks for, or says everything that is wrong with it.
pub(crate) fn parse(body: &Bytes) -> Result<(Order, Sandbox), Problem> {
    let members: Members = object(body)?;
    let mut errors = Vec::new();
    let amount = note(
        &mut errors,
        "amount",
        Amount::parse(members.amount.as_ref()),
    );
    let currency = note(
        &mut errors,
        "currency",
        Currency::parse(members.currency.as_ref()),
    );
    let description = note(&mut errors, "description", description(members.description));
    let sandbox = note(&mut errors, "sandbox", Sandbox::parse(members.sandbox));
    match (amount, currency, description, sandbox) {
        (Some(amount), Some(currency), Some(description), Some(sandbox)) => Ok((
            Order {
                amount,
                currency,
                description,
            },
            sandbox,
        )),
        _ => Err(Problem::invalid(errors)),
    }
}

/// The body of `PATCH` and `PUT /v1/payments/{id}`: the description, or null for none.
pub(crate) fn parse_description(body: &Bytes) -> Result<Option<String>, Problem> {
    let members: serde_json::Map<String, Value> = object(body)?;
    let given = members.get("description").cloned().ok_or("is missing");
    given
        .map_err(ToOwned::to_owned)
        .and_then(|value| description(Some(value)))
        .map_err(|message| {
            Problem::invalid(vec![FieldError {
                field: "description",
                message,
            }])
        })
}

fn object<T: DeserializeOwned>(body: &Bytes) -> Result<T, Problem> {
    serde_json::from_slice(body)
        .map_err(|error| Problem::malformed(format!("The body has to be a JSON object: {error}")))
}

fn description(value: Option<Value>) -> Result<Option<String>, String> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.chars().count() <= MAX_DESCRIPTION => Ok(Some(text)),
        Some(Value::String(_)) => Err(format!("must have at most {MAX_DESCRIPTION} characters")),
        Some(_) => Err("must be text, or null".to_owned()),
    }
}

fn note<T, E: ToString>(
    errors: &mut Vec<FieldError>,
    field: &'static str,
    parsed: Result<T, E>,
) -> Option<T> {
    parsed
        .map_err(|error| {
            errors.push(FieldError {
                field,
                message: error.to_string(),
            });
        })
        .ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(body: &str) -> Value {
        let problem = parse(&Bytes::copy_from_slice(body.as_bytes())).unwrap_err();
        serde_json::to_value(problem).unwrap()
    }

    #[test]
    fn every_mistake_is_named_at_once() {
        let problem = refused(r#"{"amount": -1, "currency": "dollars", "sandbox": {"delay": 1}}"#);
        assert_eq!(problem["status"], 422);
        let fields: Vec<&Value> = problem["errors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|error| &error["field"])
            .collect();
        assert_eq!(fields, ["amount", "currency", "sandbox"]);
        assert!(
            problem["detail"]
                .as_str()
                .unwrap()
                .contains("`amount` must be greater than 0")
        );
    }

    #[test]
    fn what_is_no_json_object_is_malformed() {
        for body in [
            "",
            "{",
            "null",
            "7",
            r#""amount""#,
            r#"{"amount":1,"amount":2}"#,
        ] {
            assert_eq!(refused(body)["code"], "body-malformed", "{body}");
        }
    }

    #[test]
    fn a_description_is_short_text_or_null() {
        let parse = |value: Value| parse_description(&Bytes::from(value.to_string()));
        assert_eq!(parse(json!({"description": null})).unwrap(), None);
        assert_eq!(
            parse(json!({"description": "tea"})).unwrap().as_deref(),
            Some("tea")
        );
        assert!(parse(json!({})).is_err());
        assert!(parse(json!([])).is_err());
        assert!(parse(json!({"description": 7})).is_err());
        assert!(parse(json!({"description": "x".repeat(501)})).is_err());
    }
}
