//! `rediss://` against a server whose certificate an authority of this test's own has signed.
//!
//! Which authorities a process trusts is settled by its environment, so each client is this very
//! program once more.
#![cfg(feature = "tls")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::{env, fs, path::PathBuf, process::Command};

use common::{acquire, key, replayed};
use idem_core::{Idempotency, store::StoreErrorKind};
use idem_redis::RedisStore;
use idem_testbed::{Redis, skip_or_fail};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use tempfile::TempDir;

/// Where a client is to connect; set in a client alone.
const URL: &str = "IDEM_TLS_URL";
const CLIENT: &str = "a_client_says_what_became_of_it";
/// Starts the line that a client writes.
const MARK: &str = "client: ";
const STORED: &str = "stored and replayed";

/// An authority, and files signed by it.
struct Authority {
    folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        fs::write(folder.path().join("authority.pem"), certificate.pem()).unwrap();
        Self {
            folder,
            issuer: Issuer::new(params, key),
        }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("authority.pem")
    }

    /// A certificate for a server of this name, and its key.
    fn identity(&self, name: &str) -> (PathBuf, PathBuf) {
        let (certificate, key) = (
            self.folder.path().join("server.pem"),
            self.folder.path().join("server.key"),
        );
        let pair = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let signed = params.signed_by(&pair, &self.issuer).unwrap();
        fs::write(&certificate, signed.pem()).unwrap();
        fs::write(&key, pair.serialize_pem()).unwrap();
        (certificate, key)
    }

    /// A server with a certificate of this name.
    async fn server(&self, name: &str) -> Option<Redis> {
        let (certificate, key) = self.identity(name);
        let builder = Redis::builder().encrypted(certificate, key);
        skip_or_fail(builder.start().await)
    }
}

/// What becomes of a client that trusts this authority and no other.
fn client(url: &str, trusts: &Authority) -> String {
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", CLIENT, "--nocapture"])
        .env(URL, url)
        .env("SSL_CERT_FILE", trusts.file())
        .env_remove("SSL_CERT_DIR")
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}");
    let (_, outcome) = said.split_once(MARK).unwrap();
    outcome.lines().next().unwrap().to_owned()
}

fn assert_not_trusted(outcome: &str) {
    assert!(
        outcome.starts_with("a matter of configuration") && outcome.contains("certificate"),
        "{outcome}"
    );
}

/// The body of a client; does nothing in the process that runs the tests.
#[tokio::test]
async fn a_client_says_what_became_of_it() {
    let Ok(url) = env::var(URL) else {
        return;
    };
    let store = match RedisStore::connect(&url).await {
        Ok(store) => store,
        Err(error) => {
            let kind = match error.kind() {
                StoreErrorKind::Config => "a matter of configuration",
                _ => "something else",
            };
            println!("{MARK}{kind}: {error}");
            return;
        }
    };
    let idem = Idempotency::builder(store).build().unwrap();
    let execution = acquire(&idem, &key("k")).await;
    execution.complete("answer").await.unwrap();
    assert_eq!(&replayed(&idem, &key("k")).await[..], b"answer");
    println!("{MARK}{STORED}");
}

#[tokio::test]
async fn a_server_of_a_trusted_authority_is_spoken_to() {
    let authority = Authority::new();
    let Some(server) = authority.server("127.0.0.1").await else {
        return;
    };
    let url = server.encrypted_url().unwrap();
    assert_eq!(client(&url, &authority), STORED);
    // Not by another way.
    let plain = url.replace("rediss://", "redis://");
    assert_ne!(client(&plain, &authority), STORED);
}

/// S9: that is no outage, and asking again will not help.
#[tokio::test]
async fn s9_a_server_of_an_unknown_authority_is_a_matter_of_configuration() {
    let authority = Authority::new();
    let Some(server) = authority.server("127.0.0.1").await else {
        return;
    };
    assert_not_trusted(&client(&server.encrypted_url().unwrap(), &Authority::new()));
}

/// S9: so is one that goes by another name.
#[tokio::test]
async fn s9_a_server_of_another_name_is_a_matter_of_configuration() {
    let authority = Authority::new();
    let Some(server) = authority.server("elsewhere.example").await else {
        return;
    };
    assert_not_trusted(&client(&server.encrypted_url().unwrap(), &authority));
}
