//! What was really charged: the bank's side of the story, in memory.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard},
    time::{SystemTime, UNIX_EPOCH},
};

use serde::Serialize;

use crate::{
    merchant::Merchant,
    money::{Amount, Currency},
};

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

/// Everybody's transfers.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    accounts: Mutex<HashMap<Merchant, Account>>,
}

/// One merchant's transfers, oldest first: ids begin with the time.
#[derive(Debug, Default)]
struct Account {
    payments: BTreeMap<String, Transfer>,
    refunds: BTreeMap<String, Transfer>,
}

impl Account {
    fn book(&self, kind: Kind) -> &BTreeMap<String, Transfer> {
        match kind {
            Kind::Payment => &self.payments,
            Kind::Refund => &self.refunds,
        }
    }

    fn book_mut(&mut self, kind: Kind) -> &mut BTreeMap<String, Transfer> {
        match kind {
            Kind::Payment => &mut self.payments,
            Kind::Refund => &mut self.refunds,
        }
    }
}

impl Ledger {
    /// Moves the money, every time it is called. That it is called once per intent is what idem
    /// is for.
    pub(crate) fn execute(
        &self,
        merchant: &Merchant,
        kind: Kind,
        order: Order,
        execution: Option<Execution>,
    ) -> Transfer {
        let transfer = Transfer {
            id: fresh_id(kind),
            object: kind,
            amount: order.amount,
            currency: order.currency,
            description: order.description,
            status: Status::Succeeded,
            execution,
            created_at: humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
        };
        self.accounts()
            .entry(merchant.clone())
            .or_default()
            .book_mut(kind)
            .insert(transfer.id.clone(), transfer.clone());
        transfer
    }

    /// One transfer of this merchant's.
    pub(crate) fn find(&self, merchant: &Merchant, kind: Kind, id: &str) -> Option<Transfer> {
        self.accounts().get(merchant)?.book(kind).get(id).cloned()
    }

    /// All transfers of this merchant's, oldest first.
    pub(crate) fn list(&self, merchant: &Merchant, kind: Kind) -> Vec<Transfer> {
        self.accounts()
            .get(merchant)
            .map(|account| account.book(kind).values().cloned().collect())
            .unwrap_or_default()
    }

    /// Changes a transfer, and answers with what it is then.
    pub(crate) fn change(
        &self,
        merchant: &Merchant,
        kind: Kind,
        id: &str,
        change: impl FnOnce(&mut Transfer),
    ) -> Option<Transfer> {
        let mut accounts = self.accounts();
        let transfer = accounts.get_mut(merchant)?.book_mut(kind).get_mut(id)?;
        change(transfer);
        Some(transfer.clone())
    }

    fn accounts(&self) -> MutexGuard<'_, HashMap<Merchant, Account>> {
        self.accounts
            .lock()
            .expect("nothing that runs under this lock panics")
    }
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
