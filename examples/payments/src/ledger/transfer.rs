//! One entry of the books.

use std::{
    str::FromStr,
    time::{SystemTime, UNIX_EPOCH},
};

use serde::Serialize;

use crate::money::{Amount, Currency};

/// Money that was moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Transfer {
    pub(crate) id: String,
    pub(crate) object: Kind,
    pub(crate) amount: Amount,
    pub(crate) currency: Currency,
    pub(crate) description: Option<String>,
    pub(crate) status: Status,
    /// Null for a request without a key.
    pub(crate) execution: Option<Execution>,
    /// For people.
    pub(crate) created_at: String,
}

impl Transfer {
    /// A transfer that an order asks for, with a fresh id.
    pub(crate) fn new(kind: Kind, order: Order, execution: Option<Execution>) -> Self {
        Self {
            id: fresh_id(kind),
            object: kind,
            amount: order.amount,
            currency: order.currency,
            description: order.description,
            status: Status::Succeeded,
            execution,
            created_at: humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
        }
    }
}

/// Which way it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    Payment,
    Refund,
}

impl Kind {
    /// Where transfers of this kind are found.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Payment => "/v1/payments",
            Self::Refund => "/v1/refunds",
        }
    }

    /// For messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Payment => "payment",
            Self::Refund => "refund",
        }
    }

    fn prefix(self) -> &'static str {
        match self {
            Self::Payment => "pay",
            Self::Refund => "ref",
        }
    }
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    Succeeded,
    Voided,
}

impl Status {
    /// As it is written in answers and in tables.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Voided => "voided",
        }
    }
}

impl FromStr for Status {
    type Err = UnknownStatus;

    fn from_str(text: &str) -> Result<Self, UnknownStatus> {
        match text {
            "succeeded" => Ok(Self::Succeeded),
            "voided" => Ok(Self::Voided),
            _ => Err(UnknownStatus),
        }
    }
}

/// A text that is no status.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("neither `succeeded` nor `voided`")]
pub(crate) struct UnknownStatus;

/// The run of the key that moved it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Execution {
    /// Above 1 when an earlier run vanished half-way.
    pub(crate) attempt: u32,
    /// The key a bank would be given in its turn. All attempts at one request give the same, so
    /// that not even one that vanished after the bank was asked leads to a second charge.
    pub(crate) bank_key: String,
}

/// What somebody asks to be moved.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub(crate) amount: Amount,
    pub(crate) currency: Currency,
    pub(crate) description: Option<String>,
}

/// The time in milliseconds and 64 random bits, in hexadecimal.
fn fresh_id(kind: Kind) -> String {
    let since_1970 = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let random: u64 = rand::random();
    format!(
        "{}_{:012x}{random:016x}",
        kind.prefix(),
        since_1970.as_millis()
    )
}
