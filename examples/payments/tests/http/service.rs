//! The real binary on a port of its own, and a real client.

use std::{fmt::Debug, future::Future, net::SocketAddr, time::Duration};

use idem_testbed::Program;
use reqwest::{
    Client, Method, RequestBuilder, StatusCode,
    header::{HeaderMap, HeaderName},
    redirect::Policy,
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_payments");

/// A running payment service; gone when dropped.
pub(crate) struct Service {
    pub(crate) program: Program,
    pub(crate) address: SocketAddr,
    pub(crate) client: Client,
}

impl Service {
    /// Starts it over the memory store, on a free port.
    pub(crate) async fn start(args: &[&str]) -> Self {
        let args = [&["--listen", "127.0.0.1:0"], args].concat();
        let started = Program::start(BINARY, args, listening).await;
        let (program, address) = started.unwrap_or_else(|error| panic!("{error}"));
        let client = Client::builder().redirect(Policy::none()).build().unwrap();
        Self {
            program,
            address,
            client,
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// A request as this merchant, by no key and without a body.
    pub(crate) fn request(&self, merchant: &str, method: Method, path: &str) -> RequestBuilder {
        self.client
            .request(method, self.url(path))
            .bearer_auth(merchant)
    }

    /// `POST /v1/payments`, ready to be sent.
    pub(crate) fn payment(&self, merchant: &str, key: &str, body: &Value) -> RequestBuilder {
        self.request(merchant, Method::POST, "/v1/payments")
            .header("Idempotency-Key", key)
            .json(body)
    }

    /// `POST /v1/payments`, answered.
    pub(crate) async fn pay(&self, merchant: &str, key: &str, body: &Value) -> Answer {
        Answer::of(self.payment(merchant, key, body)).await
    }

    /// How often this merchant was charged, as the service counts.
    pub(crate) async fn charges(&self, merchant: &str) -> u64 {
        let list = Answer::of(self.request(merchant, Method::GET, "/v1/payments")).await;
        assert_eq!(list.status, StatusCode::OK);
        list.json()["charges_executed"].as_u64().unwrap()
    }

    /// Asks until this merchant was charged so often.
    pub(crate) async fn charged(&self, merchant: &str, times: u64) {
        until(async || (self.charges(merchant).await >= times).then_some(())).await;
        assert_eq!(self.charges(merchant).await, times);
    }

    /// Waits until a request of this merchant's is at work.
    pub(crate) async fn at_work(&self, merchant: &str) {
        self.said(&format!("at work merchant=\"{merchant}\"")).await;
    }

    /// Waits until a charge of this merchant's is on the books, and not answered.
    pub(crate) async fn moved(&self, merchant: &str) {
        self.said(&format!("money moved merchant=\"{merchant}\""))
            .await;
    }

    async fn said(&self, line: &str) {
        until(async || self.program.log().contains(line).then_some(())).await;
    }
}

fn listening(log: &str) -> Option<SocketAddr> {
    let (_, rest) = log.split_once("payments listens on http://")?;
    rest.split_once('\n')?.0.parse().ok()
}

/// An answer, read whole.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) async fn of(request: RequestBuilder) -> Self {
        Self::try_of(request).await.unwrap()
    }

    pub(crate) async fn try_of(request: RequestBuilder) -> reqwest::Result<Self> {
        let response = request.send().await?;
        Ok(Self {
            status: response.status(),
            headers: response.headers().clone(),
            body: response.bytes().await?.to_vec(),
        })
    }

    pub(crate) fn header(&self, name: impl TryInto<HeaderName, Error: Debug>) -> Option<&str> {
        let value = self.headers.get(name.try_into().unwrap())?;
        Some(value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    pub(crate) fn id(&self) -> String {
        self.json()["id"].as_str().unwrap().to_owned()
    }

    /// The code of a problem, or of an error in Stripe's form; empty for anything else.
    pub(crate) fn code(&self) -> String {
        if self.header("content-type") != Some("application/problem+json") {
            let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
            return body["error"]["code"]
                .as_str()
                .unwrap_or_default()
                .to_owned();
        }
        let problem = self.json();
        assert_eq!(problem["status"], self.status.as_u16());
        problem["code"].as_str().unwrap().to_owned()
    }

    pub(crate) fn is_replay(&self) -> bool {
        self.header("idempotent-replayed") == Some("true")
    }

    /// Checks that this is `first` again, byte for byte, and marked (G2).
    #[track_caller]
    pub(crate) fn assert_replays(&self, first: &Self) {
        assert!(!first.is_replay(), "{first:?}");
        assert!(self.is_replay(), "{self:?}");
        assert_eq!((self.status, &self.body), (first.status, &first.body));
        for name in ["content-type", "location"] {
            assert_eq!(self.header(name), first.header(name), "{name}");
        }
    }
}

/// A body that is nothing special.
pub(crate) fn order() -> Value {
    json!({"amount": 500, "currency": "usd"})
}

/// A body that asks for trouble.
pub(crate) fn trouble(sandbox: &Value) -> Value {
    json!({"amount": 500, "currency": "usd", "sandbox": sandbox})
}

/// Asks until there is an answer. Only a failure ever lasts as long as the deadline.
pub(crate) async fn until<T, F: Future<Output = Option<T>>>(mut question: impl FnMut() -> F) -> T {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(answer) = question().await {
            return answer;
        }
        assert!(Instant::now() < deadline, "it did not happen in a minute");
        sleep(Duration::from_millis(10)).await;
    }
}
