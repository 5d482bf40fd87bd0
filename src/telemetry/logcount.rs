//! Counts what is logged, by level: a log that nobody reads is seen on a chart.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// Lines that were logged since the start, by level.
#[derive(Debug, Clone, Default)]
pub struct LogCounts(Arc<[AtomicU64; 4]>);

const LEVELS: [(Level, &str); 4] =
    [(Level::ERROR, "error"), (Level::WARN, "warn"), (Level::INFO, "info"), (Level::DEBUG, "debug")];

impl LogCounts {
    /// The word of each level with its count, the gravest first.
    pub fn by_level(&self) -> [(&'static str, u64); LEVELS.len()] {
        std::array::from_fn(|i| {
            let count = self.0.get(i).map_or(0, |count| count.load(Ordering::Relaxed));
            (LEVELS.get(i).map_or("", |(_, word)| word), count)
        })
    }
}

impl<S: Subscriber> Layer<S> for LogCounts {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let level = event.metadata().level();
        // What is finer than debug counts as debug.
        let place = LEVELS.iter().position(|(known, _)| known == level).unwrap_or(LEVELS.len() - 1);
        if let Some(count) = self.0.get(place) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::LogCounts;
    use tracing_subscriber::layer::SubscriberExt as _;

    #[test]
    fn lines_are_counted_by_level() {
        let counts = LogCounts::default();
        let subscriber = tracing_subscriber::registry().with(counts.clone());
        tracing::subscriber::with_default(subscriber, || {
            tracing::error!("a");
            (0..3).for_each(|_| tracing::warn!("b"));
            tracing::trace!("c");
        });
        assert_eq!(counts.by_level(), [("error", 1), ("warn", 3), ("info", 0), ("debug", 1)]);
    }
}
