//! `for` after a restart: since when an alert is active, from its last `ALERTS_FOR_STATE` sample.

use rustc_hash::FxHashMap;

use crate::model::{Labels, METRIC_NAME, Matcher, Timestamp, is_stale};
use crate::storage::{Querier, SelectRequest, Stop, StorageError};

use super::alerting::{ALERT_NAME, ALERTS_FOR_STATE};

/// Samples that a restore may read: an hour of a thousand alerts at one a second.
const MAX_SAMPLES: usize = 10_000_000;

/// The times of a restore.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RestoreTimes {
    /// When it happens.
    pub(super) now: Timestamp,
    /// The rule's `for`.
    pub(super) hold_ms: i64,
    /// Least time from now to a restored alert's firing.
    pub(super) grace_ms: i64,
}

/// Since when the alert counts as active, given its last sample before the outage (value in seconds): the outage does
/// not count towards `for`, an alert that was firing fires again at once, and one that was about to fire gets the
/// grace period. `None` when it was not active (stale).
pub(super) fn active_at(last: (Timestamp, f64), times: RestoreTimes) -> Option<Timestamp> {
    let (ts, seconds) = last;
    if is_stale(seconds) || !seconds.is_finite() {
        return None;
    }
    let down_at = ts.div_euclid(1000) * 1000;
    let active_at = seconds as i64 * 1000;
    let remaining = times.hold_ms - (down_at - active_at);
    Some(if remaining <= 0 {
        active_at
    } else if remaining < times.grace_ms {
        times.now + times.grace_ms - times.hold_ms
    } else {
        active_at + (times.now - down_at)
    })
}

/// The last `ALERTS_FOR_STATE` sample of each alert of one rule within `tolerance_ms` before `now`, by alert labels.
pub(super) fn last_samples(
    querier: &dyn Querier,
    alert_name: &str,
    now: Timestamp,
    tolerance_ms: i64,
) -> Result<FxHashMap<Labels, (Timestamp, f64)>, StorageError> {
    let request = SelectRequest {
        matchers: vec![Matcher::equal(METRIC_NAME, ALERTS_FOR_STATE), Matcher::equal(ALERT_NAME, alert_name)],
        start: now.saturating_sub(tolerance_ms),
        end: now,
        last_only: true,
        max_samples: MAX_SAMPLES,
        stop: Stop::never(),
    };
    let mut last = FxHashMap::default();
    for series in querier.select(&request)?.into_series() {
        let (mut times, mut values) = (Vec::new(), Vec::new());
        series.runs.iter().for_each(|run| run.floats_into(&mut times, &mut values));
        if let (Some(ts), Some(value)) = (times.last(), values.last()) {
            last.insert(series.labels.without(&[METRIC_NAME]), (*ts, *value));
        }
    }
    Ok(last)
}

#[cfg(test)]
mod tests {
    use super::{RestoreTimes, active_at};
    use crate::model::stale_marker;

    #[test]
    fn follows_prometheus() {
        const MIN: i64 = 60_000;
        // Active since minute 0, `for: 30m`, grace period 10 minutes, back at minute 60.
        let times = RestoreTimes { now: 60 * MIN, hold_ms: 30 * MIN, grace_ms: 10 * MIN };
        let cases: &[(i64, f64, Option<i64>)] = &[
            // Down at minute 5: 25 minutes remain, the outage of 55 minutes does not count.
            (5 * MIN, 0.0, Some(55 * MIN)),
            // Down at minute 25: 5 minutes remained, less than the grace period: fires 10 minutes from now.
            (25 * MIN, 0.0, Some(40 * MIN)),
            // Was firing: fires at once.
            (30 * MIN, 0.0, Some(0)),
            (45 * MIN, 0.0, Some(0)),
            // Not active when it went down.
            (45 * MIN, stale_marker(), None),
        ];
        for (down_at, value, expected) in cases {
            assert_eq!(active_at((*down_at, *value), times), *expected, "down at {down_at}");
        }
    }
}
