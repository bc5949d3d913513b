//! A client as a process of its own, told what to call.

use std::{env, path::Path, process::Stdio};

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{
    io::AsyncWriteExt as _,
    process::{Child, Command},
};

/// How to start an official client.
pub(crate) struct Client {
    program: String,
    script: &'static str,
    modules: String,
}

impl Client {
    pub(crate) fn python() -> Self {
        Self {
            program: variable("IDEM_STRIPE_PYTHON"),
            script: "stripe_client.py",
            modules: String::new(),
        }
    }

    pub(crate) fn node() -> Self {
        Self {
            program: "node".to_owned(),
            script: "stripe_client.cjs",
            modules: variable("IDEM_STRIPE_NODE_MODULES"),
        }
    }

    /// Starts the process, which loads the library and waits to be told what to call.
    pub(crate) fn start(&self) -> Started {
        let script = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("clients")
            .join(self.script);
        let child = Command::new(&self.program)
            .arg(script)
            .env("NODE_PATH", &self.modules)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn();
        Started(child.unwrap())
    }
}

/// A client that waits to be told what to call.
pub(crate) struct Started(Child);

impl Started {
    /// Makes calls, one after the other, and returns what came of each.
    pub(crate) async fn make(mut self, base: &str, calls: &[Value]) -> Vec<Said> {
        let told = json!({"base": base, "calls": calls}).to_string();
        let mut input = self.0.stdin.take().unwrap();
        input.write_all(told.as_bytes()).await.unwrap();
        drop(input);
        let output = self.0.wait_with_output().await.unwrap();
        let lines = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{lines}");
        lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

fn variable(name: &str) -> String {
    env::var(name)
        .unwrap_or_else(|_| panic!("{name} is not set; start this as `cargo xtask stripe`"))
}

/// What a call came to.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Said {
    pub(crate) id: Option<String>,
    pub(crate) replayed: Option<bool>,
    pub(crate) request: Option<String>,
    pub(crate) original: Option<String>,
    error: Option<String>,
    status: Option<u16>,
    code: Option<String>,
    param: Option<String>,
}

impl Said {
    /// `created`, `replayed`, or the class of an error with its status, its code and its parameter,
    /// where it has them. The clients name the same classes a little differently.
    pub(crate) fn summary(&self) -> String {
        let Some(class) = &self.error else {
            let replayed = self.replayed == Some(true);
            return if replayed { "replayed" } else { "created" }.to_owned();
        };
        let class = class.strip_prefix("Stripe").unwrap_or(class);
        let class = class.replace("APIConnection", "Connection");
        let status = self.status.map(|status| status.to_string());
        // Each client leaves the code out of some classes, and Node says `ECONNREFUSED` there.
        let code = self.code.clone().filter(|_| class == "APIError");
        let facts = [status, code, self.param.clone()];
        facts
            .into_iter()
            .flatten()
            .fold(class, |text, fact| format!("{text} {fact}"))
    }
}
