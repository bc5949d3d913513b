//! [`CommitWith`]: a handler's transaction, on its way to the layer that ends the execution.

use std::{
    fmt, mem,
    sync::{Arc, Mutex, MutexGuard},
};

use idem_core::spi::OpenTransaction;

/// Takes the transaction in which a handler wrote, to be committed together with the stored answer
/// (G7). A handler finds it in the request's extensions, behind a [`Guard`](super::Guard) with
/// [`transactions`](super::Guard::transactions).
///
/// A final answer commits what the handler wrote, whatever its status. An answer that lets the next
/// request run, an error of the service and a panic roll it back. Where the request runs
/// unprotected (without a key, or while the store is out of reach under `FailOpen`), a final answer
/// commits the transaction alone.
///
/// ```
/// use idem_core::spi::OpenTransaction;
/// use idem_http::driver::{NotTaken, CommitWith};
///
/// # async fn begin() -> impl OpenTransaction { Nowhere }
/// # struct Nowhere;
/// # #[async_trait::async_trait]
/// # impl OpenTransaction for Nowhere {
/// #     async fn end(
/// #         self: Box<Self>, execution: idem_core::Execution, _: idem_core::machine::Ending,
/// #     ) -> Result<(), idem_core::error::CommitError> {
/// #         execution.fail_retryable().await?;
/// #         Ok(())
/// #     }
/// #     async fn commit_unprotected(self: Box<Self>) -> Result<(), idem_core::error::CommitError> {
/// #         Ok(())
/// #     }
/// # }
/// # fn internal(_: NotTaken) -> http::StatusCode { http::StatusCode::INTERNAL_SERVER_ERROR }
/// async fn pay(commit_with: CommitWith) -> Result<&'static str, http::StatusCode> {
///     let transaction = begin().await; // such as `idem_postgres::OpenTx`, with a row in it
///     commit_with.hand_over(transaction).map_err(internal)?;
///     Ok("paid")
/// }
/// ```
#[derive(Clone, Default)]
pub struct CommitWith(Arc<Mutex<Place>>);

#[derive(Default)]
enum Place {
    #[default]
    Free,
    Taken(Box<dyn OpenTransaction>),
    /// The answer is on its way.
    Closed,
}

impl CommitWith {
    /// Hands a transaction over. All that is left to do is to answer.
    ///
    /// # Errors
    /// [`NotTaken`] when there was one before, or the handler is over: the transaction was dropped,
    /// which rolls back what was written.
    pub fn hand_over(&self, transaction: impl OpenTransaction) -> Result<(), NotTaken> {
        let mut place = self.place();
        match *place {
            Place::Free => {
                *place = Place::Taken(Box::new(transaction));
                Ok(())
            }
            Place::Taken(_) => Err(NotTaken::Second),
            Place::Closed => Err(NotTaken::Late),
        }
    }

    /// What was handed over. Nothing is taken any more.
    pub(super) fn close(&self) -> Option<Box<dyn OpenTransaction>> {
        match mem::replace(&mut *self.place(), Place::Closed) {
            Place::Taken(transaction) => Some(transaction),
            Place::Free | Place::Closed => None,
        }
    }

    pub(super) fn is_taken(&self) -> bool {
        matches!(*self.place(), Place::Taken(_))
    }

    fn place(&self) -> MutexGuard<'_, Place> {
        self.0
            .lock()
            .expect("nothing that runs under this lock panics")
    }
}

impl fmt::Debug for CommitWith {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = match *self.place() {
            Place::Free => "free",
            Place::Taken(_) => "taken",
            Place::Closed => "closed",
        };
        f.debug_tuple("CommitWith").field(&place).finish()
    }
}

/// Why a transaction was not taken. It was rolled back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotTaken {
    /// One was handed over before, and an answer commits with one transaction.
    Second,
    /// The handler had answered, or was stopped.
    Late,
}

impl fmt::Display for NotTaken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Second => "rolled back: an answer commits with one transaction, and has one",
            Self::Late => "rolled back: the handler had answered, or was stopped",
        })
    }
}

impl std::error::Error for NotTaken {}
