//! [`Overview`]: what the page shows of all records, read once for all who look at it.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use idem_core::{
    RecordKey, Timestamp,
    spi::Printable,
    store::{Browse, Filter, State, StoreError, Stored},
};
use serde::Serialize;
use tokio::sync::Mutex;

use crate::operate::{Standing, age, audit, words};

/// Records in a page.
const PAGE: usize = 500;
/// Records in each list.
const MOST_ROWS: usize = 100;
/// Entries of the audit.
const MOST_CHANGES: usize = 20;
/// An overview is as good as new for so long, and for [`SHARE`] times what it took to read.
const FRESH: Duration = Duration::from_secs(1);
const SHARE: u32 = 5;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// All that the page shows without being asked.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Overview {
    /// Records that were read.
    read: usize,
    /// Whether these were all.
    whole: bool,
    /// Damaged, or written by a newer release.
    unreadable: usize,
    took_ms: u64,
    states: BTreeMap<&'static str, usize>,
    minute: Rate,
    hour: Rate,
    /// Abandoned and halted.
    stuck: Vec<Row>,
    running: Vec<Row>,
    /// Retryable: they wait for a repeat.
    waiting: Vec<Row>,
    changes: Vec<Change>,
}

/// What happened in a time that ends now.
#[derive(Debug, Default, Serialize)]
struct Rate {
    claimed: usize,
    ended: usize,
}

#[derive(Debug, Serialize)]
struct Row {
    key: String,
    /// The key without anything that turns text around or hides.
    shown: String,
    state: &'static str,
    why: String,
    age_s: f64,
    lease_s: Option<f64>,
    attempt: u32,
}

#[derive(Debug, Serialize)]
struct Change {
    #[serde(skip)]
    at_ms: u64,
    subject: String,
    at: String,
    action: String,
    by: String,
    reason: String,
    from: String,
    to: String,
    outcome: String,
}

impl Overview {
    async fn read(browse: &dyn Browse, most: usize) -> Result<Self, StoreError> {
        let begun = Instant::now();
        let mut overview = Self::default();
        for standing in Standing::ALL {
            overview.states.insert(standing.name(), 0);
        }
        let (all, mut after, mut left) = (Filter::default(), None, most);
        while left > 0 {
            let page = browse.browse(&all, after.as_ref(), PAGE.min(left)).await?;
            for (key, stored) in &page.records {
                overview.add(key, stored);
            }
            overview.unreadable += page.unreadable.len();
            // The audit's records are read like any other. A page without a record was read, too.
            let listed = page.records.len() + page.unreadable.len();
            left = left.saturating_sub(listed.max(1));
            after = page.next;
            overview.whole = after.is_none();
            if overview.whole {
                break;
            }
        }
        for rows in [
            &mut overview.stuck,
            &mut overview.running,
            &mut overview.waiting,
        ] {
            // What waits for a person comes first, then what has waited longest.
            rows.sort_by(|one, other| {
                let is_halted = |row: &Row| row.state == "halted";
                let by_age = other.age_s.total_cmp(&one.age_s);
                is_halted(other).cmp(&is_halted(one)).then(by_age)
            });
            // A store may list a record twice.
            rows.dedup_by(|one, other| one.key == other.key);
            rows.truncate(MOST_ROWS);
        }
        overview
            .changes
            .sort_by_key(|change| std::cmp::Reverse(change.at_ms));
        overview.changes.truncate(MOST_CHANGES);
        overview.took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(overview)
    }

    fn add(&mut self, key: &RecordKey, stored: &Stored) {
        if audit::is_entry(key) {
            let trail = audit::read(&stored.record);
            self.changes.extend(trail.into_iter().flat_map(Change::all));
            return;
        }
        self.read += 1;
        let standing = Standing::of(stored);
        *self.states.entry(standing.name()).or_default() += 1;
        let since_claim = {
            let now = Timestamp::now().as_millis();
            Duration::from_millis(now.saturating_sub(stored.record.created_at.as_millis()))
        };
        let is_ended = !matches!(stored.record.state, State::InFlight { .. });
        for (rate, time) in [(&mut self.minute, MINUTE), (&mut self.hour, HOUR)] {
            rate.claimed += usize::from(since_claim <= time);
            rate.ended += usize::from(is_ended && age(stored) <= time);
        }
        let rows = match standing {
            Standing::Abandoned | Standing::Halted => &mut self.stuck,
            Standing::InFlight => &mut self.running,
            Standing::Retryable => &mut self.waiting,
            Standing::Released | Standing::Completed | Standing::Failed => return,
        };
        rows.push(Row::of(key, stored));
    }
}

impl Row {
    fn of(key: &RecordKey, stored: &Stored) -> Self {
        let lease = match &stored.record.state {
            State::InFlight { lease, .. } => Some(words::seconds(*lease)),
            _ => None,
        };
        Self {
            key: key.as_str().to_owned(),
            shown: Printable(key.as_str()).to_string(),
            state: Standing::of(stored).name(),
            why: Standing::why(stored),
            age_s: words::seconds(age(stored)),
            lease_s: lease,
            attempt: stored.record.attempt,
        }
    }
}

impl Change {
    fn all(trail: audit::Trail) -> impl Iterator<Item = Self> {
        let subject = Printable(&trail.subject).to_string();
        trail.entries.into_iter().map(move |entry| Self {
            at_ms: entry.at_ms(),
            subject: subject.clone(),
            at: entry.at(),
            action: entry.action,
            by: Printable(&entry.who).to_string(),
            reason: Printable(&entry.why).to_string(),
            from: entry.from,
            to: entry.to,
            outcome: entry.outcome,
        })
    }
}

/// Reads overviews, one at a time, however many ask.
#[derive(Clone)]
pub(crate) struct Overviews {
    browse: Arc<dyn Browse>,
    most: usize,
    last: Arc<Mutex<Option<Last>>>,
    /// How many changes were made through this console.
    changes: Arc<AtomicU64>,
}

struct Last {
    /// The changes that were made before it was read.
    changes: u64,
    read: Instant,
    took: Duration,
    overview: Arc<Overview>,
}

impl Overviews {
    pub(crate) fn new(browse: Arc<dyn Browse>, most: usize) -> Self {
        Self {
            browse,
            most,
            last: Arc::default(),
            changes: Arc::default(),
        }
    }

    /// One that is fresh enough, or a new one.
    pub(crate) async fn get(&self) -> Result<Arc<Overview>, StoreError> {
        let mut last = self.last.lock().await;
        let changes = self.changes.load(Ordering::Acquire);
        if let Some(last) = &*last
            && last.changes == changes
            && last.read.elapsed() < FRESH.max(last.took * SHARE)
        {
            return Ok(Arc::clone(&last.overview));
        }
        let begun = Instant::now();
        let overview = Arc::new(Overview::read(&*self.browse, self.most).await?);
        *last = Some(Last {
            changes,
            read: Instant::now(),
            took: begun.elapsed(),
            overview: Arc::clone(&overview),
        });
        Ok(overview)
    }

    /// The next one is read anew: something was changed. It does not wait for one that is being read.
    pub(crate) fn forget(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
    }
}
