//! Counters of the rooms as the daemon's own metrics: every name once, read from atomics at each scrape.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwapOption;

use crate::collect::scrape::Scraper;
use crate::collect::worker::WorkerCounters;
use crate::collect::{CollectorView, Outcome, SamplingCounters};
use crate::ingest::{AgentCounters, EventCounters};
use crate::live::Hub;
use crate::model::{FamilyDesc, MetricKind, format_float};
use crate::pipeline::Pipeline;
use crate::promql::{DURATION_BOUNDS, Engine, Refusal};
use crate::rules::RuleManager;
use crate::storage::Ring;
use crate::telemetry::{LogCounts, OwnSource, Readings};

use super::up::Views;

macro_rules! families {
    ($($id:ident $name:literal $kind:ident $unit:literal $help:literal [$($label:literal),*];)*) => {
        $(static $id: FamilyDesc = FamilyDesc {
            name: $name, kind: MetricKind::$kind, unit: $unit, help: $help, labels: &[$($label),*], max_series: 64,
        };)*

        /// Everything that is declared here; `tests/goldens/own.txt` lists it.
        #[cfg(test)]
        static DECLARED: &[&FamilyDesc] = &[$(&$id),*];
    };
}

families! {
    STORAGE_SAMPLES "watchfire_storage_samples_appended_total" Counter "" "Samples that the ring took." [];
    STORAGE_DUPLICATES "watchfire_storage_duplicate_samples_total" Counter "" "Samples whose time was taken by another value of the same series." [];
    STORAGE_OUT_OF_ORDER "watchfire_storage_out_of_order_samples_total" Counter "" "Samples that came after their group had moved on; they are kept." [];
    STORAGE_TOO_OLD "watchfire_storage_too_old_samples_total" Counter "" "Samples older than the retention time, dropped." [];
    STORAGE_AHEAD "watchfire_storage_too_far_ahead_samples_total" Counter "" "Samples too far ahead of the clock, dropped." [];
    STORAGE_OVER_LIMIT "watchfire_storage_over_limit_samples_total" Counter "" "Samples dropped because their group, or the memory for late samples, is full." [];
    STORAGE_UNKNOWN "watchfire_storage_unknown_series_samples_total" Counter "" "Samples of series that had left the table, dropped." [];
    STORAGE_EXEMPLARS "watchfire_storage_exemplars_appended_total" Counter "" "Exemplars that the ring took." [];
    STORAGE_EXEMPLARS_OLD "watchfire_storage_exemplars_out_of_order_total" Counter "" "Exemplars older than the newest one of their series, dropped." [];
    STORAGE_EXEMPLARS_DROPPED "watchfire_storage_exemplars_dropped_total" Counter "" "Exemplars that were not taken: limit (the series brings too many, or memory has no room), invalid (labels too long, or too old, or too far ahead)." ["reason"];
    STORAGE_COMMITS "watchfire_storage_commits_total" Counter "" "Commits of write-ahead rows." [];
    STORAGE_COMMIT_ERRORS "watchfire_storage_commit_errors_total" Counter "" "Commits that failed." [];
    STORAGE_ROWS_LOST "watchfire_storage_rows_lost_total" Counter "" "Rows that were given up while the disk was full." [];
    STORAGE_SEALED "watchfire_storage_segments_sealed_total" Counter "" "Segments written." [];
    STORAGE_MERGED "watchfire_storage_segments_merged_total" Counter "" "Segments that were merged into larger ones." [];
    STORAGE_ROLLED "watchfire_storage_segments_rolled_total" Counter "" "Segments of rollups written." [];
    STORAGE_RETIRED "watchfire_storage_segments_retired_total" Counter "" "Segments that retention took." [];
    STORAGE_COMPACTIONS "watchfire_storage_compactions_total" Counter "" "How often the ring's file gave free room back to the disk." [];
    STORAGE_DAMAGED "watchfire_storage_damaged_records_total" Counter "" "Damaged records that were skipped." [];
    STORAGE_DEGRADED "watchfire_storage_degraded" Gauge "" "Whether the disk failed and samples are kept in memory only." [];
    STORAGE_SERIES "watchfire_storage_head_series" Gauge "" "Series with samples in memory." [];
    STORAGE_HEAD_BYTES "watchfire_storage_head_bytes" Gauge "bytes" "Approximate size of the samples in memory." [];
    STORAGE_SEGMENTS "watchfire_storage_segments" Gauge "" "Sealed segments." [];
    STORAGE_ROLLUP_BYTES "watchfire_storage_rollup_bytes" Gauge "bytes" "What rollups take of the ring's file." [];
    STORAGE_DISK_BYTES "watchfire_storage_disk_bytes" Gauge "bytes" "What the ring's file takes on disk." [];
    PIPELINE_BATCHES "watchfire_pipeline_batches_total" Counter "" "Ticks that went through the pipeline." [];
    PIPELINE_SAMPLES "watchfire_pipeline_samples_total" Counter "" "Samples that went through the pipeline." [];
    PIPELINE_STALE "watchfire_pipeline_stale_markers_total" Counter "" "Stale markers written for series that ended." [];
    PIPELINE_DROPPED_BATCHES "watchfire_pipeline_dropped_batches_total" Counter "" "Ticks dropped because storage was too slow." [];
    PIPELINE_DROPPED "watchfire_pipeline_dropped_samples_total" Counter "" "Samples dropped because storage was too slow." [];
    PIPELINE_QUEUED "watchfire_pipeline_queued_batches" Gauge "" "Ticks that wait for storage." [];
    REGISTRY_CREATED "watchfire_registry_series_created_total" Counter "" "Series that got a reference." [];
    REGISTRY_RELEASED "watchfire_registry_series_released_total" Counter "" "Series that left the table." [];
    REGISTRY_REFUSED "watchfire_registry_series_refused_total" Counter "" "Refusals of new series by the limit that they met: family, total. Who is refused asks again once in a while." ["limit"];
    REGISTRY_SERIES "watchfire_registry_series" Gauge "" "Series that count against the limits: held by a source, or ending, which means that samples may be in memory." ["state"];
    REGISTRY_LIMIT "watchfire_registry_series_limit" Gauge "" "The most series: of one metric name (family), and in all (total)." ["limit"];
    REGISTRY_FULL "watchfire_registry_full_families" Gauge "" "Metric names that were refused series and have not been below nine tenths of their limit since." [];
    SCRAPE_REFUSED "watchfire_scrape_refused_samples_total" Counter "" "Samples of scraped pages that were left out because a limit refused their series." [];
    SCRAPES "watchfire_scrapes_total" Counter "" "Scrapes that were made." [];
    SCRAPE_FAILURES "watchfire_scrape_failures_total" Counter "" "Scrapes that failed: no answer, a bad page, a limit." [];
    SCRAPE_LIMITED "watchfire_scrape_limit_failures_total" Counter "" "Scrapes that failed because of a limit of their job." [];
    SCRAPE_MISSED "watchfire_scrape_missed_slots_total" Counter "" "Slots of targets that passed while the scrape before still ran." [];
    SCRAPE_LEFT_OUT "watchfire_scrape_left_out_samples_total" Counter "" "Samples of scraped pages that were left out: duplicate (a series twice on a page), out_of_order (a timestamp before the last one), out_of_bounds (a timestamp too far ahead)." ["reason"];
    SCRAPE_TARGETS "watchfire_scrape_targets" Gauge "" "Targets by what relabeling made of them: active, dropped." ["state"];
    DISCOVERY_FAILURES "watchfire_scrape_discovery_failures_total" Counter "" "Problems with files, servers and labels that targets are made of, each counted when it began." [];
    EVENTS_REFUSED "watchfire_events_over_limit_total" Counter "" "Events that were refused because a limit refused their new series." [];
    HEARTBEATS "watchfire_heartbeats_total" Counter "" "Heartbeats of workers: taken, or refused because they were wrong, too large, or of one worker too many." ["result"];
    AGENTS_GONE "watchfire_agents_gone_total" Counter "" "Workers that are known no more without having signed off: evicted for another one, or forgotten after a long silence." ["reason"];
    RUN_ERRORS "watchfire_agent_run_errors_total" Counter "" "Records of runs that could not be read." [];
    LIVE_SUBSCRIBERS "watchfire_live_subscribers" Gauge "" "Pages and streams that follow live data." [];
    LIVE_LAGGED "watchfire_live_lagged_batches_total" Counter "" "Ticks that slow subscribers missed." [];
    RULE_EVALUATIONS "watchfire_rule_evaluations_total" Counter "" "Rules evaluated." [];
    RULE_FAILURES "watchfire_rule_evaluation_failures_total" Counter "" "Rules whose evaluation failed." [];
    RULE_ITERATIONS "watchfire_rule_group_iterations_total" Counter "" "Slots of rule groups, missed ones included." [];
    RULE_MISSED "watchfire_rule_group_iterations_missed_total" Counter "" "Slots of rule groups that passed without an evaluation." [];
    RULE_SECONDS "watchfire_rule_evaluation_seconds_total" Counter "seconds" "Time spent on evaluating rules." [];
    RULE_ALERTS "watchfire_rule_alerts" Gauge "" "Alerts by state." ["alertstate"];
    QUERIES_RUNNING "watchfire_queries_running" Gauge "" "Queries of people and dashboards that are being evaluated." [];
    QUERIES_WAITING "watchfire_queries_waiting" Gauge "" "Queries that wait for a place." [];
    QUERIES_MOST "watchfire_queries_concurrent_max" Gauge "" "Queries that may run at once (--query.max-concurrency)." [];
    QUERIES_REFUSED "watchfire_queries_refused_total" Counter "" "Queries without an answer, by the bound that they met: length, points, queue, time, samples, canceled." ["reason"];
    QUERY_SAMPLES "watchfire_query_samples_total" Counter "" "Samples that queries read." [];
    QUERY_DURATION "watchfire_query_duration_seconds" Histogram "seconds" "How long queries were evaluated, waiting not included." [];
    COLLECTOR_SUCCESS "watchfire_collector_success" Gauge "" "Whether the last tick of the collector read something." ["collector"];
    COLLECTOR_SECONDS "watchfire_collector_duration_seconds" Gauge "seconds" "How long the last tick of the collector took." ["collector"];
    SAMPLING_TICKS "watchfire_sampling_ticks_total" Counter "" "Slots at which local collectors ran, by the slots' rate in hertz; rates above 1 only while a page asks for them." ["hertz"];
    SAMPLING_MISSED "watchfire_sampling_missed_ticks_total" Counter "" "Slots that passed without a tick, by rate: the collectors were busy, the machine slept, or the clock jumped." ["hertz"];
    SAMPLING_LATE "watchfire_sampling_late_seconds_total" Counter "seconds" "How long after their time slots began, in sum, by rate." ["hertz"];
    SAMPLING_LATEST "watchfire_sampling_latest_seconds" Gauge "seconds" "The longest that a slot began after its time since the start, by rate." ["hertz"];
    LIVE_HERTZ "watchfire_live_hertz" Gauge "hertz" "Samples a second that the fastest page asks for; 0 without a page." [];
    WORKER_UNTOLD "watchfire_worker_untold_ends_total" Counter "" "Ends of workers that are in the sums of their groups but no events: more of them than can wait ended at once." [];
    COLLECTOR_MISSED "watchfire_collector_missed_ticks_total" Counter "" "Slots of the collector that passed without a tick." ["collector"];
    LOG_MESSAGES "watchfire_log_messages_total" Counter "" "Lines that the daemon logged, by level." ["level"];
}

fn value(counter: &AtomicU64) -> f64 {
    counter.load(Ordering::Relaxed) as f64
}

/// The ring.
pub(super) fn storage(ring: Arc<Ring>) -> Arc<dyn OwnSource> {
    Arc::new(move |out: &mut Readings| {
        let (counters, stats) = (ring.counters(), ring.stats());
        out.add(&STORAGE_SAMPLES, value(&counters.samples));
        out.add(&STORAGE_DUPLICATES, value(&counters.duplicates));
        out.add(&STORAGE_OUT_OF_ORDER, value(&counters.out_of_order));
        out.add(&STORAGE_TOO_OLD, value(&counters.too_old));
        out.add(&STORAGE_AHEAD, value(&counters.too_far_ahead));
        out.add(&STORAGE_OVER_LIMIT, value(&counters.over_limit));
        out.add(&STORAGE_UNKNOWN, value(&counters.unknown_series));
        out.add(&STORAGE_EXEMPLARS, value(&counters.exemplars));
        out.add(&STORAGE_EXEMPLARS_OLD, value(&counters.exemplars_out_of_order));
        out.add_with(&STORAGE_EXEMPLARS_DROPPED, &["limit"], value(&counters.exemplars_over_limit));
        out.add_with(&STORAGE_EXEMPLARS_DROPPED, &["invalid"], value(&counters.exemplars_refused));
        out.add(&STORAGE_COMMITS, value(&counters.commits));
        out.add(&STORAGE_COMMIT_ERRORS, value(&counters.commit_errors));
        out.add(&STORAGE_ROWS_LOST, value(&counters.rows_lost));
        out.add(&STORAGE_SEALED, value(&counters.sealed));
        out.add(&STORAGE_MERGED, value(&counters.merged));
        out.add(&STORAGE_ROLLED, value(&counters.rolled));
        out.add(&STORAGE_RETIRED, value(&counters.retired));
        out.add(&STORAGE_COMPACTIONS, value(&counters.compactions));
        out.add(&STORAGE_DAMAGED, value(&counters.damaged));
        out.add(&STORAGE_DEGRADED, f64::from(u8::from(stats.degraded)));
        out.add(&STORAGE_SERIES, stats.head_series as f64);
        out.add(&STORAGE_HEAD_BYTES, stats.head_bytes as f64);
        out.add(&STORAGE_SEGMENTS, stats.segments as f64);
        out.add(&STORAGE_ROLLUP_BYTES, stats.rollup_page_bytes as f64);
        out.add(&STORAGE_DISK_BYTES, stats.disk_bytes as f64);
    })
}

/// Pipeline, registry and live hub.
pub(super) fn flow(pipeline: Pipeline, hub: Arc<Hub>) -> Arc<dyn OwnSource> {
    Arc::new(move |out: &mut Readings| {
        let counters = pipeline.counters();
        out.add(&PIPELINE_BATCHES, value(&counters.batches));
        out.add(&PIPELINE_SAMPLES, value(&counters.samples));
        out.add(&PIPELINE_STALE, value(&counters.stale_markers));
        out.add(&PIPELINE_DROPPED_BATCHES, value(&counters.dropped_batches));
        out.add(&PIPELINE_DROPPED, value(&counters.dropped_samples));
        out.add(&PIPELINE_QUEUED, value(&counters.queued));
        let registry = pipeline.table().counters();
        out.add(&REGISTRY_CREATED, value(&registry.created));
        out.add(&REGISTRY_RELEASED, value(&registry.released));
        out.add_with(&REGISTRY_REFUSED, &["total"], value(&registry.refused_total_limit));
        out.add_with(&REGISTRY_REFUSED, &["family"], value(&registry.refused_family_limit));
        let counts = pipeline.table().counts();
        out.add_with(&REGISTRY_SERIES, &["held"], f64::from(counts.held));
        out.add_with(&REGISTRY_SERIES, &["ending"], f64::from(counts.ending));
        out.add_with(&REGISTRY_LIMIT, &["total"], f64::from(counts.limits.series));
        out.add_with(&REGISTRY_LIMIT, &["family"], f64::from(counts.limits.series_per_family));
        out.add(&REGISTRY_FULL, f64::from(counts.full_families));
        let live = hub.counters();
        out.add(&LIVE_SUBSCRIBERS, live.subscribers.load(Ordering::Relaxed) as f64);
        out.add(&LIVE_LAGGED, value(&live.lagged));
    })
}

/// What sources lost because a limit refused their series; `files` learns how many files targets are discovered in.
pub(super) fn sources(scraper: Arc<Scraper>, events: Arc<EventCounters>, files: Arc<AtomicU64>) -> Arc<dyn OwnSource> {
    Arc::new(move |out: &mut Readings| {
        files.store(scraper.watched_files() as u64, Ordering::Relaxed);
        let counters = scraper.counters();
        out.add(&SCRAPE_REFUSED, value(&counters.refused));
        out.add(&SCRAPES, value(&counters.scrapes));
        out.add(&SCRAPE_FAILURES, value(&counters.failures));
        out.add(&SCRAPE_LIMITED, value(&counters.limited));
        out.add(&SCRAPE_MISSED, value(&counters.missed));
        out.add_with(&SCRAPE_LEFT_OUT, &["duplicate"], value(&counters.duplicates));
        out.add_with(&SCRAPE_LEFT_OUT, &["out_of_order"], value(&counters.out_of_order));
        out.add_with(&SCRAPE_LEFT_OUT, &["out_of_bounds"], value(&counters.out_of_bounds));
        let (active, dropped) = scraper.counts();
        out.add_with(&SCRAPE_TARGETS, &["active"], active as f64);
        out.add_with(&SCRAPE_TARGETS, &["dropped"], dropped as f64);
        out.add(&DISCOVERY_FAILURES, value(&counters.discovery_failures));
        out.add(&EVENTS_REFUSED, value(&events.over_limit));
    })
}

/// Workers that tell about themselves.
pub(super) fn agents(agents: Arc<AgentCounters>) -> Arc<dyn OwnSource> {
    Arc::new(move |out: &mut Readings| {
        out.add_with(&HEARTBEATS, &["taken"], value(&agents.accepted));
        out.add_with(&HEARTBEATS, &["refused"], value(&agents.rejected));
        out.add_with(&AGENTS_GONE, &["evicted"], value(&agents.evicted));
        out.add_with(&AGENTS_GONE, &["forgotten"], value(&agents.forgotten));
        out.add(&RUN_ERRORS, value(&agents.run_errors));
    })
}

/// Rules.
pub(super) fn rules(manager: RuleManager) -> Arc<dyn OwnSource> {
    use crate::model::AlertState::{Firing, Pending};
    Arc::new(move |out: &mut Readings| {
        let counters = manager.counters();
        out.add(&RULE_EVALUATIONS, value(&counters.evaluations));
        out.add(&RULE_FAILURES, value(&counters.evaluation_failures));
        out.add(&RULE_ITERATIONS, value(&counters.iterations));
        out.add(&RULE_MISSED, value(&counters.iterations_missed));
        out.add(&RULE_SECONDS, value(&counters.evaluation_ns) / 1e9);
        let (pending, firing) = manager.alert_counts();
        for (state, count) in [(Pending, pending), (Firing, firing)] {
            out.add_with(&RULE_ALERTS, &[state.as_str()], count as f64);
        }
    })
}

/// Queries of people; rules are counted apart.
pub(super) fn queries(engine: &Arc<Engine>) -> Arc<dyn OwnSource> {
    let engine = Arc::clone(engine);
    Arc::new(move |out: &mut Readings| {
        let counters = engine.counters();
        out.add(&QUERIES_RUNNING, value(&counters.running));
        out.add(&QUERIES_WAITING, value(&counters.waiting));
        out.add(&QUERIES_MOST, engine.config().max_concurrent as f64);
        for why in Refusal::ALL {
            out.add_with(&QUERIES_REFUSED, &[why.as_str()], counters.refused(why) as f64);
        }
        out.add(&QUERY_SAMPLES, value(&counters.samples));
        let (sum, counts) = counters.durations();
        out.add_histogram(&QUERY_DURATION, sum.as_secs_f64(), &DURATION_BOUNDS, &counts);
    })
}

/// Collectors.
pub(super) fn collectors(views: Views) -> Arc<dyn OwnSource> {
    Arc::new(move |out: &mut Readings| {
        let Some(views) = views.get() else { return };
        views(&mut |CollectorView { name, outcome, duration, missed, .. }| {
            let success = match outcome {
                Outcome::Complete | Outcome::Degraded(_) => 1.0,
                // Not on this machine: neither well nor ill.
                Outcome::Pending | Outcome::Unavailable(_) => return,
                Outcome::Failed(_) => 0.0,
            };
            out.add_with(&COLLECTOR_SUCCESS, &[name], success);
            out.add_with(&COLLECTOR_SECONDS, &[name], duration.as_secs_f64());
            out.add_with(&COLLECTOR_MISSED, &[name], *missed as f64);
        });
    })
}

/// Lines of the log.
pub(super) fn logs(counts: LogCounts) -> Arc<dyn OwnSource> {
    Arc::new(move |out: &mut Readings| {
        for (level, count) in counts.by_level() {
            out.add_with(&LOG_MESSAGES, &[level], count as f64);
        }
    })
}

/// The worker collector that runs; a reload may bring another one, or none.
pub(super) fn workers(counters: Arc<ArcSwapOption<WorkerCounters>>) -> Arc<dyn OwnSource> {
    Arc::new(move |out: &mut Readings| {
        if let Some(counters) = &*counters.load() {
            out.add(&WORKER_UNTOLD, value(&counters.untold_ends));
        }
    })
}

/// Slots, by rate.
pub(super) fn sampling(counters: Arc<SamplingCounters>, hub: Arc<Hub>) -> Arc<dyn OwnSource> {
    Arc::new(move |out: &mut Readings| {
        for rate in counters.rates() {
            let hertz = format_float(1000.0 / rate.interval_ms as f64);
            let label = [hertz.as_str()];
            out.add_with(&SAMPLING_TICKS, &label, rate.ticks as f64);
            out.add_with(&SAMPLING_MISSED, &label, rate.missed as f64);
            out.add_with(&SAMPLING_LATE, &label, rate.late_ms as f64 / 1000.0);
            out.add_with(&SAMPLING_LATEST, &label, rate.latest_ms as f64 / 1000.0);
        }
        out.add(&LIVE_HERTZ, f64::from(hub.fastest()));
    })
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::DECLARED;
    use crate::telemetry::OWN_FAMILIES;

    const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/own.txt");

    #[test]
    fn the_golden_file_lists_every_own_family() {
        let mut list = String::from("# name | kind | unit | labels | help\n");
        for d in OWN_FAMILIES.iter().chain(DECLARED) {
            let (kind, labels) = (d.kind.as_str(), d.labels.join(","));
            writeln!(list, "{} | {kind} | {} | {labels} | {}", d.name, d.unit, d.help).expect("a string");
        }
        if std::env::var_os("WATCHFIRE_GOLDENS").is_some_and(|value| value == "write") {
            std::fs::write(GOLDEN, &list).expect("writable");
        }
        let golden = std::fs::read_to_string(GOLDEN).unwrap_or_default();
        assert!(
            golden == list,
            "own metrics changed: WATCHFIRE_GOLDENS=write cargo test own_family, then read the diff"
        );
    }
}
