//! Runs a script against an evaluator and reports.

use std::fmt;

use crate::model::{Timestamp, Value};
use crate::promql::parser::{Expr, parse};
use crate::promql::{QueryError, QueryResult, QueryValue, Sample, Series};
use crate::storage::Querier;

use super::compare::{Mismatch, annotations, describe, describe_expected, sorted, value};
use super::load::apply;
use super::parse::parse_script;
use super::pin::{pinned, selectors};
use super::script::{Command, Eval, EvalTime, ExpectedResult};
use super::store::MemoryStore;

/// Distance of the range query's steps in which an instant query must find itself again.
const MINUTE_MS: i64 = 60_000;

/// What the scripts test. Lookback 5 min, 10,000 samples, subqueries without a step at 1 min, names dropped at the
/// end, start timestamps used.
pub trait Evaluator {
    /// Evaluates at one time.
    ///
    /// # Errors
    /// When the query is not valid or fails.
    fn instant(&self, querier: &dyn Querier, query: &str, ts: Timestamp) -> Result<QueryResult, QueryError>;

    /// Evaluates at `start`, `start + step_ms` and so on, up to `end`; gives a matrix.
    ///
    /// # Errors
    /// When the query is not valid or fails.
    fn range(
        &self,
        querier: &dyn Querier,
        query: &str,
        start: Timestamp,
        end: Timestamp,
        step_ms: i64,
    ) -> Result<QueryResult, QueryError>;
}

/// What a run leaves out.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Leaves out evaluations that touch series with native histograms or expect one; they are counted.
    pub skip_native_histograms: bool,
    /// Leaves out the second looks at instant evaluations (pinned with `@`, as a range query).
    pub skip_metamorphic: bool,
}

/// One evaluation that went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Line of the script, from 1.
    pub line: u32,
    /// The query as it was run.
    pub expression: String,
    /// What the script wants.
    pub expected: String,
    /// What came.
    pub got: String,
}

/// The result of one script; prints as `FILE: passed/total` with the failures below.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// The script's name.
    pub name: String,
    /// Evaluations that gave what was expected.
    pub passed: usize,
    /// Evaluations that were run; a script that cannot be read counts as one.
    pub total: usize,
    /// Evaluations that were left out.
    pub skipped: usize,
    /// What went wrong, in the order of the script.
    pub failures: Vec<Failure>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}/{}", self.name, self.passed, self.total)?;
        if self.skipped > 0 {
            write!(f, " ({} skipped)", self.skipped)?;
        }
        for failure in &self.failures {
            write!(f, "\n{}:{}: {}", self.name, failure.line, failure.expression)?;
            for (word, text) in [("expected", &failure.expected), ("got", &failure.got)] {
                write!(f, "\n    {word}: {}", text.replace('\n', "\n        "))?;
            }
        }
        Ok(())
    }
}

/// Runs every command of a script; a failure does not stop it.
pub fn run_script(name: &str, text: &str, evaluator: &dyn Evaluator, options: Options) -> Report {
    let mut report = Report { name: name.to_owned(), ..Report::default() };
    let commands = match parse_script(text) {
        Ok(commands) => commands,
        Err(error) => {
            report.total = 1;
            report.fail(error.line, "", Mismatch::new("a valid script", error.message));
            return report;
        }
    };
    let mut store = MemoryStore::new();
    for command in &commands {
        match command {
            Command::Clear => store.clear(),
            Command::Load(load) => {
                if let Err(reason) = apply(load, &mut store) {
                    report.total += 1;
                    report.fail(load.line, "load", Mismatch::new("series that load", reason));
                }
            }
            Command::Eval(eval) => report.eval(eval, &store, evaluator, options),
        }
    }
    report
}

impl Report {
    fn fail(&mut self, line: u32, expression: &str, mismatch: Mismatch) {
        let Mismatch { expected, got } = mismatch;
        self.failures.push(Failure { line, expression: expression.to_owned(), expected, got });
    }

    fn eval(&mut self, eval: &Eval, store: &MemoryStore, evaluator: &dyn Evaluator, options: Options) {
        let expr = match parse(&eval.expr) {
            Ok(expr) => expr,
            Err(error) => {
                self.total += 1;
                return self.fail(eval.line, &eval.expr, Mismatch::new("a query that parses", error.to_string()));
            }
        };
        if options.skip_native_histograms && needs_histograms(eval, &expr, store) {
            self.skipped += 1;
            return;
        }
        self.total += 1;
        let runner = Runner { eval, store, evaluator, metamorphic: !options.skip_metamorphic };
        match runner.run(&expr) {
            Ok(()) => self.passed += 1,
            Err((expression, mismatch)) => self.fail(eval.line, &expression, mismatch),
        }
    }
}

fn needs_histograms(eval: &Eval, expr: &Expr, store: &MemoryStore) -> bool {
    let expected = match &eval.result {
        ExpectedResult::Series(series) | ExpectedResult::RangeVector { series, .. } => series.as_slice(),
        ExpectedResult::Scalar(_) | ExpectedResult::String(_) => &[],
    };
    let is_histogram = |value| matches!(value, &crate::promql::parser::SequenceValue::Histogram { .. });
    expected.iter().any(|series| series.values.iter().any(is_histogram))
        || selectors(expr).iter().any(|matchers| store.has_histograms(matchers))
}

/// One evaluation in all its shapes.
struct Runner<'a> {
    eval: &'a Eval,
    store: &'a MemoryStore,
    evaluator: &'a dyn Evaluator,
    metamorphic: bool,
}

/// The query that differed, as it was run, and how.
type Outcome = Result<(), (String, Mismatch)>;

impl Runner<'_> {
    fn run(&self, expr: &Expr) -> Outcome {
        let text = &self.eval.expr;
        let ts = match (self.eval.time, &self.eval.result) {
            (EvalTime::Range { start, end, step_ms }, _) => {
                let result = self.evaluator.range(self.store, text, start, end, step_ms);
                return self.check(result).map(|_| ()).map_err(|mismatch| (text.clone(), mismatch));
            }
            (EvalTime::Instant(_), ExpectedResult::RangeVector { end, .. }) => *end,
            (EvalTime::Instant(ts), _) => ts,
        };
        self.instant(text, ts)?;
        if !self.metamorphic {
            return Ok(());
        }
        let Some(pinned) = pinned(expr, ts) else { return Ok(()) };
        let pinned = pinned.to_string();
        let times = if ts == 0 { vec![-1000, 0, 1000] } else { vec![-10 * ts, 0, ts / 5, ts, 10 * ts] };
        times.into_iter().try_for_each(|time| self.instant(&pinned, time))
    }

    /// Runs an instant query, and again as the middle step of a range query.
    fn instant(&self, text: &str, ts: Timestamp) -> Outcome {
        let shown = |what: &str| if text == self.eval.expr { what.to_owned() } else { format!("{what} at {ts} ms") };
        let result = self.evaluator.instant(self.store, text, ts);
        let Some(result) = self.check(result).map_err(|mismatch| (shown(text), mismatch))? else { return Ok(()) };
        if !self.metamorphic || !self.has_range_form(text) {
            return Ok(());
        }
        self.middle_step(text, ts, &result).map_err(|mismatch| (shown(&format!("{text} as a range query")), mismatch))
    }

    /// Whether the middle step of a range query must give the same: not for ordered vectors, strings, matrices and
    /// queries that ask for the query's own range.
    fn has_range_form(&self, text: &str) -> bool {
        let series = matches!(self.eval.result, ExpectedResult::Series(_) | ExpectedResult::Scalar(_));
        let asks = ["start()", "end()", "range()", "step()"].iter().any(|call| text.contains(call));
        series && !self.eval.expect.ordered && !asks
    }

    fn middle_step(&self, text: &str, ts: Timestamp, instant: &QueryResult) -> Result<(), Mismatch> {
        let range = self.evaluator.range(self.store, text, ts - MINUTE_MS, ts + MINUTE_MS, MINUTE_MS);
        let QueryValue::Matrix(matrix) = range.map_err(|error| Mismatch::new("a matrix", error.to_string()))?.value
        else {
            return Err(Mismatch::new("a matrix", "something else"));
        };
        sorted(&matrix)?;
        let middle: Vec<Sample> = matrix.iter().filter_map(|series| sample_at(series, ts)).collect();
        let middle = match (&instant.value, middle.first()) {
            (QueryValue::Scalar(..), Some(Sample { value: Value::Float(value), .. })) => QueryValue::Scalar(ts, *value),
            _ => QueryValue::Vector(middle),
        };
        value(&self.eval.result, &self.eval.expect, self.eval.time, &middle)
    }

    /// Compares an outcome with the script; gives the result back unless the failure was wanted.
    fn check(&self, result: Result<QueryResult, QueryError>) -> Result<Option<QueryResult>, Mismatch> {
        let expect = &self.eval.expect;
        match result {
            Err(error) if expect.fail.is_empty() => {
                Err(Mismatch::new(describe_expected(&self.eval.result), format!("error: {error}")))
            }
            Err(error) => {
                let text = error.to_string();
                match expect.fail.iter().find(|check| !check.accepts(&text)) {
                    Some(check) => Err(Mismatch::new(format!("error: {check}"), text)),
                    None => Ok(None),
                }
            }
            Ok(result) if !expect.fail.is_empty() => Err(Mismatch::new("an error", describe(&result.value))),
            Ok(result) => {
                annotations(expect, &result.annotations)?;
                value(&self.eval.result, expect, self.eval.time, &result.value)?;
                Ok(Some(result))
            }
        }
    }
}

fn sample_at(series: &Series, ts: Timestamp) -> Option<Sample> {
    let float = series.floats.iter().find(|(at, _)| *at == ts).map(|(_, value)| Value::Float(*value));
    let histogram =
        || series.histograms.iter().find(|(at, _)| *at == ts).map(|(_, value)| Value::Histogram(value.clone()));
    let value = float.or_else(histogram)?;
    Some(Sample { labels: series.labels.clone(), ts, value })
}
