//! Durations in whole milliseconds, short where they are round: `count << 2 | unit` as a varint, in
//! the largest unit that divides them, so that one duration has one form. A day takes one byte.

use std::time::Duration;

use bytes::BufMut;

use super::varint;

/// Milliseconds in a unit: a millisecond, a second, a minute, an hour.
const UNITS: [u64; 4] = [1, 1_000, 60_000, 3_600_000];
const UNIT_BITS: u32 = 2;
/// Some hundred million years; longer durations are cut down to it.
const LONGEST: u64 = u64::MAX >> UNIT_BITS;

pub(super) fn put(out: &mut impl BufMut, duration: Duration) {
    let millis = millis(duration);
    let unit = largest_unit(millis);
    let count = millis / UNITS[unit];
    varint::put(out, count << UNIT_BITS | unit as u64);
}

/// The duration that this number stands for; `None` when it has another, proper form.
pub(super) fn from_number(number: u64) -> Option<Duration> {
    let unit = (number & ((1 << UNIT_BITS) - 1)) as usize;
    let millis = (number >> UNIT_BITS).checked_mul(UNITS[unit])?;
    let proper = millis <= LONGEST && largest_unit(millis) == unit;
    proper.then(|| Duration::from_millis(millis))
}

fn largest_unit(millis: u64) -> usize {
    let divides = |unit: &usize| millis.is_multiple_of(UNITS[*unit]);
    (1..UNITS.len()).take_while(divides).last().unwrap_or(0)
}

/// Whole milliseconds, rounded up, so that no lease gets shorter.
fn millis(duration: Duration) -> u64 {
    let millis = u64::try_from(duration.as_nanos().div_ceil(1_000_000));
    millis.map_or(LONGEST, |millis| millis.min(LONGEST))
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;

    fn form(duration: Duration) -> Vec<u8> {
        let mut out = BytesMut::new();
        put(&mut out, duration);
        out.to_vec()
    }

    #[test]
    fn round_durations_are_short() {
        for (seconds, len) in [
            (0, 1),
            (30, 1),
            (60, 1),
            (24 * 3600, 1),
            (24 * 3600 + 30, 3),
        ] {
            assert_eq!(form(Duration::from_secs(seconds)).len(), len, "{seconds} s");
        }
    }

    #[test]
    fn every_unit_and_the_longest_round_trip() {
        let millis = UNITS
            .into_iter()
            .flat_map(|unit| [unit - 1, unit, unit + 1, 7 * unit]);
        for millis in millis.chain([LONGEST - 1, LONGEST]) {
            let duration = Duration::from_millis(millis);
            let (number, _) = varint::get(&form(duration)).unwrap();
            assert_eq!(from_number(number), Some(duration), "{millis} ms");
        }
        assert_eq!(form(Duration::MAX), form(Duration::from_millis(LONGEST)));
    }

    #[test]
    fn a_duration_in_a_smaller_unit_than_need_be_is_refused() {
        assert_eq!(from_number(1_000 << UNIT_BITS), None);
        assert_eq!(from_number(60 << UNIT_BITS | 1), None);
        assert_eq!(from_number(60 << UNIT_BITS | 2), None);
        assert_eq!(from_number(u64::MAX), None);
    }

    #[test]
    fn a_lease_is_rounded_up_to_whole_milliseconds() {
        assert_eq!(millis(Duration::from_nanos(1)), 1);
        assert_eq!(millis(Duration::from_millis(5)), 5);
    }
}
