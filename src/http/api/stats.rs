//! Statistics of a query, as `stats=…` asks for them.

use std::time::Duration;

use crate::http::json::Json;
use crate::model::Timestamp;
use crate::promql::QueryStats;

/// What a query cost, and when its steps were.
#[derive(Debug)]
pub(super) struct Stats {
    pub(super) cost: QueryStats,
    /// The first step.
    pub(super) start: Timestamp,
    /// Milliseconds from step to step.
    pub(super) step: i64,
}

/// What `stats=…` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    Nothing,
    Totals,
    /// Samples of each step too.
    All,
}

impl Wanted {
    /// Any value asks for totals; `all` is the one that Prometheus knows by name.
    pub(super) fn of(parameter: Option<&str>) -> Self {
        match parameter {
            None | Some("") => Self::Nothing,
            Some("all") => Self::All,
            Some(_) => Self::Totals,
        }
    }
}

/// Writes the statistics behind the result. Results are sorted where they are made, so that sorting has no time of its
/// own.
pub(super) fn write_stats(json: &mut Json, stats: &Stats) {
    let cost = &stats.cost;
    let eval = cost.elapsed.saturating_sub(cost.queued);
    for (name, time) in [
        (",\"stats\":{\"timings\":{\"evalTotalTime\":", eval),
        (",\"resultSortTime\":", Duration::ZERO),
        (",\"queryPreparationTime\":", cost.prepared),
        (",\"innerEvalTime\":", eval),
        (",\"execQueueTime\":", cost.queued),
        (",\"execTotalTime\":", cost.elapsed),
    ] {
        json.raw(name).float(time.as_secs_f64());
    }
    json.raw("},\"samples\":{");
    write_steps(json, stats);
    json.raw("\"totalQueryableSamples\":").number(cost.total_samples);
    json.raw(",\"peakSamples\":").number(cost.peak_samples).raw("}");
    write_rollups(json, stats);
    json.raw("}");
}

/// Which rollups answered, when any did: Prometheus has no such thing.
fn write_rollups(json: &mut Json, stats: &Stats) {
    for (i, (rollups, selectors)) in stats.cost.rollups.iter().enumerate() {
        json.raw(if i == 0 { ",\"rollups\":[{\"tier\":" } else { ",{\"tier\":" }).text(rollups.tier.name());
        json.raw(if rollups.exact { ",\"exact\":true" } else { ",\"exact\":false" });
        json.raw(",\"selectors\":").number(*selectors).raw("}");
    }
    if !stats.cost.rollups.is_empty() {
        json.raw("]");
    }
}

/// `[[time, samples], …]`, when there is one.
fn write_steps(json: &mut Json, stats: &Stats) {
    let steps = &stats.cost.samples_per_step;
    if steps.is_empty() {
        return;
    }
    json.raw("\"totalQueryableSamplesPerStep\":");
    for (i, samples) in (0_i64..).zip(steps) {
        let ts = stats.start.saturating_add(stats.step.saturating_mul(i));
        json.raw(if i == 0 { "[[" } else { ",[" }).seconds(ts).raw(",").number(*samples).raw("]");
    }
    json.raw("],");
}

#[cfg(test)]
mod tests {
    use super::{Stats, Wanted, write_stats};
    use crate::http::json::Json;
    use crate::promql::{QueryStats, RollupUse};
    use crate::storage::Tier;

    #[test]
    fn steps_have_times() {
        for (steps, expected) in [
            (vec![], r#""samples":{"totalQueryableSamples":5,"#),
            (
                vec![2, 3],
                r#""samples":{"totalQueryableSamplesPerStep":[[1.500,2],[16.500,3]],"totalQueryableSamples":5,"#,
            ),
        ] {
            let rollups = vec![(RollupUse { tier: Tier::Hour, exact: true }, 2)];
            let cost = QueryStats { total_samples: 5, samples_per_step: steps, rollups, ..QueryStats::default() };
            let mut json = Json::default();
            write_stats(&mut json, &Stats { cost, start: 1_500, step: 15_000 });
            let text = String::from_utf8(json.finish()).expect("JSON is UTF-8");
            assert!(text.contains(expected), "{text}");
            let rollups = r#""peakSamples":0},"rollups":[{"tier":"1h","exact":true,"selectors":2}]}"#;
            assert!(text.ends_with(rollups), "{text}");
        }
        assert_eq!(
            [None, Some(""), Some("all"), Some("1")].map(Wanted::of),
            [Wanted::Nothing, Wanted::Nothing, Wanted::All, Wanted::Totals]
        );
    }
}
