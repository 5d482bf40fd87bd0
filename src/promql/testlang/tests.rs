//! The language itself: what parses, what a run counts as passed, what the second looks find.

use std::path::PathBuf;
use std::sync::Arc;

use crate::model::{Histogram, Labels, Matcher, ResetHint, Span, Timestamp, Value, is_stale, stale_marker};
use crate::promql::parser::{AtModifier, Expr, parse};
use crate::promql::{Annotations, QueryError, QueryResult, QueryStats, QueryValue, Sample, Series};
use crate::storage::{Querier, SelectRequest, Stop};

use super::compare::almost_equal;
use super::{Command, Evaluator, MemoryStore, Options, Report, describe_histogram, parse_script, run_script};

/// Knows numbers, strings and selectors with `@`: enough to test the runner. `skew` is added to every value away from
/// the evaluation's own time, which only the second looks can notice.
struct Toy {
    skew: f64,
}

impl Toy {
    fn at(&self, querier: &dyn Querier, expr: &Expr, ts: Timestamp) -> Result<QueryValue, QueryError> {
        Ok(match expr {
            Expr::Number(node) => QueryValue::Scalar(ts, node.value),
            Expr::String(node) => QueryValue::String(ts, node.value.clone()),
            Expr::Vector(node) if node.name == "fails" => return Err(QueryError::Execution("it fails".to_owned())),
            Expr::Vector(node) => {
                let at = match node.at {
                    Some(AtModifier::At(at)) => at,
                    _ => ts,
                };
                let request = SelectRequest {
                    matchers: node.matchers.clone(),
                    start: at - 299_999,
                    end: at,
                    last_only: true,
                    max_samples: 1000,
                    stop: Stop::never(),
                };
                let found =
                    querier.select(&request).map_err(|error| QueryError::Storage(error.to_string()))?.into_series();
                let skew = if at == ts { 0.0 } else { self.skew };
                let sample = |series: &crate::storage::SelectedSeries| {
                    let (mut times, mut values) = (Vec::new(), Vec::new());
                    series.runs.iter().for_each(|run| run.floats_into(&mut times, &mut values));
                    let value = values.last().copied().filter(|value| !is_stale(*value))?;
                    Some(Sample { labels: series.labels.clone(), ts, value: Value::Float(value + skew) })
                };
                QueryValue::Vector(found.iter().filter_map(sample).collect())
            }
            other => return Err(QueryError::Unsupported(other.to_string())),
        })
    }

    fn annotations(query: &str) -> Annotations {
        let text = |word: &str| if query.contains(word) { vec![format!("{word} (1:1)")] } else { Vec::new() };
        Annotations { warnings: text("warns"), infos: text("informs") }
    }

    fn finish(query: &str, value: QueryValue) -> QueryResult {
        QueryResult { value, annotations: Self::annotations(query), stats: QueryStats::default() }
    }
}

impl Evaluator for Toy {
    fn instant(&self, querier: &dyn Querier, query: &str, ts: Timestamp) -> Result<QueryResult, QueryError> {
        let expr = parse(query)?;
        self.at(querier, &expr, ts).map(|value| Self::finish(query, value))
    }

    fn range(
        &self,
        querier: &dyn Querier,
        query: &str,
        start: Timestamp,
        end: Timestamp,
        step_ms: i64,
    ) -> Result<QueryResult, QueryError> {
        let expr = parse(query)?;
        let mut series: std::collections::BTreeMap<Labels, Series> = std::collections::BTreeMap::new();
        for ts in (start..=end).step_by(step_ms as usize) {
            let samples = match self.at(querier, &expr, ts)? {
                QueryValue::Vector(samples) => samples,
                QueryValue::Scalar(_, value) => {
                    vec![Sample { labels: Labels::empty(), ts, value: Value::Float(value) }]
                }
                _ => Vec::new(),
            };
            for sample in samples {
                let entry = series.entry(sample.labels.clone()).or_default();
                entry.labels = sample.labels;
                entry.floats.extend(sample.value.as_float().map(|value| (ts, value)));
            }
        }
        Ok(Self::finish(query, QueryValue::Matrix(series.into_values().collect())))
    }
}

fn run(text: &str) -> Report {
    run_script("t", text, &Toy { skew: 0.0 }, Options::default())
}

const LOAD: &str = "load 1m\n  m{a=\"1\"} 1 2 3\n  m{a=\"2\"} 4 _ stale\n\n";

#[test]
fn counts_what_passes() {
    // Script after LOAD, passed, total.
    let cases: &[(&str, usize, usize)] = &[
        ("eval instant at 0 m\n  m{a=\"1\"} 1\n  m{a=\"2\"} 4\n", 1, 1),
        ("eval instant at 1m m\n  m{a=\"2\"} 4\n  m{a=\"1\"} 2.0000001\n", 1, 1),
        ("eval instant at 1m m\n  m{a=\"2\"} 4\n  m{a=\"1\"} 2.001\n", 0, 1),
        ("eval instant at 2m m\n  m{a=\"1\"} 3\n", 1, 1),
        ("eval instant at 2m m\n  m{a=\"1\"} 3\n  m{a=\"2\"} 4\n", 0, 1),
        ("eval instant at 0 m\n  m{a=\"1\"} 1\n", 0, 1),
        ("eval instant at 0 m\n", 0, 1),
        ("eval instant at 0 nothing\n", 1, 1),
        ("eval instant m\n  expect ordered\n  m{a=\"1\"} 1\n  m{a=\"2\"} 4\n", 1, 1),
        ("eval_ordered instant at 0 m\n  m{a=\"2\"} 4\n  m{a=\"1\"} 1\n", 0, 1),
        ("eval range from 0 to 2m step 1m m\n  m{a=\"1\"} 1 2 3\n  m{a=\"2\"} 4 4\n", 1, 1),
        ("eval range from 0 to 2m step 1m m\n  m{a=\"1\"} 1 2 3\n  m{a=\"2\"} 4 4 _\n", 1, 1),
        ("eval range from 0 to 2m step 1m m\n  m{a=\"1\"} 1 2 3\n  m{a=\"2\"} 4 _ 4\n", 0, 1),
        ("eval range from 0 to 1m step 1m m\n  m{a=\"1\"} 1 2 3\n  m{a=\"2\"} 4 4\n", 0, 1),
        ("eval instant at 5m 12\n  12\n", 1, 1),
        ("eval instant at 5m 12\n  13\n", 0, 1),
        ("eval instant at 5m -0x10\n  -16\n", 1, 1),
        ("eval instant at 5m \"x\"\n  expect string \"x\"\n", 1, 1),
        ("eval instant at 5m \"x\"\n  expect string `y`\n", 0, 1),
        ("eval instant at 5m 'x'\n  x 1\n", 0, 1),
        ("eval instant at 5m fails\n  expect fail\n", 1, 1),
        ("eval_fail instant at 5m fails\n", 1, 1),
        ("eval instant at 5m fails\n  expect fail msg: it fails\n", 1, 1),
        ("eval instant at 5m fails\n  expect fail regex: fai.s$\n", 1, 1),
        ("eval instant at 5m fails\n  expect fail msg:something else\n", 0, 1),
        ("eval instant at 5m fails\n", 0, 1),
        ("eval instant at 5m m\n  expect fail\n", 0, 1),
        ("eval range from 0 to 1m step 1m fails\n  expect fail\n", 1, 1),
        ("eval instant at 5m warns\n  expect warn msg: warns (1:1)\n", 1, 1),
        ("eval instant at 5m warns\n  expect warn\n  expect no_info\n", 1, 1),
        ("eval instant at 5m warns\n  expect warn regex:w.rns\n", 1, 1),
        ("eval instant at 5m warns\n  expect warn msg: warns\n", 0, 1),
        ("eval instant at 5m warns\n  expect no_warn\n", 0, 1),
        ("eval instant at 5m informs\n  expect info\n", 1, 1),
        ("eval instant at 5m m\n  expect info\n  m{a=\"1\"} 3\n", 0, 1),
        ("eval instant at 5m sum(\n", 0, 1),
        ("# nothing\n", 0, 0),
        ("clear\n\neval instant at 0 m\n", 1, 1),
        // Old and new forms together.
        ("eval_fail instant at 5m fails\n  expect fail msg: it fails\n", 1, 1),
        ("eval_fail instant at 5m fails\n  expect fail msg: something else\n", 0, 1),
        ("eval_fail instant at 5m fails\n  expected_fail_message it fails\n", 1, 1),
        ("eval_fail instant at 5m fails\n  expected_fail_regexp ^something\n", 0, 1),
        ("eval_warn instant at 5m warns\n", 1, 1),
        ("eval_warn instant at 5m informs\n", 0, 1),
        ("eval_warn instant at 5m warns\n  expect warn msg: other\n", 0, 1),
        ("eval_warn instant at 5m warns\n  expect no_warn\n", 0, 1),
        ("eval_info instant at 5m informs\n  expect info\n  expect no_warn\n", 1, 1),
        // A matrix has no order of its own.
        ("eval range from 0 to 0 step 1m m\n  expect ordered\n  m{a=\"1\"} 1\n  m{a=\"2\"} 4\n", 0, 1),
        // A scalar ends its evaluation: the next line is a command.
        ("eval instant at 5m 12\n  12\neval instant at 5m 13\n  13\n", 2, 2),
        ("eval instant at 5m 12\n  13\n  12\n", 0, 1),
        // The later of two lines for one series counts.
        ("load 1m\n  n 1 2 3\n  n 4\n\neval instant at 2m n\n  n 4\n", 1, 1),
        ("load 1m\n  m{a=\"1\"} _ _ _ 9\n\neval instant at 3m m\n  m{a=\"1\"} 9\n", 1, 1),
    ];
    for (script, passed, total) in cases {
        let report = run(&format!("{LOAD}{script}"));
        assert_eq!((report.passed, report.total), (*passed, *total), "{script}{report}");
        assert_eq!(report.failures.len(), total - passed, "{report}");
    }
}

#[test]
fn reports_place_expected_and_got() {
    let report = run(&format!("{LOAD}eval instant at 0 m\n  m{{a=\"1\"}} 1\n  m{{a=\"2\"}} 5\n"));
    let text = report.to_string();
    assert!(
        text.starts_with("t: 0/1\nt:5: m\n    expected: m{a=\"1\"} 1\n        m{a=\"2\"} 5\n    got: m{a=\"1\"} 1"),
        "{text}"
    );
}

#[test]
fn second_looks_find_what_one_look_misses() {
    let script = format!("{LOAD}eval instant at 1m m\n  m{{a=\"1\"}} 2\n  m{{a=\"2\"}} 4\n");
    let skewed = Toy { skew: 1.0 };
    let report = run_script("t", &script, &skewed, Options::default());
    assert_eq!((report.passed, report.total), (0, 1));
    assert!(report.failures[0].expression.starts_with("m @ 60.000 at -600000 ms"), "{report}");
    let options = Options { skip_metamorphic: true, ..Options::default() };
    assert_eq!(run_script("t", &script, &skewed, options).passed, 1);
}

#[test]
fn native_histograms_can_be_left_out() {
    let script = "load 1m\n  h {{count:1 sum:2}}\n  f 1\n\neval instant at 0 f\n  f 1\n\neval instant at 0 h\n  h {{count:1 sum:2}}\n\n\
                  eval instant at 0 nothing\n  x {{}}\n";
    let options = Options { skip_native_histograms: true, ..Options::default() };
    let report = run_script("t", script, &Toy { skew: 0.0 }, options);
    assert_eq!((report.passed, report.total, report.skipped), (1, 1, 2));
    assert_eq!(report.to_string(), "t: 1/1 (2 skipped)");
}

#[test]
fn refuses_bad_scripts() {
    let cases: &[(&str, &str)] = &[
        ("nonsense", "line 1: invalid command \"nonsense\": expected clear, load or eval"),
        ("\nload x\n", "line 2: invalid step definition \"x\""),
        ("load_with_x 5m\n", "line 1: invalid load command"),
        ("load 5m\n  m 1\n  m{ 2\n", "line 3: 1:5: parse error: unexpected"),
        ("load 5m\n  m@st -1m\n", "line 2: @st line has no following sample line"),
        ("load 5m\n  m@st -1m\n  n 1\n", "line 2: @st metric does not match"),
        ("load 5m\n  m@st -1m _\n  m 1\n", "line 2: @st line has 2 values but sample line has 1"),
        ("eval instant at\n", "line 1: invalid"),
        ("eval instant at x m\n", "line 1: invalid timestamp definition \"x\""),
        ("eval range from 0 to 5m m\n", "line 1: expected \"step\""),
        ("eval range from 5m to 0 step 1m m\n", "line 1: invalid test definition"),
        ("eval range from 0 to 1m step 0 m\n", "line 1: step must be greater than 0"),
        ("eval instant at 0 m\n  m 1 2\n", "line 2: expected one value for an instant evaluation, got 2"),
        ("eval instant at 0 m\n  expect nothing\n", "line 2: invalid expected error/annotation type"),
        ("eval instant at 0 m\n  expect fail maybe\n", "line 2: invalid expect statement"),
        ("eval instant at 0 m\n  expect fail\n  expect fail\n", "line 3: invalid expect lines"),
        ("eval instant at 0 m\n  expect warn\n  expect no_warn\n", "line 3: an annotation cannot be both"),
        ("eval instant at 0 m\n  expect fail regex: (\n", "line 2: invalid regex"),
        ("eval instant at 0 m\n  expect string x\n", "line 2: unterminated"),
        ("eval_ordered range from 0 to 1m step 1m m\n", "line 1: invalid evaluation command"),
        ("eval instant at 0 m\n  expected_fail_message it fails\n", "line 2: 1:23"),
        ("eval instant at 0 m\n  expect warn msg:\n", "line 2: invalid expect statement"),
        ("eval instant at 0 m\n  expect fail error: x\n", "line 2: invalid expect statement"),
        ("eval instant at 0 m[1m]\n  expect range vector from 0 to 1m\n", "line 2: expected \"step\""),
        ("eval instant at 0 m[1m]\n  expect range vector from 0 to 1m step 1m 2\n", "line 2: unexpected \"2\""),
        ("eval instant at 0 \"x\"\n  expect string\n", "line 2: empty string literal"),
        ("eval instant at 0 \"x\"\n  expect string 'xy'\n", "line 2: expected string literal not valid"),
        ("eval instant at 0 1\n  1\n  2\n", "line 3: invalid command"),
        ("load 5m\n  m@st _x0\n  m 1\n", "line 2: 1:9: parse error: invalid repeat count"),
        ("load 5m\n  m@st -1m+15s\n  m 1\n", "line 2: 1:13: parse error: expected \"x\""),
        ("load 5m\n  m@st -1m\n  m@st -1m\n  m 1\n", "line 2: @st line has no following sample line"),
        ("eval_often instant at 0 m\n", "line 1: invalid evaluation command"),
    ];
    for (script, expected) in cases {
        let error = parse_script(script).expect_err(script).to_string();
        assert!(error.starts_with(expected), "{script}: {error}");
    }
    let report = run("nonsense");
    assert_eq!((report.passed, report.total), (0, 1));
}

#[test]
fn start_times_have_a_default_and_repeat() {
    // Offsets in seconds, `None` for a start that is not known.
    let cases: &[(&str, &[&[Option<i64>]])] = &[
        ("  @st -1m\n  a 1 2\n  b 1\n", &[&[Some(-60), Some(-60)], &[Some(-60)]]),
        ("  @st -1m _\n  a 1 2 3\n  b@st 1s\n  b 1\n", &[&[Some(-60), None, Some(-60)], &[Some(1)]]),
        (
            "  a@st -30s-1mx2 * *x1\n  a 0x5\n",
            &[&[Some(-30), Some(-90), Some(-150), Some(-150), Some(-150), Some(-150)]],
        ),
        ("  a@st _ *\n  a 1 2\n", &[&[None, Some(0)]]),
    ];
    for (series, expected) in cases {
        let Some(Command::Load(load)) = parse_script(&format!("load 1m\n{series}")).expect(series).pop() else {
            panic!("no load")
        };
        let found: Vec<Vec<Option<i64>>> = load
            .series
            .iter()
            .map(|series| series.starts.iter().map(|start| start.map(|ms| ms / 1000)).collect())
            .collect();
        assert_eq!(found, *expected, "{series}");
    }
}

#[test]
fn compares_with_the_suites_tolerance() {
    let cases = [
        (1.0, 1.0 + 1e-7, true),
        (1.0, 1.00001, false),
        (0.0, 1e-9, false),
        (f64::NAN, f64::NAN, true),
        (f64::NAN, stale_marker(), false),
        (stale_marker(), stale_marker(), true),
        (f64::INFINITY, f64::INFINITY, true),
        (f64::INFINITY, f64::NEG_INFINITY, false),
        (f64::MAX, f64::MAX * (1.0 - 1e-9), true),
    ];
    for (a, b, expected) in cases {
        assert_eq!(almost_equal(a, b), expected, "{a} {b}");
    }
}

#[test]
fn the_store_keeps_kinds_apart_and_knows_resets() {
    let labels = Labels::from_pairs(&[("__name__", "h")]);
    let histogram = |count: f64| {
        let spans = vec![Span { offset: 0, length: 1 }];
        Histogram { count, positive: vec![count], positive_spans: spans, ..Histogram::default() }
    };
    let mut store = MemoryStore::new();
    store.append(&labels, 20, 0, Value::Histogram(Arc::new(histogram(2.0))));
    store.append(&labels, 10, 5, Value::Histogram(Arc::new(histogram(1.0))));
    store.append(&labels, 30, 0, Value::Histogram(Arc::new(histogram(1.0))));
    store.append(&labels, 40, 0, Value::Float(1.0));
    store.append(&labels, 50, 0, Value::Histogram(Arc::new(histogram(3.0))));
    store.settle(&labels);
    let request = SelectRequest {
        matchers: vec![Matcher::equal("__name__", "h")],
        start: 10,
        end: 50,
        last_only: false,
        max_samples: 5,
        stop: Stop::never(),
    };
    let found = store.select(&request).expect("within the limit").into_series();
    let runs = &found[0].runs;
    assert_eq!(runs.iter().map(|run| run.times.to_vec()).collect::<Vec<_>>(), [vec![10, 20, 30], vec![40], vec![50]]);
    assert_eq!(runs[0].start_times.as_deref(), Some(&[5, 0, 0][..]));
    let crate::storage::Column::Histograms(column) = &runs[0].values else { panic!("floats") };
    let hints: Vec<ResetHint> = column.iter().flatten().map(|histogram| histogram.reset_hint).collect();
    assert_eq!(hints, [ResetHint::Unknown, ResetHint::NotReset, ResetHint::Reset]);
    assert!(store.select(&SelectRequest { max_samples: 4, ..request }).is_err());
    assert_eq!(store.series(&[], 60, 70).expect("works").len(), 0);
}

#[test]
fn classic_histograms_become_native_ones() {
    let script = "load_with_nhcb 1m\n  h_bucket{le=\"1\"} 2\n  h_bucket{le=\"5\"} 5\n  h_bucket{le=\"+Inf\"} 6\n  h_count 6\n  h_sum 9\n";
    let Some(Command::Load(load)) = parse_script(script).expect("valid").pop() else { panic!("no load") };
    let mut store = MemoryStore::new();
    super::load::apply(&load, &mut store).expect("loads");
    let request = SelectRequest {
        matchers: vec![Matcher::equal("__name__", "h")],
        start: 0,
        end: 0,
        last_only: true,
        max_samples: 10,
        stop: Stop::never(),
    };
    let found = store.select(&request).expect("works").into_series();
    let crate::storage::Column::Histograms(column) = &found[0].runs[0].values else { panic!("floats") };
    let text = column[0].as_ref().map(|histogram| describe_histogram(histogram));
    assert_eq!(text.as_deref(), Some("{{schema:-53 count:6 sum:9 custom_values:[1 5] buckets:[2 3 1]}}"));
}

#[test]
fn every_upstream_script_parses_and_loads() {
    let shared = std::env::var("WATCHFIRE_SHARED").unwrap_or_else(|_| "../shared".to_owned());
    let Ok(dir) = std::fs::read_dir(PathBuf::from(&shared).join("promqltest")) else {
        println!("SKIPPED: no promqltest scripts in {shared}");
        return;
    };
    let (mut evals, mut failures) = (0, Vec::new());
    for path in
        dir.filter_map(Result::ok).map(|entry| entry.path()).filter(|path| path.extension() == Some("test".as_ref()))
    {
        let text = std::fs::read_to_string(&path).expect("readable");
        let commands = match parse_script(&text) {
            Ok(commands) => commands,
            Err(error) => {
                failures.push(format!("{}: {error}", path.display()));
                continue;
            }
        };
        let mut store = MemoryStore::new();
        for command in commands {
            match command {
                Command::Clear => store.clear(),
                Command::Load(load) => {
                    if let Err(reason) = super::load::apply(&load, &mut store) {
                        failures.push(format!("{}:{}: {reason}", path.display(), load.line));
                    }
                }
                Command::Eval(eval) => {
                    evals += 1;
                    if let Ok(expr) = parse(&eval.expr)
                        && let Some(pinned) = super::pin::pinned(&expr, 5000)
                    {
                        let again = parse(&pinned.to_string());
                        if again.is_err() {
                            failures.push(format!("{} pinned as {pinned}", eval.expr));
                        }
                    }
                }
            }
        }
    }
    assert!(evals > 1500, "found only {evals} evals");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
