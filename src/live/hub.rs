//! One queue for all subscribers: who falls [`LIVE_QUEUE`] batches behind loses the oldest.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::broadcast::{Receiver, Sender, channel};

use crate::limits::{LIVE_QUEUE, MAX_LIVE_SUBSCRIBERS};
use crate::model::Batch;

/// What the hub counted since the start.
#[derive(Debug, Default)]
pub struct LiveCounters {
    /// Batches that were offered.
    pub published: AtomicU64,
    /// Batches that some subscriber lost because it was too slow.
    pub lagged: AtomicU64,
    /// Subscriptions that were refused.
    pub refused: AtomicU64,
    /// Subscribers now.
    pub subscribers: AtomicUsize,
}

/// [`MAX_LIVE_SUBSCRIBERS`] already follow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{MAX_LIVE_SUBSCRIBERS} pages and streams already follow live data: close one")]
pub struct TooManySubscribers;

/// Hands batches to whoever follows; publishing never waits.
pub struct Hub {
    sender: Sender<Arc<Batch>>,
    counters: Arc<LiveCounters>,
}

impl Default for Hub {
    fn default() -> Self {
        Self::new()
    }
}

impl Hub {
    /// A hub without subscribers.
    pub fn new() -> Self {
        Self { sender: channel(LIVE_QUEUE).0, counters: Arc::default() }
    }

    /// Offers a batch to all subscribers.
    pub fn publish(&self, batch: Arc<Batch>) {
        self.counters.published.fetch_add(1, Ordering::Relaxed);
        // Without a subscriber the batch goes nowhere, which is no error.
        let _ = self.sender.send(batch);
    }

    /// Follows everything that is published from now on.
    ///
    /// # Errors
    /// When [`MAX_LIVE_SUBSCRIBERS`] follow already.
    pub fn subscribe(&self) -> Result<Subscription, TooManySubscribers> {
        let taken = self
            .counters
            .subscribers
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |now| (now < MAX_LIVE_SUBSCRIBERS).then_some(now + 1));
        if taken.is_err() {
            self.counters.refused.fetch_add(1, Ordering::Relaxed);
            return Err(TooManySubscribers);
        }
        Ok(Subscription { receiver: self.sender.subscribe(), lagged: 0, counters: Arc::clone(&self.counters) })
    }

    /// Whether anybody follows: sampling faster than the ring's interval is only worth it then.
    pub fn has_subscribers(&self) -> bool {
        self.counters.subscribers.load(Ordering::Relaxed) > 0
    }

    /// What the hub counted.
    pub fn counters(&self) -> Arc<LiveCounters> {
        Arc::clone(&self.counters)
    }
}

/// One follower. Dropping it makes room for another.
pub struct Subscription {
    receiver: Receiver<Arc<Batch>>,
    lagged: u64,
    counters: Arc<LiveCounters>,
}

impl Subscription {
    /// The next batch; `None` when the hub is gone. Batches that were lost are skipped and counted.
    pub async fn recv(&mut self) -> Option<Arc<Batch>> {
        loop {
            match self.receiver.recv().await {
                Ok(batch) => return Some(batch),
                Err(RecvError::Closed) => return None,
                Err(RecvError::Lagged(lost)) => self.lose(lost),
            }
        }
    }

    /// The next batch if one waits.
    pub fn try_recv(&mut self) -> Option<Arc<Batch>> {
        loop {
            match self.receiver.try_recv() {
                Ok(batch) => return Some(batch),
                Err(TryRecvError::Empty | TryRecvError::Closed) => return None,
                Err(TryRecvError::Lagged(lost)) => self.lose(lost),
            }
        }
    }

    /// How many batches this subscriber has lost.
    pub fn lagged(&self) -> u64 {
        self.lagged
    }

    fn lose(&mut self, lost: u64) {
        self.lagged += lost;
        self.counters.lagged.fetch_add(lost, Ordering::Relaxed);
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.counters.subscribers.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::{Hub, TooManySubscribers};
    use crate::limits::{LIVE_QUEUE, MAX_LIVE_SUBSCRIBERS};
    use crate::model::{Batch, GroupId};
    use std::sync::Arc;
    use std::sync::atomic::Ordering;

    #[test]
    fn a_slow_subscriber_loses_the_oldest() {
        let hub = Hub::new();
        let mut slow = hub.subscribe().expect("room");
        for ts in 0..LIVE_QUEUE as i64 + 10 {
            hub.publish(Arc::new(Batch::new(GroupId(0), ts)));
        }
        assert_eq!(slow.try_recv().expect("a batch").ts, 10);
        assert_eq!(slow.lagged(), 10);
        assert_eq!(hub.counters().lagged.load(Ordering::Relaxed), 10);
    }

    #[test]
    fn subscribers_are_limited() {
        let hub = Hub::new();
        let all: Vec<_> = (0..MAX_LIVE_SUBSCRIBERS).map(|_| hub.subscribe().expect("room")).collect();
        assert_eq!(hub.subscribe().err(), Some(TooManySubscribers));
        drop(all);
        assert!(!hub.has_subscribers());
        assert!(hub.subscribe().is_ok());
    }

    #[tokio::test]
    async fn a_gone_hub_ends_the_stream() {
        let hub = Hub::new();
        let mut page = hub.subscribe().expect("room");
        hub.publish(Arc::new(Batch::new(GroupId(3), 1)));
        drop(hub);
        assert_eq!(page.recv().await.map(|batch| batch.group), Some(GroupId(3)));
        assert!(page.recv().await.is_none());
    }
}
