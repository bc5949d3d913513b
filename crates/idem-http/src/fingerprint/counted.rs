//! What goes into a fingerprint, and under which name.

use http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use idem_core::{Fingerprint, spi::FingerprintBuilder};

use super::{FingerprintRules, RequestParts};
use crate::{
    canonical::NotCanonical, canonical_form::CanonicalForm, canonical_json::CanonicalJson,
    canonical_multipart::canonical_multipart, media_type::MediaType,
};

/// The domain of the fields below. Another set, order or meaning of fields gets another version.
const DOMAIN: &str = "http/v2";

pub(super) fn fingerprint(
    rules: &FingerprintRules,
    request: RequestParts<'_>,
) -> Result<Fingerprint, NotCanonical> {
    let RequestParts {
        method,
        target,
        headers,
        body,
    } = request;
    #[cfg(feature = "grpc")]
    if rules.grpc {
        return grpc(rules, request);
    }
    let mut print = Fingerprint::builder(DOMAIN)
        .field("method", method.as_str().as_bytes())
        .field("path", target.path().as_bytes());
    if let Some(query) = target.query().filter(|_| rules.query) {
        print = print.field("query", query.as_bytes());
    }
    if rules.authority {
        print = authority(print, target, headers);
    }
    let media_type = canonical_media_type(rules, headers);
    for name in &rules.headers {
        print = match &media_type {
            Some(media_type) if media_type.is_multipart() && name == header::CONTENT_TYPE => {
                without_boundary(print, media_type)
            }
            _ => header(print, headers, name),
        };
    }
    match rules.body {
        true => Ok(counted_body(rules, print, media_type.as_ref(), body)?.finish()),
        false => Ok(print.finish()),
    }
}

#[cfg(feature = "grpc")]
fn grpc(rules: &FingerprintRules, request: RequestParts<'_>) -> Result<Fingerprint, NotCanonical> {
    use crate::grpc::messages::{count_call, count_messages};

    let RequestParts {
        target,
        headers,
        body,
        ..
    } = request;
    let mut print = count_call(Fingerprint::builder("grpc/v1"), target, headers);
    if rules.authority {
        print = authority(print, target, headers);
    }
    for name in &rules.headers {
        print = header(print, headers, name);
    }
    match rules.body {
        true => Ok(count_messages(print, headers, body)?.finish()),
        false => Ok(print.finish()),
    }
}

/// The media type of a body that counts by its canonical form.
fn canonical_media_type(rules: &FingerprintRules, headers: &HeaderMap) -> Option<MediaType> {
    let any = rules.json.is_some() || rules.form.is_some() || rules.multipart;
    if !any || headers.contains_key(header::CONTENT_ENCODING) {
        return None;
    }
    MediaType::of(headers).filter(|media_type| {
        (rules.json.is_some() && media_type.is_json())
            || (rules.form.is_some() && media_type.is_form())
            || (rules.multipart && media_type.is_multipart())
    })
}

fn counted_body(
    rules: &FingerprintRules,
    print: FingerprintBuilder,
    media_type: Option<&MediaType>,
    body: &[u8],
) -> Result<FingerprintBuilder, NotCanonical> {
    let Some(media_type) = media_type.filter(|_| !body.is_empty()) else {
        return Ok(print.field("body", body));
    };
    let json = rules.json.as_ref().filter(|_| media_type.is_json());
    let form = rules.form.as_ref().filter(|_| media_type.is_form());
    match (json, form) {
        (Some(json), _) => Ok(print.field("json", &CanonicalJson::canonical(json, body)?)),
        (_, Some(form)) => Ok(print.field("form", &CanonicalForm::canonical(form, body)?)),
        _ => {
            let boundary = media_type.boundary().ok_or(NotCanonical::Multipart(
                "its type does not name one boundary",
            ))?;
            Ok(print.field("multipart", &canonical_multipart(boundary, body)?))
        }
    }
}

/// The name of a header is a value here, so no header can be taken for another part.
fn header(
    mut print: FingerprintBuilder,
    headers: &HeaderMap,
    name: &HeaderName,
) -> FingerprintBuilder {
    let mut lines = headers.get_all(name).iter().peekable();
    if lines.peek().is_none() {
        return print;
    }
    print = print.field("header", name.as_str().as_bytes());
    if name == header::COOKIE {
        // HTTP/2 may send each pair on a line of its own (RFC 9113, §8.2.3).
        let lines: Vec<_> = lines.map(HeaderValue::as_bytes).collect();
        return print.field("line", &lines.join(&b"; "[..]));
    }
    lines.fold(print, |print, line| print.field("line", line.as_bytes()))
}

fn without_boundary(print: FingerprintBuilder, media_type: &MediaType) -> FingerprintBuilder {
    let print = print
        .field("header", header::CONTENT_TYPE.as_str().as_bytes())
        .field("essence", media_type.essence.as_bytes());
    media_type
        .lasting_parameters()
        .fold(print, |print, (name, value)| {
            print
                .field("parameter", name.as_bytes())
                .field("value", value)
        })
}

/// The target's own authority (HTTP/2, and the absolute form of HTTP/1) overrides `Host`: RFC 9112,
/// §3.2.2, RFC 9113, §8.3.1. Whatever stands before an `@` addresses nobody.
fn authority(print: FingerprintBuilder, target: &Uri, headers: &HeaderMap) -> FingerprintBuilder {
    let lower = |print: FingerprintBuilder, authority: &[u8]| {
        let host = authority.rsplit(|byte| *byte == b'@').next();
        let host = host.unwrap_or(authority).to_ascii_lowercase();
        print.field("authority", host.strip_suffix(b":").unwrap_or(&host))
    };
    match target.authority() {
        Some(authority) => lower(print, authority.as_str().as_bytes()),
        None => headers
            .get_all(header::HOST)
            .iter()
            .fold(print, |print, line| lower(print, line.as_bytes())),
    }
}
