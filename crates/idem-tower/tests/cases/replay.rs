//! What a repeat gets.

use crate::support::{
    call, layer, memory, pay,
    shop::{payments, shop},
};
use axum::response::IntoResponse;
use http::{HeaderName, HeaderValue, Method, header};
use idem_http::Profile;

#[tokio::test]
async fn g2_a_201_with_a_location_repeated_gets_the_same_status_body_location_and_a_marker() {
    let (app, runs) = payments(layer(&memory()));
    let first = pay("k").send(&app).await;
    assert_eq!(first.status, 201);
    assert_eq!(first.header("location"), Some("/payments/1"));
    for _ in 0..3 {
        let again = pay("k").send(&app).await;
        again.assert_replays(&first);
        assert_eq!(again.header("idempotent-replayed"), Some("true"));
    }
    assert_eq!(runs.get(), 1);
}

#[tokio::test]
async fn a_quoted_then_a_bare_key_is_one_key() {
    let (app, runs) = payments(layer(&memory()));
    let first = pay("\"order-1\"").send(&app).await;
    pay("order-1").send(&app).await.assert_replays(&first);
    assert_eq!(runs.get(), 1);
}

#[tokio::test]
async fn a_post_without_a_key_is_refused_and_does_not_run() {
    let (app, runs) = payments(layer(&memory()));
    let answer = call(Method::POST, "/payments").send(&app).await;
    assert_eq!(
        (answer.status.as_u16(), answer.code().as_str()),
        (400, "key-missing")
    );
    assert_eq!(runs.get(), 0);
}

#[tokio::test]
async fn two_link_lines_stay_two() {
    let (app, _) = shop(layer(&memory()), |_| async {
        let mut response = "page".into_response();
        let headers = response.headers_mut();
        headers.append(header::LINK, HeaderValue::from_static("</2>; rel=next"));
        headers.append(header::LINK, HeaderValue::from_static("</0>; rel=prev"));
        response
    });
    pay("k").send(&app).await;
    let again = pay("k").send(&app).await;
    let links: Vec<_> = again.headers.get_all("link").iter().collect();
    assert_eq!(links, ["</2>; rel=next", "</0>; rel=prev"]);
}

#[tokio::test]
async fn a_header_value_that_is_no_text_comes_back_byte_for_byte() {
    let (app, _) = shop(layer(&memory()), |_| async {
        let value = HeaderValue::from_bytes(b"attachment; filename=\"\xe4\"").unwrap();
        [(header::CONTENT_DISPOSITION, value)]
    });
    let first = pay("k").send(&app).await;
    let again = pay("k").send(&app).await;
    assert_eq!(
        again.headers["content-disposition"].as_bytes(),
        b"attachment; filename=\"\xe4\""
    );
    assert_eq!(
        first.headers["content-disposition"],
        again.headers["content-disposition"]
    );
}

#[tokio::test]
async fn what_belongs_to_one_delivery_is_not_replayed() {
    let (app, _) = shop(layer(&memory()), |_| async {
        let mut response = "paid".into_response();
        for (name, value) in [
            ("set-cookie", "session=1"),
            ("date", "Tue, 15 Nov 1994 08:12:31 GMT"),
            ("access-control-allow-origin", "https://one.example"),
            ("ratelimit", "default;r=1"),
            ("traceparent", "00-1-1-00"),
            ("x-request-id", "17"),
            ("content-language", "de"),
        ] {
            response
                .headers_mut()
                .insert(name, HeaderValue::from_static(value));
        }
        response
    });
    let first = pay("k").send(&app).await;
    assert_eq!(
        first.header("set-cookie"),
        Some("session=1"),
        "the first caller gets them"
    );
    let again = pay("k").send(&app).await;
    let mut names: Vec<_> = again.headers.keys().map(HeaderName::as_str).collect();
    names.retain(|name| *name != "date"); // the server's, over a wire
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "content-language",
            "content-length",
            "content-type",
            "idempotent-replayed"
        ]
    );
}

#[tokio::test]
async fn more_headers_can_be_kept_and_the_marker_renamed() {
    let profile = Profile::default()
        .keep_header(HeaderName::from_static("x-invoice"))
        .replayed(HeaderName::from_static("x-replay"));
    let (app, _) = shop(layer(&memory()).profile(profile), |_| async {
        [("x-invoice", "17")]
    });
    let first = pay("k").send(&app).await;
    assert_eq!(first.header("x-replay"), None);
    let again = pay("k").send(&app).await;
    assert_eq!(again.header("x-invoice"), Some("17"));
    assert_eq!(again.header("x-replay"), Some("true"));
}

/// Whoever reads the marker on a first answer takes it for a repeat.
#[tokio::test]
async fn a_handlers_own_marker_does_not_pass() {
    let (app, _) = shop(layer(&memory()), |_| async {
        let markers = [
            ("idempotent-replayed", "true"),
            ("idempotent-replay-body", "omitted"),
        ];
        (markers, "paid")
    });
    let first = pay("k").send(&app).await;
    assert!(!first.replayed());
    assert_eq!(first.header("idempotent-replay-body"), None);
    pay("k").send(&app).await.assert_replays(&first);
}

#[tokio::test]
async fn vary_and_cache_control_are_replayed() {
    let (app, _) = shop(layer(&memory()), |_| async {
        [("vary", "accept-language"), ("cache-control", "no-store")]
    });
    pay("k").send(&app).await;
    let again = pay("k").send(&app).await;
    assert_eq!(again.header("vary"), Some("accept-language"));
    assert_eq!(again.header("cache-control"), Some("no-store"));
}

#[tokio::test]
async fn a_post_with_an_empty_body_sent_twice_is_replayed() {
    let (app, runs) = payments(layer(&memory()));
    let send = || call(Method::POST, "/payments").header("idempotency-key", "k");
    let first = send().send(&app).await;
    send().send(&app).await.assert_replays(&first);
    assert_eq!(runs.get(), 1);
}

#[tokio::test]
async fn an_empty_answer_is_replayed_as_an_empty_answer() {
    let (app, runs) = shop(layer(&memory()), |_| async { http::StatusCode::NO_CONTENT });
    let first = pay("k").send(&app).await;
    assert_eq!(first.status, 204);
    let again = pay("k").send(&app).await;
    again.assert_replays(&first);
    assert_eq!(again.header("idempotent-replay-body"), None);
    assert_eq!(runs.get(), 1);
}

#[cfg(feature = "zstd")]
#[tokio::test]
async fn a_compressed_answer_is_replayed_byte_for_byte() {
    let idem = memory();
    let (app, runs) = shop(
        layer(&idem).profile(Profile::default().compress_from(1000)),
        |_| async { "paid ".repeat(10_000) },
    );
    let first = pay("k").send(&app).await;
    pay("k").send(&app).await.assert_replays(&first);
    assert_eq!((first.body.len(), runs.get()), (50_000, 1));
    let record = crate::support::record(&idem, "k").await.unwrap();
    let idem_core::store::State::Completed { payload } = record.state else {
        panic!("it completed");
    };
    assert!(payload.len() < 1000, "{} bytes are stored", payload.len());
}
