//! Heads between actix-web, which is on http 0.2, and the driver, which is on http 1.

use actix_web::{
    HttpMessage, HttpRequest, HttpResponse, HttpResponseBuilder,
    body::{BoxBody, MessageBody},
    dev::ServiceRequest,
    http::{StatusCode, header},
};
use bytes::Bytes;
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, Response, Uri};
use idem_core::Context;
use idem_http::{
    Disposition, Problem,
    driver::{Answer, CommitWith, Head, Target},
};

use crate::body::boxed;

/// What the driver reads of a request.
pub(crate) struct Seen {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    target: Option<Target>,
    context: Option<Context>,
}

impl Seen {
    /// `None` for a URI that http 1 does not take, and for more headers than it holds.
    pub(crate) fn of(method: Method, request: &ServiceRequest) -> Option<Self> {
        let extensions = request.extensions();
        let mut headers = headers(request.headers())?;
        // actix-web has asked for the body by now.
        headers.remove(http::header::EXPECT);
        Some(Self {
            method,
            uri: request.uri().to_string().parse().ok()?,
            headers,
            target: extensions.get().cloned(),
            context: extensions.get().cloned(),
        })
    }

    /// actix-web's scopes leave the URI as the client sent it.
    pub(crate) fn head(&self) -> Head<'_> {
        let noted = self.target.as_ref().map(|Target(uri)| uri);
        Head {
            method: &self.method,
            uri: &self.uri,
            noted: noted.or(Some(&self.uri)),
            headers: &self.headers,
            context: self.context.as_ref(),
        }
    }
}

pub(crate) fn method(method: &actix_web::http::Method) -> Option<Method> {
    Method::from_bytes(method.as_str().as_bytes()).ok()
}

/// Without names that http 1 does not take. `None` where there are more than it holds.
fn headers(headers: &header::HeaderMap) -> Option<HeaderMap> {
    let mut converted = HeaderMap::new();
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (
            HeaderName::from_bytes(name.as_str().as_bytes()),
            HeaderValue::from_bytes(value.as_bytes()),
        ) {
            converted.try_append(name, value).ok()?;
        }
    }
    Some(converted)
}

fn headers_back(headers: &HeaderMap) -> header::HeaderMap {
    let mut converted = header::HeaderMap::with_capacity(headers.len());
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (
            header::HeaderName::from_bytes(name.as_str().as_bytes()),
            header::HeaderValue::from_bytes(value.as_bytes()),
        ) {
            converted.append(name, value);
        }
    }
    converted
}

fn status(status: StatusCode) -> http::StatusCode {
    http::StatusCode::from_u16(status.as_u16()).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR)
}

pub(crate) fn status_back(status: http::StatusCode) -> StatusCode {
    StatusCode::from_u16(status.as_u16()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// Marks a handler's own answer on its way through the driver.
#[derive(Clone, Copy)]
struct Own;

/// The head of a handler's answer, for the driver.
pub(crate) fn own_head(response: &HttpResponse<()>) -> Response<()> {
    let mut head = Response::new(());
    *head.status_mut() = status(response.status());
    *head.headers_mut() = headers(response.headers()).unwrap_or_default();
    head.extensions_mut().insert(Own);
    if let Some(disposition) = response.extensions().get::<Disposition>() {
        head.extensions_mut().insert(*disposition);
    }
    head
}

/// The driver's head on top of the handler's own, where the answer is the handler's.
pub(crate) fn head_back(own: Option<HttpResponse<()>>, head: &Response<()>) -> HttpResponse<()> {
    let is_own = head.extensions().get::<Own>().is_some();
    let status = status_back(head.status());
    let mut response = own
        .filter(|_| is_own)
        .unwrap_or_else(|| HttpResponse::new(status).drop_body());
    *response.status_mut() = status;
    *response.headers_mut() = headers_back(head.headers());
    if let Some(disposition) = head.extensions().get::<Disposition>() {
        response.extensions_mut().insert(*disposition);
    }
    response
}

/// An answer of the driver's.
pub(crate) fn answer(own: Option<HttpResponse<()>>, answer: Answer) -> HttpResponse {
    let (head, body) = answer.into_parts();
    let head = Response::from_parts(head, ());
    head_back(own, &head).set_body(boxed(body))
}

/// A problem in an application's own words.
pub(crate) fn problem(
    problem: &Problem,
    answer: &impl Fn(&Problem, HttpResponseBuilder) -> HttpResponse,
) -> Response<Bytes> {
    let plain = problem.clone().into_response();
    let mut builder = HttpResponseBuilder::new(status_back(problem.status));
    if let Some(after) = plain.headers().get(http::header::RETRY_AFTER) {
        builder.insert_header((header::RETRY_AFTER, after.as_bytes()));
    }
    let (head, body) = answer(problem, builder).into_parts();
    match BoxBody::try_into_bytes(body) {
        Ok(body) => {
            let mut response = Response::new(body);
            *response.status_mut() = status(head.status());
            *response.headers_mut() = headers(head.headers()).unwrap_or_default();
            response
        }
        Err(_) => {
            tracing::error!("the answer to a problem has a body that is not in memory");
            plain
        }
    }
}

/// Hands what a handler may see and do on to its extractors.
pub(crate) fn extend(request: &HttpRequest, extend: impl FnOnce(&mut Extensions)) {
    let mut facts = Extensions::new();
    extend(&mut facts);
    let mut extensions = request.extensions_mut();
    if let Some(context) = facts.remove::<Context>() {
        extensions.insert(context);
    }
    if let Some(commit_with) = facts.remove::<CommitWith>() {
        extensions.insert(commit_with);
    }
}
