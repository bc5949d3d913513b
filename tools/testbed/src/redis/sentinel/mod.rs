//! A primary, its replicas, and the Sentinels that watch them.

mod agreement;
mod builder;
mod handle;

pub use builder::SentinelBuilder;
pub use handle::Sentinel;

/// By what name clients ask for the primary.
const SERVICE: &str = "idem";
