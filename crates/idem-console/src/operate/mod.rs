//! What an operator does with a store, on the command line and in the console: see where a record stands
//! and why it waits, settle or release it on the version that was shown, and leave an audit entry.

mod answer;
pub mod audit;
mod change;
mod error;
mod payload;
mod record;
pub mod words;

pub use answer::{Form, Settlement};
pub use change::{
    Author, audited, check_release, check_resolve, look, release, replace, resolve, successor,
};
pub use error::{Kind, OperateError, with_causes};
pub use payload::{Payload, payload_of};
pub use record::{Standing, age, json, parse_version, rfc3339, version};
