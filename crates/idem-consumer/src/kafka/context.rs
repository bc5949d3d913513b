//! [`Context`]: what the client library reports.

use std::{
    error::Error,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rdkafka::{
    ClientContext, Statistics, TopicPartitionList,
    client::OAuthToken,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer as _, ConsumerContext, Rebalance},
    error::KafkaError,
};

use super::assigned::{Assigned, Place};

/// Clones are handles of one state.
#[derive(Clone, Default)]
pub(super) struct Shared(Arc<Mutex<Assigned>>);

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, Assigned> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Learns which partitions are revoked, and leaves the rest to the caller's own context.
pub(super) struct Context<C> {
    pub(super) inner: C,
    pub(super) shared: Shared,
}

impl<C: ClientContext> ClientContext for Context<C> {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = C::ENABLE_REFRESH_OAUTH_TOKEN;

    fn log(&self, level: RDKafkaLogLevel, fac: &str, log_message: &str) {
        self.inner.log(level, fac, log_message);
    }

    fn stats(&self, statistics: Statistics) {
        self.inner.stats(statistics);
    }

    fn stats_raw(&self, statistics: &[u8]) {
        self.inner.stats_raw(statistics);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.inner.error(error, reason);
    }

    fn generate_oauth_token(&self, config: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        self.inner.generate_oauth_token(config)
    }
}

impl<C: ClientContext> ConsumerContext for Context<C> {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        let revoked = match rebalance {
            Rebalance::Revoke(revoked) => places(revoked),
            Rebalance::Assign(_) => return,
            // The library gives up all of them then.
            Rebalance::Error(_) => match consumer.assignment() {
                Ok(all) => places(&all),
                Err(_) => return,
            },
        };
        tracing::debug!(partitions = revoked.len(), "partitions were revoked");
        let paused = self.shared.lock().revoke(&revoked);
        // A partition that comes back must not come back paused.
        if !paused.is_empty() {
            let _ = consumer.resume(&list(&paused));
        }
    }
}

pub(super) fn places(list: &TopicPartitionList) -> Vec<Place> {
    let elements = list.elements();
    let place = |element: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>| {
        (element.topic().into(), element.partition())
    };
    elements.iter().map(place).collect()
}

pub(super) fn list(places: &[Place]) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(places.len());
    for (topic, partition) in places {
        list.add_partition(topic, *partition);
    }
    list
}
