//! The intent behind a request.

use std::time::SystemTime;

use http::{Extensions, HeaderMap, Method};

use super::{Intent, RetryRules, answer::is_grpc};
use crate::{Form, KeyHeader, Malformed};

/// The intent behind a request; `None` for one that is sent as it is.
///
/// A gRPC call without a key is sent as it is: most calls read, and its method does not tell.
pub(super) fn intent(
    rules: &RetryRules,
    method: &Method,
    headers: &HeaderMap,
    extensions: &Extensions,
) -> Result<Option<Intent>, Malformed> {
    if let Some(intent) = extensions.get::<Intent>() {
        return Ok(Some(intent.clone()));
    }
    let header = KeyHeader {
        name: rules.header.clone(),
        form: Form::Lenient,
    };
    let rules = rules.clone();
    let now = SystemTime::now();
    Ok(match header.read(headers)? {
        Some(key) => Some(Intent::resume(key, now, now, rules)),
        None if is_protected(method) && !is_grpc(headers) => Some(Intent::new(rules)),
        None => None,
    })
}

fn is_protected(method: &Method) -> bool {
    matches!(*method, Method::POST | Method::PATCH)
}
