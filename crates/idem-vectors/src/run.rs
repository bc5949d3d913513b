//! Runs the cases.

use std::{collections::HashMap, time::Duration};

use anyhow::{Context as _, bail, ensure};
use futures_util::future::join_all;
use tokio::{task::JoinHandle, time::Instant};

use crate::{
    case::{Case, Expect, Request, Send, Step, groups},
    client::{Answer, Prepared, Server},
    report::{Outcome, Report},
};

/// How long to wait for a handler to begin, or for a key that is in flight.
const PATIENCE: Duration = Duration::from_secs(20);

const PAUSE: Duration = Duration::from_millis(10);

/// Runs all cases whose names contain `filter`, one after the other.
///
/// # Errors
/// When the server cannot be reached, or has no fixture. A case that fails is no error: the report
/// says so.
pub async fn run(url: &str, filter: &str) -> anyhow::Result<Report> {
    let server = Server::at(url)?;
    let offered = server.get("/control/offers").await;
    let offered = offered.with_context(|| format!("{url} has no fixture for the cases"))?;
    let offered: Vec<_> = offered.split_whitespace().collect();
    let mut report = Report::default();
    for group in groups()? {
        for case in group.cases.iter().filter(|case| case.id.contains(filter)) {
            let missing = case
                .needs
                .iter()
                .find(|need| !offered.contains(&need.as_str()));
            let outcome = match missing {
                Some(need) => Outcome::Skipped(format!("the server does not offer `{need}`")),
                None => match run_case(&server, case).await {
                    Ok(()) => Outcome::Passed,
                    Err(error) => Outcome::Failed(format!("{error:#}")),
                },
            };
            report.add(&group.group, case, outcome);
        }
    }
    Ok(report)
}

async fn run_case(server: &Server, case: &Case) -> anyhow::Result<()> {
    let mut running = Running {
        server: server.clone(),
        word: format!("{}-{:016x}", case.id, rand::random::<u64>()),
        answers: HashMap::new(),
        started: HashMap::new(),
    };
    let ran = running.steps(&case.steps).await;
    if case.needs.iter().any(|need| need == "faults") {
        running.control("store?state=back&").await?;
    }
    ran
}

struct Running {
    server: Server,
    /// Stands for `{case}`.
    word: String,
    answers: HashMap<String, Answer>,
    started: HashMap<String, JoinHandle<anyhow::Result<Answer>>>,
}

impl Running {
    async fn steps(&mut self, steps: &[Step]) -> anyhow::Result<()> {
        for (number, step) in steps.iter().enumerate() {
            let done = self.step(step).await;
            done.with_context(|| format!("step {}", number + 1))?;
        }
        Ok(())
    }

    async fn step(&mut self, step: &Step) -> anyhow::Result<()> {
        match step {
            Step::Send(send) => {
                let answer = self.send(send).await?;
                self.expect(&send.expect, answer, send.name.as_ref()).await
            }
            Step::Start(send) => {
                let started = self.start(&send.request).await?;
                let name = send.name.clone().context("a started request has a name")?;
                self.started.insert(name, started);
                Ok(())
            }
            Step::HangUp(send) => {
                let started = self.start(&send.request).await?;
                started.abort();
                Ok(())
            }
            Step::Finish(finish) => {
                let started = self.started.remove(&finish.name);
                let answer = started.context("nothing was started")?.await??;
                self.expect(&finish.expect, answer, Some(&finish.name))
                    .await
            }
            Step::Parallel(parallel) => {
                let request = self.prepare(&parallel.request)?;
                let sent = (0..parallel.count).map(|_| self.server.send(&request));
                for answer in join_all(sent).await {
                    let answer = answer?;
                    let checks = parallel.each.iter();
                    let mut checks =
                        checks.map(|expect| expect.check(&answer, &self.answers, &self.word));
                    let as_one = checks.any(|check| check.is_ok());
                    ensure!(as_one, "an answer like none of those: {answer:?}");
                }
                self.expect_runs(parallel.runs).await
            }
            Step::Open(permits) => self
                .control(&format!("open?permits={permits}&"))
                .await
                .map(drop),
            Step::Store(state) => self
                .control(&format!("store?state={state}&"))
                .await
                .map(drop),
        }
    }

    fn prepare(&self, request: &Request) -> anyhow::Result<Prepared> {
        Prepared::new(request, &self.word)
    }

    async fn send(&self, send: &Send) -> anyhow::Result<Answer> {
        let request = self.prepare(&send.request)?;
        let began = Instant::now();
        loop {
            let answer = self.server.send(&request).await?;
            let is_busy = send.patient && answer.code().as_deref() == Some("in-flight");
            if !is_busy {
                return Ok(answer);
            }
            ensure!(began.elapsed() < PATIENCE, "the key stays in flight");
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Goes on once one more handler runs.
    async fn start(&self, request: &Request) -> anyhow::Result<JoinHandle<anyhow::Result<Answer>>> {
        let (server, request) = (self.server.clone(), self.prepare(request)?);
        let before = self.runs().await?;
        let started = tokio::spawn(async move { server.send(&request).await });
        let began = Instant::now();
        while self.runs().await? == before {
            if started.is_finished() {
                bail!("it was answered and did not run: {:?}", started.await?);
            }
            ensure!(began.elapsed() < PATIENCE, "no handler began");
            tokio::time::sleep(PAUSE).await;
        }
        Ok(started)
    }

    async fn expect(
        &mut self,
        expect: &Expect,
        answer: Answer,
        name: Option<&String>,
    ) -> anyhow::Result<()> {
        expect.check(&answer, &self.answers, &self.word)?;
        if let Some(name) = name {
            self.answers.insert(name.clone(), answer);
        }
        match expect.runs {
            Some(runs) => self.expect_runs(runs).await,
            None => Ok(()),
        }
    }

    async fn expect_runs(&self, expected: u64) -> anyhow::Result<()> {
        let runs = self.runs().await?;
        ensure!(
            runs == expected,
            "handlers ran {runs} times and not {expected} times"
        );
        Ok(())
    }

    async fn runs(&self) -> anyhow::Result<u64> {
        Ok(self.control("runs?").await?.parse()?)
    }

    async fn control(&self, what: &str) -> anyhow::Result<String> {
        let path = format!("/control/{what}case={}", self.word);
        self.server.get(&path).await
    }
}
