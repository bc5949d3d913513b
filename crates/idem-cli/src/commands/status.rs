//! `idem status`

use std::{collections::BTreeMap, time::Duration};

use idem_core::{RecordKey, store::Filter};
use serde_json::{Map, Value, json};

use crate::{
    audit,
    cli::StatusArgs,
    doctor,
    failure::Failure,
    key,
    output::{BOLD, Output, printable},
    place::Place,
    record::{self, Standing},
    scan::Scan,
    words,
};

#[derive(Debug, Default)]
struct Counts {
    of: BTreeMap<Standing, usize>,
    total: usize,
    /// Damaged, or written by a newer release.
    unreadable: usize,
    answer_bytes: u64,
    is_sample: bool,
    /// In flight, abandoned or halted, and last written longest ago.
    oldest: Option<(RecordKey, Standing, Duration)>,
}

pub(crate) async fn run(place: &Place, args: &StatusArgs, output: &Output) -> Result<(), Failure> {
    let opened = place.open().await?;
    let progress = output.progress("records read", None);
    let mut counts = Counts::default();
    let mut scan = Scan::new(&*opened.browse, &Filter::default());
    while let Some((key, stored)) = scan.next().await? {
        progress.set_position(scan.listed as u64);
        if audit::is_entry(&key) {
            continue;
        }
        if args.sample.is_some_and(|most| counts.total >= most) {
            counts.is_sample = true;
            break;
        }
        counts.add(key, &stored);
    }
    progress.finish_and_clear();
    counts.unreadable = scan.unreadable;
    let size = doctor::size(place).await;
    match output.json {
        true => output.value(&counts.json(place, size)),
        false => counts.print(place, size, output),
    }
    Ok(())
}

impl Counts {
    fn add(&mut self, key: RecordKey, stored: &idem_core::store::Stored) {
        let standing = Standing::of(stored);
        *self.of.entry(standing).or_default() += 1;
        self.total += 1;
        self.answer_bytes += stored.record.state.bytes() as u64;
        if matches!(
            standing,
            Standing::InFlight | Standing::Abandoned | Standing::Halted
        ) {
            let age = record::age(stored);
            if self
                .oldest
                .as_ref()
                .is_none_or(|(_, _, oldest)| age > *oldest)
            {
                self.oldest = Some((key, standing, age));
            }
        }
    }

    fn of(&self, standing: Standing) -> usize {
        self.of.get(&standing).copied().unwrap_or(0)
    }

    fn json(&self, place: &Place, size: Option<u64>) -> Value {
        let mut of = Map::new();
        for standing in Standing::ALL {
            of.insert(standing.name().to_owned(), self.of(standing).into());
        }
        let oldest = self.oldest.as_ref().map(|(key, standing, age)| {
            json!({ "key": key.as_str(), "state": standing.name(), "age_s": words::seconds(*age) })
        });
        json!({
            "type": "status",
            "store": place.shown(),
            "records": self.total,
            "sample": self.is_sample,
            "unreadable": self.unreadable,
            "states": of,
            "answer_bytes": self.answer_bytes,
            "store_bytes": size,
            "oldest_in_flight": oldest,
        })
    }

    fn print(&self, place: &Place, size: Option<u64>, output: &Output) {
        let line = |name: &str, value: &str| output.line(&format!("{name:<12}{value}"));
        let sample = if self.is_sample { " (a sample)" } else { "" };
        output.line(&format!("{BOLD}{}{BOLD:#}", printable(&place.shown())));
        line("records", &format!("{}{sample}", self.total));
        for standing in Standing::ALL {
            let name = record::column(standing);
            output.line(&format!("  {name} {}", self.of(standing)));
        }
        if self.unreadable > 0 {
            line(
                "unreadable",
                &format!("{}: idem list names them", self.unreadable),
            );
        }
        line("answers", &words::size(self.answer_bytes));
        if let Some(size) = size {
            line("room", &words::size(size));
        }
        if let Some((key, standing, age)) = &self.oldest {
            let (name, age) = (standing.name(), words::time(*age));
            line(
                "oldest",
                &format!("{name} for {age}: {}", key::shown(key.as_str())),
            );
        }
        let waiting = self.of(Standing::Halted);
        if waiting > 0 {
            output.note(&format!(
                "{} for somebody to settle: idem list --state halted",
                match waiting {
                    1 => "1 key waits".to_owned(),
                    many => format!("{many} keys wait"),
                }
            ));
        }
    }
}
