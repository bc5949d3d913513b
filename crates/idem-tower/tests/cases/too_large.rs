//! Bodies over the limit, over a real connection.

use std::time::Duration;

use http::StatusCode;
use idem_http::Profile;

use crate::support::{layer, memory, pay, shop::payments, wire};

const LIMIT: usize = 1 << 20;

/// A client that is still sending when it is refused gets to see why: had the server closed on
/// unread bytes, the client's system would have dropped the answer with the connection.
#[tokio::test]
async fn a_body_too_large_is_read_past_so_that_its_sender_sees_the_answer() {
    let (app, runs) = payments(layer(&memory()));
    let address = wire::serve(app).await;
    for size in [LIMIT + 1, 2 * LIMIT, 4 * LIMIT] {
        let head = request(&format!("Content-Length: {size}"));
        // Sends all of it before it reads anything, as most clients do.
        let answer = wire::send_raw(address, &[head.as_bytes(), &vec![b'x'; size]].concat()).await;
        assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
        assert!(answer.contains("body-too-large"), "{answer}");
    }
    assert_eq!(runs.get(), 0);

    let small = wire::send_call(address, pay("k")).await;
    assert_eq!(small.status, StatusCode::CREATED);
    assert!(!small.replayed(), "no claim was left behind");
}

/// Where the layer has a bound for it: a sender that never ends its body must not wait for ever.
#[tokio::test]
async fn a_body_that_does_not_end_in_time_is_refused_and_runs_nothing() {
    let profile = Profile::default().request_time(Some(Duration::from_millis(50)));
    let (app, runs) = payments(layer(&memory()).profile(profile));
    let address = wire::serve(app).await;
    let begun = [request("Content-Length: 10").as_bytes(), b"x"].concat();
    let answer = wire::send_raw(address, &begun).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("body-unreadable"), "{answer}");
    assert_eq!(runs.get(), 0);
}

/// The bound holds for what is read past as well.
#[tokio::test]
async fn a_body_too_large_that_does_not_end_in_time_is_refused() {
    let profile = Profile::default().request_time(Some(Duration::from_millis(50)));
    let (app, runs) = payments(layer(&memory()).profile(profile));
    let address = wire::serve(app).await;
    let head = request(&format!("Content-Length: {}", 2 * LIMIT));
    let answer = wire::send_raw(address, &[head.as_bytes(), b"x"].concat()).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert_eq!(runs.get(), 0);
}

/// Nothing is read of a body that is beyond all measure, or whose sender waits to be asked for it.
#[tokio::test]
async fn a_body_that_would_take_long_to_read_past_is_refused_at_once() {
    let (app, runs) = payments(layer(&memory()));
    let address = wire::serve(app).await;
    let request = request("Content-Length: 1000000000000");
    let answer = wire::send_raw(address, request.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert_eq!(runs.get(), 0);
}

fn request(headers: &str) -> String {
    format!(
        "POST /payments HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\
         Idempotency-Key: k\r\n{headers}\r\n\r\n"
    )
}
