//! Histograms, with the labels of an engine.

use std::{
    cell::Cell,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use metrics::{Histogram, IntoF64, Key, Label, Level, Metadata, SharedString};
use tokio::time::Instant;

/// Bounds of buckets that fit each histogram, for an exporter that has to know them before the first
/// value.
///
/// ```
/// for (name, bounds) in idem_core::observe::BUCKETS {
///     // With metrics-exporter-prometheus:
///     // builder = builder.set_buckets_for_metric(Matcher::Full(name.to_string()), bounds)?;
///     assert!(name.starts_with("idem_") && bounds.is_sorted());
/// }
/// ```
pub const BUCKETS: [(&str, &[f64]); 7] = [
    (Shape::Claim.name(), SECONDS),
    (Shape::Wait.name(), SECONDS),
    (Shape::Run.name(), SECONDS),
    (Shape::Ending.name(), SECONDS),
    (Shape::Payload.name(), BYTES),
    (
        Shape::LeaseUsed.name(),
        &[0.2, 0.34, 0.4, 0.5, 0.67, 0.8, 1.0],
    ),
    (
        "idem_batch_calls",
        &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0],
    ),
];

const SECONDS: &[f64] = &[
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0, 30.0, 60.0, 300.0,
];
const BYTES: &[f64] = &[
    64.0,
    256.0,
    1024.0,
    4096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    16_777_216.0,
];

/// More routes than this share the label [`OTHER`].
const MOST_ROUTES: usize = 100;
/// A longer name is cut.
const LONGEST_LABEL: usize = 64;
const OTHER: &str = "other";

static METADATA: Metadata<'static> =
    Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

/// Which histogram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Claim,
    Wait,
    Run,
    Ending,
    Payload,
    LeaseUsed,
}

impl Shape {
    const ALL: [Self; 6] = [
        Self::Claim,
        Self::Wait,
        Self::Run,
        Self::Ending,
        Self::Payload,
        Self::LeaseUsed,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Claim => "idem_claim_duration_seconds",
            Self::Wait => "idem_wait_duration_seconds",
            Self::Run => "idem_run_duration_seconds",
            Self::Ending => "idem_ending_duration_seconds",
            Self::Payload => "idem_payload_bytes",
            Self::LeaseUsed => "idem_lease_used_ratio",
        }
    }
}

/// What an engine and its clones write on their histograms.
#[derive(Debug)]
pub(crate) struct Labels {
    store: SharedString,
    /// The routes that have a label of their own. A policy that is made for each request must not make
    /// a time series for each.
    routes: Mutex<Vec<SharedString>>,
}

impl Labels {
    pub(crate) fn of(store: &str) -> Self {
        Self {
            store: shared(store),
            routes: Mutex::default(),
        }
    }

    fn route(&self, name: &str) -> SharedString {
        let name = cut(name);
        let mut routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = routes.iter().find(|known| ***known == *name) {
            return known.clone();
        }
        if routes.len() == MOST_ROUTES {
            return OTHER.into();
        }
        let route = shared(name);
        routes.push(route.clone());
        route
    }
}

/// The name of a store's type as a label: `redis` for `idem_redis::store::RedisStore`.
pub(crate) fn store_name<S: ?Sized>() -> String {
    let name = std::any::type_name::<S>();
    // Of `Arc<RedisStore>` what is inside.
    let inner = name.rsplit('<').next().unwrap_or(name);
    let inner = inner.trim_end_matches('>');
    let last = inner.rsplit("::").next().unwrap_or(inner);
    let short = last.strip_suffix("Store").filter(|short| !short.is_empty());
    short.unwrap_or(last).to_ascii_lowercase()
}

fn shared(text: &str) -> SharedString {
    SharedString::from(std::sync::Arc::<str>::from(cut(text)))
}

fn cut(text: &str) -> &str {
    let end = text.floor_char_boundary(LONGEST_LABEL.min(text.len()));
    &text[..end]
}

/// The histograms of an engine with one policy.
#[derive(Debug)]
pub(crate) struct Measures {
    store: SharedString,
    route: SharedString,
    keys: [Key; Shape::ALL.len()],
}

impl Measures {
    pub(crate) fn new(labels: &Labels, route: &str) -> Self {
        let store = labels.store.clone();
        let route = labels.route(route);
        let keys = Shape::ALL.map(|shape| {
            let labels = vec![
                Label::new("store", store.clone()),
                Label::new("route", route.clone()),
            ];
            Key::from_parts(shape.name(), labels)
        });
        Self { store, route, keys }
    }

    pub(crate) fn store(&self) -> &str {
        &self.store
    }

    pub(crate) fn route(&self) -> &str {
        &self.route
    }

    /// Measures from now on. Reads a clock only if anybody listens to this histogram.
    pub(crate) fn start(&self, shape: Shape) -> Timer {
        let histogram = self.histogram(shape);
        Timer(is_listened_to(&histogram).then(|| (histogram, Instant::now())))
    }

    pub(crate) fn record(&self, shape: Shape, value: impl IntoF64) {
        self.histogram(shape).record(value);
    }

    fn histogram(&self, shape: Shape) -> Histogram {
        let key = &self.keys[shape as usize];
        metrics::with_recorder(|recorder| recorder.register_histogram(key, &METADATA))
    }
}

/// A time that is measured.
#[must_use]
pub(crate) struct Timer(Option<(Histogram, Instant)>);

impl Timer {
    /// Records the time since the start.
    pub(crate) fn stop(self) {
        if let Self(Some((histogram, since))) = self {
            histogram.record(Seconds(since.elapsed()));
        }
    }
}

struct Seconds(Duration);

impl IntoF64 for Seconds {
    fn into_f64(self) -> f64 {
        self.0.as_secs_f64()
    }
}

/// Whether values that are recorded go anywhere: a histogram of no recorder does not convert them.
fn is_listened_to(histogram: &Histogram) -> bool {
    struct Asked<'a>(&'a Cell<bool>);
    impl IntoF64 for Asked<'_> {
        fn into_f64(self) -> f64 {
            self.0.set(true);
            0.0
        }
    }
    let asked = Cell::new(false);
    histogram.record_many(Asked(&asked), 0);
    asked.get()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_of_unbounded_names_stays_bounded() {
        let labels = Labels::of("redis");
        let first = labels.route("POST /payments");
        for n in 0..10 * MOST_ROUTES {
            assert!(labels.route(&format!("{n}{}", "ü".repeat(500))).len() <= LONGEST_LABEL);
        }
        assert_eq!(labels.routes.lock().unwrap().len(), MOST_ROUTES);
        assert_eq!(&*labels.route("one more"), OTHER);
        assert_eq!(labels.route("POST /payments"), first);
    }

    #[test]
    fn a_store_is_named_after_its_type() {
        struct RedisStore;
        struct Store;
        assert_eq!(store_name::<RedisStore>(), "redis");
        assert_eq!(store_name::<std::sync::Arc<RedisStore>>(), "redis");
        assert_eq!(store_name::<Store>(), "store");
    }
}
