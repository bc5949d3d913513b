//! Which numbers a double holds as they are written.

use crate::canonical::NotCanonical;

/// 2⁵³ − 1, the largest integer that all doubles around it can be told from (RFC 7493, §2.2).
const MAX_SAFE_INTEGER: u64 = (1 << 53) - 1;

/// Checks every number of a body that is known to be JSON.
pub(super) fn check(json: &[u8]) -> Result<(), NotCanonical> {
    let mut at = 0;
    while let Some(&byte) = json.get(at) {
        at += match byte {
            b'"' => string_len(&json[at..]),
            b'-' | b'0'..=b'9' => {
                let number = &json[at..at + number_len(&json[at..])];
                if !is_exact(number) {
                    return Err(NotCanonical::Number { at });
                }
                number.len()
            }
            _ => 1,
        };
    }
    Ok(())
}

/// The length of the string at the start, with both quotes.
fn string_len(json: &[u8]) -> usize {
    let mut at = 1;
    while let Some(&byte) = json.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    at
}

fn number_len(json: &[u8]) -> usize {
    let part_of = |byte: &u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
    json.iter().take_while(|byte| part_of(byte)).count()
}

/// Whether the number comes back from a double with the value that it is written with.
fn is_exact(number: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(number) else {
        return false;
    };
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return digits.parse().is_ok_and(|n: u64| n <= MAX_SAFE_INTEGER);
    }
    let Ok(double) = digits.parse::<f64>() else {
        return false;
    };
    // As the canonical form will have it: the shortest decimal that names this double, and of two that
    // are as short and as near the even one (ECMAScript's rule, which Rust's own formatting does not
    // follow). Another decimal is another value.
    let written = serde_json_canonicalizer::to_string(&double);
    written.is_ok_and(|written| Decimal::read(digits) == Decimal::read(&written))
}

/// A decimal number as `0.DIGITS × 10^exponent`, without zeros at either end of the digits.
#[derive(PartialEq, Eq)]
struct Decimal {
    digits: Vec<u8>,
    exponent: i64,
}

impl Decimal {
    /// Reads digits with a point and an exponent; `None` when the exponent is absurd.
    fn read(text: &str) -> Option<Self> {
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all: Vec<u8> = whole.bytes().chain(fraction.bytes()).collect();
        let leading = all.iter().take_while(|digit| **digit == b'0').count();
        let kept = all.iter().rposition(|digit| *digit != b'0');
        let Some(last) = kept else {
            return Some(Self {
                digits: Vec::new(),
                exponent: 0,
            });
        };
        let point = i64::try_from(whole.len()).ok()? - i64::try_from(leading).ok()?;
        Some(Self {
            digits: all[leading..=last].to_vec(),
            exponent: exponent.parse::<i64>().ok()?.checked_add(point)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_a_double_holds_are_taken_in_every_spelling() {
        for number in [
            "0",
            "-0",
            "1",
            "-1",
            "0.1",
            "0.10",
            "1.0",
            "100e-2",
            "1E2",
            "1e+2",
            "5e2",
            "0e9",
            "9007199254740991",
            "-9007199254740991",
            "1e22",
            "1.7976931348623157e308",
            "5e-324",
            "123456.789",
            "0.30000000000000004",
            "0.000001",
            "1e-7",
            // Halfway between two that are as short: the even one is what a double is written as.
            "1352272714341347.2",
        ] {
            assert!(is_exact(number.as_bytes()), "{number}");
        }
    }

    #[test]
    fn numbers_that_would_change_on_the_way_are_refused() {
        for number in [
            "9007199254740992",
            "9007199254740993",
            "18446744073709551616",
            "1e400",
            "-1e400",
            "0.1000000000000000055",
            "3.141592653589793238462643383279",
            "1e-400",
            "1.00000000000000000001",
            "9007199254740993.0",
            "1e99999999999999999999",
            "1352272714341347.3",
        ] {
            assert!(!is_exact(number.as_bytes()), "{number}");
        }
    }
}
