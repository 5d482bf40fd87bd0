use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::demo;
use crate::collect::testing::{Interner, collect};
use crate::model::{Labels, MetricKind};

const START: i64 = 1_700_000_000_000;

/// One hour of every series at 1 Hz, our own process left out: it is real.
fn hour(seed: u64, seconds: i64) -> BTreeMap<String, Vec<(i64, f64)>> {
    let mut series: BTreeMap<String, Vec<(i64, f64)>> = BTreeMap::new();
    let intern = Interner::default();
    for mut job in demo(seed, START, Duration::from_secs(1)).jobs {
        if job.collector.name() == "process" {
            continue;
        }
        for second in 0..seconds {
            let mut tries = 0;
            // A busy machine may keep the GPU's thread waiting: asking again gives the same answer.
            let page = loop {
                let (page, result) = collect(&mut *job.collector, &intern, START + second * 1000);
                match result {
                    Ok(_) => break page,
                    Err(error) if tries < 100 => tries += usize::from(error.reason.contains("not answered")),
                    Err(error) => panic!("{error}"),
                }
            };
            page.into_iter().for_each(|(name, value)| series.entry(name).or_default().push((second, value)));
        }
    }
    series
}

#[test]
fn the_same_seed_tells_the_same_story() {
    let first = hour(1, 40);
    assert_eq!(first, hour(1, 40));
    let other = hour(2, 40);
    assert!(first.keys().eq(other.keys()) && first != other);
    assert!(first.len() > 200, "{} series", first.len());
}

/// Series that step when the leaking worker is killed: that is the story.
fn steps(name: &str) -> bool {
    name.contains(r#"group="training""#)
        || ["MemFree", "MemAvailable", "AnonPages"].iter().any(|field| name.contains(field))
        || name.starts_with("gpu_throttle_active")
        || name.starts_with("gpu_performance_state")
}

#[test]
fn counters_only_grow_and_gauges_move_gently() {
    let intern_kind = |name: &str| {
        let bare = name.split('{').next().unwrap_or_default();
        let is_counter = ["_total", "_bucket", "_count", "_sum"].iter().any(|end| bare.ends_with(end));
        if is_counter || bare == "node_vmstat_oom_kill" { MetricKind::Counter } else { MetricKind::Gauge }
    };
    for (name, samples) in hour(7, 500) {
        let values: Vec<f64> = samples.iter().map(|(_, value)| *value).collect();
        let (low, high) = values.iter().fold((f64::MAX, f64::MIN), |(l, h), v| (l.min(*v), h.max(*v)));
        assert!(values.iter().all(|value| value.is_finite() && *value >= 0.0), "{name}");
        let next = samples.windows(2).filter(|pair| pair[1].0 == pair[0].0 + 1).map(|pair| pair[1].1 - pair[0].1);
        for change in next {
            match intern_kind(&name) {
                MetricKind::Counter => {
                    let mean = (high - low) / values.len() as f64;
                    assert!(change >= -1e-6 && change <= 4.0 * mean + 1.0, "{name}: {change}, mean {mean}");
                }
                _ if steps(&name) => {}
                _ => assert!(change.abs() <= (high - low) * 0.08 + 1.0, "{name}: {change} in {low}..{high}"),
            }
        }
    }
}

#[test]
fn the_story_happens() {
    let series = hour(42, 600);
    let at = |name: &str, second: i64| series[name].iter().find(|(s, _)| *s == second).map(|(_, value)| *value);
    assert!((0..600).all(|second| at(r#"gpu_temperature_celsius{gpu="0", uuid="GPU-demo-0"}"#, second) > Some(87.0)));
    let second_gpu = r#"gpu_memory_total_bytes{gpu="1", uuid="GPU-demo-1"}"#;
    assert!(at(second_gpu, 100).is_some() && at(second_gpu, 250).is_none() && at(second_gpu, 310).is_some());
    let kills = |second| at("node_vmstat_oom_kill", second).unwrap();
    assert_eq!((kills(30) - kills(20), kills(599) - kills(30)), (1.0, 1.0));
    let rss = |second| at(r#"worker_group_memory_bytes{group="training", type="rss"}"#, second).unwrap();
    assert!(rss(500) > rss(100) * 2.0 && rss(506) < rss(500) / 2.0);
    let free: Vec<f64> = series["node_memory_MemFree_bytes"].iter().map(|(_, value)| *value).collect();
    assert!(free.iter().all(|free| *free > 0.0));
    let busy: Labels = Labels::from_pairs(&[
        ("__name__", "llm_time_to_first_token_seconds_bucket"),
        ("le", "+Inf"),
        ("model", "llama-3.1-8b"),
        ("runtime", "vllm"),
        ("target", "serving"),
    ]);
    assert!(at(&busy.to_string(), 599) > at(&busy.to_string(), 0));
}

#[test]
fn the_doors_show_the_same_machine() {
    let made = demo(1, START, Duration::from_secs(1));
    let intern = Interner::default();
    for mut job in made.jobs {
        let _ = collect(&mut *job.collector, &intern, START + 1000);
    }
    assert_eq!(made.workers.processes().len(), 10);
    assert_eq!(made.workers.group_of(4201).as_deref(), Some("vllm"));
    assert!(made.usage.snapshot().cpu_ratio.is_some_and(|ratio| (0.0..=1.0).contains(&ratio)));
    assert!(Arc::clone(&made.gpus.last()).len() <= 2);
}
