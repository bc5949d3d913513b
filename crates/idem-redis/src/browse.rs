//! Listing records, for tools: `SCAN` over every server that takes writes.

use async_trait::async_trait;
use futures_util::future;
use idem_core::{
    RecordKey,
    store::{Browse, Cursor, Filter, Page, StoreError, StoreErrorKind, Stored, Unreadable},
};
use redis::{Value, from_redis_value};

use crate::{RedisStore, connection::Node, store::Shared};

/// Names asked for with one `SCAN`: few enough not to hold the server up, many enough to get through
/// a database that others use as well.
const SCAN_COUNT: std::ops::RangeInclusive<usize> = 10..=1000;

/// Lists in the order of `SCAN`. A record that is there from the first page to the last is listed at
/// least once, unless its slot moves to another node meanwhile. A name that is no key's is left
/// out, with a warning.
#[async_trait]
impl Browse for RedisStore {
    /// Reads no record of another scope.
    async fn browse(
        &self,
        filter: &Filter,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        let shared = self.shared();
        let mut place = match after {
            Some(cursor) => Some(Place::parse(cursor)?),
            None => shared.first_place().await?,
        };
        let limit = limit.max(1);
        let mut names = Vec::new();
        while let Some(mut here) = place.take() {
            names.append(&mut here.names);
            if names.len() >= limit {
                here.names = names.split_off(limit);
                place = Some(here);
                break;
            }
            place = shared.scan(here, limit).await?;
        }
        let mut page = shared.page(names, filter).await?;
        page.next = place.map(|place| place.cursor());
        Ok(page)
    }
}

/// Where a listing stands: names found and not yet listed, then where to look for more.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    node: Node,
    /// The server's own cursor; `None` when its node has no more.
    scan: Option<String>,
    names: Vec<String>,
}

impl Place {
    fn at(node: Node) -> Self {
        Self {
            node,
            scan: Some("0".to_owned()),
            names: Vec::new(),
        }
    }

    /// No name has a line break in it, and neither has anything else here.
    fn cursor(&self) -> Cursor {
        let scan = self.scan.as_deref().unwrap_or_default();
        let mut text = format!("{}\n{scan}", self.node);
        for name in &self.names {
            text.push('\n');
            text.push_str(name);
        }
        Cursor(text)
    }

    fn parse(cursor: &Cursor) -> Result<Self, StoreError> {
        let foreign = || StoreError::config("this cursor is none of this store's");
        let mut lines = cursor.0.split('\n');
        let (node, scan) = lines.next().zip(lines.next()).ok_or_else(foreign)?;
        if !scan.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(foreign());
        }
        Ok(Self {
            node: Node::parse(node).ok_or_else(foreign)?,
            scan: Some(scan.to_owned()).filter(|scan| !scan.is_empty()),
            names: lines.map(str::to_owned).collect(),
        })
    }
}

impl Shared {
    async fn first_place(&self) -> Result<Option<Place>, StoreError> {
        let nodes = self.link.connection().nodes().await?;
        Ok(nodes.into_iter().next().map(Place::at))
    }

    /// Looks a bit further: the names found there, or the next node; `None` after the last.
    async fn scan(&self, place: Place, limit: usize) -> Result<Option<Place>, StoreError> {
        let Some(cursor) = place.scan else {
            let nodes = self.link.connection().nodes().await?;
            let next = nodes.into_iter().find(|node| *node > place.node);
            return Ok(next.map(Place::at));
        };
        let mut scan = redis::cmd("SCAN");
        scan.arg(cursor).arg("MATCH").arg(self.names.pattern());
        scan.arg("COUNT")
            .arg(limit.clamp(*SCAN_COUNT.start(), *SCAN_COUNT.end()));
        let reply = self.link.connection().command_at(&place.node, scan).await?;
        let (next, names) = scanned(reply)?;
        Ok(Some(Place {
            node: place.node,
            scan: Some(next).filter(|next| next != "0"),
            names,
        }))
    }

    async fn page(&self, names: Vec<String>, filter: &Filter) -> Result<Page, StoreError> {
        let reads = names.iter().map(|name| self.record(name, filter));
        let mut page = Page::default();
        for (key, read) in future::try_join_all(reads).await?.into_iter().flatten() {
            match read {
                Ok(stored) if filter.passes(&key, &stored) => page.records.push((key, stored)),
                Ok(_) => {}
                Err(error) => page.unreadable.push(Unreadable {
                    key: key.as_str().to_owned(),
                    error,
                }),
            }
        }
        Ok(page)
    }

    /// A record that is there, or why it cannot be read.
    async fn record(
        &self,
        name: &str,
        filter: &Filter,
    ) -> Result<Option<(RecordKey, Result<Stored, StoreError>)>, StoreError> {
        let Some(key) = self.names.parse(name) else {
            tracing::warn!("a key under this prefix is the name of no record; left out");
            return Ok(None);
        };
        if !filter.takes_scope(key.scope()) {
            return Ok(None);
        }
        match self.link.read(name).await {
            Ok(stored) => Ok(stored.map(|stored| (key, Ok(stored)))),
            Err(error) if error.kind() == StoreErrorKind::Corrupt => Ok(Some((key, Err(error)))),
            Err(error) => Err(error),
        }
    }
}

/// The server's next cursor and the names that it found. Names that are no text are nobody's here.
fn scanned(reply: Value) -> Result<(String, Vec<String>), StoreError> {
    let (next, names): (String, Vec<Vec<u8>>) =
        from_redis_value(reply).map_err(|_| crate::error::unexpected_reply())?;
    let names = names.into_iter();
    Ok((
        next,
        names
            .filter_map(|name| String::from_utf8(name).ok())
            .collect(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_leads_back_to_its_place() {
        let at = Node::At {
            host: "::1".to_owned(),
            port: 7000,
        };
        for (node, scan, names) in [
            (Node::Only, Some("17".to_owned()), vec![]),
            (
                at,
                None,
                vec!["idem:a:b c".to_owned(), "idem:{}a:{".to_owned()],
            ),
        ] {
            let place = Place { node, scan, names };
            assert_eq!(Place::parse(&place.cursor()).unwrap(), place);
        }
    }

    #[test]
    fn a_foreign_cursor_is_refused() {
        for text in ["", "17", "node\n17", "\nnumber", "a:b\n1"] {
            let error = Place::parse(&Cursor(text.to_owned())).unwrap_err();
            assert_eq!(error.kind(), StoreErrorKind::Config, "{text}");
        }
    }
}
