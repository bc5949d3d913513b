//! Books in this process's memory.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard},
};

use super::{Kind, Transfer};
use crate::merchant::Merchant;

/// Everybody's transfers, until the process ends.
#[derive(Debug, Default)]
pub(crate) struct MemoryLedger {
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

impl MemoryLedger {
    pub(super) fn post(&self, merchant: &Merchant, transfer: &Transfer) {
        self.accounts()
            .entry(merchant.clone())
            .or_default()
            .book_mut(transfer.object)
            .insert(transfer.id.clone(), transfer.clone());
    }

    pub(super) fn find(&self, merchant: &Merchant, kind: Kind, id: &str) -> Option<Transfer> {
        self.accounts().get(merchant)?.book(kind).get(id).cloned()
    }

    pub(super) fn list(&self, merchant: &Merchant, kind: Kind) -> Vec<Transfer> {
        self.accounts()
            .get(merchant)
            .map(|account| account.book(kind).values().cloned().collect())
            .unwrap_or_default()
    }

    pub(super) fn change(
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
