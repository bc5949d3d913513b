//! HTTP/2 rapid reset over a real connection: a client that opens requests and takes each back as
//! soon as it is at work.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests too")]

mod support;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{Router, extract::Request, middleware::Next};
use bytes::Bytes;
use h2::{
    Reason, SendStream,
    client::{ResponseFuture, SendRequest},
};
use http::Method;
use hyper::server::conn::http2;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    service::TowerToHyperService,
};
use idem_tower::Profile;
use support::{
    Call, call, layer, memory, pay,
    shop::{created, shop},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinHandle,
};

const STREAMS: usize = 6_000;

/// Open at a time: fewer than a server takes for an attack of its own accord.
const AT_ONCE: usize = 15;

/// Serves over HTTP/2.
async fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let connection = http2::Builder::new(TokioExecutor::new());
            let service = TowerToHyperService::new(app.clone());
            tokio::spawn(connection.serve_connection(TokioIo::new(stream), service));
        }
    });
    address
}

struct Client {
    requests: SendRequest<Bytes>,
    /// Ends with the connection.
    connection: JoinHandle<()>,
}

impl Client {
    async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        let (requests, connection) = h2::client::handshake(stream).await.unwrap();
        Self {
            requests,
            connection: tokio::spawn(async move { drop(connection.await) }),
        }
    }

    /// `None` once the server has had enough of this connection.
    async fn open(&mut self, call: Call) -> Option<(ResponseFuture, SendStream<Bytes>)> {
        let mut requests = self.requests.clone().ready().await.ok()?;
        requests.send_request(request(call), true).ok()
    }
}

/// An absolute URI, as HTTP/2 has it.
fn request(call: Call) -> http::Request<()> {
    let mut request = call.into_request::<Vec<u8>>().map(drop);
    *request.uri_mut() = "http://shop/payments".parse().unwrap();
    request
}

/// How many handlers are at work after the attack, and whether the service answers once they are
/// done.
async fn attack(profile: Profile, transactions: bool, attacks: impl Fn(usize) -> Call) -> usize {
    let idem = memory();
    let gate = Arc::new(Semaphore::new(0));
    let opens = Arc::clone(&gate);
    let mut layer = layer(&idem).profile(profile);
    if transactions {
        layer = layer.transactions();
    }
    let (app, runs) = shop(layer, move |run| {
        let gate = Arc::clone(&gate);
        async move {
            drop(gate.acquire().await.unwrap());
            created(run)
        }
    });
    let arrived = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&arrived);
    let app = app.layer(axum::middleware::from_fn(
        move |request: Request, next: Next| {
            counting.fetch_add(1, Ordering::SeqCst);
            next.run(request)
        },
    ));
    let address = serve(app).await;
    let mut client = Client::connect(address).await;
    let mut opened = 0;
    while opened < STREAMS {
        let before = arrived.load(Ordering::SeqCst);
        let mut streams = Vec::new();
        while streams.len() < AT_ONCE
            && let Some(stream) = client.open(attacks(opened)).await
        {
            streams.push(stream);
            opened += 1;
        }
        while arrived.load(Ordering::SeqCst) < before + streams.len()
            && !client.connection.is_finished()
        {
            tokio::task::yield_now().await;
        }
        for (_, stream) in &mut streams {
            stream.send_reset(Reason::CANCEL);
        }
        if streams.len() < AT_ONCE {
            client = Client::connect(address).await;
        }
    }
    let at_work = runs.get();
    opens.add_permits(1);
    idem.wait_idle().await;
    let mut client = Client::connect(address).await;
    let (answer, _) = client.open(pay("later")).await.unwrap();
    assert_eq!(answer.await.unwrap().status(), 201);
    at_work
}

#[tokio::test]
async fn handlers_of_requests_that_are_reset_are_bounded() {
    let at_work = attack(Profile::default(), false, |n| pay(&format!("k{n}"))).await;
    let limit = Profile::default().abandoned_limit;
    assert!(
        (limit..limit + AT_ONCE).contains(&at_work),
        "{at_work} handlers"
    );
}

/// Their answers come through the layer, so they run on tasks of their own as well.
#[tokio::test]
async fn handlers_that_may_hand_a_transaction_over_are_bounded_without_a_key() {
    let profile = Profile::default().optional().abandoned_limit(100);
    let at_work = attack(profile, true, |_| call(Method::POST, "/payments")).await;
    assert!(
        (100..100 + AT_ONCE).contains(&at_work),
        "{at_work} handlers"
    );
}
