//! [`suite!`](crate::suite): one test per case, in the crate of whoever wrote the store.

use std::{
    fmt::Display,
    future::Future,
    io::Write as _,
    panic::AssertUnwindSafe,
    sync::{Arc, OnceLock, mpsc},
    time::Duration,
};

use futures_util::{FutureExt, future::BoxFuture};
use tokio::runtime::{Builder, Runtime};

use crate::{
    Case, CaseResult, Harness, Outcome, Skipped, Verdict, call::scaled, case::HUNG, follow::Calls,
    report,
};

/// How much longer a thread is waited for than a case.
const GRACE: Duration = Duration::from_secs(5);

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
/// #     async fn store(&self) -> Arc<dyn idem_core::store::Store> { unreachable!() }
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
/// `create::s1_single_winner_over_several_handles`; those that wait for time to pass stand in the group
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

/// A case as a function.
#[doc(hidden)]
pub type RunCase = for<'a> fn(&'a dyn Harness) -> BoxFuture<'a, Verdict>;

/// Runs one case as a test.
#[doc(hidden)]
pub fn run_test<F>(module: &str, name: &'static str, harness: F, run: RunCase)
where
    F: Future<Output = Result<Box<dyn Harness>, Missing>>,
{
    let group = module.rsplit("::").next().unwrap_or(module);
    let (store, ended) = match runtime().block_on(harness) {
        Ok(harness) => (
            harness.name(),
            run_case(
                harness,
                Case {
                    group: "",
                    name,
                    run,
                },
            ),
        ),
        Err(Missing(why)) => (module.to_owned(), missing(why)),
    };
    report::note(&CaseResult {
        store: store.clone(),
        group: group.to_owned(),
        case: name.to_owned(),
        outcome: match &ended {
            Ok(verdict) => Outcome::from(verdict.clone()),
            Err(why) => Outcome::Failed(why.clone()),
        },
    });
    match ended {
        Ok(Ok(())) => {}
        // Not `eprintln!`: the test harness hides the output of tests that pass.
        Ok(Err(skipped)) => {
            let _ = writeln!(std::io::stderr(), "{module}::{name}: {skipped}");
        }
        // Here and not where it happened: what a worker's thread prints is not shown with the test.
        Err(why) => panic!("{store}: {why}"),
    }
}

/// A verdict, or why the case failed.
type Ended = Result<Verdict, String>;

/// Runs a case on a worker, and waits for it on this thread: a store that blocks its thread cannot
/// block the end of the wait.
fn run_case(harness: Box<dyn Harness>, case: Case) -> Ended {
    let limit = scaled(&*harness, HUNG);
    let calls = Arc::<Calls>::default();
    let (tell, told) = mpsc::channel();
    runtime().spawn({
        let calls = Arc::clone(&calls);
        async move {
            let run = AssertUnwindSafe(case.run_followed(&*harness, calls));
            let ended = run.catch_unwind().await;
            // A test that waited too long is not listening any more.
            let _ = tell.send(ended.map_err(|panic| idem_core::spi::panic_message(&*panic)));
        }
    });
    // A store that lets its thread go is told of by the case itself, a little earlier.
    told.recv_timeout(limit + GRACE)
        .unwrap_or_else(|_| Err(case.hung(limit, &calls)))
}

fn missing(why: String) -> Ended {
    if in_ci() {
        return Err(format!("this test may not be skipped in CI: {why}"));
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
