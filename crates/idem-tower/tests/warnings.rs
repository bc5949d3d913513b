//! What an operator is told of layers in the wrong order.
//!
//! One test in a process of its own: a log line's first use asks whether anybody listens, and one on
//! another thread could ask just before the subscriber is there.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests too")]

mod support;

use std::{
    convert::Infallible,
    io,
    sync::{Arc, Mutex},
};

use axum::{Router, response::AppendHeaders};
use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use idem_tower::PathFrom;
use support::{layer, memory, pay, shop::shop};
use tower::{Layer, ServiceExt, service_fn};
use tracing_subscriber::{filter::LevelFilter, fmt::MakeWriter};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Log {
    /// The lines since this was asked last.
    fn take(&self) -> Vec<String> {
        let bytes = std::mem::take(&mut *self.0.lock().unwrap());
        let text = String::from_utf8(bytes).unwrap();
        text.lines().map(str::to_owned).collect()
    }
}

/// A shop whose answers have these headers.
fn answering(headers: &'static [(&'static str, &'static str)]) -> Router {
    let answer = move |_| async move { (AppendHeaders(headers.to_vec()), "paid") };
    shop(layer(&memory()), answer).0
}

const CORS: (&str, &str) = ("access-control-allow-origin", "https://shop.example");
const GZIP: (&str, &str) = ("content-encoding", "gzip");
const VARY: (&str, &str) = ("vary", "origin, Accept-Encoding");

#[tokio::test]
async fn a_layer_in_the_wrong_place_is_told_once() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_max_level(LevelFilter::WARN)
        .with_writer(log.clone())
        .finish();
    let _logging = tracing::subscriber::set_default(subscriber);

    // An encoding that was not chosen for one client is the answer's own.
    for quiet in [answering(&[]), answering(&[GZIP]), answering(&[VARY])] {
        pay("k").send(&quiet).await;
        assert_eq!(log.take(), [""; 0]);
    }
    for (app, parts) in [
        (answering(&[CORS]), ["WARN", "CORS", "outside"]),
        (answering(&[GZIP, VARY]), ["WARN", "compress", "outside"]),
    ] {
        pay("a").send(&app).await;
        let told = log.take();
        assert_eq!(told.len(), 1, "{told:?}");
        for part in parts {
            assert!(told[0].contains(part), "no «{part}» in {told:?}");
        }
        pay("a").send(&app).await;
        pay("b").send(&app).await;
        assert_eq!(log.take(), [""; 0], "once for each layer");
    }

    // Outside of all routers, with nobody to note the path.
    let service = layer(&memory())
        .path_from(PathFrom::Noted)
        .layer(service_fn(async |_| Ok::<_, Infallible>(never())));
    let answer = service.oneshot(pay("k").into_request::<Full<Bytes>>());
    assert_eq!(answer.await.unwrap().status(), 500);
    let told = log.take();
    assert_eq!(told.len(), 1, "{told:?}");
    for part in ["ERROR", "RememberTarget", "outside of all routers"] {
        assert!(told[0].contains(part), "no «{part}» in {told:?}");
    }
}

fn never() -> Response<Full<Bytes>> {
    panic!("a request without a note of its path does not run")
}
