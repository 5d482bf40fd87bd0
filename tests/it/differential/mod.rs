//! The same samples in Debian's Prometheus and in watchfire, and the same questions to both.
//!
//! The expressions come from the templates in `tests/fixtures/differential.promql`; [`expand`] multiplies them out. Each is
//! asked at several instants and over ranges. Prometheus 2.42 speaks the language's second version; [`exceptions`] lists what
//! means something else in the third, and each entry must still differ.

mod ask;
mod data;
mod exceptions;
mod expand;
mod peers;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use ask::{Client, Said, difference, same_bytes};
use data::BASE;
use exceptions::{EXCEPTIONS, adjust};
use expand::{Case, Must, expand};

use crate::support::{Daemon, encode, find_program, skip, temp_dir, write};

/// Instants, in milliseconds since the base: in the midst, after midnight, and when the lookback is all there is.
const INSTANTS: [i64; 3] = [1_807_250, 4_077_250, 4_920_250];
/// Ranges: start and end in milliseconds since the base, step in seconds.
const RANGES: [(i64, i64, i64); 2] = [(-53_000 + 250, 5_100_250, 97), (1_500_250, 2_100_250, 20)];
/// Connections that ask at once.
const WORKERS: usize = 4;

/// The questions about one expression.
fn questions(expression: &str) -> Vec<String> {
    let query = encode(expression);
    let at = |ms: i64| format!("{}.{:03}", BASE + ms.div_euclid(1000), ms.rem_euclid(1000));
    let instants = INSTANTS.iter().map(|ms| format!("query?query={query}&time={}", at(*ms)));
    let ranges = RANGES.iter().map(|(start, end, step)| {
        format!("query_range?query={query}&start={}&end={}&step={step}", at(*start), at(*end))
    });
    instants.chain(ranges).collect()
}

/// What went wrong, and what the summary counts.
#[derive(Default)]
struct Outcome {
    failures: Vec<String>,
    empty: usize,
    adjusted: [usize; exceptions::ADJUSTED.len()],
}

/// Asks everything about one expression.
fn check(case: &Case, theirs: &mut Client, ours: &mut Client, outcome: &Mutex<Outcome>) {
    let expression = &case.expression;
    let by_value = ["sort(", "sort_desc(", "topk(", "bottomk("].iter().any(|word| expression.starts_with(word));
    let ordered = by_value && !expression.ends_with("by (host)");
    let (mut failed, mut empty, mut differences) = (0, true, Vec::new());
    let mut adjusted = Vec::new();
    for question in questions(expression) {
        let instant = question.starts_with("query?");
        let (raw, own_raw) = (theirs.raw(&question), ours.raw(&question));
        if same_bytes(&raw.1, &own_raw.1) {
            empty &= raw.1.windows(11).any(|window| window == br#""result":[]"#);
            continue;
        }
        let (mut their, mut own) = (Said::of(raw.0, &raw.1), Said::of(own_raw.0, &own_raw.1));
        failed += usize::from(their.failed());
        empty &= their.is_empty();
        let Some(found) = difference(&mut their, &mut own, ordered && instant) else { continue };
        if let Some(rule) = adjust(expression, &mut their) {
            adjusted.push(rule);
            if difference(&mut their, &mut own, ordered && instant).is_none() {
                continue;
            }
        }
        differences
            .push(format!("{expression} ({}): {found}", question.split('&').skip(1).collect::<Vec<_>>().join(" ")));
    }
    let asked = INSTANTS.len() + RANGES.len();
    // Strings and matrices have no ranges, and a parameter may be missing at times.
    if if case.must == Must::Fail { failed == 0 } else { failed == asked } {
        differences.push(format!("{expression}: {failed} of {asked} failed"));
    }
    let mut outcome = outcome.lock().expect("no panic while locked");
    outcome.failures.extend(differences);
    outcome.empty += usize::from(empty);
    adjusted.into_iter().for_each(|rule| outcome.adjusted[rule] += 1);
}

#[test]
fn prometheus_and_watchfire_answer_alike() {
    let name = "prometheus_and_watchfire_answer_alike";
    let Some(program) = find_program(&["prometheus"]) else { return skip(name, "prometheus") };
    let (dir, ring) = (temp_dir(), temp_dir());
    let all = data::series();
    let (_process, peer) = peers::prometheus(&program, dir.path(), &all);
    peers::fill_ring(ring.path(), &all);
    let config = write(dir.path(), "watchfire.yml", peers::OWN_CONFIG);
    let daemon = Daemon::start_in(ring.path(), &[format!("--config.file={}", config.display())]);
    let stored: usize = all
        .iter()
        .map(|series| series.samples.iter().filter(|(_, value)| !watchfire::model::is_stale(*value)).count())
        .sum();
    for url in [&peer, &daemon.url] {
        assert_eq!(peers::samples(url), stored, "samples at {url}");
    }

    let cases = expand(include_str!("../../fixtures/differential.promql"));
    let (next, outcome) = (AtomicUsize::new(0), Mutex::new(Outcome::default()));
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                let (mut theirs, mut ours) = (Client::new(&peer), Client::new(&daemon.url));
                while let Some(case) = cases.get(next.fetch_add(1, Relaxed)) {
                    check(case, &mut theirs, &mut ours, &outcome);
                }
            });
        }
    });
    let mut outcome = outcome.into_inner().expect("no panic while locked");
    for (rule, times) in exceptions::ADJUSTED.iter().zip(outcome.adjusted) {
        if times == 0 {
            outcome.failures.push(format!("no longer differs: {}", rule.reason));
        }
    }
    let (mut theirs, mut ours) = (Client::new(&peer), Client::new(&daemon.url));
    for exception in EXCEPTIONS {
        outcome.failures.extend(exception.check(&mut theirs, &mut ours));
    }
    let refused = cases.iter().filter(|case| case.must == Must::Fail).count();
    eprintln!(
        "{} expressions ({refused} refused, {} empty), {} instant and {} range queries, {} exceptions",
        cases.len(),
        outcome.empty,
        cases.len() * INSTANTS.len(),
        cases.len() * RANGES.len(),
        EXCEPTIONS.len() + exceptions::ADJUSTED.len(),
    );
    outcome.failures.sort();
    assert!(cases.len() > 900, "{} expressions", cases.len());
    assert!(outcome.empty * 8 < cases.len(), "{} expressions give nothing anywhere", outcome.empty);
    assert!(outcome.failures.is_empty(), "{} differences:\n{}", outcome.failures.len(), outcome.failures.join("\n"));
}
