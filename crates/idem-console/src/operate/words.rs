//! Times, sizes and bytes as people write them.

use std::{fmt::Write as _, time::Duration};

/// `3 s`, `12 min`, `5 h`, `8 days`: one unit, rounded down.
#[must_use]
pub fn time(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 => format!("{} ms", duration.as_millis()),
        1..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3600),
        172_800..63_072_000 => format!("{} days", seconds / 86_400),
        _ => format!("{} years", seconds / 31_536_000),
    }
}

/// `512 bytes`, `12 KiB`, `3 MiB`.
#[must_use]
pub fn size(bytes: u64) -> String {
    match bytes {
        0..10_240 => format!("{bytes} bytes"),
        10_240..10_485_760 => format!("{} KiB", bytes >> 10),
        10_485_760..10_737_418_240 => format!("{} MiB", bytes >> 20),
        _ => format!("{} GiB", bytes >> 30),
    }
}

/// `1 record`, `2 records`.
#[must_use]
pub fn count(number: usize, noun: &str) -> String {
    match number {
        1 => format!("1 {noun}"),
        _ => format!("{number} {noun}s"),
    }
}

/// Bytes in hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        write!(text, "{byte:02x}").expect("a String takes any text");
    }
    text
}

/// Bytes from hexadecimal.
#[must_use]
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    let digits = |at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
    (0..text.len()).step_by(2).map(digits).collect()
}

/// Seconds, to the millisecond, as JSON has them.
#[must_use]
pub fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_one_unit_that_fits() {
        let shown = [0, 1, 119, 120, 7_200, 172_800, 3_153_600_000].map(Duration::from_secs);
        let shown = shown.map(time);
        assert_eq!(
            shown,
            [
                "0 ms",
                "1 s",
                "119 s",
                "2 min",
                "2 h",
                "2 days",
                "100 years"
            ]
        );
    }

    #[test]
    fn hex_comes_back() {
        assert_eq!(from_hex(&hex(b"\x00\xffa")), Some(b"\x00\xffa".to_vec()));
        for text in ["0", "zz", "é0"] {
            assert_eq!(from_hex(text), None, "{text}");
        }
    }
}
