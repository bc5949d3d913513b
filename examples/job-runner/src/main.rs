//! Jobs that are delivered at least once, to workers that die half-way, and happen once.
//!
//! No HTTP in here. The records are in an SQLite file, so they outlive the workers. Four kinds of work
//! show the four ways to start again after a worker vanished; [`policy`] chooses, [`work`] does,
//! [`night`] runs.

mod account;
mod crash;
mod job;
mod night;
mod policy;
mod queue;
mod records;
mod work;
mod world;

use std::{process::ExitCode, time::Duration};

use anyhow::Result;
use clap::{Parser, ValueEnum};
use idem::OnAbandoned;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};

use crash::Fate;
use job::{Job, Kind};
use night::{Night, Notes};
use policy::Consumers;
use queue::Queue;
use records::{Records, Where};
use world::World;

/// Runs a night of jobs whose workers die, and gives an account of it.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Jobs of each of the four kinds
    #[arg(long, default_value_t = 12)]
    jobs: u32,
    /// Workers at once
    #[arg(long, default_value_t = 4)]
    workers: usize,
    /// How likely a worker dies at each place where it may
    #[arg(long, default_value_t = 0.25, value_parser = chance)]
    crashes: f64,
    /// Where the records are
    #[arg(long, value_enum, default_value_t = Where::Sqlite)]
    store: Where,
    /// How long a silent worker is trusted. A store call gets a quarter of it, and writing to a disk
    /// may take a while: a service takes 30 s, and a night in a hurry a second
    #[arg(long, default_value = "1s", value_parser = humantime::parse_duration, value_name = "TIME")]
    lease: Duration,
    /// What to do with a letter whose worker vanished: wait for a person, or, to see what comes of
    /// it, start again
    #[arg(long, value_enum, default_value_t = Letters::Halt)]
    letters: Letters,
    /// Shuffles jobs and rolls the dice; drawn if not given
    #[arg(long)]
    seed: Option<u64>,
    /// Tell of every worker that dies
    #[arg(long)]
    tell: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Letters {
    Halt,
    Reclaim,
}

impl From<Letters> for OnAbandoned {
    fn from(letters: Letters) -> Self {
        match letters {
            Letters::Halt => Self::Halt,
            Letters::Reclaim => Self::Reclaim,
        }
    }
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let args = Args::parse();
    let seed = args.seed.unwrap_or_else(rand::random);
    println!("seed {seed}");
    let world = World::default();
    let records = Records::open(args.store).await?;
    let night = Night {
        consumers: Consumers::start(&records, &world, args.lease, args.letters.into())?,
        fate: Fate::new(seed, args.crashes, args.tell),
        queue: Queue::default(),
        notes: Notes::default(),
        world,
    };
    let jobs = jobs(args.jobs);
    deliver(&night.queue, &jobs, seed);
    night.work(args.workers).await?;
    while night.morning().await? {
        night.work(args.workers).await?;
    }
    let kept = account::print(&night, &jobs);
    Ok(if kept {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn jobs(of_each: u32) -> Vec<Job> {
    let numbers = 1..=of_each;
    numbers
        .flat_map(|number| Kind::ALL.map(|kind| Job { kind, number }))
        .collect()
}

/// Every job once, a third of them twice, in any order.
fn deliver(queue: &Queue, jobs: &[Job], seed: u64) {
    let mut dice = StdRng::seed_from_u64(seed);
    let mut deliveries = jobs.to_vec();
    deliveries.extend(jobs.iter().filter(|_| dice.random_bool(1.0 / 3.0)));
    deliveries.shuffle(&mut dice);
    for job in deliveries {
        queue.push(job);
    }
}

fn chance(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(chance) if (0.0..=1.0).contains(&chance) => Ok(chance),
        _ => Err("say a chance between 0 and 1".to_owned()),
    }
}
