//! A server that does to each request what a test says.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// What happens to a request that arrived whole.
#[derive(Debug, Clone)]
pub(crate) enum Fate {
    /// These bytes come back, and the connection is closed.
    Says(String),
    /// These bytes come back, and the connection is reset.
    Resets(String),
}

pub(crate) fn says(status: &str, headers: &str, body: &str) -> Fate {
    Fate::Says(format!(
        "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n{body}",
        body.len()
    ))
}

pub(crate) fn created() -> Fate {
    says("201 Created", "", r#"{"id":1}"#)
}

pub(crate) fn replayed() -> Fate {
    says(
        "201 Created",
        "idempotent-replayed: true\r\n",
        r#"{"id":1}"#,
    )
}

pub(crate) fn html_503() -> Fate {
    says(
        "503 Service Unavailable",
        "content-type: text/html\r\n",
        "<h1>503</h1>",
    )
}

pub(crate) fn silence() -> Fate {
    Fate::Says(String::new())
}

/// A server, and the requests that arrived there.
pub(crate) struct Server {
    address: SocketAddr,
    arrived: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Requests meet these fates in turn, and the last one for ever.
    pub(crate) async fn new(fates: impl IntoIterator<Item = Fate>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let arrived = Arc::<Mutex<Vec<String>>>::default();
        let log = Arc::clone(&arrived);
        let mut fates: Vec<_> = fates.into_iter().collect();
        fates.reverse();
        tokio::spawn(async move {
            loop {
                let (mut client, _) = listener.accept().await.unwrap();
                let request = read_request(&mut client).await;
                log.lock().unwrap().push(request);
                let fate = match fates.len() {
                    1 => fates[0].clone(),
                    _ => fates.pop().unwrap(),
                };
                match fate {
                    Fate::Says(bytes) => client.write_all(bytes.as_bytes()).await.unwrap(),
                    Fate::Resets(bytes) => {
                        client.write_all(bytes.as_bytes()).await.unwrap();
                        client.set_zero_linger().unwrap();
                    }
                }
            }
        });
        Self { address, arrived }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/payments", self.address)
    }

    pub(crate) fn sendings(&self) -> usize {
        self.arrived.lock().unwrap().len()
    }

    /// The one key of all sendings, as it was spelled.
    #[track_caller]
    pub(crate) fn key(&self) -> String {
        let arrived = self.arrived.lock().unwrap();
        let mut keys: Vec<_> = arrived
            .iter()
            .flat_map(|request| request.lines())
            .filter_map(|line| line.strip_prefix("idempotency-key: "))
            .collect();
        assert_eq!(keys.len(), arrived.len());
        keys.dedup();
        assert_eq!(keys.len(), 1, "{keys:?}");
        keys[0].to_owned()
    }
}

async fn read_request(client: &mut TcpStream) -> String {
    let mut read = Vec::new();
    loop {
        let mut bytes = [0; 4096];
        let more = client.read(&mut bytes).await.unwrap();
        read.extend_from_slice(&bytes[..more]);
        let text = String::from_utf8(read.clone()).unwrap();
        let whole = text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            body.len() >= length.map_or(0, |length| length.parse().unwrap())
        });
        if whole || more == 0 {
            return text;
        }
    }
}
