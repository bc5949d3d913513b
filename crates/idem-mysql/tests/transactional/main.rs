//! G7: the user's rows and the idempotency record commit together, or not at all. Every test runs at
//! each isolation level, and with MariaDB's `innodb_snapshot_isolation`.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../../idem-sql/tests/transactional/by_hand.rs"]
mod by_hand;
#[path = "../../../idem-sql/tests/transactional/conflicts.rs"]
mod conflicts;
#[path = "../../../idem-sql/tests/transactional/execute.rs"]
mod execute;
#[path = "../../../idem-sql/tests/transactional/lost_commits.rs"]
mod lost_commits;
mod mysql;
#[path = "../../../idem-sql/tests/transactional/once.rs"]
mod once;
#[path = "../../../idem-sql/tests/transactional/open_tx.rs"]
mod open_tx;
mod world;

/// Makes one test for each world of an async function that takes one.
macro_rules! in_every_world {
    ($($test:ident),+ $(,)?) => {
        $(mod $test {
            use crate::world::{self, World};

            #[tokio::test]
            async fn at_read_committed() {
                run(world::READ_COMMITTED).await;
            }

            #[tokio::test]
            async fn at_repeatable_read() {
                run(world::REPEATABLE_READ).await;
            }

            #[tokio::test]
            async fn at_serializable() {
                run(world::SERIALIZABLE).await;
            }

            #[tokio::test]
            async fn with_snapshot_isolation() {
                run(world::SNAPSHOT).await;
            }

            async fn run(session: &'static str) {
                if let Some(world) = World::open(session).await {
                    super::$test(world).await;
                }
            }
        })+
    };
}
pub(crate) use in_every_world;
