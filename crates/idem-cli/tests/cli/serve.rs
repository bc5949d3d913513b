//! `idem serve`: the real program, asked over TCP. What the page does is tested in idem-console.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

use idem_core::{machine::NEVER, store::Store as _};
use idem_testbed::Program;
use serde_json::{Value, json};

use crate::{idem::Idem, planted, sqlite::file};

/// A served console, and its token.
async fn serve(url: &str, more: &[&str]) -> (Program, String, String) {
    let arguments = ["serve", "--json", "--store", url, "--by", "ada"];
    let arguments = arguments.iter().chain(more).map(|text| (*text).to_owned());
    let arguments: Vec<String> = arguments.collect();
    let started = Program::start(env!("CARGO_BIN_EXE_idem"), arguments, |log| {
        let line: Value = log
            .lines()
            .find_map(|line| serde_json::from_str(line).ok())?;
        Some(line["url"].as_str()?.to_owned())
    });
    let (program, url) = started.await.unwrap();
    let (address, token) = url.split_once("/#token=").unwrap();
    let address = address.strip_prefix("http://").unwrap().to_owned();
    (program, address, token.to_owned())
}

fn ask(address: &str, token: &str, path: &str, body: &Value) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    let body = body.to_string();
    let method = if body == "null" { "GET" } else { "POST" };
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    let status = reply.split(' ').nth(1).unwrap().parse().unwrap();
    let (_, body) = reply.split_once("\r\n\r\n").unwrap();
    (status, body.to_owned())
}

#[tokio::test]
async fn a_served_console_shows_and_with_leave_it_settles() {
    let (_folder, url, store) = file().await;
    planted::put(&store, "shop:k", planted::lapsed(), NEVER).await;
    let version = {
        let key = idem_core::RecordKey::parse("shop:k").unwrap();
        let stored = store.get(&key).await.unwrap().unwrap();
        let token = stored.record.version.token;
        let hex: String = token
            .as_bytes()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        format!("{hex}.{}", stored.record.version.revision)
    };
    let settle = json!({
        "key": "shop:k", "version": version, "reason": "no charge", "how": "run-again",
    });
    let record = json!({ "key": "shop:k" });

    let (looking, address, token) = serve(&url, &[]).await;
    assert_eq!(ask(&address, "", "/", &Value::Null).0, 200);
    assert_eq!(ask(&address, "", "/api/record", &record).0, 401);
    let (status, shown) = ask(&address, &token, "/api/record", &record);
    assert_eq!(status, 200);
    assert!(shown.contains("waits for somebody to settle it"), "{shown}");
    assert_eq!(ask(&address, &token, "/api/resolve", &settle).0, 403);
    drop(looking);

    let fixed = "0123456789abcdef";
    let (_acting, address, token) = serve(&url, &["--allow-changes", "--token", fixed]).await;
    assert_eq!(token, fixed);
    let (status, answer) = ask(&address, &token, "/api/resolve", &settle);
    assert_eq!(status, 200, "{answer}");
    let idem = Idem::at(&*url);
    assert_eq!(idem.state("shop:k"), "retryable");
    let entry = &idem.json("audit")[0];
    assert_eq!(
        (&entry["by"], &entry["reason"]),
        (&json!("ada"), &json!("no charge"))
    );
    idem.run("serve --token short").expect(2);
}
