//! A page of rows, one after another in the order of key and scope, also where some cannot be read.

use idem_core::{
    RecordKey,
    store::{Cursor, Filter, Page, StoreError, Stored, Unreadable},
};

/// Where a row is: its key and scope, as the table has them. They may be no key of this release.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// The client's key.
    pub key: String,
    /// Its scope.
    pub scope: String,
}

impl Place {
    /// The key of this row.
    ///
    /// # Errors
    /// [`Corrupt`](idem_core::store::StoreErrorKind::Corrupt) for one that this release would not have
    /// written.
    pub fn record_key(&self) -> Result<RecordKey, StoreError> {
        RecordKey::from_parts(&self.scope, &self.key).map_err(|error| {
            StoreError::corrupt("a row has an invalid key; was it written by hand?")
                .with_source(error)
        })
    }

    /// The place that a cursor is for. `mark` tells the cursors of this kind of store from others.
    ///
    /// # Errors
    /// [`Config`](idem_core::store::StoreErrorKind::Config) for a cursor without the mark, or without a place.
    pub fn of(cursor: &Cursor, mark: &str) -> Result<Self, StoreError> {
        let place = cursor.0.strip_prefix(mark).and_then(|text| {
            let (length, rest) = text.split_once(':')?;
            let (scope, key) = rest.split_at_checked(length.parse().ok()?)?;
            Some(Self {
                key: key.to_owned(),
                scope: scope.to_owned(),
            })
        });
        place.ok_or_else(|| StoreError::config("the cursor is not one of this store's"))
    }

    /// The cursor of this place. The scope's length comes first: a row that was written by hand may have
    /// any character in it.
    fn cursor(&self, mark: &str) -> Cursor {
        let Self { key, scope } = self;
        Cursor(format!("{mark}{}:{scope}{key}", scope.len()))
    }
}

/// A row as it was read.
#[derive(Debug)]
pub struct Row {
    /// Where it is.
    pub place: Result<Place, StoreError>,
    /// Its record; `None` for one that does not count, as one that expired meanwhile.
    pub stored: Result<Option<Stored>, StoreError>,
}

/// The page of these rows. There are `limit` of them unless the table ends here.
///
/// # Errors
/// If a row's key or scope cannot be read: the next page would have nowhere to begin.
pub fn page(rows: Vec<Row>, limit: usize, filter: &Filter, mark: &str) -> Result<Page, StoreError> {
    let mut page = Page::default();
    let is_full = rows.len() == limit;
    let mut last = None;
    for row in rows {
        let place = row.place?;
        let read = row.stored.and_then(|stored| match stored {
            Some(stored) => Ok(Some((place.record_key()?, stored))),
            None => Ok(None),
        });
        match read {
            Ok(None) => {}
            Ok(Some((key, stored))) => {
                if filter.passes(&key, &stored) {
                    page.records.push((key, stored));
                }
            }
            Err(error) if filter.takes_scope(&place.scope) => {
                let key = format!("{}:{}", place.scope, place.key);
                page.unreadable.push(Unreadable { key, error });
            }
            Err(_) => {}
        }
        last = Some(place);
    }
    page.next = last.filter(|_| is_full).map(|last| last.cursor(mark));
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARK: &str = "sql1:";

    #[test]
    fn a_cursor_leads_back_to_its_place_whatever_the_row_says() {
        for (scope, key) in [
            ("", "k"),
            ("a/b", "c:d"),
            ("not: a scope\n", "7:"),
            ("é", "é"),
        ] {
            let place = Place {
                key: key.to_owned(),
                scope: scope.to_owned(),
            };
            assert_eq!(Place::of(&place.cursor(MARK), MARK).unwrap(), place);
        }
        for foreign in [
            "",
            "sql1:",
            "sql1:x:y",
            "sql1:9:short",
            "sql1:1:é",
            "pg1:0:k",
        ] {
            assert!(
                Place::of(&Cursor(foreign.to_owned()), MARK).is_err(),
                "{foreign}"
            );
        }
    }

    #[test]
    fn a_row_that_cannot_be_read_is_told_and_the_listing_goes_on_behind_it() {
        let broken = |scope: &str, key: &str| {
            let place = Place {
                key: key.to_owned(),
                scope: scope.to_owned(),
            };
            Row {
                place: Ok(place),
                stored: Err(StoreError::corrupt("damaged")),
            }
        };
        let rows = vec![
            broken("shop", "a"),
            broken("other", "b"),
            broken("shop", "c\n"),
        ];
        let filter = Filter {
            within: Some(idem_core::store::Within::Only("shop".to_owned())),
            ..Filter::default()
        };
        let page = page(rows, 3, &filter, MARK).unwrap();
        let keys: Vec<_> = page.unreadable.iter().map(|row| &*row.key).collect();
        assert_eq!(keys, ["shop:a", "shop:c\n"]);
        assert_eq!(Place::of(&page.next.unwrap(), MARK).unwrap().key, "c\n");
    }
}
