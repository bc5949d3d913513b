//! Reading a store page by page, and going on where a listing ended.

use std::collections::VecDeque;

use idem_core::{
    RecordKey,
    store::{Browse, Cursor, Filter, StateKind, Stored, Unreadable},
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    failure::{Failure, with_causes},
    key,
    output::{CARE, Output, printable},
    words,
};

/// Few enough that a page of large answers fits into memory, many enough to get on.
const PAGE: usize = 200;
/// Of records that have no answer.
const PAGE_WITHOUT_ANSWERS: usize = 2000;

/// Reads the records that a filter lets through, in the order of the store.
pub(crate) struct Scan<'a> {
    browse: &'a dyn Browse,
    filter: Filter,
    /// Where the page in hand started.
    page: Option<Cursor>,
    /// Where the next one starts.
    next: Option<Cursor>,
    records: VecDeque<(RecordKey, Stored)>,
    started: bool,
    /// The last record that was given out of the page in hand.
    last: Option<RecordKey>,
    pub(crate) listed: usize,
    /// How many could not be read.
    pub(crate) unreadable: usize,
    /// Those of them that were not told yet.
    untold: Vec<Unreadable>,
}

/// A place in a listing: a page, and the last record of it that was listed.
#[derive(Debug, Serialize, Deserialize)]
struct Mark {
    page: Option<String>,
    last: Option<String>,
}

impl<'a> Scan<'a> {
    pub(crate) fn new(browse: &'a dyn Browse, filter: &Filter) -> Self {
        Self {
            browse,
            filter: filter.clone(),
            page: None,
            next: None,
            records: VecDeque::new(),
            started: false,
            last: None,
            listed: 0,
            unreadable: 0,
            untold: Vec::new(),
        }
    }

    /// Goes on behind a place that [`mark`](Self::mark) gave. A record that is there from the first
    /// page to the last is listed at least once, as the store promises: where the last record is
    /// gone, its page is listed again.
    pub(crate) async fn behind(
        browse: &'a dyn Browse,
        filter: &Filter,
        mark: &str,
    ) -> Result<Self, Failure> {
        let foreign = || Failure::usage("--after: take the text that an earlier list printed");
        let bytes = words::from_hex(mark).ok_or_else(foreign)?;
        let mark: Mark = serde_json::from_slice(&bytes).map_err(|_| foreign())?;
        let mut scan = Self::new(browse, filter);
        scan.next = mark.page.map(Cursor);
        scan.load().await?;
        let last = mark.last;
        let listed = scan
            .records
            .iter()
            .position(|(key, _)| Some(key.as_str()) == last.as_deref());
        if let Some(listed) = listed {
            scan.last = scan
                .records
                .drain(..=listed)
                .next_back()
                .map(|(key, _)| key);
        }
        Ok(scan)
    }

    /// The next record; `None` after the last.
    pub(crate) async fn next(&mut self) -> Result<Option<(RecordKey, Stored)>, Failure> {
        while self.records.is_empty() {
            if self.started && self.next.is_none() {
                return Ok(None);
            }
            self.load().await?;
        }
        let record = self.records.pop_front();
        self.last = record.as_ref().map(|(key, _)| key.clone());
        self.listed += 1;
        Ok(record)
    }

    /// Says which records could not be read since this was last called.
    pub(crate) fn tell_unreadable(&mut self, output: &Output) {
        for Unreadable { key, error } in self.untold.drain(..) {
            let why = with_causes(&error);
            match output.json {
                true => output.value(&json!({
                    "type": "unreadable", "key": key, "message": why,
                })),
                false => output.note(&format!(
                    "{CARE}unreadable{CARE:#}  {}: {}",
                    key::shown(&key),
                    printable(&why)
                )),
            }
        }
    }

    /// Where the listing stands, for a later run.
    pub(crate) fn mark(&self) -> String {
        let mark = Mark {
            page: self.page.as_ref().map(|page| page.0.clone()),
            last: self.last.as_ref().map(|key| key.as_str().to_owned()),
        };
        words::hex(&serde_json::to_vec(&mark).expect("a mark is plain data"))
    }

    async fn load(&mut self) -> Result<(), Failure> {
        let has_answers = [StateKind::Completed, StateKind::Failed];
        let limit = match has_answers.iter().any(|state| self.filter.takes(*state)) {
            true => PAGE,
            false => PAGE_WITHOUT_ANSWERS,
        };
        let next = self.next.as_ref();
        let page = self.browse.browse(&self.filter, next, limit).await?;
        self.started = true;
        self.last = None;
        self.page = std::mem::replace(&mut self.next, page.next);
        self.records = page.records.into();
        self.unreadable += page.unreadable.len();
        self.untold.extend(page.unreadable);
        Ok(())
    }
}
