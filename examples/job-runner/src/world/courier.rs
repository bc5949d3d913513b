//! A courier who books whatever he is asked to, twice if need be, but can be asked what he booked.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard},
};

#[derive(Default)]
pub(crate) struct Courier {
    parcels: Mutex<HashMap<u32, Parcel>>,
}

#[derive(Default)]
struct Parcel {
    bookings: Vec<usize>,
    /// Attempts up to this one come too late.
    closed_to: u32,
}

/// What the courier knows of a parcel.
pub(crate) enum Booking {
    /// It was booked, under this number.
    There(usize),
    /// It was not, and cannot be any more by the attempt that was asked about.
    Never,
}

impl Courier {
    /// Books a parcel; none for an attempt that was taken for dead meanwhile. That is what a
    /// fencing number is for: a worker may be slow, and not dead.
    pub(crate) fn book(&self, parcel: u32, attempt: u32) -> Option<usize> {
        let mut parcels = self.parcels();
        let number = parcels.values().map(|p| p.bookings.len()).sum::<usize>() + 1;
        let parcel = parcels.entry(parcel).or_default();
        if attempt <= parcel.closed_to {
            return None;
        }
        parcel.bookings.push(number);
        Some(number)
    }

    /// What became of this attempt. If it booked nothing, it is too late for it from now on.
    pub(crate) fn find(&self, parcel: u32, attempt: u32) -> Booking {
        let mut parcels = self.parcels();
        let parcel = parcels.entry(parcel).or_default();
        match parcel.bookings.first() {
            Some(number) => Booking::There(*number),
            None => {
                parcel.closed_to = parcel.closed_to.max(attempt);
                Booking::Never
            }
        }
    }

    /// How often each parcel was booked.
    pub(crate) fn bookings(&self) -> Vec<usize> {
        let parcels = self.parcels();
        parcels
            .values()
            .map(|parcel| parcel.bookings.len())
            .collect()
    }

    fn parcels(&self) -> MutexGuard<'_, HashMap<u32, Parcel>> {
        self.parcels.lock().expect("no panic under this lock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_that_was_taken_for_dead_books_nothing_any_more() {
        let courier = Courier::default();
        assert!(matches!(courier.find(7, 1), Booking::Never));
        assert_eq!(courier.book(7, 1), None, "attempt 1 was only slow");
        assert_eq!(courier.book(7, 2), Some(1));
        assert!(matches!(courier.find(7, 2), Booking::There(1)));
        assert_eq!(courier.bookings(), [1]);
    }
}
