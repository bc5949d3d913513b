//! [`suite!`](crate::suite): one test per case, in the crate of whoever wrote the store.

use std::{
    any::Any, fmt::Display, future::Future, io::Write as _, panic::AssertUnwindSafe,
    sync::OnceLock, time::Duration,
};

use futures_util::FutureExt;
use tokio::runtime::{Builder, Runtime};

use crate::{CaseResult, Harness, Outcome, Skipped, Verdict, call::scaled, report};

/// A case that takes this much longer than anybody would wait is called hung.
pub(crate) const HUNG: Duration = Duration::from_secs(120);

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
    let (store, ended) = runtime().block_on(async {
        match harness.await {
            Ok(harness) => (harness.name(), run_case(&*harness, case).await),
            Err(Missing(why)) => (module.to_owned(), missing(why)),
        }
    });
    report::note(&CaseResult {
        store,
        group: module.rsplit("::").next().unwrap_or(module).to_owned(),
        case: name.to_owned(),
        outcome: match &ended {
            Ok(verdict) => Outcome::from(verdict.clone()),
            Err(failure) => Outcome::Failed(failure.message()),
        },
    });
    match ended {
        Ok(Ok(())) => {}
        // Not `eprintln!`: the test harness hides the output of tests that pass.
        Ok(Err(skipped)) => {
            let _ = writeln!(std::io::stderr(), "{module}::{name}: {skipped}");
        }
        Err(failure) => failure.fail(),
    }
}

type RunCase = for<'a> fn(&'a dyn Harness) -> futures_util::future::BoxFuture<'a, Verdict>;

/// A verdict, or how the case failed.
type Ended = Result<Verdict, Failure>;

enum Failure {
    Panicked(Box<dyn Any + Send>),
    Otherwise(String),
}

impl Failure {
    fn message(&self) -> String {
        match self {
            Self::Panicked(panic) => report::message(&**panic),
            Self::Otherwise(why) => why.clone(),
        }
    }

    /// Fails the test. A panic was reported when it happened, and only goes on here.
    fn fail(self) -> ! {
        match self {
            Self::Panicked(panic) => std::panic::resume_unwind(panic),
            Self::Otherwise(why) => panic!("{why}"),
        }
    }
}

async fn run_case(harness: &dyn Harness, case: RunCase) -> Ended {
    let limit = scaled(harness, HUNG);
    let run = AssertUnwindSafe(case(harness)).catch_unwind();
    match tokio::time::timeout(limit, run).await {
        Ok(ended) => ended.map_err(Failure::Panicked),
        Err(_) => Err(Failure::Otherwise(format!(
            "the case hangs: no end within {limit:?}"
        ))),
    }
}

fn missing(why: String) -> Ended {
    if in_ci() {
        return Err(Failure::Otherwise(format!(
            "this test may not be skipped in CI: {why}"
        )));
    }
    Ok(Err(Skipped::because(why)))
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
