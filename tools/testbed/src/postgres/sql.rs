//! A client of a few dozen lines, so that what the testbed sees does not pass through the driver
//! that is under test.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// Long enough for any statement of a test; a server that is paused answers nothing at all.
const PATIENCE: Duration = Duration::from_secs(30);

/// Version 3.0 of the protocol.
const PROTOCOL: i32 = 3 << 16;

/// The columns of a row as text, in their order; none for NULL.
pub type Row = Vec<Option<String>>;

/// Why a statement has no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SqlError {
    /// The server's answer is an error.
    #[error("{message} (SQLSTATE {code})")]
    Server {
        /// The SQLSTATE.
        code: String,
        /// The server's words.
        message: String,
    },
    /// The connection broke or the answer did not come in time; the statement may have been
    /// applied.
    #[error(transparent)]
    Connection(#[from] io::Error),
}

/// A blocking connection that needs no password, for statements without parameters.
#[derive(Debug)]
pub struct SqlClient {
    stream: TcpStream,
}

impl SqlClient {
    /// Connects as `postgres`. Neither this nor any statement blocks for more than thirty seconds.
    ///
    /// # Errors
    ///
    /// [`SqlError::Server`] while the server is starting up, [`SqlError::Connection`] if nobody
    /// listens there.
    pub fn connect(address: SocketAddr, database: &str) -> Result<Self, SqlError> {
        Self::connect_within(address, database, PATIENCE)
    }

    /// [`connect`](Self::connect) with another bound on the waiting.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    pub fn connect_within(
        address: SocketAddr,
        database: &str,
        patience: Duration,
    ) -> Result<Self, SqlError> {
        let stream = TcpStream::connect_timeout(&address, patience)?;
        stream.set_nodelay(true)?;
        let mut client = Self { stream };
        client.set_patience(patience)?;
        client.greet(database)?;
        Ok(client)
    }

    /// Bounds how long each statement blocks from now on.
    ///
    /// # Errors
    ///
    /// If `patience` is zero.
    pub fn set_patience(&self, patience: Duration) -> io::Result<()> {
        self.stream.set_read_timeout(Some(patience))?;
        self.stream.set_write_timeout(Some(patience))
    }

    /// Runs one or more statements and returns the rows of all of them.
    ///
    /// # Errors
    ///
    /// [`SqlError::Server`] for the first statement that failed.
    pub fn query(&mut self, sql: &str) -> Result<Vec<Row>, SqlError> {
        let mut message = vec![b'Q'];
        message.extend_from_slice(&sized(&[sql.as_bytes(), b"\0"].concat()));
        self.stream.write_all(&message)?;
        self.until_ready()
    }

    fn greet(&mut self, database: &str) -> Result<(), SqlError> {
        let mut body = PROTOCOL.to_be_bytes().to_vec();
        for text in ["user", "postgres", "database", database, ""] {
            body.extend_from_slice(text.as_bytes());
            body.push(0);
        }
        self.stream.write_all(&sized(&body))?;
        self.until_ready()?;
        Ok(())
    }

    fn until_ready(&mut self) -> Result<Vec<Row>, SqlError> {
        let mut rows = Vec::new();
        let mut failure = None;
        loop {
            let (kind, body) = self.message()?;
            match kind {
                b'Z' => return failure.map_or(Ok(rows), Err),
                b'D' => rows.push(row(&body).ok_or_else(garbled)?),
                b'E' => {
                    let error = server_error(&body);
                    // Nothing follows an error that ends the session.
                    if is_fatal(&body) {
                        return Err(error);
                    }
                    failure = Some(error);
                }
                b'R' if body != [0; 4] => {
                    return Err(io::Error::other("the server asks for a password").into());
                }
                _ => {}
            }
        }
    }

    fn message(&mut self) -> io::Result<(u8, Vec<u8>)> {
        let mut head = [0; 5];
        self.stream.read_exact(&mut head)?;
        let [kind, length @ ..] = head;
        let length = usize::try_from(u32::from_be_bytes(length))
            .ok()
            .and_then(|length| length.checked_sub(4))
            .ok_or_else(garbled)?;
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok((kind, body))
    }
}

impl Drop for SqlClient {
    /// Says goodbye, so that the server does not log a lost connection.
    fn drop(&mut self) {
        let _ = self.stream.write_all(b"X\0\0\0\x04");
    }
}

/// A body behind its length, which counts itself.
fn sized(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).expect("a test's statement is below 4 GiB");
    [&length.to_be_bytes(), body].concat()
}

fn row(body: &[u8]) -> Option<Row> {
    let (count, mut rest) = body.split_first_chunk::<2>()?;
    let mut row = Row::new();
    for _ in 0..u16::from_be_bytes(*count) {
        let (length, after) = rest.split_first_chunk::<4>()?;
        rest = after;
        let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) else {
            row.push(None);
            continue;
        };
        row.push(Some(
            String::from_utf8_lossy(rest.get(..length)?).into_owned(),
        ));
        rest = rest.get(length..)?;
    }
    Some(row)
}

fn server_error(body: &[u8]) -> SqlError {
    SqlError::Server {
        code: field(body, b'C').unwrap_or_default(),
        message: field(body, b'M').unwrap_or_default(),
    }
}

fn is_fatal(body: &[u8]) -> bool {
    field(body, b'V')
        .or_else(|| field(body, b'S'))
        .is_some_and(|severity| severity == "FATAL" || severity == "PANIC")
}

fn field(body: &[u8], kind: u8) -> Option<String> {
    body.split(|byte| *byte == 0)
        .filter_map(<[u8]>::split_first)
        .find(|(found, _)| **found == kind)
        .map(|(_, text)| String::from_utf8_lossy(text).into_owned())
}

fn garbled() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "not the protocol of Postgres")
}
