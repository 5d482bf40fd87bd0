//! One queue for all subscribers: who falls [`LIVE_QUEUE`] messages behind loses the oldest.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::broadcast::{Receiver, Sender, channel};

use super::rate::Wishes;
use crate::limits::{LIVE_QUEUE, MAX_LIVE_SUBSCRIBERS};
use crate::model::Batch;

/// What the hub counted since the start.
#[derive(Debug, Default)]
pub struct LiveCounters {
    /// Messages that were offered.
    pub published: AtomicU64,
    /// Messages that some subscriber lost because it was too slow.
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

/// What subscribers hear.
#[derive(Debug, Clone)]
pub enum Message {
    /// A whole tick of a group, as the ring gets it: a series that it lacks has ended.
    Tick(Arc<Batch>),
    /// Samples between two ticks, of some series of any groups. They are in no ring and on no page of `/metrics`.
    Fast(Arc<Batch>),
    /// Something that happened: the event's name on the stream, and its JSON.
    Event(&'static str, Arc<str>),
}

/// Hands batches to whoever follows; publishing never waits.
pub struct Hub {
    sender: Sender<Message>,
    wishes: Arc<Wishes>,
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
        Self { sender: channel(LIVE_QUEUE).0, wishes: Arc::default(), counters: Arc::default() }
    }

    /// Offers a tick to all subscribers.
    pub fn publish(&self, batch: Arc<Batch>) {
        self.send(Message::Tick(batch));
    }

    /// Offers samples between ticks to those subscribers that want them.
    pub fn publish_fast(&self, batch: Arc<Batch>) {
        if self.fastest() > 1 {
            self.send(Message::Fast(batch));
        }
    }

    /// Tells all subscribers that something happened. `name` is the event's name on the stream, `json` its data.
    pub fn event(&self, name: &'static str, json: &str) {
        self.send(Message::Event(name, json.into()));
    }

    fn send(&self, message: Message) {
        self.counters.published.fetch_add(1, Ordering::Relaxed);
        // Without a subscriber the message goes nowhere, which is no error.
        let _ = self.sender.send(message);
    }

    /// Follows everything that is published from now on, at the ring's pace.
    ///
    /// # Errors
    /// When [`MAX_LIVE_SUBSCRIBERS`] follow already.
    pub fn subscribe(&self) -> Result<Subscription, TooManySubscribers> {
        self.subscribe_at(1)
    }

    /// As [`Hub::subscribe`], and wishes `hz` samples a second of what can be sampled so fast (at most
    /// [`MAX_LIVE_HZ`](crate::limits::MAX_LIVE_HZ)). The wish ends with the subscription.
    ///
    /// # Errors
    /// When [`MAX_LIVE_SUBSCRIBERS`] follow already.
    pub fn subscribe_at(&self, hz: u32) -> Result<Subscription, TooManySubscribers> {
        let taken = self
            .counters
            .subscribers
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |now| (now < MAX_LIVE_SUBSCRIBERS).then_some(now + 1));
        if taken.is_err() {
            self.counters.refused.fetch_add(1, Ordering::Relaxed);
            return Err(TooManySubscribers);
        }
        let receiver = self.sender.subscribe();
        self.wishes.add(hz);
        let (wishes, counters) = (Arc::clone(&self.wishes), Arc::clone(&self.counters));
        Ok(Subscription { receiver, lagged: 0, hz, wishes, counters })
    }

    /// The rate of the fastest subscriber in Hz (1, 2, 5 or 10), 0 while nobody follows: sampling faster than the ring's
    /// interval is only worth it for somebody.
    pub fn fastest(&self) -> u32 {
        self.wishes.fastest()
    }

    /// Calls `listener` with [`Hub::fastest`] now and whenever it changes. It must not block, nor subscribe.
    pub fn on_rate(&self, listener: impl Fn(u32) + Send + Sync + 'static) {
        self.wishes.listen(Box::new(listener));
    }

    /// What the hub counted.
    pub fn counters(&self) -> Arc<LiveCounters> {
        Arc::clone(&self.counters)
    }
}

/// One follower. Dropping it makes room for another.
pub struct Subscription {
    receiver: Receiver<Message>,
    lagged: u64,
    hz: u32,
    wishes: Arc<Wishes>,
    counters: Arc<LiveCounters>,
}

impl Subscription {
    /// The next message; `None` when the hub is gone. Messages that were lost are skipped and counted.
    pub async fn recv(&mut self) -> Option<Message> {
        loop {
            match self.receiver.recv().await {
                Ok(message) => return Some(message),
                Err(RecvError::Closed) => return None,
                Err(RecvError::Lagged(lost)) => self.lose(lost),
            }
        }
    }

    /// The next message if one waits.
    pub fn try_recv(&mut self) -> Option<Message> {
        loop {
            match self.receiver.try_recv() {
                Ok(message) => return Some(message),
                Err(TryRecvError::Empty | TryRecvError::Closed) => return None,
                Err(TryRecvError::Lagged(lost)) => self.lose(lost),
            }
        }
    }

    /// The rate that was wished for.
    pub fn hz(&self) -> u32 {
        self.hz
    }

    /// How many messages this subscriber has lost.
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
        self.wishes.remove(self.hz);
        self.counters.subscribers.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::{Hub, Message, TooManySubscribers};
    use crate::limits::{LIVE_QUEUE, MAX_LIVE_SUBSCRIBERS};
    use crate::model::{Batch, GroupId};
    use parking_lot::Mutex;
    use std::sync::Arc;
    use std::sync::atomic::Ordering;

    fn batch(ts: i64) -> Arc<Batch> {
        Arc::new(Batch::new(GroupId(0), ts))
    }

    #[test]
    fn a_slow_subscriber_loses_the_oldest() {
        let hub = Hub::new();
        let mut slow = hub.subscribe().expect("room");
        for ts in 0..LIVE_QUEUE as i64 + 10 {
            hub.publish(batch(ts));
        }
        assert!(matches!(slow.try_recv(), Some(Message::Tick(batch)) if batch.ts == 10));
        assert_eq!(slow.lagged(), 10);
        assert_eq!(hub.counters().lagged.load(Ordering::Relaxed), 10);
    }

    #[test]
    fn subscribers_are_limited() {
        let hub = Hub::new();
        let all: Vec<_> = (0..MAX_LIVE_SUBSCRIBERS).map(|_| hub.subscribe_at(10).expect("room")).collect();
        assert_eq!(hub.subscribe().err(), Some(TooManySubscribers));
        drop(all);
        assert_eq!(hub.fastest(), 0);
        assert!(hub.subscribe().is_ok());
    }

    #[test]
    fn the_fastest_wish_counts_and_ends_with_its_subscription() {
        let hub = Hub::new();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&heard);
        hub.on_rate(move |hz| told.lock().push(hz));
        let mut slow = hub.subscribe().expect("room");
        hub.publish_fast(batch(100));
        assert!(slow.try_recv().is_none(), "nobody wished for it");
        let fast = hub.subscribe_at(7).expect("room");
        let faster = hub.subscribe_at(10).expect("room");
        let middle = hub.subscribe_at(2).expect("room");
        hub.publish_fast(batch(200));
        assert!(matches!(slow.try_recv(), Some(Message::Fast(batch)) if batch.ts == 200));
        drop(faster);
        drop(fast);
        drop(middle);
        drop(slow);
        assert_eq!(*heard.lock(), [0, 1, 10, 2, 1, 0]);
    }

    #[tokio::test]
    async fn a_gone_hub_ends_the_stream() {
        let hub = Hub::new();
        let mut page = hub.subscribe().expect("room");
        hub.publish(Arc::new(Batch::new(GroupId(3), 1)));
        hub.event("worker_end", "{}");
        drop(hub);
        assert!(matches!(page.recv().await, Some(Message::Tick(batch)) if batch.group == GroupId(3)));
        assert!(matches!(page.recv().await, Some(Message::Event("worker_end", _))));
        assert!(page.recv().await.is_none());
    }
}
