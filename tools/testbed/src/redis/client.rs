//! A client of a few dozen lines, so that what the testbed sees does not pass through the driver
//! that is under test.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use super::Reply;

/// Long enough for any command of a test; a server that is paused answers nothing at all.
const PATIENCE: Duration = Duration::from_secs(10);

/// A blocking connection to one server, in the second version of the protocol.
#[derive(Debug)]
pub struct RespClient {
    stream: TcpStream,
    received: Vec<u8>,
}

impl RespClient {
    /// Connects to `address`. Neither this nor any call blocks for more than ten seconds.
    ///
    /// # Errors
    ///
    /// If nobody listens there.
    pub fn connect(address: SocketAddr) -> io::Result<Self> {
        Self::connect_within(address, PATIENCE)
    }

    /// Connects to `address`; neither this nor any call blocks for more than `patience`.
    ///
    /// # Errors
    ///
    /// If nobody listens there.
    pub fn connect_within(address: SocketAddr, patience: Duration) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, patience)?;
        stream.set_nodelay(true)?;
        let client = Self {
            stream,
            received: Vec::new(),
        };
        client.set_patience(patience)?;
        Ok(client)
    }

    /// Bounds how long each call blocks from now on.
    ///
    /// # Errors
    ///
    /// If `patience` is zero.
    pub fn set_patience(&self, patience: Duration) -> io::Result<()> {
        self.stream.set_read_timeout(Some(patience))?;
        self.stream.set_write_timeout(Some(patience))
    }

    /// Sends one command and reads its reply. An error that the server answers is a [`Reply`].
    ///
    /// # Errors
    ///
    /// If the connection broke or the reply did not come in time; the command may have been applied.
    pub fn call<A: AsRef<[u8]>>(&mut self, command: &[A]) -> io::Result<Reply> {
        self.send(command)?;
        self.receive()
    }

    /// Sends one command without waiting for its reply.
    ///
    /// # Errors
    ///
    /// If the connection broke.
    pub fn send<A: AsRef<[u8]>>(&mut self, command: &[A]) -> io::Result<()> {
        let mut bytes = format!("*{}\r\n", command.len()).into_bytes();
        for argument in command {
            let argument = argument.as_ref();
            bytes.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
            bytes.extend_from_slice(argument);
            bytes.extend_from_slice(b"\r\n");
        }
        self.stream.write_all(&bytes)
    }

    /// Reads the next reply.
    ///
    /// # Errors
    ///
    /// If the connection broke or the reply did not come in time.
    pub fn receive(&mut self) -> io::Result<Reply> {
        let mut chunk = [0; 16 * 1024];
        loop {
            let reply = Reply::take(&mut self.received)
                .map_err(|malformed| io::Error::new(io::ErrorKind::InvalidData, malformed))?;
            if let Some(reply) = reply {
                return Ok(reply);
            }
            let length = self.stream.read(&mut chunk)?;
            if length == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.received.extend_from_slice(&chunk[..length]);
        }
    }
}
