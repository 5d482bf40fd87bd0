//! Advice on a page in text 0.0.4: the rules that `promtool check metrics` applies.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};

use super::{MAX_PROBLEMS, Problem};
use crate::exposition::negotiate::Format;
use crate::exposition::parse::{Meta, SampleLine, SeriesText, Sink, parse, parse_series};
use crate::model::MetricKind;

const BASE_UNITS: [(&str, &[&str]); 6] = [
    ("seconds", &["milliseconds", "microseconds", "nanoseconds", "minutes", "hours", "days", "weeks"]),
    ("bytes", &["bits", "kilobytes", "megabytes", "gigabytes", "kibibytes", "mebibytes", "gibibytes"]),
    ("meters", &["kilometers", "millimeters", "centimeters"]),
    ("grams", &["kilograms", "milligrams"]),
    ("celsius", &["fahrenheit", "kelvins"]),
    ("ratio", &["percents", "percent"]),
];
const ABBREVIATIONS: [&str; 12] = ["s", "ms", "us", "ns", "sec", "b", "kb", "mb", "gb", "tb", "pb", "m"];

#[derive(Default)]
struct Family {
    line: usize,
    help: Option<String>,
    kind: Option<MetricKind>,
    labels: HashSet<String>,
}

#[derive(Default)]
struct Lint<'a> {
    line: usize,
    families: BTreeMap<Cow<'a, str>, Family>,
    series: HashSet<SeriesKey<'a>>,
    problems: Vec<Problem>,
}

type SeriesKey<'a> = (Cow<'a, str>, Vec<(Cow<'a, str>, Cow<'a, str>)>);

/// Checks a page in text 0.0.4: first whether it can be read, then promtool's advice on names, units and help.
pub fn lint_text(text: &str) -> Vec<Problem> {
    let mut lint = Lint::default();
    for (at, line) in text.split('\n').enumerate() {
        lint.line = at + 1;
        if let Err(error) = parse(line, Format::Text, &mut lint) {
            let text = format!("{}: {:?}", error.problem, error.text);
            lint.problems.push(Problem { line: lint.line, text });
        }
    }
    for (name, family) in &lint.families {
        let mut say = |text: String| {
            if lint.problems.len() < MAX_PROBLEMS {
                lint.problems.push(Problem { line: family.line, text: format!("{name}: {text}") });
            }
        };
        metadata(name, family, &mut say);
        naming(name, family, &mut say);
    }
    lint.problems.sort_by_key(|problem| problem.line);
    lint.problems
}

impl<'a> Lint<'a> {
    /// The family of a sample: a suffix counts when the family before it is a histogram or summary.
    fn family_of(&self, sample: &SeriesText<'a>) -> Cow<'a, str> {
        for suffix in ["_bucket", "_sum", "_count"] {
            let Some(base) = sample.name.strip_suffix(suffix) else { continue };
            let kind = self.families.get(base).and_then(|family| family.kind);
            if matches!(kind, Some(MetricKind::Histogram | MetricKind::Summary | MetricKind::GaugeHistogram)) {
                return base.to_owned().into();
            }
        }
        sample.name.clone()
    }
}

impl<'a> Sink<'a> for Lint<'a> {
    fn sample(&mut self, sample: SampleLine<'a>) -> Result<(), String> {
        let series = parse_series(sample.series)?;
        let line = self.line;
        let name = self.family_of(&series);
        let family = self.families.entry(name).or_insert_with(|| Family { line, ..Family::default() });
        family.labels.extend(series.labels.iter().map(|(name, _)| name.to_string()));
        let mut labels = series.labels;
        labels.sort();
        if self.series.insert((series.name, labels)) { Ok(()) } else { Err("expected each series once".to_owned()) }
    }

    fn meta(&mut self, name: &'a str, meta: Meta<'a>) {
        let line = self.line;
        let family = self.families.entry(name.into()).or_insert_with(|| Family { line, ..Family::default() });
        match meta {
            Meta::Help(text) => family.help = Some(text.to_owned()),
            Meta::Kind(kind) => family.kind = Some(kind),
            Meta::Unit(_) => {}
        }
    }
}

fn metadata(name: &str, family: &Family, say: &mut dyn FnMut(String)) {
    if family.help.as_deref().is_none_or(str::is_empty) {
        say("expected a help text".to_owned());
    }
    let kind = family.kind.unwrap_or_default();
    let total = name.ends_with("_total");
    match kind {
        MetricKind::Counter if !total => say("expected a counter's name to end in _total".to_owned()),
        MetricKind::Gauge | MetricKind::Histogram | MetricKind::Summary if total => {
            say("expected no _total in the name of what is no counter".to_owned());
        }
        _ => {}
    }
    let histogram = kind == MetricKind::Histogram;
    let summary = kind == MetricKind::Summary;
    if kind == MetricKind::Unknown {
        return;
    }
    if !histogram && name.ends_with("_bucket") {
        say("expected no _bucket in the name of what is no histogram".to_owned());
    }
    if !histogram && !summary && (name.ends_with("_count") || name.ends_with("_sum")) {
        say("expected no _count or _sum in the name of what is neither histogram nor summary".to_owned());
    }
    if !histogram && family.labels.contains("le") {
        say("expected the label le only on histograms".to_owned());
    }
    if !summary && family.labels.contains("quantile") {
        say("expected the label quantile only on summaries".to_owned());
    }
}

fn naming(name: &str, family: &Family, say: &mut dyn FnMut(String)) {
    if name.contains(':') {
        say("expected no colon: those names are for recording rules".to_owned());
    }
    if camel_case(name) || family.labels.iter().any(|label| camel_case(label)) {
        say("expected snake_case names".to_owned());
    }
    let words: Vec<&str> = name.split('_').collect();
    for (base, others) in BASE_UNITS {
        if let Some(unit) = others.iter().find(|unit| words.contains(unit)) {
            say(format!("expected the base unit {base} instead of {unit}"));
        }
    }
    let last = words.iter().rev().find(|word| !matches!(**word, "total" | "sum" | "count" | "bucket")).copied();
    if words.len() > 1 && last.is_some_and(|word| ABBREVIATIONS.contains(&word)) {
        say("expected units in full words, seconds or bytes for example".to_owned());
    }
    let kind = family.kind.unwrap_or_default().as_str();
    if family.kind.is_some_and(|kind| kind != MetricKind::Unknown && kind != MetricKind::Info) && words.contains(&kind)
    {
        say(format!("expected no type in the name, found {kind}"));
    }
}

fn camel_case(name: &str) -> bool {
    name.as_bytes().windows(2).any(|pair| pair[0].is_ascii_lowercase() && pair[1].is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::lint_text;

    #[test]
    fn gives_promtools_advice() {
        let help = |text: &str| format!("# HELP {} x\n{text}", text.split(' ').nth(2).unwrap_or("a"));
        let cases = [
            ("# TYPE a gauge\na 1\n", None),
            ("# TYPE a counter\na 1\n", Some("_total")),
            ("# TYPE a_total gauge\na_total 1\n", Some("_total")),
            ("# TYPE a_ms gauge\na_ms 1\n", Some("full words")),
            ("# TYPE a_minutes gauge\na_minutes 1\n", Some("seconds instead of minutes")),
            ("# TYPE a_count gauge\na_count 1\n", Some("_count or _sum")),
            ("# TYPE a:b gauge\na:b 1\n", Some("colon")),
            ("# TYPE aB gauge\naB 1\n", Some("snake_case")),
            ("# TYPE a gauge\na{le=\"1\"} 1\n", Some("label le")),
            ("# TYPE a_gauge gauge\na_gauge 1\n", Some("no type in the name")),
            ("# TYPE a gauge\na 1\na 2\n", Some("each series once")),
            ("# TYPE a gauge\na x\n", Some("expected a value")),
            ("# TYPE a histogram\na_bucket{le=\"+Inf\"} 1\na_sum 1\na_count 1\n", None),
        ];
        for (text, expected) in cases {
            let problems = lint_text(&help(text));
            match expected {
                None => assert_eq!(problems, [], "{text}"),
                Some(part) => {
                    assert!(problems.len() == 1 && problems[0].text.contains(part), "{text}: {problems:?}");
                }
            }
        }
        assert!(lint_text("# TYPE a gauge\na 1\n")[0].text.contains("help"));
    }
}
