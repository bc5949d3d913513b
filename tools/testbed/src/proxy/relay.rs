//! One connection through the proxy.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::BytesMut;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    time::{sleep, timeout},
};

use super::{
    Fault,
    armed::{Plan, Verdict},
    wire::{Conversation, Piece, Request, RequestReader},
};

/// Carries bytes between `client` and the server at `target` until either side ends the connection
/// or the plan cuts it. Returning, and being aborted, closes both sides.
pub(super) async fn relay(mut client: TcpStream, target: SocketAddr, plan: Arc<Plan>) {
    let Ok(mut server) = TcpStream::connect(target).await else {
        return;
    };
    let _ = client.set_nodelay(true);
    let _ = server.set_nodelay(true);
    let conversation = Mutex::new(Conversation::default());
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    let requests = Requests {
        plan: &plan,
        conversation: &conversation,
        client: from_client,
        server: to_server,
    };
    let replies = Replies {
        plan: &plan,
        conversation: &conversation,
        server: from_server,
        client: to_client,
    };
    // Whichever way ends first takes the other one with it; how it ended is the client's to see.
    tokio::select! {
        _ = requests.carry() => {}
        _ = replies.carry() => {}
    }
}

/// The way there.
struct Requests<'a> {
    plan: &'a Plan,
    conversation: &'a Mutex<Conversation>,
    client: ReadHalf<'a>,
    server: WriteHalf<'a>,
}

impl Requests<'_> {
    async fn carry(mut self) -> io::Result<()> {
        let mut reader = RequestReader::default();
        let mut buffer = BytesMut::new();
        loop {
            while let Some(request) = self.next(&mut reader, &mut buffer) {
                self.forward(request).await?;
            }
            if self.client.read_buf(&mut buffer).await? == 0 {
                break;
            }
        }
        // The client says no more, but may still listen: the server decides when it is over.
        self.server.write_all(&buffer).await?;
        self.server.shutdown().await?;
        std::future::pending().await
    }

    fn next(&self, reader: &mut RequestReader, buffer: &mut BytesMut) -> Option<Request> {
        let encrypted = lock(self.conversation).is_encrypted();
        reader.next(buffer, encrypted)
    }

    /// Sends one request on, or does to it what the plan says. An error cuts the connection.
    async fn forward(&mut self, request: Request) -> io::Result<()> {
        let verdict = self.plan.judge(&request);
        if let Some(verdict) = &verdict {
            self.act_before(verdict, request.bytes.len()).await?;
        }
        let reply_lost = verdict
            .as_ref()
            .is_some_and(|verdict| verdict.fault() == Fault::LoseReply);
        // First, so that the reply cannot be faster than what is known about it.
        let for_reply = verdict.filter(|verdict| verdict.fault().concerns_reply());
        lock(self.conversation).expect_reply(&request, for_reply);
        self.server.write_all(&request.bytes).await?;
        self.plan.counters.forwarded();
        if reply_lost {
            // The connection ends with that reply. What comes behind must not be applied as well.
            std::future::pending::<()>().await;
        }
        Ok(())
    }

    async fn act_before(&self, verdict: &Verdict, bytes: usize) -> io::Result<()> {
        match verdict.fault() {
            Fault::CutBeforeRequest => {
                self.plan.carried_out(verdict);
                Err(io::ErrorKind::ConnectionAborted.into())
            }
            Fault::DelayRequest(delay) => {
                self.plan.carried_out(verdict);
                sleep(delay).await;
                Ok(())
            }
            Fault::SlowRequest { per_second } => {
                self.plan.carried_out(verdict);
                let takes = Duration::from_secs_f64(bytes as f64 / per_second as f64);
                // Released, the link is as fast as ever.
                let _ = timeout(takes, verdict.released()).await;
                Ok(())
            }
            Fault::HangRequest => {
                self.plan.carried_out(verdict);
                verdict.released().await;
                Ok(())
            }
            Fault::LoseReply | Fault::DelayReply(_) | Fault::HangReply => Ok(()),
        }
    }
}

/// The way back.
struct Replies<'a> {
    plan: &'a Plan,
    conversation: &'a Mutex<Conversation>,
    server: ReadHalf<'a>,
    client: WriteHalf<'a>,
}

impl Replies<'_> {
    async fn carry(mut self) -> io::Result<()> {
        let mut buffer = BytesMut::new();
        loop {
            while let Some(piece) = self.next(&mut buffer) {
                self.forward(piece).await?;
            }
            if self.server.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        }
    }

    fn next(&self, buffer: &mut BytesMut) -> Option<Piece> {
        lock(self.conversation).next_piece(buffer)
    }

    /// Sends a reply, or a part of one, back, or does to it what the plan says. An error cuts the
    /// connection.
    async fn forward(&mut self, piece: Piece) -> io::Result<()> {
        if let Some(verdict) = &piece.verdict {
            match verdict.fault() {
                Fault::LoseReply if piece.is_last => {
                    self.plan.carried_out(verdict);
                    return Err(io::ErrorKind::ConnectionAborted.into());
                }
                Fault::LoseReply => return Ok(()),
                Fault::DelayReply(delay) => {
                    self.plan.carried_out(verdict);
                    sleep(delay).await;
                }
                Fault::HangReply => {
                    self.plan.carried_out(verdict);
                    verdict.released().await;
                }
                Fault::CutBeforeRequest
                | Fault::DelayRequest(_)
                | Fault::SlowRequest { .. }
                | Fault::HangRequest => {}
            }
            if !piece.is_last {
                // It befell the reply, not each of its parts.
                lock(self.conversation).pardon();
            }
        }
        self.client.write_all(&piece.bytes).await
    }
}

fn lock(conversation: &Mutex<Conversation>) -> MutexGuard<'_, Conversation> {
    conversation.lock().unwrap_or_else(PoisonError::into_inner)
}
