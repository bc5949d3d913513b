//! Every trouble that the clients are put through.

use idem_testbed::{Fault, Rule};
use serde_json::{Value, json};

/// One trouble, and what is to come of it.
pub(crate) struct Trouble {
    /// The merchant, too.
    pub(crate) name: &'static str,
    /// What the proxy does.
    pub(crate) rule: Option<Rule>,
    /// Whether nobody listens.
    pub(crate) refuses: bool,
    /// Whether the service lets a duplicate wait for the answer.
    pub(crate) waits: bool,
    /// Whether the second call starts while the first one is at work.
    pub(crate) at_once: bool,
    calls: Vec<Value>,
    pub(crate) expected: Vec<&'static str>,
    pub(crate) charges: u64,
    /// How many requests go through the proxy, where that is certain.
    pub(crate) sendings: Option<u64>,
}

impl Trouble {
    pub(crate) fn calls(&self) -> Vec<Value> {
        let with_defaults = |call: &Value| {
            let mut all = json!({
                "api_key": self.name,
                "path": "/v1/payments",
                "params": {"amount": 500, "currency": "usd"},
                "key": "k",
                "retries": 2,
                "timeout": 80,
            });
            for (name, value) in call.as_object().unwrap() {
                all[name] = value.clone();
            }
            all
        };
        self.calls.iter().map(with_defaults).collect()
    }

    fn rule(mut self, rule: Rule) -> Self {
        self.rule = Some(rule);
        self
    }

    fn charges(mut self, charges: u64) -> Self {
        self.charges = charges;
        self
    }

    fn sendings(mut self, sendings: u64) -> Self {
        self.sendings = Some(sendings);
        self
    }

    fn waits(mut self) -> Self {
        self.waits = true;
        self
    }

    fn at_once(mut self) -> Self {
        self.at_once = true;
        self
    }

    fn refuses(mut self) -> Self {
        self.refuses = true;
        self
    }
}

/// One charge, unless more is said.
fn trouble<const N: usize>(
    name: &'static str,
    calls: [Value; N],
    expected: [&'static str; N],
) -> Trouble {
    Trouble {
        name,
        rule: None,
        refuses: false,
        waits: false,
        at_once: false,
        calls: calls.into(),
        expected: expected.into(),
        charges: 1,
        sendings: None,
    }
}

/// A payment with this trouble of the sandbox, which charges first.
fn sandbox(sandbox: &Value) -> Value {
    json!({"params": {"amount": 500, "currency": "usd", "sandbox": sandbox}})
}

fn and(mut call: Value, more: &Value) -> Value {
    for (name, value) in more.as_object().unwrap() {
        call[name] = value.clone();
    }
    call
}

/// The handler answers like this after the charge: stored, replayed, and not sent again by itself.
fn answered(name: &'static str, what: &Value, error: &'static str) -> Trouble {
    let call = sandbox(what);
    trouble(name, [call.clone(), call], [error; 2]).sendings(2)
}

pub(crate) fn troubles() -> Vec<Trouble> {
    let plain = || json!({});
    let own_key = || json!({"key": null});
    let slow = |ms: u64| sandbox(&json!({"delay_ms": ms}));
    let lose = |times| Fault::LoseReply.times(times);
    let cut = |times| Fault::CutBeforeRequest.times(times);
    vec![
        trouble("no-trouble", [own_key()], ["created"]).sendings(1),
        trouble(
            "the-same-call-twice",
            [plain(), plain()],
            ["created", "replayed"],
        )
        .sendings(2),
        // Connections that break.
        trouble("refused", [own_key()], ["ConnectionError"])
            .refuses()
            .charges(0),
        trouble("cut-before-the-request", [own_key()], ["created"]).rule(cut(1)),
        trouble("cut-twice", [own_key()], ["created"]).rule(cut(2)),
        trouble("reply-lost", [own_key()], ["replayed"])
            .rule(lose(1))
            .sendings(2),
        trouble("reply-lost-twice", [own_key()], ["replayed"])
            .rule(lose(2))
            .sendings(3),
        trouble(
            "reply-lost-until-it-gives-up",
            [and(plain(), &json!({"retries": 1})), plain()],
            ["ConnectionError", "replayed"],
        )
        .rule(lose(2)),
        trouble(
            "timeout-and-retries",
            [and(slow(1500), &json!({"timeout": 1, "retries": 8}))],
            ["replayed"],
        ),
        trouble(
            "timeout-and-a-service-that-waits",
            [and(slow(1500), &json!({"timeout": 1, "retries": 8}))],
            ["replayed"],
        )
        .waits(),
        // Two at once.
        trouble(
            "in-flight-without-retries",
            [slow(6000), and(slow(6000), &json!({"retries": 0}))],
            ["created", "APIError 409 idempotency_key_in_use"],
        )
        .at_once(),
        trouble(
            "in-flight-with-retries",
            [slow(3000), and(slow(3000), &json!({"retries": 12}))],
            ["created", "replayed"],
        )
        .at_once(),
        trouble(
            "double-click",
            [slow(1000), slow(1000)],
            ["created", "replayed"],
        )
        .at_once()
        .waits()
        .sendings(2),
        // An old key for something else.
        trouble(
            "another-amount",
            [
                plain(),
                json!({"params": {"amount": 700, "currency": "usd"}}),
            ],
            ["created", "IdempotencyError 400"],
        )
        .sendings(2),
        trouble(
            "another-endpoint",
            [plain(), json!({"path": "/v1/refunds"})],
            ["created", "IdempotencyError 400"],
        )
        .sendings(2),
        // What a handler answers after the charge is stored, whatever it is.
        answered("card-declined", &json!({"status": 402}), "CardError 402"),
        answered("forbidden", &json!({"status": 403}), "PermissionError 403"),
        answered(
            "rate-limited",
            &json!({"status": 429}),
            "RateLimitError 429",
        ),
        answered(
            "internal-error",
            &json!({"status": 500}),
            "APIError 500 sandbox",
        ),
        answered(
            "unavailable",
            &json!({"status": 503}),
            "APIError 503 sandbox",
        ),
        answered(
            "panic",
            &json!({"panic": true}),
            "APIError 500 handler-failed",
        ),
        // Requests that are refused before a charge.
        trouble(
            "invalid-amount",
            [json!({"params": {"amount": -1, "currency": "usd"}})],
            ["InvalidRequestError 400 amount"],
        )
        .charges(0),
        trouble(
            "malformed-key",
            [json!({"key": "a\"b"})],
            ["InvalidRequestError 400"],
        )
        .charges(0),
        trouble(
            "bad-credentials",
            [json!({"api_key": "{no}"})],
            ["AuthenticationError 401"],
        )
        .charges(0),
    ]
}
