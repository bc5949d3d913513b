//! `Watch`, `Sweep` and `Browse` with flaws.

use std::{sync::Arc, time::Duration};

use idem_conformance::async_trait;
use idem_core::{
    RecordKey,
    store::{Browse, Cursor, Filter, Page, StoreError, Stored, Sweep, Watch, Watcher},
};
use tokio::sync::Notify;

use super::Flaw;
use crate::reference::ReferenceStore;

pub(super) struct BrokenOptional {
    pub(super) flaw: Flaw,
    pub(super) raw: ReferenceStore,
}

#[async_trait]
impl Watch for BrokenOptional {
    async fn watch(&self, key: &RecordKey) -> Result<Box<dyn Watcher>, StoreError> {
        Ok(match self.flaw {
            Flaw::NeverWakes => Box::new(Never),
            Flaw::AlwaysReady => Box::new(Always),
            Flaw::WakeUpLost => Box::new(Forgetful::new(self.raw.watch(key).await?)),
            Flaw::DeleteWakesNobody => Box::new(DeafToDeletes {
                store: self.raw.clone(),
                key: key.clone(),
                inner: self.raw.watch(key).await?,
            }),
            _ => self.raw.watch(key).await?,
        })
    }
}

struct Never;

#[async_trait]
impl Watcher for Never {
    async fn changed(&mut self) {
        std::future::pending::<()>().await;
    }
}

struct Always;

#[async_trait]
impl Watcher for Always {
    async fn changed(&mut self) {}
}

/// Passes a change on to whoever waits at that moment, and to nobody later.
struct Forgetful {
    change: Arc<Notify>,
    listening: tokio::task::JoinHandle<()>,
}

impl Forgetful {
    fn new(mut inner: Box<dyn Watcher>) -> Self {
        let change = Arc::new(Notify::new());
        let listening = tokio::spawn({
            let change = Arc::clone(&change);
            async move {
                loop {
                    inner.changed().await;
                    change.notify_waiters();
                }
            }
        });
        Self { change, listening }
    }
}

impl Drop for Forgetful {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

#[async_trait]
impl Watcher for Forgetful {
    async fn changed(&mut self) {
        // By now the listening task has seen whatever happened before.
        tokio::time::sleep(Duration::from_millis(20)).await;
        self.change.notified().await;
    }
}

struct DeafToDeletes {
    store: ReferenceStore,
    key: RecordKey,
    inner: Box<dyn Watcher>,
}

#[async_trait]
impl Watcher for DeafToDeletes {
    async fn changed(&mut self) {
        loop {
            self.inner.changed().await;
            if self.store.peek(&self.key).is_some() {
                return;
            }
        }
    }
}

#[async_trait]
impl Sweep for BrokenOptional {
    async fn sweep(&self, limit: usize) -> Result<usize, StoreError> {
        match self.flaw {
            Flaw::SweepsNothing => Ok(0),
            Flaw::SweepsTooMany => self.raw.sweep(usize::MAX).await,
            Flaw::SweepsEarly => {
                let soon = |stored: &Stored| stored.remaining < Some(Duration::from_secs(1));
                let mut entries = self.raw.entries();
                let before = entries.len();
                entries.retain(|_, entry| {
                    let stored = entry.stored().ok().flatten();
                    stored.is_some_and(|stored| !soon(&stored))
                });
                Ok((before - entries.len()).min(limit))
            }
            Flaw::SelectThenSweep => {
                let expired: Vec<_> = {
                    let entries = self.raw.entries();
                    let over = entries
                        .iter()
                        .filter(|(_, entry)| matches!(entry.stored(), Ok(None)));
                    over.map(|(key, _)| key.clone()).take(limit).collect()
                };
                tokio::time::sleep(Duration::from_millis(1)).await;
                for key in &expired {
                    self.raw.entries().remove(key);
                }
                Ok(expired.len())
            }
            Flaw::SweepsLive => {
                let swept = self.raw.sweep(limit).await?;
                self.raw.entries().pop_first();
                Ok(swept)
            }
            _ => self.raw.sweep(limit).await,
        }
    }
}

#[async_trait]
impl Browse for BrokenOptional {
    async fn browse(
        &self,
        filter: &Filter,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        let mut page = self.unfiltered(after, limit).await?;
        if self.flaw != Flaw::BrowseFilterIgnored {
            page.records
                .retain(|(key, stored)| filter.passes(key, stored));
        }
        if self.flaw == Flaw::BrowseFilterEndsEarly && page.records.is_empty() {
            page.next = None;
        }
        Ok(page)
    }
}

impl BrokenOptional {
    async fn unfiltered(&self, after: Option<&Cursor>, limit: usize) -> Result<Page, StoreError> {
        let all = Filter::default();
        match self.flaw {
            Flaw::BrowseTakesAnyCursor => {
                let known = after.filter(|Cursor(text)| text.starts_with("after "));
                self.raw.browse(&all, known, limit).await
            }
            Flaw::BrowseSkips => {
                let mut page = self.raw.browse(&all, after, limit + 1).await?;
                if page.next.is_some() {
                    page.records.truncate(limit);
                }
                Ok(page)
            }
            Flaw::BrowseByOffset => {
                let offset = after.map_or(Ok(0), |Cursor(text)| text.parse::<usize>());
                let offset = offset.map_err(|_| StoreError::config("begin the listing anew"))?;
                let whole = self.raw.browse(&all, None, usize::MAX).await?.records;
                let records: Vec<_> = whole.into_iter().skip(offset).take(limit).collect();
                let next = (records.len() == limit).then(|| Cursor((offset + limit).to_string()));
                Ok(Page {
                    records,
                    next,
                    ..Page::default()
                })
            }
            Flaw::BrowseEndsAtShortPage => {
                let mut page = self.raw.browse(&all, after, limit).await?;
                page.next = page.next.filter(|_| page.records.len() == limit);
                Ok(page)
            }
            Flaw::BrowseListsExpired => {
                let texts: Vec<_> = self.raw.entries().keys().cloned().collect();
                let keys = texts.iter().filter_map(|text| RecordKey::parse(text).ok());
                let records = keys.filter_map(|key| Some((key.clone(), self.raw.peek(&key)?)));
                Ok(Page {
                    records: records.collect(),
                    ..Page::default()
                })
            }
            Flaw::BrowseFailsOnDamage => {
                let mut page = self.raw.browse(&all, after, limit).await?;
                match page.unreadable.pop() {
                    Some(unreadable) => Err(unreadable.error),
                    None => Ok(page),
                }
            }
            Flaw::BrowseHidesDamage => {
                let mut page = self.raw.browse(&all, after, limit).await?;
                page.unreadable.clear();
                Ok(page)
            }
            _ => self.raw.browse(&all, after, limit).await,
        }
    }
}
