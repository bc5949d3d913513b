use http::HeaderValue;
use proptest::prelude::*;

use super::*;

const JSON: (&str, &str) = ("content-type", "application/json");
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

fn header_map(headers: &[(&str, &str)]) -> HeaderMap {
    headers
        .iter()
        .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_str(value).unwrap()))
        .collect::<Vec<(HeaderName, HeaderValue)>>()
        .into_iter()
        .fold(HeaderMap::new(), |mut map, (name, value)| {
            map.append(name, value);
            map
        })
}

fn try_print(
    rules: &FingerprintRules,
    target: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Result<Fingerprint, NotCanonical> {
    rules.fingerprint(RequestParts {
        method: &Method::POST,
        target: &target.parse().unwrap(),
        headers: &header_map(headers),
        body: body.as_bytes(),
    })
}

fn print(
    rules: &FingerprintRules,
    target: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Fingerprint {
    try_print(rules, target, headers, body).unwrap()
}

fn counting(names: &[&'static str]) -> FingerprintRules {
    names.iter().fold(FingerprintRules::new(), |rules, name| {
        rules.header(HeaderName::from_static(name)).unwrap()
    })
}

#[test]
fn g4_every_part_counts() {
    let rules = FingerprintRules::new();
    let base = print(&rules, "/pay?a=1", &[JSON], "{}");
    assert_eq!(base, print(&rules, "/pay?a=1", &[JSON], "{}"));
    let patched = rules.fingerprint(RequestParts {
        method: &Method::PATCH,
        target: &Uri::from_static("/pay?a=1"),
        headers: &header_map(&[JSON]),
        body: b"{}",
    });
    let others = [
        patched.unwrap(),
        print(&rules, "/pay/?a=1", &[JSON], "{}"),
        print(&rules, "/pay?a=2", &[JSON], "{}"),
        print(&rules, "/pay", &[JSON], "{}"),
        print(&rules, "/pay?a=1", &[("content-type", "text/plain")], "{}"),
        print(&rules, "/pay?a=1", &[], "{}"),
        print(
            &rules,
            "/pay?a=1",
            &[JSON, ("content-encoding", "gzip")],
            "{}",
        ),
        print(&rules, "/pay?a=1", &[JSON], "{} "),
        print(&rules, "/pay?a=1", &[JSON], ""),
    ];
    for other in others {
        assert_ne!(base, other);
    }
}

/// A counted header `query: x` had the fingerprint of the query string `?x`.
#[test]
fn g4_a_header_cannot_be_taken_for_another_part() {
    for part in [
        "method",
        "path",
        "query",
        "authority",
        "body",
        "json",
        "form",
        "header",
        "line",
    ] {
        let rules = counting(&[part]).authority();
        let as_header = print(&rules, "/p", &[(part, "x")], "");
        let as_query = print(&rules, "/p?x", &[], "");
        let as_body = print(&rules, "/p", &[], "x");
        let as_host = print(&rules, "/p", &[("host", "x")], "");
        for other in [as_query, as_body, as_host] {
            assert_ne!(as_header, other, "{part}");
        }
    }
}

#[test]
fn g4_two_headers_cannot_take_each_others_values() {
    let rules = counting(&["a", "b", "line"]);
    let prints = [
        print(&rules, "/", &[("a", "x")], ""),
        print(&rules, "/", &[("b", "x")], ""),
        print(&rules, "/", &[("a", "x"), ("a", "x")], ""),
        print(&rules, "/", &[("a", "x"), ("b", "x")], ""),
        print(&rules, "/", &[("a", "line"), ("line", "x")], ""),
        print(&rules, "/", &[("a", "line"), ("a", "x")], ""),
    ];
    for (at, one) in prints.iter().enumerate() {
        assert!(!prints[at + 1..].contains(one), "{at}");
    }
}

#[test]
fn absent_and_empty_differ() {
    let rules = FingerprintRules::new();
    assert_ne!(print(&rules, "/p", &[], ""), print(&rules, "/p?", &[], ""));
    assert_ne!(
        print(&rules, "/p", &[], ""),
        print(&rules, "/p", &[("content-type", "")], "")
    );
}

#[test]
fn headers_can_be_added_and_parts_left_out_in_any_order() {
    let version = || HeaderName::from_static("api-version");
    let rules = FingerprintRules::new()
        .without_query()
        .without_header(&header::CONTENT_TYPE)
        .without_header(&header::CONTENT_ENCODING)
        .header(version())
        .unwrap();
    let base = print(&rules, "/p?a", &[("api-version", "1")], "x");
    let other = [("api-version", "1"), JSON, ("content-encoding", "br")];
    assert_eq!(base, print(&rules, "/p?b", &other, "x"));
    assert_ne!(base, print(&rules, "/p?a", &[("api-version", "2")], "x"));
    let twice = rules.clone().header(version()).unwrap();
    assert_eq!(rules, twice);
    assert_eq!(counting(&["a", "b"]), counting(&["b", "a"]));
}

#[test]
fn g4_headers_that_change_between_sendings_are_refused() {
    for name in [
        "host",
        "content-length",
        "transfer-encoding",
        "connection",
        "te",
        "date",
    ] {
        let refused = FingerprintRules::new().header(HeaderName::from_static(name));
        assert!(refused.unwrap_err().to_string().contains(name));
    }
}

/// HTTP/1 sends the authority as `Host`, HTTP/2 as a part of the target.
#[test]
fn g4_the_authority_is_one_over_http_1_and_http_2() {
    let rules = FingerprintRules::new().authority();
    let h1 = print(&rules, "/p?q", &[("host", "api.example:8080")], "");
    for (target, host) in [
        ("http://api.example:8080/p?q", "api.example:8080"),
        ("http://api.example:8080/p?q", "other.example"),
        ("http://API.Example:8080/p?q", ""),
        ("/p?q", "API.EXAMPLE:8080"),
    ] {
        assert_eq!(
            h1,
            print(&rules, target, &[("host", host)], ""),
            "{target} {host}"
        );
    }
    let h2 = print(&rules, "http://api.example:8080/p?q", &[], "");
    assert_eq!(h1, h2);
    for other in ["api.example", "api.example:80", "other.example:8080", ""] {
        assert_ne!(h1, print(&rules, "/p?q", &[("host", other)], ""), "{other}");
    }
    assert_ne!(h1, print(&rules, "/p?q", &[], ""));
    let not_counted = FingerprintRules::new();
    assert_eq!(
        print(&not_counted, "/p", &[("host", "a")], ""),
        print(&not_counted, "http://b/p", &[], "")
    );
}

#[test]
fn cookies_count_alike_on_one_line_and_on_several() {
    let rules = counting(&["cookie"]);
    assert_eq!(
        print(&rules, "/", &[("cookie", "a=1; b=2")], ""),
        print(&rules, "/", &[("cookie", "a=1"), ("cookie", "b=2")], "")
    );
}

#[test]
fn canonical_json_is_opt_in_and_for_plain_json_alone() {
    let bytes = FingerprintRules::new();
    let json = FingerprintRules::new().json(CanonicalJson::default());
    let (a, b) = (r#"{"a":1,"b":2}"#, r#"{ "b": 2, "a": 1 }"#);
    let same = |rules: &FingerprintRules, headers: &[(&str, &str)]| {
        print(rules, "/", headers, a) == print(rules, "/", headers, b)
    };
    assert!(!same(&bytes, &[JSON]));
    assert!(same(&json, &[JSON]));
    assert!(same(
        &json,
        &[("content-type", "Application/Problem+JSON; charset=utf-8")]
    ));
    assert!(!same(&json, &[JSON, ("content-encoding", "gzip")]));
    assert!(!same(&json, &[("content-type", "text/plain")]));
    assert!(!same(&json, &[JSON, ("content-type", "text/plain")]));
    assert!(try_print(&json, "/", &[JSON], "{").is_err());
    assert!(try_print(&json, "/", &[JSON], "").is_ok());
}

#[test]
fn canonical_forms_are_opt_in_and_for_forms_alone() {
    let form = FingerprintRules::new().form(CanonicalForm::default());
    let same = |rules: &FingerprintRules, headers: &[(&str, &str)]| {
        print(rules, "/", headers, "a=b+c") == print(rules, "/", headers, "a=b%20c")
    };
    assert!(!same(&FingerprintRules::new(), &[FORM]));
    assert!(same(&form, &[FORM]));
    assert!(!same(&form, &[JSON]));
    assert!(!same(&form, &[FORM, ("content-encoding", "gzip")]));
    assert!(try_print(&form, "/", &[FORM], "a=%").is_err());
}

#[test]
fn g4_an_upload_has_one_fingerprint_whatever_its_boundary_is() {
    let rules = FingerprintRules::new().multipart();
    let upload = |rules: &FingerprintRules, boundary: &str, kind: &str, part: &str| {
        let body = format!("--{boundary}\r\n{part}\r\n--{boundary}--\r\n");
        let kind = format!("{kind}; boundary={boundary}; charset=utf-8");
        print(rules, "/", &[("content-type", &kind)], &body)
    };
    let (kind, part) = (
        "multipart/form-data",
        "Content-Disposition: form-data\r\n\r\n500",
    );
    let first = upload(&rules, "aaa", kind, part);
    assert_eq!(first, upload(&rules, "bbb", kind, part));
    assert_eq!(
        first,
        upload(
            &rules,
            "\"c'c\"".trim_matches('"'),
            "Multipart/Form-Data",
            part
        )
    );
    assert_ne!(
        first,
        upload(
            &rules,
            "aaa",
            kind,
            "Content-Disposition: form-data\r\n\r\n200"
        )
    );
    assert_ne!(first, upload(&rules, "aaa", "multipart/mixed", part));
    let bytes = FingerprintRules::new();
    assert_ne!(
        upload(&bytes, "aaa", kind, part),
        upload(&bytes, "bbb", kind, part)
    );
    assert!(try_print(&rules, "/", &[("content-type", kind)], "--a--").is_err());
}

/// What each kind of body goes in as is part of its name.
#[test]
fn g4_canonical_forms_of_different_kinds_differ() {
    let rules = FingerprintRules::new()
        .without_header(&header::CONTENT_TYPE)
        .json(CanonicalJson::default())
        .form(CanonicalForm::default());
    let prints = [
        print(&rules, "/", &[JSON], "1"),
        print(&rules, "/", &[FORM], "1"),
        print(&rules, "/", &[], "1"),
    ];
    assert!(prints[0] != prints[1] && prints[1] != prints[2] && prints[0] != prints[2]);
}

#[test]
fn former_rules_are_tried_latest_first_and_only_where_they_differ() {
    let oldest = counting(&["api-version"]);
    let older = FingerprintRules::new().accepting(oldest.clone());
    let rules = FingerprintRules::new().without_query().accepting(older);
    let request = |headers, target| RequestParts {
        method: &Method::POST,
        target,
        headers,
        body: b"x",
    };
    let (headers, target) = (
        header_map(&[("api-version", "1")]),
        Uri::from_static("/p?q"),
    );
    let request = request(&headers, &target);
    let current = rules.fingerprint(request).unwrap();
    let former: Vec<_> = rules.former_fingerprints(request, current).collect();
    let expected =
        [FingerprintRules::new(), oldest].map(|rules| rules.fingerprint(request).unwrap());
    assert_eq!(former, expected);

    let same =
        FingerprintRules::new().accepting(FingerprintRules::new().json(CanonicalJson::default()));
    let current = same.fingerprint(request).unwrap();
    assert_eq!(same.former_fingerprints(request, current).count(), 0);
}

/// Golden: records outlive a release, so the fingerprint of a request may never change under one
/// domain.
#[test]
fn the_fingerprint_is_stable_across_releases() {
    let body = r#"{"amount":500}"#;
    let print = print(&FingerprintRules::new(), "/v1/payments?x=1", &[JSON], body);
    let hex: String = print
        .as_bytes()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(
        hex,
        "a0a46ad18b419e2484a73ca371e26974907dd7b3df612824ab463c22fc771845"
    );
}

/// A request in parts that can be put into more than one place.
type Drawn = (String, Option<String>, Vec<(&'static str, String)>, String);

fn any_request() -> impl Strategy<Value = Drawn> {
    let text = "[ax]{0,2}";
    let name = prop::sample::select(vec!["query", "body", "path", "line", "a"]);
    (
        text,
        prop::option::of(text),
        prop::collection::vec((name, text), 0..4),
        text,
    )
}

proptest! {
    /// Two requests have one fingerprint if and only if they have the same parts.
    #[test]
    fn g4_fields_never_fold(one in any_request(), other in any_request()) {
        let rules = counting(&["query", "body", "path", "line", "a"]);
        let print = |(path, query, headers, body): &Drawn| {
            let query = query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
            let headers: Vec<_> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
            print(&rules, &format!("/{path}{query}"), &headers, body)
        };
        // Lines of different headers have no order.
        let same = |(path, query, headers, body): &Drawn| {
            let mut headers = headers.clone();
            headers.sort_by_key(|(name, _)| *name);
            (path.clone(), query.clone(), headers, body.clone())
        };
        prop_assert_eq!(same(&one) == same(&other), print(&one) == print(&other));
    }
}
