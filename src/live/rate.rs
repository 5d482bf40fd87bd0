//! How fast live samples come: the wishes of all subscribers, and what becomes of them.

use parking_lot::Mutex;

use crate::limits::MAX_LIVE_HZ;

/// The rate, in Hz, at which is sampled for somebody who wishes `hz`: 1, 2, 5 or 10, the next one at or above the wish.
/// Slots of these rates are whole milliseconds, and each of them has one on every second.
pub fn sampled_hz(wish: u32) -> u32 {
    [1, 2, 5].into_iter().find(|hz| *hz >= wish).unwrap_or(MAX_LIVE_HZ)
}

/// Milliseconds between two slots of a wish.
pub fn interval_ms(wish: u32) -> i64 {
    1000 / i64::from(sampled_hz(wish))
}

/// Called with the new rate while no other change can come between.
type Listener = Box<dyn Fn(u32) + Send + Sync>;

/// Who wishes what. The rate is 0 while nobody follows.
#[derive(Default)]
pub(super) struct Wishes(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    /// Subscribers by sampled rate.
    count: [usize; MAX_LIVE_HZ as usize + 1],
    fastest: u32,
    listener: Option<Listener>,
}

impl Wishes {
    pub(super) fn listen(&self, listener: Listener) {
        let mut inner = self.0.lock();
        listener(inner.fastest);
        inner.listener = Some(listener);
    }

    pub(super) fn fastest(&self) -> u32 {
        self.0.lock().fastest
    }

    pub(super) fn add(&self, hz: u32) {
        self.change(hz, 1);
    }

    pub(super) fn remove(&self, hz: u32) {
        self.change(hz, -1);
    }

    fn change(&self, hz: u32, by: isize) {
        let mut inner = self.0.lock();
        if let Some(count) = inner.count.get_mut(sampled_hz(hz) as usize) {
            *count = count.saturating_add_signed(by);
        }
        let fastest = inner.count.iter().rposition(|count| *count > 0).unwrap_or(0);
        let fastest = u32::try_from(fastest).unwrap_or(MAX_LIVE_HZ);
        if fastest != inner.fastest {
            inner.fastest = fastest;
            if let Some(listener) = &inner.listener {
                listener(fastest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{interval_ms, sampled_hz};

    #[test]
    fn wishes_become_whole_milliseconds() {
        for (wish, hz, ms) in [
            (0, 1, 1000),
            (1, 1, 1000),
            (2, 2, 500),
            (3, 5, 200),
            (5, 5, 200),
            (6, 10, 100),
            (10, 10, 100),
            (99, 10, 100),
        ] {
            assert_eq!((sampled_hz(wish), interval_ms(wish)), (hz, ms), "{wish}");
        }
    }
}
