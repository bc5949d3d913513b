//! Amounts and currencies, parsed once at the door: past it there is no zero, no minus and no
//! currency of two letters.

use std::{fmt, num::NonZeroU64, str::FromStr};

use serde::{Serialize, Serializer};
use serde_json::Value;

/// A positive number of minor units: 500 is five dollars, or five hundred yen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Amount(NonZeroU64);

impl Amount {
    /// The largest one: 9,999,999,999.99 of a currency with cents, which every JSON reader keeps
    /// whole.
    pub(crate) const MAX: u64 = 999_999_999_999;

    /// Reads a member of a request.
    pub(crate) fn parse(value: Option<&Value>) -> Result<Self, AmountError> {
        let number = match value {
            None | Some(Value::Null) => return Err(AmountError::Missing),
            Some(Value::Number(number)) => number,
            Some(_) => return Err(AmountError::NotAnInteger),
        };
        if number.as_i64().is_some_and(|amount| amount <= 0) {
            return Err(AmountError::NotPositive);
        }
        let number = number.as_u64().ok_or(AmountError::NotAnInteger)?;
        Self::try_from(number)
    }

    pub(crate) fn get(self) -> u64 {
        self.0.get()
    }
}

impl TryFrom<u64> for Amount {
    type Error = AmountError;

    fn try_from(number: u64) -> Result<Self, AmountError> {
        match NonZeroU64::new(number) {
            None => Err(AmountError::NotPositive),
            Some(number) if number.get() > Self::MAX => Err(AmountError::TooLarge),
            Some(number) => Ok(Self(number)),
        }
    }
}

/// Why a value is no amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AmountError {
    #[error("is missing: send a positive integer in minor units, 500 for $5.00")]
    Missing,
    #[error("must be an integer in minor units, without a decimal point or quotes: 500 for $5.00")]
    NotAnInteger,
    #[error("must be greater than 0")]
    NotPositive,
    #[error("must be at most {}", Amount::MAX)]
    TooLarge,
}

/// Three letters, as in ISO 4217, kept in lower case.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Currency([u8; 3]);

impl Currency {
    /// Reads a member of a request.
    pub(crate) fn parse(value: Option<&Value>) -> Result<Self, CurrencyError> {
        let text = match value {
            None | Some(Value::Null) => return Err(CurrencyError::Missing),
            Some(Value::String(text)) => text,
            Some(_) => return Err(CurrencyError::NotThreeLetters),
        };
        text.parse()
    }

    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("only ASCII letters get in")
    }
}

impl FromStr for Currency {
    type Err = CurrencyError;

    fn from_str(text: &str) -> Result<Self, CurrencyError> {
        let letters: [u8; 3] = text
            .as_bytes()
            .try_into()
            .map_err(|_| CurrencyError::NotThreeLetters)?;
        if !letters.iter().all(u8::is_ascii_alphabetic) {
            return Err(CurrencyError::NotThreeLetters);
        }
        Ok(Self(letters.map(|letter| letter.to_ascii_lowercase())))
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Why a value is no currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CurrencyError {
    #[error("is missing: send three letters, such as \"usd\"")]
    Missing,
    #[error("must be three letters, such as \"usd\"")]
    NotThreeLetters,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_amount_is_a_positive_integer_in_minor_units() {
        for (value, expected) in [
            (json!(0), AmountError::NotPositive),
            (json!(-500), AmountError::NotPositive),
            (json!(5.5), AmountError::NotAnInteger),
            (json!(-0.5), AmountError::NotAnInteger),
            (json!(500.0), AmountError::NotAnInteger),
            (json!("500"), AmountError::NotAnInteger),
            (json!([500]), AmountError::NotAnInteger),
            (json!(null), AmountError::Missing),
            (json!(Amount::MAX + 1), AmountError::TooLarge),
            (json!(u64::MAX), AmountError::TooLarge),
        ] {
            assert_eq!(Amount::parse(Some(&value)), Err(expected), "{value}");
        }
        assert_eq!(Amount::parse(None), Err(AmountError::Missing));
        for value in [1, 500, Amount::MAX] {
            assert!(Amount::parse(Some(&json!(value))).is_ok(), "{value}");
        }
    }

    #[test]
    fn a_currency_is_three_letters() {
        assert_eq!(
            Currency::parse(Some(&json!("USD"))).unwrap().as_str(),
            "usd"
        );
        for value in [
            json!("us"),
            json!("usdt"),
            json!("u$d"),
            json!("äb"),
            json!(""),
            json!(840),
        ] {
            assert_eq!(
                Currency::parse(Some(&value)),
                Err(CurrencyError::NotThreeLetters),
                "{value}"
            );
        }
        assert_eq!(Currency::parse(None), Err(CurrencyError::Missing));
    }
}
