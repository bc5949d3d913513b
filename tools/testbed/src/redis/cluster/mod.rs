//! A Cluster of three primaries with a replica each.

mod agreement;
mod builder;
mod handle;
mod migration;
mod node;
mod setup;
mod view;

pub use builder::ClusterBuilder;
pub use handle::Cluster;
pub use migration::SlotMigration;
