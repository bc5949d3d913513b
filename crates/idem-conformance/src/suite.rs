//! [`suite!`](crate::suite): one test per case, in the crate of whoever wrote the store.

use std::{fmt::Display, future::Future, io::Write as _, sync::OnceLock, time::Duration};

use tokio::runtime::{Builder, Runtime};

use crate::{Harness, Skipped, Verdict, call::scaled};

/// A case that takes this much longer than anybody would wait is called hung.
const HUNG: Duration = Duration::from_secs(120);

/// Makes one test per case.
///
/// Takes an async function (or a closure that gives a future) which makes the harness: it returns a
/// [`Harness`], or an `Option` or a `Result` of one where a server may be missing. Then every test
/// says `skipped, because …` and ends; under `CI=true` it fails.
///
/// With a name in front, the tests stand in a module of that name, so that one crate can run the
/// suite against several deployments:
///
/// ```
/// # mod tests {
/// # use std::sync::Arc;
/// # use idem_conformance::{Harness, async_trait};
/// # struct MyHarness;
/// # #[async_trait]
/// # impl Harness for MyHarness {
/// #     fn name(&self) -> String { "mine".to_owned() }
/// #     async fn store(&self) -> Arc<dyn idem_core::Store> { unreachable!() }
/// # }
/// async fn alone() -> Result<MyHarness, String> {
///     Err("no server is installed".to_owned())
/// }
///
/// async fn in_a_cluster() -> Option<MyHarness> {
///     None
/// }
///
/// idem_conformance::suite!(standalone, alone);
/// idem_conformance::suite!(cluster, in_a_cluster);
/// # }
/// ```
///
/// The crate needs no other dependency for it. Tests are called `GROUP::RULE_clause`, such as
/// `create::s1_single_winner_under_contention`; those that wait for time to pass stand in the group
/// `time`.
#[macro_export]
macro_rules! suite {
    ($name:ident, $harness:expr $(,)?) => {
        mod $name {
            #[allow(unused_imports)]
            use super::*;
            $crate::suite!($harness);
        }
    };
    ($harness:expr $(,)?) => {
        #[allow(dead_code)]
        async fn __idem_conformance_harness()
        -> ::core::result::Result<::std::boxed::Box<dyn $crate::Harness>, $crate::Missing> {
            $crate::started(($harness)().await)
        }

        $crate::__cases! { ($crate::__tests) () }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __tests {
    (() $($group:ident { $($case:ident)+ })+) => {
        $(
            mod $group {
                $(
                    #[test]
                    fn $case() {
                        $crate::run_test(
                            ::core::module_path!(),
                            ::core::stringify!($case),
                            super::__idem_conformance_harness(),
                            |harness| ::std::boxed::Box::pin($crate::cases::$group::$case(harness)),
                        );
                    }
                )+
            }
        )+
    };
}

/// Why there is no harness: its server is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing(String);

/// What a harness constructor may return: a [`Harness`], or an `Option` or a `Result` of one.
pub trait IntoHarness {
    /// The harness, or why there is none.
    ///
    /// # Errors
    /// [`Missing`] for `None` and `Err`.
    fn into_harness(self) -> Result<Box<dyn Harness>, Missing>;
}

impl<H: Harness + 'static> IntoHarness for H {
    fn into_harness(self) -> Result<Box<dyn Harness>, Missing> {
        Ok(Box::new(self))
    }
}

impl<H: Harness + 'static> IntoHarness for Option<H> {
    fn into_harness(self) -> Result<Box<dyn Harness>, Missing> {
        match self {
            Some(harness) => Ok(Box::new(harness)),
            None => Err(Missing("its server is missing".to_owned())),
        }
    }
}

impl<H: Harness + 'static, E: Display> IntoHarness for Result<H, E> {
    fn into_harness(self) -> Result<Box<dyn Harness>, Missing> {
        match self {
            Ok(harness) => Ok(Box::new(harness)),
            Err(error) => Err(Missing(error.to_string())),
        }
    }
}

/// Gives what a harness constructor returned one type.
#[doc(hidden)]
pub fn started(harness: impl IntoHarness) -> Result<Box<dyn Harness>, Missing> {
    harness.into_harness()
}

/// Runs one case as a test.
#[doc(hidden)]
pub fn run_test<F>(module: &str, name: &str, harness: F, case: RunCase)
where
    F: Future<Output = Result<Box<dyn Harness>, Missing>>,
{
    let verdict = runtime().block_on(async {
        match harness.await {
            Ok(harness) => bounded(&*harness, case).await,
            Err(Missing(why)) => {
                assert!(!in_ci(), "this test may not be skipped in CI: {why}");
                Err(Skipped::because(why))
            }
        }
    });
    if let Err(skipped) = verdict {
        // Not `eprintln!`: the test harness hides the output of tests that pass.
        let _ = writeln!(std::io::stderr(), "{module}::{name}: {skipped}");
    }
}

type RunCase = for<'a> fn(&'a dyn Harness) -> futures_util::future::BoxFuture<'a, Verdict>;

async fn bounded(harness: &dyn Harness, case: RunCase) -> Verdict {
    let limit = scaled(harness, HUNG);
    match tokio::time::timeout(limit, case(harness)).await {
        Ok(verdict) => verdict,
        Err(_) => panic!("the case hangs: no end within {limit:?}"),
    }
}

/// One runtime for all tests of a process: what a shared harness spawned has to outlive the test
/// that came first.
fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        Builder::new_multi_thread()
            .worker_threads(4)
            .thread_name("idem-conformance")
            .enable_all()
            .build()
            .expect("an operating system that runs tests lets a process start threads")
    })
}

fn in_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true" || value == "1")
}
