//! Running a test file.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use crate::clock::{Clock, ManualClock};
use crate::model::{AlertState, Labels, Timestamp, Value, format_float};
use crate::promql::parser::SequenceValue;
use crate::promql::testlang::describe_histogram;
use crate::promql::{Engine, QueryOptions, QueryValue};
use crate::yaml::YamlErrors;

use super::super::config::{RulesConfig, millis};
use super::super::doors::NoNotifications;
use super::super::engine::EngineQueries;
use super::super::files::expand_patterns;
use super::super::runner::{RuleDeps, RuleRunner};
use super::super::spec::RuleFile;
use super::super::view::RuleHealth;
use super::file::{AlertCase, ExpectedAlert, QueryCase, UnitFile, UnitTest, at};
use super::store::UnitStore;

/// How one test went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitOutcome {
    /// Name of the test.
    pub name: String,
    /// What was not as expected; empty when the test passed.
    pub failures: Vec<String>,
}

/// How a test file went.
#[derive(Debug, Clone)]
pub struct UnitReport {
    /// Its name.
    pub file: String,
    /// Its tests, or the errors of the file and of the rule files that it names.
    pub outcome: Result<Vec<UnitOutcome>, YamlErrors>,
}

impl UnitReport {
    /// Whether the file could not be read or a test failed.
    pub fn failed(&self) -> bool {
        self.outcome.as_ref().is_ok_and(|tests| tests.iter().all(|test| test.failures.is_empty())).eq(&false)
    }
}

impl fmt::Display for UnitReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Unit testing {}", self.file)?;
        match &self.outcome {
            Err(errors) => {
                f.write_str("\n  FAILED:")?;
                errors.to_string().lines().try_for_each(|line| write!(f, "\n    {line}"))
            }
            Ok(tests) => {
                let failed: Vec<&UnitOutcome> = tests.iter().filter(|test| !test.failures.is_empty()).collect();
                for test in &failed {
                    write!(f, "\n  FAILED: {}", test.name)?;
                    test.failures
                        .iter()
                        .try_for_each(|failure| write!(f, "\n    {}", failure.replace('\n', "\n    ")))?;
                }
                match failed.len() {
                    0 => write!(f, "\n  SUCCESS: {} tests", tests.len()),
                    n => write!(f, "\n  {n} of {} tests failed", tests.len()),
                }
            }
        }
    }
}

/// Runs all tests of a file whose name `only` accepts.
pub fn run_file(path: &Path, only: impl Fn(&str) -> bool) -> UnitReport {
    let run = || {
        let file = UnitFile::load(path)?;
        let rules = load_rules(&file)?;
        let tests = file.tests.iter().filter(|test| only(&test.name));
        Ok(tests.map(|test| UnitOutcome { name: test.name.clone(), failures: run_test(&file, test, &rules) }).collect())
    };
    UnitReport { file: path.display().to_string(), outcome: run() }
}

fn load_rules(file: &UnitFile) -> Result<Vec<RuleFile>, YamlErrors> {
    let mut errors = YamlErrors::default();
    let mut rules = Vec::new();
    for path in expand_patterns(&file.rule_files) {
        match RuleFile::load(&path) {
            Ok(file) => rules.push(file),
            Err(found) => errors.extend(found),
        }
    }
    errors.into_result(rules)
}

/// One test that runs.
struct Bench<'a> {
    file: &'a UnitFile,
    test: &'a UnitTest,
    store: Arc<UnitStore>,
    engine: Arc<Engine>,
    runner: RuleRunner,
    /// The input's next sample.
    next: usize,
    failures: Vec<String>,
}

fn run_test(file: &UnitFile, test: &UnitTest, rules: &[RuleFile]) -> Vec<String> {
    let (store, engine) = (Arc::<UnitStore>::default(), Arc::<Engine>::default());
    let deps = RuleDeps {
        queries: Arc::new(EngineQueries::new(Arc::clone(&engine), store.clone())),
        querier: store.clone(),
        intern: store.clone(),
        sink: store.clone(),
        notify: Arc::new(NoNotifications),
        clock: Clock::Manual(ManualClock::new(test.start)),
    };
    let mut runner = RuleRunner::new(deps).without_restore();
    let config = RulesConfig {
        evaluation_interval: file.evaluation_interval,
        external_labels: test.external_labels.clone(),
        external_url: test.external_url.clone(),
        ..RulesConfig::default()
    };
    runner.load(config, rules, test.start);
    let bench = Bench { file, test, store, engine, runner, next: 0, failures: Vec::new() };
    bench.run()
}

impl Bench<'_> {
    fn run(mut self) -> Vec<String> {
        let end = at(self.test, self.test.last_eval());
        let interval = millis(self.file.evaluation_interval);
        let mut now = self.test.start;
        while now <= end {
            self.write_input(now);
            self.runner.run_all(now, &self.file.group_eval_order);
            self.check_health(now);
            for case in &self.test.alerts {
                let asked = at(self.test, case.eval_time);
                if (now..now + interval).contains(&asked) {
                    self.check_alerts(case);
                }
            }
            now += interval;
        }
        self.write_input(end);
        for case in &self.test.queries {
            self.check_query(case);
        }
        self.failures
    }

    /// Writes the input's samples up to `now`.
    fn write_input(&mut self, now: Timestamp) {
        loop {
            let ts = self.test.start + self.next as i64 * millis(self.test.interval);
            let longest = self.test.input.iter().map(|(_, values)| values.len()).max().unwrap_or(0);
            if ts > now || self.next >= longest {
                return;
            }
            for (labels, values) in &self.test.input {
                let value = match values.get(self.next) {
                    Some(SequenceValue::Float(value)) => Value::Float(*value),
                    Some(SequenceValue::Histogram { histogram, .. }) => Value::Histogram(Arc::clone(histogram)),
                    _ => continue,
                };
                self.store.append(labels, ts, value);
            }
            self.next += 1;
        }
    }

    fn check_health(&mut self, now: Timestamp) {
        for rule in self.runner.groups().iter().flat_map(|group| &group.rules) {
            if rule.health == RuleHealth::Err {
                let error = rule.last_error.as_deref().unwrap_or_default();
                let since = (now - self.test.start) / 1000;
                self.failures.push(format!("rule {} failed at {since}s: {error}", rule.spec.name));
            }
        }
    }

    fn check_alerts(&mut self, case: &AlertCase) {
        let groups = self.runner.groups();
        let rules = groups.iter().flat_map(|group| &group.rules);
        let rules = rules.filter(|rule| rule.spec.alert().is_some() && rule.spec.name == case.alert_name);
        let firing = rules.flat_map(|rule| &rule.alerts).filter(|alert| alert.state == AlertState::Firing);
        let mut got: Vec<ExpectedAlert> = firing
            .map(|alert| ExpectedAlert { labels: alert.labels.clone(), annotations: alert.annotations.clone() })
            .collect();
        let mut expected = case.expected.clone();
        got.sort();
        expected.sort();
        if got != expected {
            let (expected, got) = (list(&expected, describe_alert), list(&got, describe_alert));
            let time = crate::model::format_duration(case.eval_time);
            self.failures.push(format!(
                "alertname: {}, time: {time}\n  expected: {expected}\n  got:      {got}",
                case.alert_name
            ));
        }
    }

    fn check_query(&mut self, case: &QueryCase) {
        let ts = at(self.test, case.eval_time);
        let result = self.engine.instant(&*self.store, &case.expr, ts, &QueryOptions::default());
        let mut got: Vec<(Labels, Value)> = match result.map(|result| result.value) {
            Ok(QueryValue::Vector(samples)) => samples.into_iter().map(|s| (s.labels, s.value)).collect(),
            Ok(QueryValue::Scalar(_, value)) => vec![(Labels::empty(), value.into())],
            Ok(_) => {
                self.failures.push(format!("expr: {:?}: the result is not a vector or scalar", case.text));
                return;
            }
            Err(error) => {
                self.failures.push(format!("expr: {:?}: {error}", case.text));
                return;
            }
        };
        let mut expected = case.expected.clone();
        got.sort_by(|a, b| a.0.cmp(&b.0));
        expected.sort_by(|a, b| a.0.cmp(&b.0));
        let fuzzy = self.file.fuzzy_compare;
        let equal = got.len() == expected.len()
            && got.iter().zip(&expected).all(|(got, expected)| got.0 == expected.0 && same(&got.1, &expected.1, fuzzy));
        if !equal {
            let time = crate::model::format_duration(case.eval_time);
            let (expected, got) = (list(&expected, describe_sample), list(&got, describe_sample));
            self.failures
                .push(format!("expr: {:?}, time: {time}\n  expected: {expected}\n  got:      {got}", case.text));
        }
    }
}

fn list<T>(items: &[T], describe: impl Fn(&T) -> String) -> String {
    if items.is_empty() {
        "nothing".to_owned()
    } else {
        items.iter().map(describe).collect::<Vec<_>>().join("\n            ")
    }
}

fn describe_alert(alert: &ExpectedAlert) -> String {
    format!("labels {} annotations {}", alert.labels, alert.annotations)
}

fn describe_sample((labels, value): &(Labels, Value)) -> String {
    match value {
        Value::Float(value) => format!("{labels} {}", format_float(*value)),
        Value::Histogram(histogram) => format!("{labels} {}", describe_histogram(histogram)),
    }
}

/// With `fuzzy`, a float's two neighbours count as equal to it.
fn same(got: &Value, expected: &Value, fuzzy: bool) -> bool {
    match (got, expected) {
        (Value::Float(got), Value::Float(expected)) => {
            got == expected
                || (got.is_nan() && expected.is_nan())
                || (fuzzy && (expected.next_down()..=expected.next_up()).contains(got))
        }
        (Value::Histogram(got), Value::Histogram(expected)) => describe_histogram(got) == describe_histogram(expected),
        _ => false,
    }
}
