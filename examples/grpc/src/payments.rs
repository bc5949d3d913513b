//! What the service does.

use std::sync::{Arc, Mutex, MutexGuard};

use futures_util::stream::{self, Iter};
use idem::Context;
use tonic::{Request, Response, Status};

use crate::wire::{ListRequest, PayRequest, Payment};

/// The service, with its ledger in memory. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Payments(Arc<Mutex<Vec<Payment>>>);

type Listed = Iter<std::vec::IntoIter<Result<Payment, Status>>>;

impl Payments {
    pub(crate) async fn pay(&self, call: Request<PayRequest>) -> Result<Response<Payment>, Status> {
        // Downstream, the same key for the same intent: `context.derive_key("charge")`.
        let attempt = call.extensions().get().map(Context::attempt);
        let PayRequest { account, cents } = call.into_inner();
        if cents == 0 {
            return Err(nothing_happened(Status::invalid_argument("pay something")));
        }
        let mut ledger = self.ledger();
        let payment = Payment {
            id: ledger.len() as u64 + 1,
            account,
            cents,
        };
        println!("paid: {payment:?}, in attempt {attempt:?}");
        ledger.push(payment.clone());
        Ok(Response::new(payment))
    }

    pub(crate) async fn list(&self, _: Request<ListRequest>) -> Result<Response<Listed>, Status> {
        let payments: Vec<_> = self.ledger().iter().cloned().map(Ok).collect();
        Ok(Response::new(stream::iter(payments)))
    }

    /// How many payments were made.
    #[must_use]
    pub fn count(&self) -> usize {
        self.ledger().len()
    }

    fn ledger(&self) -> MutexGuard<'_, Vec<Payment>> {
        self.0.lock().expect("nothing under this lock panics")
    }
}

/// Lets the client correct its call and send it under the same key.
fn nothing_happened(mut status: Status) -> Status {
    let release = tonic::metadata::MetadataValue::from_static("release");
    status
        .metadata_mut()
        .insert("idempotency-disposition", release);
    status
}
