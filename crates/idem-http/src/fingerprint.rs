//! [`FingerprintRules`]: what makes two HTTP requests "the same".

use http::{HeaderMap, HeaderName, Method, Uri, header};
use idem_core::{Fingerprint, FingerprintBuilder};

use crate::canonical_json::{CanonicalJson, NotCanonical};

/// The domain of the fields below. Another set or order of fields gets another version.
const DOMAIN: &str = "http/v1";

/// Which parts of a request must not change under one key.
///
/// By default: method, path and query as they were sent, `Content-Type`, `Content-Encoding`, and
/// the body byte for byte. Each is labelled and carries its length, and what is absent differs
/// from what is empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FingerprintRules {
    /// Headers that count as well, for APIs that select a version or a tenant by one.
    pub headers: Vec<HeaderName>,
    /// Parts that do not count.
    pub without: Vec<Part>,
    /// How the body counts.
    pub body: BodyForm,
}

/// A part of a request that can be left out of its fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// What stands behind the `?`.
    Query,
    /// The `Content-Type` header.
    ContentType,
    /// The `Content-Encoding` header.
    ContentEncoding,
    /// The body. Only for requests that their path and headers describe in full.
    Body,
}

/// How a body counts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum BodyForm {
    /// Byte for byte: the safe choice, since clients are to repeat a request unchanged.
    #[default]
    Bytes,
    /// A JSON body counts by its canonical form (RFC 8785), so that order of members and white
    /// space do not matter. Other bodies, and encoded ones, count byte for byte.
    Json(CanonicalJson),
}

/// The parts of a request that a fingerprint is made of.
#[derive(Debug, Clone, Copy)]
pub struct RequestParts<'a> {
    /// The method.
    pub method: &'a Method,
    /// The target as the client sent it, *before* a router stripped a prefix from it: otherwise
    /// two nested routers could take each other's requests for repeats.
    pub target: &'a Uri,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// The body, whole.
    pub body: &'a [u8],
}

impl FingerprintRules {
    /// The fingerprint of a request.
    ///
    /// # Errors
    /// [`NotCanonical`] for a JSON body without a canonical form, under [`BodyForm::Json`]:
    /// counting it anyway could fold two different requests into one.
    pub fn fingerprint(&self, request: RequestParts<'_>) -> Result<Fingerprint, NotCanonical> {
        let RequestParts {
            method,
            target,
            headers,
            body,
        } = request;
        let mut print = Fingerprint::builder(DOMAIN)
            .field("method", method.as_str().as_bytes())
            .field("path", target.path().as_bytes());
        if let Some(query) = target.query().filter(|_| self.counts(Part::Query)) {
            print = print.field("query", query.as_bytes());
        }
        if self.counts(Part::ContentType) {
            print = lines(print, headers, &header::CONTENT_TYPE);
        }
        if self.counts(Part::ContentEncoding) {
            print = lines(print, headers, &header::CONTENT_ENCODING);
        }
        for name in &self.headers {
            print = lines(print, headers, name);
        }
        if self.counts(Part::Body) {
            print = match &self.body {
                BodyForm::Json(json) if is_plain_json(headers) && !body.is_empty() => {
                    print.field("json", &json.canonical(body)?)
                }
                BodyForm::Json(_) | BodyForm::Bytes => print.field("body", body),
            };
        }
        Ok(print.finish())
    }

    fn counts(&self, part: Part) -> bool {
        !self.without.contains(&part)
    }
}

fn lines(print: FingerprintBuilder, headers: &HeaderMap, name: &HeaderName) -> FingerprintBuilder {
    headers.get_all(name).iter().fold(print, |print, line| {
        print.field(name.as_str(), line.as_bytes())
    })
}

/// Whether the body is JSON by its media type (RFC 8259, §11; `+json`: RFC 6839, §3.1), unencoded.
fn is_plain_json(headers: &HeaderMap) -> bool {
    let media_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .map(|value| value.trim().to_ascii_lowercase());
    let is_json = media_type.is_some_and(|t| t == "application/json" || t.ends_with("+json"));
    is_json && !headers.contains_key(header::CONTENT_ENCODING)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn print(
        rules: &FingerprintRules,
        target: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Fingerprint {
        let headers = headers
            .iter()
            .map(|(n, v)| (n.parse().unwrap(), HeaderValue::from_str(v).unwrap()))
            .collect();
        let request = RequestParts {
            method: &Method::POST,
            target: &target.parse().unwrap(),
            headers: &headers,
            body: body.as_bytes(),
        };
        rules.fingerprint(request).unwrap()
    }

    const JSON: [(&str, &str); 1] = [("content-type", "application/json")];

    #[test]
    fn g4_every_part_counts() {
        let rules = FingerprintRules::default();
        let base = print(&rules, "/pay?a=1", &JSON, "{}");
        assert_eq!(base, print(&rules, "/pay?a=1", &JSON, "{}"));
        let headers = HeaderMap::from_iter([(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        )]);
        let patched = rules
            .fingerprint(RequestParts {
                method: &Method::PATCH,
                target: &Uri::from_static("/pay?a=1"),
                headers: &headers,
                body: b"{}",
            })
            .unwrap();
        let others = [
            patched,
            print(&rules, "/pay/?a=1", &JSON, "{}"),
            print(&rules, "/pay?a=2", &JSON, "{}"),
            print(&rules, "/pay", &JSON, "{}"),
            print(&rules, "/pay?a=1", &[("content-type", "text/plain")], "{}"),
            print(&rules, "/pay?a=1", &[], "{}"),
            print(
                &rules,
                "/pay?a=1",
                &[JSON[0], ("content-encoding", "gzip")],
                "{}",
            ),
            print(&rules, "/pay?a=1", &JSON, "{} "),
            print(&rules, "/pay?a=1", &JSON, ""),
        ];
        for other in others {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn absent_and_empty_differ() {
        let rules = FingerprintRules::default();
        assert_ne!(print(&rules, "/p", &[], ""), print(&rules, "/p?", &[], ""));
        assert_ne!(
            print(&rules, "/p", &[], ""),
            print(&rules, "/p", &[("content-type", "")], "")
        );
    }

    #[test]
    fn headers_can_be_added_and_parts_left_out() {
        let rules = FingerprintRules {
            headers: vec![HeaderName::from_static("api-version")],
            without: vec![Part::Query, Part::ContentType, Part::ContentEncoding],
            body: BodyForm::Bytes,
        };
        let base = print(&rules, "/p?a", &[("api-version", "1")], "x");
        assert_eq!(
            base,
            print(
                &rules,
                "/p?b",
                &[("api-version", "1"), JSON[0], ("content-encoding", "br")],
                "x"
            )
        );
        assert_ne!(base, print(&rules, "/p?a", &[("api-version", "2")], "x"));
    }

    #[test]
    fn canonical_json_is_opt_in_and_for_plain_json_alone() {
        let bytes = FingerprintRules::default();
        let json = FingerprintRules {
            body: BodyForm::Json(CanonicalJson::default()),
            ..FingerprintRules::default()
        };
        let (a, b) = (r#"{"a":1,"b":2}"#, r#"{ "b": 2, "a": 1 }"#);
        assert_ne!(print(&bytes, "/", &JSON, a), print(&bytes, "/", &JSON, b));
        assert_eq!(print(&json, "/", &JSON, a), print(&json, "/", &JSON, b));
        let problem = [("content-type", "application/problem+json; charset=utf-8")];
        assert_eq!(
            print(&json, "/", &problem, a),
            print(&json, "/", &problem, b)
        );
        let gzip = [JSON[0], ("content-encoding", "gzip")];
        assert_ne!(print(&json, "/", &gzip, a), print(&json, "/", &gzip, b));
        let text = [("content-type", "text/plain")];
        assert_ne!(print(&json, "/", &text, a), print(&json, "/", &text, b));
    }

    /// Golden: records outlive a release, so the fingerprint of a request may never change under
    /// one domain.
    #[test]
    fn the_fingerprint_is_stable_across_releases() {
        let print = print(
            &FingerprintRules::default(),
            "/v1/payments?x=1",
            &JSON,
            r#"{"amount":500}"#,
        );
        let hex: String = print
            .as_bytes()
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect();
        assert_eq!(
            hex,
            "8ed4956d93ae06eefd616a0eeb1981914b22ef8e770b3e299f32f8bd9a74b711"
        );
    }
}
