//! Bodies over the limit, over a real connection.

use crate::support::{layer, memory, pay, shop::payments, wire};
use http::StatusCode;

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

/// Nothing is read of a body that is beyond all measure.
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
