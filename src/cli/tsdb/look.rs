//! `tsdb analyze`, `verify` and `list`.

use serde_json::{Value, json};

use crate::model::{Timestamp, format_duration};
use crate::storage::{self, LabelCount, SegmentInfo, Survey, Tier};

use super::super::progress::Bar;
use super::super::tsdb_args::{Place, ReportFormat};
use super::{Outcome, explained, look, selectors, setup};

pub(super) fn analyze(
    place: &Place,
    matches: &[String],
    limit: usize,
    format: ReportFormat,
) -> Result<Outcome, String> {
    let selectors = selectors(matches)?;
    let matchers = match selectors.as_slice() {
        [] => Vec::new(),
        [one] => one.clone(),
        _ => return Err("--match: expected at most one selector for analyze".to_owned()),
    };
    let ring = look(&setup(place)?)?;
    let survey = ring.survey(&matchers, limit).map_err(explained)?;
    match format {
        ReportFormat::Json => println!("{}", json_of(&survey)),
        ReportFormat::Text => print_survey(&survey),
    }
    Ok(if survey.damaged == 0 { Outcome::Ok } else { Outcome::Failed })
}

fn print_survey(survey: &Survey) {
    let span = survey.min_time.zip(survey.max_time).map_or(0, |(min, max)| max - min);
    println!("Duration: {}", format_duration(std::time::Duration::from_millis(span.max(0) as u64)));
    println!("From: {}", survey.min_time.map_or_else(|| "-".to_owned(), instant));
    println!("To: {}", survey.max_time.map_or_else(|| "-".to_owned(), instant));
    println!("Total Series: {}", survey.series);
    println!("File: {}", bytes(survey.file_bytes));
    println!("Samples not sealed yet: {}", survey.open_samples);
    println!("\nBytes per sample by tier:");
    for tier in &survey.tiers {
        let each = tier.bytes_per_sample().map_or_else(|| "-".to_owned(), |each| format!("{each:.3}"));
        println!(
            "{each} {}: {} samples, {} segments, {} (columns {}, timestamps {}, indexes {}, series tables {})",
            tier.tier,
            tier.samples,
            tier.segments,
            bytes(tier.page_bytes),
            bytes(tier.column_bytes),
            bytes(tier.time_bytes),
            bytes(tier.index_bytes),
            bytes(tier.series_bytes)
        );
    }
    if survey.exemplars > 0 {
        println!("Exemplars among raw samples: {}, {}", survey.exemplars, bytes(survey.exemplar_bytes));
    }
    println!("\nLargest metrics (bytes of columns, series, samples):");
    for metric in &survey.metrics {
        println!("{} {} series {} samples {}", metric.bytes, metric.name, metric.series, metric.samples);
    }
    print_list("Label pairs most involved in churning", &survey.churn_pairs);
    print_list("Label names most involved in churning", &survey.churn_labels);
    print_list("Most common label pairs", &survey.pairs);
    print_list("Label names with highest cumulative label value length", &survey.value_bytes);
    print_list("Highest cardinality labels", &survey.cardinality);
    if survey.damaged > 0 {
        eprintln!(
            "watchfire: {} parts are damaged and were left out: watchfire tsdb verify names them",
            survey.damaged
        );
    }
}

fn print_list(title: &str, list: &[LabelCount]) {
    println!("\n{title}:");
    for entry in list {
        println!("{} {}", entry.count, entry.label);
    }
}

fn json_of(survey: &Survey) -> Value {
    let list = |list: &[LabelCount]| -> Value {
        list.iter().map(|entry| json!({"label": entry.label, "count": entry.count})).collect()
    };
    json!({
        "min_time_ms": survey.min_time,
        "max_time_ms": survey.max_time,
        "file_bytes": survey.file_bytes,
        "series": survey.series,
        "open_samples": survey.open_samples,
        "exemplars": survey.exemplars,
        "exemplar_bytes": survey.exemplar_bytes,
        "damaged": survey.damaged,
        "tiers": survey.tiers.iter().map(|tier| json!({
            "tier": tier.tier,
            "segments": tier.segments,
            "samples": tier.samples,
            "page_bytes": tier.page_bytes,
            "column_bytes": tier.column_bytes,
            "time_bytes": tier.time_bytes,
            "index_bytes": tier.index_bytes,
            "series_bytes": tier.series_bytes,
            "bytes_per_sample": tier.bytes_per_sample(),
        })).collect::<Vec<_>>(),
        "metrics": survey.metrics.iter().map(|metric| json!({
            "name": metric.name, "series": metric.series, "samples": metric.samples, "bytes": metric.bytes,
        })).collect::<Vec<_>>(),
        "cardinality": list(&survey.cardinality),
        "value_bytes": list(&survey.value_bytes),
        "pairs": list(&survey.pairs),
        "churn_pairs": list(&survey.churn_pairs),
        "churn_labels": list(&survey.churn_labels),
    })
}

pub(super) fn verify(place: &Place) -> Result<Outcome, String> {
    let setup = setup(place)?;
    let mut bar = Bar::new("verifying");
    let seen = storage::verify(&setup.dir, &mut |done, all| bar.show(done, all, "segments")).map_err(explained)?;
    bar.clear();
    for finding in &seen.findings {
        println!("{}: {finding}", setup.dir.join("ring.redb").display());
    }
    println!(
        "{} segments, {} columns, {} samples, {} exemplars, {} series, {} ticks in rows: {}",
        seen.segments,
        seen.columns,
        seen.samples,
        seen.exemplars,
        seen.series,
        seen.rows,
        if seen.findings.is_empty() { "no damage".to_owned() } else { format!("{} findings", seen.findings.len()) }
    );
    Ok(if seen.findings.is_empty() { Outcome::Ok } else { Outcome::Failed })
}

pub(super) fn list(place: &Place, human: bool) -> Result<Outcome, String> {
    let ring = look(&setup(place)?)?;
    println!(
        "{:<10} {:<5} {:<24} {:<24} {:<10} {:>12} {:>10} {:>12} {:>12}",
        "SEGMENT", "TIER", "MIN TIME", "MAX TIME", "DURATION", "NUM SAMPLES", "NUM SERIES", "SIZE", "BYTES/SAMPLE"
    );
    for segment in ring.segments() {
        print_segment(&segment, human);
    }
    Ok(Outcome::Ok)
}

fn print_segment(segment: &SegmentInfo, human: bool) {
    let time = |ts: Timestamp| if human { instant(ts) } else { ts.to_string() };
    let size = if human { bytes(segment.bytes) } else { segment.bytes.to_string() };
    let span = std::time::Duration::from_millis((segment.max_time - segment.min_time).max(0) as u64);
    println!(
        "{:<10} {:<5} {:<24} {:<24} {:<10} {:>12} {:>10} {:>12} {:>12.3}",
        segment.id,
        segment.tier.map_or("raw", Tier::name),
        time(segment.min_time),
        time(segment.max_time),
        format_duration(span),
        segment.samples,
        segment.series,
        size,
        segment.page_bytes as f64 / segment.samples.max(1) as f64
    );
}

fn instant(ts: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(ts).map_or_else(|_| ts.to_string(), |time| time.to_string())
}

/// Bytes for people: 1024 each step, as promtool prints them.
fn bytes(count: u64) -> String {
    let mut value = count as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value < 1024.0 || unit == "GiB" {
            return if unit == "B" { format!("{count}B") } else { format!("{value:.2}{unit}") };
        }
        value /= 1024.0;
    }
    count.to_string()
}
