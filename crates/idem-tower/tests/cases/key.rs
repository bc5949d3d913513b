//! The key: how it may be written, and where it counts.

use crate::support::{
    App, call, layer, memory, pay, record,
    shop::{Runs, payments},
    wire,
};
use http::{HeaderName, Method, StatusCode};
use idem_http::{Form, KeyHeader, Profile};

fn shop_with(profile: Profile) -> (App, Runs) {
    payments(layer(&memory()).profile(profile))
}

/// Sends a payment with these header lines, and checks that it is refused and does not run.
async fn assert_malformed(lines: &[&[u8]]) {
    let (app, runs) = shop_with(Profile::default());
    let mut payment = call(Method::POST, "/payments");
    for line in lines {
        payment = payment.header("idempotency-key", line);
    }
    let answer = payment.send(&app).await;
    let shown: Vec<_> = lines
        .iter()
        .map(|line| line.escape_ascii().to_string())
        .collect();
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{shown:?}");
    assert_eq!(answer.code(), "key-malformed", "{shown:?}");
    assert_eq!(runs.get(), 0, "{shown:?}");
}

macro_rules! malformed {
    ($($name:ident: $($line:expr),+;)+) => {$(
        #[tokio::test]
        async fn $name() {
            assert_malformed(&[$($line.as_ref()),+]).await;
        }
    )+};
}

malformed! {
    an_empty_key_is_malformed: "\"\"";
    an_empty_header_is_malformed: "";
    a_key_without_its_closing_quote_is_malformed: "\"a";
    a_key_without_its_opening_quote_is_malformed: "a\"";
    characters_behind_the_closing_quote_are_malformed: "\"a\"x";
    a_quoted_key_of_256_characters_is_malformed: format!("\"{}\"", "k".repeat(256));
    a_bare_key_of_256_characters_is_malformed: "k".repeat(256);
    a_key_with_a_tab_is_malformed: "a\tb";
    a_quoted_key_with_a_tab_is_malformed: "\"a\tb\"";
    a_key_in_utf_8_is_malformed: "schlüssel";
    a_quoted_key_in_utf_8_is_malformed: "\"schlüssel\"";
    a_key_in_bytes_that_are_no_text_is_malformed: b"\xff\xfe";
    two_lines_are_malformed: "a", "b";
    two_equal_lines_are_malformed: "a", "a";
    two_quoted_keys_on_one_line_are_malformed: "\"a\", \"b\"";
    two_bare_keys_on_one_line_are_malformed: "a, b";
    a_bare_key_with_a_parameter_is_malformed: "a;b=1";
    a_bare_key_with_a_space_is_malformed: "a b";
    an_escape_of_anything_else_is_malformed: "\"a\\n\"";
    a_token_behind_a_parameter_is_malformed: "\"a\";b c";
}

#[tokio::test]
async fn keys_of_1_and_of_255_characters_work() {
    let (app, runs) = shop_with(Profile::default());
    for key in ["k".to_owned(), "k".repeat(255)] {
        let first = pay(&key).send(&app).await;
        pay(&format!("\"{key}\""))
            .send(&app)
            .await
            .assert_replays(&first);
    }
    assert_eq!(runs.get(), 2);
}

#[tokio::test]
async fn an_escaped_quote_is_part_of_the_key() {
    let idem = memory();
    let (app, runs) = payments(layer(&idem));
    let first = pay(r#""a\"b""#).send(&app).await;
    assert_eq!(first.status, 201);
    pay(r#""a\"b""#).send(&app).await.assert_replays(&first);
    assert_eq!(runs.get(), 1);
    assert!(record(&idem, "a\"b").await.is_some());
}

#[tokio::test]
async fn spaces_around_a_key_and_parameters_after_it_are_ignored() {
    let (app, runs) = shop_with(Profile::default());
    let first = pay("\"k\"").send(&app).await;
    for same in [" \"k\" ", " k ", "\"k\";v=1; q=\"x,y\";z"] {
        pay(same).send(&app).await.assert_replays(&first);
    }
    assert_eq!(runs.get(), 1);
}

#[tokio::test]
async fn spaces_inside_the_quotes_and_case_count() {
    let (app, runs) = shop_with(Profile::default());
    for key in ["\"k\"", "\" k\"", "\"k \"", "\"K\""] {
        assert!(!pay(key).send(&app).await.replayed(), "{key}");
    }
    assert_eq!(runs.get(), 4);
}

/// Rule S8, from the wire to the store.
#[tokio::test]
async fn s8_keys_with_separators_and_patterns_work_and_collide_with_nothing() {
    let (app, runs) = shop_with(Profile::default());
    let keys = [
        "a:b", "a", "b", "a/b", "{a}", "a*", "*", "a%2Fb", "a:", ":a", "../a", "a?b", "[a]",
    ];
    let mut first = Vec::new();
    for key in keys {
        let answer = pay(key).send(&app).await;
        assert!(!answer.replayed(), "{key}");
        first.push(answer);
    }
    for (key, first) in keys.iter().zip(&first) {
        pay(key).send(&app).await.assert_replays(first);
    }
    assert_eq!(runs.get(), keys.len());
}

#[tokio::test]
async fn a_get_with_a_key_twice_runs_twice_and_carries_no_marker() {
    let (app, runs) = shop_with(Profile::default());
    for method in [
        Method::GET,
        Method::PUT,
        Method::DELETE,
        Method::HEAD,
        Method::OPTIONS,
    ] {
        let before = runs.get();
        for _ in 0..2 {
            let answer = call(method.clone(), "/payments")
                .header("idempotency-key", "k")
                .send(&app);
            assert!(!answer.await.replayed(), "{method}");
        }
        assert_eq!(runs.get(), before + 2, "{method}");
    }
}

#[tokio::test]
async fn on_ignored_methods_even_a_malformed_key_is_ignored() {
    let (app, runs) = shop_with(Profile::default());
    let answer = call(Method::GET, "/payments")
        .header("idempotency-key", "\"")
        .send(&app)
        .await;
    assert_eq!((answer.status, runs.get()), (StatusCode::CREATED, 1));
}

#[tokio::test]
async fn put_and_delete_can_be_protected() {
    let layer = layer(&memory()).profile(Profile::default().methods([Method::PUT, Method::DELETE]));
    let (app, runs) = payments(layer);
    for method in [Method::PUT, Method::DELETE] {
        let send =
            || call(method.clone(), "/payments/7").header("idempotency-key", method.as_str());
        let first = send().send(&app).await;
        send().send(&app).await.assert_replays(&first);
    }
    assert_eq!(runs.get(), 2);
    assert!(!pay("k").send(&app).await.replayed());
    assert!(!pay("k").send(&app).await.replayed());
}

#[tokio::test]
async fn a_patch_is_protected() {
    let (app, runs) = shop_with(Profile::default());
    let patch = || call(Method::PATCH, "/payments/7").header("idempotency-key", "k");
    let first = patch().send(&app).await;
    patch().send(&app).await.assert_replays(&first);
    assert_eq!(runs.get(), 1);
}

#[tokio::test]
async fn where_a_key_is_optional_a_request_without_one_runs_each_time() {
    let (app, runs) = payments(layer(&memory()).profile(Profile::default().optional()));
    for _ in 0..2 {
        let answer = call(Method::POST, "/payments").send(&app).await;
        assert!(answer.status == 201 && !answer.replayed());
    }
    assert_eq!(runs.get(), 2);
}

#[tokio::test]
async fn a_key_can_be_a_member_of_the_body() {
    let (app, runs) = payments(layer(&memory()).key_in_body("/meta/request_id"));
    let send = |body: &'static str| call(Method::POST, "/payments").body(body).send(&app);
    let first = send(r#"{"amount":5,"meta":{"request_id":"k"}}"#).await;
    assert_eq!(first.status, 201);
    let again = send(r#"{"amount":5,"meta":{"request_id":"k"}}"#).await;
    again.assert_replays(&first);
    let other = send(r#"{"amount":6,"meta":{"request_id":"k"}}"#).await;
    assert_eq!(other.code(), "fingerprint-mismatch");
    for (body, code) in [
        (r#"{"amount":5}"#, "key-missing"),
        ("", "key-missing"),
        (r#"{"meta":{"request_id":7}}"#, "key-malformed"),
        (r#"{"meta":{"request_id":""}}"#, "key-malformed"),
        (
            r#"{"meta":{"request_id":"a","request_id":"b"}}"#,
            "key-malformed",
        ),
        ("amount=5", "key-malformed"),
    ] {
        assert_eq!(send(body).await.code(), code, "{body}");
    }
    assert_eq!(runs.get(), 1);
}

#[tokio::test]
async fn where_a_key_is_optional_a_malformed_one_is_refused_still() {
    let (app, runs) = payments(layer(&memory()).profile(Profile::default().optional()));
    let answer = pay("a, b").send(&app).await;
    assert_eq!((answer.code().as_str(), runs.get()), ("key-malformed", 0));
}

#[tokio::test]
async fn the_key_can_be_in_another_header() {
    let name = HeaderName::from_static("x-idempotency-key");
    let (app, runs) = payments(layer(&memory()).profile(Profile::default().header(name)));
    let send = || call(Method::POST, "/payments").header("x-idempotency-key", "k");
    let first = send().send(&app).await;
    send().send(&app).await.assert_replays(&first);
    assert_eq!(pay("k").send(&app).await.code(), "key-missing");
    assert_eq!(runs.get(), 1);
}

#[tokio::test]
async fn the_strict_form_refuses_a_bare_key() {
    let key = KeyHeader {
        form: Form::Strict,
        ..KeyHeader::default()
    };
    let (app, runs) = payments(layer(&memory()).profile(Profile::default().key(key)));
    assert_eq!(pay("order-1").send(&app).await.code(), "key-malformed");
    assert_eq!(pay("\"order-1\"").send(&app).await.status, 201);
    assert_eq!(runs.get(), 1);
}

#[tokio::test]
async fn over_the_wire_two_lines_are_malformed_and_other_case_is_the_same_header() {
    let (app, runs) = shop_with(Profile::default());
    let address = wire::serve(app).await;
    let send = |lines: &str| {
        let head =
            "POST /payments HTTP/1.1\r\nHost: shop\r\nConnection: close\r\nContent-Length: 0\r\n";
        format!("{head}{lines}\r\n")
    };
    let two = send("Idempotency-Key: \"a\"\r\nidempotency-key: \"a\"\r\n");
    let answer = wire::send_raw(address, two.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert!(answer.contains("\"code\":\"key-malformed\""), "{answer}");
    assert_eq!(runs.get(), 0);

    let one = send("IDEMPOTENCY-KEY: \"a\"\r\n");
    let answer = wire::send_raw(address, one.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    let again = send("idempotency-key: a\r\n");
    let answer = wire::send_raw(address, again.as_bytes()).await;
    assert!(answer.contains("idempotent-replayed: true\r\n"), "{answer}");
    assert_eq!(runs.get(), 1);
}
