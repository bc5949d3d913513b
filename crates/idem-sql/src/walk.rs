//! [`Walk`]: a way around a table, for stores whose sweeper looks through it in the order of its keys.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Behind which place a process goes on to look for expired rows; it begins at the default one.
#[derive(Debug, Default)]
pub struct Walk<P>(Mutex<P>);

/// What there is to do in a range of rows.
#[derive(Debug, PartialEq, Eq)]
pub struct Range<P> {
    /// The expired rows to remove.
    pub expired: Vec<P>,
    /// Whether the table ends behind this range.
    pub at_end: bool,
    /// The last row that needs no second look.
    last: P,
}

impl<P: Clone + Default> Range<P> {
    /// Takes at most `limit` expired ones of rows in the order of their places; the range ends before
    /// the next one. `are_last` says that no row is behind these.
    pub fn of(rows: impl IntoIterator<Item = (P, bool)>, are_last: bool, limit: usize) -> Self {
        let mut range = Self {
            expired: Vec::new(),
            at_end: are_last,
            last: P::default(),
        };
        for (place, is_expired) in rows {
            if is_expired {
                if range.expired.len() == limit {
                    range.at_end = false;
                    break;
                }
                range.expired.push(place.clone());
            }
            range.last = place;
        }
        range
    }
}

impl<P: Clone + Default> Walk<P> {
    /// Behind which place the next range begins.
    pub fn place(&self) -> P {
        self.lock().clone()
    }

    /// A range is done: the next one begins behind it, or at the table's start.
    pub fn done(&self, range: Range<P>) {
        *self.lock() = match range.at_end {
            true => P::default(),
            false => range.last,
        };
    }

    fn lock(&self) -> MutexGuard<'_, P> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: [(u8, bool); 4] = [(1, true), (2, false), (3, true), (4, false)];

    #[test]
    fn a_range_that_is_cut_short_leaves_the_next_expired_row_for_later() {
        let walk = Walk::default();
        let range = Range::of(ROWS, true, 1);
        assert_eq!((&range.expired[..], range.at_end), (&[1][..], false));
        walk.done(range);
        assert_eq!(walk.place(), 2);
    }

    #[test]
    fn after_the_last_range_the_table_begins_anew() {
        let walk = Walk::default();
        walk.done(Range::of(ROWS, false, 2));
        assert_eq!(walk.place(), 4);
        let range = Range::of([(5, true)], true, 2);
        assert_eq!((&range.expired[..], range.at_end), (&[5][..], true));
        walk.done(range);
        assert_eq!(walk.place(), 0);
    }
}
