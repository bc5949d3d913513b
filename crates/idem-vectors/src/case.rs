//! The cases, as they are in `vectors/cases/`.

use anyhow::Context as _;
use serde::Deserialize;

macro_rules! files {
    ($($name:literal),+ $(,)?) => {
        [$(($name, include_str!(concat!("../../../vectors/cases/", $name, ".json")))),+]
    };
}

const FILES: [(&str, &str); 9] = files![
    "key",
    "scope",
    "fingerprint",
    "answers",
    "states",
    "races",
    "streams",
    "faults",
    "profiles",
];

/// All cases, by group.
///
/// # Errors
/// When a file is not what `vectors/schema.json` says.
pub fn groups() -> anyhow::Result<Vec<Group>> {
    let read = |(name, text)| serde_json::from_str(text).with_context(|| format!("{name}.json"));
    FILES.into_iter().map(read).collect()
}

/// A file of cases.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// What its cases are about.
    pub group: String,
    /// The cases.
    pub cases: Vec<Case>,
}

/// One rule, shown by requests and what comes back.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// Its name, unique among all.
    pub id: String,
    /// The rule.
    pub title: String,
    /// Where the rule comes from.
    pub cites: Vec<String>,
    /// What a server has to offer for it.
    #[serde(default)]
    pub needs: Vec<String>,
    pub(crate) steps: Vec<Step>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Step {
    /// Sends a request and reads the answer.
    Send(Send),
    /// Sends a request and goes on once its handler runs.
    Start(Send),
    /// Reads the answer of a request that was started.
    Finish(Finish),
    /// Sends a request and hangs up once its handler runs.
    HangUp(Send),
    /// Sends the same request so many times at once.
    Parallel(Parallel),
    /// Lets the handlers of this case go on that wait.
    Open(u32),
    /// Takes the store away (`away`), or gives it back (`back`).
    Store(String),
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Send {
    #[serde(flatten)]
    pub(crate) request: Request,
    /// A name for the answer.
    #[serde(default, rename = "as")]
    pub(crate) name: Option<String>,
    /// Sends it again while it is told that the key is in flight.
    #[serde(default)]
    pub(crate) patient: bool,
    #[serde(default)]
    pub(crate) expect: Expect,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Request {
    #[serde(default = "post")]
    pub(crate) method: String,
    pub(crate) path: String,
    /// A shorthand for the header `Idempotency-Key`.
    #[serde(default)]
    pub(crate) key: Option<String>,
    #[serde(default)]
    pub(crate) headers: Vec<(String, String)>,
    #[serde(default)]
    pub(crate) body: String,
    /// The body is this one, so many times.
    #[serde(default = "once")]
    pub(crate) repeat: usize,
    /// Sends the body in pieces of this size, without a length.
    #[serde(default)]
    pub(crate) chunked: Option<usize>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Finish {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) expect: Expect,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Parallel {
    pub(crate) request: Request,
    pub(crate) count: usize,
    /// Each answer is as one of these.
    pub(crate) each: Vec<Expect>,
    pub(crate) runs: u64,
}

/// What an answer is like. What is not mentioned does not matter.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expect {
    pub(crate) status: Option<u16>,
    /// The `code` of a problem.
    pub(crate) code: Option<String>,
    /// Whether it is marked as a replay.
    pub(crate) replayed: Option<bool>,
    /// Status, body and the headers that describe it are those of this answer.
    pub(crate) same_as: Option<String>,
    pub(crate) body: Option<String>,
    pub(crate) body_contains: Option<String>,
    pub(crate) body_length: Option<usize>,
    /// By name, the values of all its lines; empty for a header that is not there.
    #[serde(default)]
    pub(crate) headers: std::collections::BTreeMap<String, Vec<String>>,
    /// Headers that are there, whatever they say.
    #[serde(default)]
    pub(crate) has: Vec<String>,
    #[serde(default)]
    pub(crate) trailers: std::collections::BTreeMap<String, String>,
    /// A member of a JSON body (RFC 6901) and its value.
    #[serde(default)]
    pub(crate) json: std::collections::BTreeMap<String, serde_json::Value>,
    /// How often handlers of this case have run by now.
    pub(crate) runs: Option<u64>,
}

fn post() -> String {
    "POST".to_owned()
}

fn once() -> usize {
    1
}
