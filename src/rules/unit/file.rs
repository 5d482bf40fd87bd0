//! Reading a test file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::model::{Labels, Timestamp, Value, parse_float};
use crate::promql::parser::{Expr, SequenceValue, parse, parse_metric, parse_series};
use crate::yaml::{Document, Node, YamlErrors};

use super::super::alerting::ALERT_NAME;
use super::super::config::millis;

/// Interval of evaluations and samples where the file states none.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(60);

/// A test file.
#[derive(Debug, Clone)]
pub struct UnitFile {
    /// Its name.
    pub name: String,
    /// Rule files, joined with the test file's folder; patterns allowed.
    pub rule_files: Vec<PathBuf>,
    /// Time between two evaluations.
    pub evaluation_interval: Duration,
    /// Names of groups that are evaluated first, in this order.
    pub group_eval_order: Vec<String>,
    /// Whether neighbouring floats count as equal.
    pub fuzzy_compare: bool,
    /// The tests.
    pub tests: Vec<UnitTest>,
}

/// One test: series, and what is expected of them.
#[derive(Debug, Clone)]
pub struct UnitTest {
    /// Its name, or its number.
    pub name: String,
    /// Time between two samples of the input.
    pub interval: Duration,
    /// Time of the first sample and evaluation.
    pub start: Timestamp,
    /// Input series.
    pub input: Vec<(Labels, Vec<SequenceValue>)>,
    /// Expected alerts.
    pub alerts: Vec<AlertCase>,
    /// Expected query results.
    pub queries: Vec<QueryCase>,
    /// `$externalLabels`.
    pub external_labels: Labels,
    /// `$externalURL`.
    pub external_url: String,
}

impl UnitTest {
    /// The last time that a case asks for, since the start.
    pub(super) fn last_eval(&self) -> Duration {
        let alerts = self.alerts.iter().map(|case| case.eval_time);
        alerts.chain(self.queries.iter().map(|case| case.eval_time)).max().unwrap_or(Duration::ZERO)
    }
}

/// Firing alerts of one rule at one time.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertCase {
    /// When, since the start.
    pub eval_time: Duration,
    /// The alert's name.
    pub alert_name: String,
    /// What fires.
    pub expected: Vec<ExpectedAlert>,
}

/// One alert that must fire.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ExpectedAlert {
    /// Labels, `alertname` included.
    pub labels: Labels,
    /// Annotations.
    pub annotations: Labels,
}

/// A query's result at one time.
#[derive(Debug, Clone, PartialEq)]
pub struct QueryCase {
    /// When, since the start.
    pub eval_time: Duration,
    /// The query as written.
    pub text: String,
    /// The query.
    pub expr: Expr,
    /// Labels and values that it must give.
    pub expected: Vec<(Labels, Value)>,
}

impl UnitFile {
    /// Reads a test file.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its place.
    pub fn load(path: &Path) -> Result<Self, YamlErrors> {
        Self::read(&Document::load(path)?, path.parent().unwrap_or(Path::new("")))
    }

    /// As [`UnitFile::load`] for a text; rule files are relative to `folder`.
    ///
    /// # Errors
    /// As [`UnitFile::load`].
    pub fn parse(name: &str, text: &str, folder: &Path) -> Result<Self, YamlErrors> {
        Self::read(&Document::parse(name, text)?, folder)
    }

    fn read(doc: &Document, folder: &Path) -> Result<Self, YamlErrors> {
        let mut list = YamlErrors::default();
        let errors = &mut list;
        let mut map = doc.root().mapping(errors);
        let rule_files = map.optional("rule_files", errors, Node::strings).unwrap_or_default();
        let evaluation_interval =
            map.optional("evaluation_interval", errors, Node::positive_duration).unwrap_or(DEFAULT_INTERVAL);
        let group_eval_order = map.optional("group_eval_order", errors, Node::strings).unwrap_or_default();
        let fuzzy_compare = map.optional("fuzzy_compare", errors, Node::boolean).unwrap_or(false);
        let nodes = map.optional("tests", errors, |node, errors| Some(node.list(errors))).unwrap_or_default();
        map.finish(errors);
        let tests = nodes.iter().enumerate().map(|(i, node)| read_test(node, i, evaluation_interval, errors));
        let file = Self {
            name: doc.file().to_owned(),
            tests: tests.collect(),
            rule_files: rule_files.iter().map(|file| folder.join(file)).collect(),
            evaluation_interval,
            group_eval_order,
            fuzzy_compare,
        };
        list.into_result(file)
    }
}

fn read_test(node: &Node<'_>, number: usize, evaluation: Duration, errors: &mut YamlErrors) -> UnitTest {
    let mut map = node.mapping(errors);
    let test = UnitTest {
        name: map.optional("name", errors, Node::string).unwrap_or_else(|| format!("test {}", number + 1)),
        interval: map.optional("interval", errors, Node::positive_duration).unwrap_or(evaluation),
        start: map.optional("start_timestamp", errors, read_timestamp).unwrap_or(0),
        input: read_list(&mut map, "input_series", errors, read_series),
        alerts: read_list(&mut map, "alert_rule_test", errors, read_alert_case),
        queries: read_list(&mut map, "promql_expr_test", errors, read_query_case),
        external_labels: map.optional("external_labels", errors, read_labels).unwrap_or_default(),
        external_url: map.optional("external_url", errors, Node::string).unwrap_or_default(),
    };
    map.finish(errors);
    test
}

fn read_list<'d, T>(
    map: &mut crate::yaml::Mapping<'d>,
    key: &'static str,
    errors: &mut YamlErrors,
    read: impl FnMut(&Node<'d>, &mut YamlErrors) -> Option<T>,
) -> Vec<T> {
    map.optional(key, errors, |node, errors| Some(node.list_of(errors, read))).unwrap_or_default()
}

/// Seconds since the epoch, or RFC 3339.
fn read_timestamp(node: &Node<'_>, errors: &mut YamlErrors) -> Option<Timestamp> {
    let text = node.string(errors)?;
    let seconds = parse_float(&text).filter(|seconds| seconds.is_finite()).map(|seconds| (seconds * 1000.0) as i64);
    let ts = seconds.or_else(|| text.parse::<jiff::Timestamp>().ok().map(|ts| ts.as_millisecond()));
    if ts.is_none() {
        errors.push(node.error(format!("bad time {text:?}")).expected("seconds since 1970 or 2026-01-31T12:00:00Z"));
    }
    ts
}

fn read_labels(node: &Node<'_>, errors: &mut YamlErrors) -> Option<Labels> {
    let pairs = node.string_map(errors)?;
    let pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    Some(Labels::from_pairs(&pairs))
}

fn read_series(node: &Node<'_>, errors: &mut YamlErrors) -> Option<(Labels, Vec<SequenceValue>)> {
    let mut map = node.mapping(errors);
    let series = map.required("series", errors, Node::string);
    let values = map.required("values", errors, Node::string);
    map.finish(errors);
    let (series, values) = (series?, values?);
    match parse_series(&format!("{series} {values}")) {
        Ok(parsed) => Some(parsed),
        Err(error) => {
            errors.push(node.error(format!("cannot read the series: {error}")));
            None
        }
    }
}

fn read_alert_case(node: &Node<'_>, errors: &mut YamlErrors) -> Option<AlertCase> {
    let mut map = node.mapping(errors);
    let eval_time = map.required("eval_time", errors, Node::duration);
    let alert_name = map.required("alertname", errors, Node::nonempty_string);
    let name = alert_name.clone().unwrap_or_default();
    let expected = read_list(&mut map, "exp_alerts", errors, |node, errors| {
        let mut map = node.mapping(errors);
        let labels = map.optional("exp_labels", errors, read_labels).unwrap_or_default();
        let annotations = map.optional("exp_annotations", errors, read_labels).unwrap_or_default();
        map.finish(errors);
        Some(ExpectedAlert { labels: labels.with(ALERT_NAME, &name), annotations })
    });
    map.finish(errors);
    Some(AlertCase { eval_time: eval_time?, alert_name: alert_name?, expected })
}

fn read_query_case(node: &Node<'_>, errors: &mut YamlErrors) -> Option<QueryCase> {
    let mut map = node.mapping(errors);
    let expr = map.required("expr", errors, |node, errors| {
        let text = node.string(errors)?;
        match parse(&text) {
            Ok(expr) => Some((text, expr)),
            Err(error) => {
                let offset = error.errors().first().map_or(0, |error| error.pos.start as usize);
                errors.push(node.error_at(node.place_in_text(offset), format!("could not parse expression: {error}")));
                None
            }
        }
    });
    let eval_time = map.optional("eval_time", errors, Node::duration).unwrap_or_default();
    let expected = read_list(&mut map, "exp_samples", errors, read_sample);
    map.finish(errors);
    let (text, expr) = expr?;
    Some(QueryCase { eval_time, text, expr, expected })
}

fn read_sample(node: &Node<'_>, errors: &mut YamlErrors) -> Option<(Labels, Value)> {
    let mut map = node.mapping(errors);
    let labels = map.optional("labels", errors, |node, errors| {
        let text = node.string(errors).filter(|text| !text.is_empty())?;
        parse_metric(&text).map_err(|error| errors.push(node.error(format!("cannot read the labels: {error}")))).ok()
    });
    let value = map.optional("value", errors, Node::float).unwrap_or(0.0);
    let histogram = map.optional("histogram", errors, |node, errors| {
        let text = node.string(errors)?;
        let parsed = parse_series(&format!("x {text}")).map(|(_, values)| values.into_iter().next());
        match parsed {
            Ok(Some(SequenceValue::Histogram { histogram, .. })) => Some(Value::Histogram(histogram)),
            _ => {
                errors.push(node.error("not a histogram").expected("{{schema:1 sum:3 count:2 buckets:[2]}}"));
                None
            }
        }
    });
    map.finish(errors);
    Some((labels.unwrap_or_default(), histogram.unwrap_or(Value::Float(value))))
}

/// Milliseconds from the epoch of a time since the start.
pub(super) fn at(test: &UnitTest, since_start: Duration) -> Timestamp {
    test.start.saturating_add(millis(since_start))
}
