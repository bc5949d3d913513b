//! [`Line`]: one server, and how requests reach it.

use std::sync::{
    Arc, Weak,
    atomic::{AtomicUsize, Ordering},
};

use redis::Cmd;

use super::{
    Answered, Request,
    exchange::{Form, Outcome, Plan},
};
use crate::{
    connection::{Cluster, Server, Slots, is_refusal},
    error::Failure,
    facts::Facts,
    scripts::Replace,
};

/// The way to one server.
pub(crate) struct Line {
    server: Server,
    facts: Arc<Facts>,
    replace: Replace,
    /// What makes the writes before it durable.
    wait: Option<Cmd>,
    /// In a Cluster: where requests go that this node does not take.
    slots: Option<Weak<Slots>>,
    /// The size of a record, as far as replies have told. Follows them up at once and down slowly.
    record_size: AtomicUsize,
}

impl Line {
    pub(crate) fn new(
        server: Server,
        facts: Arc<Facts>,
        wait: Option<Cmd>,
        slots: Option<Weak<Slots>>,
    ) -> Self {
        Self {
            server,
            facts,
            replace: Replace::new(),
            wait,
            slots,
            record_size: AtomicUsize::new(0),
        }
    }

    /// Another way to the same server, over a connection of its own; `None` over a connection that
    /// somebody else opened.
    pub(super) fn beside(&self) -> Option<Self> {
        let (facts, wait) = (Arc::clone(&self.facts), self.wait.clone());
        let server = self.server.beside()?;
        Some(Self::new(server, facts, wait, self.slots.clone()))
    }

    /// Refuses what the server would break the connection over.
    pub(super) fn admit(&self, bytes: usize) -> Result<(), Failure> {
        self.facts.admit(bytes)
    }

    /// What the reply to a read may take.
    pub(super) fn record_size(&self) -> usize {
        self.record_size.load(Ordering::Relaxed)
    }

    pub(super) async fn send_one(&self, request: Request) -> Answered {
        let mut requests = [request];
        let answer = self.send(&mut requests).await.pop();
        let answer = answer.unwrap_or_else(|| Err(Failure::missing_reply()));
        let [request] = requests;
        match self.is_redirected(&answer) {
            true => self.redirect(request, answer).await,
            false => answer,
        }
    }

    /// Sends requests as one pipeline. The answers are in the order of the requests.
    pub(super) async fn send(&self, requests: &mut [Request]) -> Vec<Answered> {
        metrics::histogram!("idem_batch_calls", "store" => "redis").record(requests.len() as f64);
        let form = Form {
            combined: self.facts.combines() && self.slots.is_none(),
            by_text: false,
        };
        let outcome = self.exchange(requests, form).await;
        let (mut answers, again) = (outcome.answers, outcome.again);
        if !again.is_empty() {
            Box::pin(self.send_each(requests, again, &mut answers)).await;
        }
        answers
    }

    /// Whether other nodes may take what this one does not.
    pub(super) fn is_in_cluster(&self) -> bool {
        self.slots.is_some()
    }

    /// Whether the node did not take the request, and another one may.
    pub(super) fn is_redirected(&self, answer: &Answered) -> bool {
        self.is_in_cluster() && matches!(answer, Err(failure) if is_refusal(failure))
    }

    /// Sends a request that this node did not take to the one that does, if any.
    pub(super) async fn redirect(&self, request: Request, answer: Answered) -> Answered {
        match self.slots.as_ref().and_then(Weak::upgrade) {
            None => answer,
            Some(slots) => {
                let cluster = Cluster::Own(slots);
                alone(&cluster, request, &self.replace, self.wait.as_ref()).await
            }
        }
    }

    async fn exchange(&self, requests: &mut [Request], form: Form) -> Outcome {
        let plan = Plan::new(requests, &self.replace, self.wait.as_ref(), form);
        let known = self.record_size();
        let outcome = plan.send(&self.server, requests, known).await;
        if let (values @ 1.., bytes) = outcome.read {
            let size = (bytes / values).max(known - known / 16);
            self.record_size.store(size, Ordering::Relaxed);
        }
        outcome
    }

    /// Sends each of these requests as a command of its own.
    async fn send_each(
        &self,
        requests: &mut [Request],
        again: Vec<usize>,
        answers: &mut [Answered],
    ) {
        let taken = again.iter().map(|index| requests[*index].take());
        let mut taken: Vec<_> = taken.collect();
        let form = Form {
            combined: false,
            by_text: true,
        };
        let outcome = self.exchange(&mut taken, form).await;
        for ((index, answer), request) in again.into_iter().zip(outcome.answers).zip(taken) {
            if let Err(failure) = &answers[index]
                && failure.refuses_combination()
                && answer.is_ok()
            {
                self.facts.never_combine();
            }
            answers[index] = answer;
            requests[index] = request;
        }
    }
}

/// Sends a request by itself to the node that owns its record.
pub(crate) async fn alone(
    cluster: &Cluster,
    request: Request,
    replace: &Replace,
    wait: Option<&Cmd>,
) -> Answered {
    let name = request.name();
    let mut requests = [request];
    let mut by_text = false;
    loop {
        let form = Form {
            combined: false,
            by_text,
        };
        let plan = Plan::new(&mut requests, replace, wait, form);
        let replies = cluster.send(&name, &plan.pipeline).await;
        let mut outcome = plan.hand_out(replies, &mut requests);
        if outcome.again.is_empty() || by_text {
            let answer = outcome.answers.pop();
            return answer.unwrap_or_else(|| Err(Failure::missing_reply()));
        }
        by_text = true;
    }
}
