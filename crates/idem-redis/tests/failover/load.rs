//! Two processes at work.

use std::{
    fmt,
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    thread::JoinHandle,
    time::Duration,
};

use crate::worker::{self, Event};

/// What the workers are to do.
pub(crate) struct Load {
    pub(crate) name: &'static str,
    pub(crate) url: String,
    pub(crate) prefix: &'static str,
    pub(crate) durable: Durable,
    pub(crate) time: Duration,
}

/// How sure their writes have to be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Durable {
    Acknowledged,
    Replicated { replicas: u32 },
}

const PROCESSES: usize = 2;

impl Load {
    /// Starts the workers.
    pub(crate) fn start(&self) -> Workers {
        Workers {
            workers: (0..PROCESSES).map(|_| Worker::start(self)).collect(),
        }
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} with {:?}", self.name, self.durable)
    }
}

pub(crate) struct Workers {
    workers: Vec<Worker>,
}

impl Workers {
    /// Whether they have finished their work.
    pub(crate) fn are_done(&self) -> bool {
        self.workers
            .iter()
            .all(|worker| worker.reader.as_ref().is_none_or(JoinHandle::is_finished))
    }

    /// Waits for them, and returns all that they said.
    pub(crate) fn finish(mut self) -> Vec<Event> {
        let workers = self.workers.iter_mut();
        workers.flat_map(Worker::finish).collect()
    }
}

struct Worker {
    process: Child,
    reader: Option<JoinHandle<Vec<Event>>>,
}

impl Worker {
    fn start(load: &Load) -> Self {
        let replicas = match load.durable {
            Durable::Acknowledged => 0,
            Durable::Replicated { replicas } => replicas,
        };
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", worker::TEST, "--nocapture"])
            .env(worker::URL, &load.url)
            .env(worker::PREFIX, load.prefix)
            .env(worker::REPLICAS, replicas.to_string())
            .env(worker::SECONDS, load.time.as_secs().to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let reader = std::thread::spawn(move || {
            let lines = output.lines().map_while(Result::ok);
            lines.filter_map(|line| Event::parse(&line)).collect()
        });
        Self {
            process,
            reader: Some(reader),
        }
    }

    fn finish(&mut self) -> Vec<Event> {
        let events = self.reader.take().unwrap().join().unwrap();
        assert!(self.process.wait().unwrap().success(), "a worker failed");
        events
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
