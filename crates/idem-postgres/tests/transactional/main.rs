//! G7: the user's rows and the idempotency record commit together, or not at all. Every test runs
//! directly and through PgBouncer, at each isolation level.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../../idem-sql/tests/transactional/by_hand.rs"]
mod by_hand;
#[path = "../../../idem-sql/tests/transactional/conflicts.rs"]
mod conflicts;
#[path = "../../../idem-sql/tests/transactional/execute.rs"]
mod execute;
#[path = "../../../idem-sql/tests/transactional/lost_commits.rs"]
mod lost_commits;
#[path = "../../../idem-sql/tests/transactional/once.rs"]
mod once;
#[path = "../../../idem-sql/tests/transactional/open_tx.rs"]
mod open_tx;
mod postgres;
mod world;

/// Makes one test for each world of an async function that takes one.
macro_rules! in_every_world {
    ($($test:ident),+ $(,)?) => {
        $(mod $test {
            use crate::world::{Setting, World};

            #[tokio::test]
            async fn at_read_committed() {
                run(Setting::READ_COMMITTED).await;
            }

            #[tokio::test]
            async fn at_repeatable_read() {
                run(Setting::REPEATABLE_READ).await;
            }

            #[tokio::test]
            async fn at_serializable() {
                run(Setting::SERIALIZABLE).await;
            }

            #[tokio::test]
            async fn behind_pgbouncer() {
                run(Setting::PGBOUNCER).await;
            }

            async fn run(setting: Setting) {
                if let Some(world) = World::open(setting).await {
                    super::$test(world).await;
                }
            }
        })+
    };
}
pub(crate) use in_every_world;
