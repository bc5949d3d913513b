//! What the night came to, and whether it kept its promises.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::{
    job::{Job, Kind},
    night::Night,
    work::PAGES,
};

/// Prints the account. False if a promise was broken.
#[must_use]
pub(crate) fn print(night: &Night, jobs: &[Job]) -> bool {
    println!(
        "\n{} jobs, {} deliveries, {} workers died, {} deliveries came while a job was held",
        jobs.len(),
        night.queue.delivered(),
        Kind::ALL
            .map(|kind| night.fate.deaths(kind))
            .iter()
            .sum::<u32>(),
        load(&night.notes.too_early),
    );
    for kind in Kind::ALL {
        println!(
            "  {:7} {:3} workers died; {}",
            kind.name(),
            night.fate.deaths(kind),
            how(night, kind)
        );
    }
    println!();
    let checks = checks(night, jobs);
    for (holds, promise) in &checks {
        println!("  {} {promise}", if *holds { "kept  " } else { "BROKEN" });
    }
    checks.iter().all(|(holds, _)| *holds)
}

/// How a kind was saved.
fn how(night: &Night, kind: Kind) -> String {
    let world = &night.world;
    match kind {
        Kind::Payout => format!(
            "the bank was asked {} times and moved money {} times, because each attempt at a \
             payout came with the same derived key",
            world.bank.asked(),
            world.bank.moved()
        ),
        Kind::Report => format!(
            "{} pages took {} writes, because each attempt went on at the checkpoint of the last",
            world.archive.pages(),
            world.archive.writes()
        ),
        Kind::Parcel => format!(
            "the courier was asked about vanished attempts: {} had booked, {} had not",
            load(&night.consumers.probes.booked),
            load(&night.consumers.probes.not_booked)
        ),
        Kind::Letter => format!(
            "a person looked after those that halted: {} were in the tray, {} were not",
            load(&night.notes.in_the_tray),
            load(&night.notes.not_in_the_tray)
        ),
    }
}

fn checks(night: &Night, jobs: &[Job]) -> Vec<(bool, &'static str)> {
    let answers = night.notes.answers();
    let of = |kind| jobs.iter().filter(|job| job.kind == kind).count();
    let world = &night.world;
    let once = |times: &[usize], kind| times.len() == of(kind) && times.iter().all(|&n| n == 1);
    vec![
        (
            jobs.iter().all(|job| answers.contains_key(job)),
            "every job was answered",
        ),
        (
            answers
                .values()
                .all(|all| all.iter().all(|one| one.value == all[0].value)),
            "every delivery of a job got the same answer",
        ),
        (
            answers
                .values()
                .all(|all| all.iter().filter(|one| !one.replayed).count() <= 1),
            "no job ran to its end twice",
        ),
        (
            world.bank.moved() == of(Kind::Payout),
            "the bank moved money once per payout",
        ),
        (
            world.archive.pages() == of(Kind::Report) * PAGES as usize,
            "every page of every report is there",
        ),
        (
            once(&world.courier.bookings(), Kind::Parcel),
            "every parcel was booked once",
        ),
        (
            once(&world.printer.prints(), Kind::Letter),
            "every letter was printed once",
        ),
    ]
}

fn load(count: &AtomicUsize) -> usize {
    count.load(Ordering::Relaxed)
}
