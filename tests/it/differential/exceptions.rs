//! What means something else in the language's third version: each entry says why, and must still differ.

use super::ask::{Client, Said};
use super::data::BASE;
use crate::support::encode;

/// A query that the two answer differently, by design.
pub(super) struct Exception {
    pub(super) expression: &'static str,
    /// Milliseconds since the base.
    pub(super) at: i64,
    /// For a range query of two steps: milliseconds between them.
    pub(super) over: Option<i64>,
    /// The answers, as [`Said::line`] writes them.
    pub(super) theirs: &'static str,
    pub(super) ours: &'static str,
    pub(super) reason: &'static str,
}

impl Exception {
    /// What is not as the entry says.
    pub(super) fn check(&self, theirs: &mut Client, ours: &mut Client) -> Option<String> {
        let query = encode(self.expression);
        let time = |ms: i64| format!("{}.{:03}", BASE + ms / 1000, ms % 1000);
        let path = match self.over {
            None => format!("query?query={query}&time={}", time(self.at)),
            Some(over) => {
                let (start, end, step) = (time(self.at), time(self.at + over), over / 1000);
                format!("query_range?query={query}&start={start}&end={end}&step={step}")
            }
        };
        let (their, own) = (theirs.ask(&path).line(), ours.ask(&path).line());
        let right = their == self.theirs && own == self.ours && their != own;
        (!right).then(|| format!("exception {} ({}): ⟨{their}⟩ ⟨{own}⟩", self.expression, self.reason))
    }
}

/// Single expressions.
pub(super) const EXCEPTIONS: &[Exception] = &[
    Exception {
        expression: "count_over_time(const[1m])",
        at: 600500,
        over: None,
        theirs: "{job=one} 5",
        ours: "{job=one} 4",
        reason: "ranges were closed on the left",
    },
    Exception {
        expression: "count_over_time(const[15s])",
        at: 600500,
        over: None,
        theirs: "{job=one} 2",
        ours: "{job=one} 1",
        reason: "ranges were closed on the left",
    },
    Exception {
        expression: "count_over_time(const[1m:15s])",
        at: 600000,
        over: None,
        theirs: "{job=one} 5",
        ours: "{job=one} 4",
        reason: "subqueries were closed on the left",
    },
    Exception {
        expression: "const",
        at: 5085500,
        over: None,
        theirs: "{__name__=const,job=one} 42",
        ours: "",
        reason: "the lookback was closed on the left",
    },
    Exception {
        expression: "increase(newborn_total[5m])",
        at: 1807250,
        over: None,
        theirs: "{job=one} 55.25",
        ours: "{job=one} 54.75",
        reason: "a counter that begins in the window was extrapolated beyond half an interval",
    },
    Exception {
        expression: "stddev(weird{k='nan'})",
        at: 1807250,
        over: None,
        theirs: "{} 0",
        ours: "{} NaN",
        reason: "one value that is not finite had no deviation",
    },
    Exception {
        expression: "stdvar(all_inf)",
        at: 1807250,
        over: None,
        theirs: "{} 0",
        ours: "{} NaN",
        reason: "one value that is not finite had no variance",
    },
    Exception {
        expression: "sum(label_replace(vector(1e100), 'a', '1', '', '') or label_replace(vector(1), 'a', '2', '', '') or label_replace(vector(-1e100), 'a', '3', '', ''))",
        at: 1807250,
        over: None,
        theirs: "{} 0",
        ours: "{} 1",
        reason: "sums were not compensated",
    },
    Exception {
        expression: "lines{v=~'first.second'}",
        at: 1807250,
        over: None,
        theirs: "",
        ours: "{__name__=lines,v=first\nsecond} 1",
        reason: "a dot did not match a newline",
    },
    Exception {
        expression: "label_replace(lines, 'w', 'x', 'v', '.*')",
        at: 1807250,
        over: None,
        theirs: "{__name__=lines,v=first\nsecond} 1",
        ours: "{__name__=lines,v=first\nsecond,w=x} 1",
        reason: "a dot did not match a newline",
    },
    Exception {
        expression: "sum(rate({__name__=~'lat_(count|sum)'}[5m]) * 0)",
        at: 1807250,
        over: None,
        theirs: "vector cannot contain metrics with the same labelset",
        ours: "{} 0",
        reason: "names were dropped at once, not at the end",
    },
    Exception {
        expression: "timestamp(label_replace(rate(const[5m]), 'n', '$1', '__name__', '(.*)'))",
        at: 1807250,
        over: None,
        theirs: "{job=one} 1709249407",
        ours: "{job=one,n=const} 1709249407",
        reason: "names were dropped at once, not at the end",
    },
    Exception {
        expression: "predict_linear(slow[5m] @ end(), 60)",
        at: 1807250,
        over: Some(600000),
        theirs: "{job=one} -8.2795",
        ours: "{job=one} -8.2795 17.7205",
        reason: "the window moved with the steps, in spite of @",
    },
    Exception {
        expression: "holt_winters(const[5m], 0.5, 0.5)",
        at: 1807250,
        over: None,
        theirs: "{job=one} 42",
        ours: "400 bad_data",
        reason: "renamed",
    },
    Exception {
        expression: "double_exponential_smoothing(const[5m], 0.5, 0.5)",
        at: 1807250,
        over: None,
        theirs: "400 bad_data",
        ours: "{job=one} 42",
        reason: "renamed",
    },
    Exception {
        expression: "{'const'}",
        at: 1807250,
        over: None,
        theirs: "400 bad_data",
        ours: "{__name__=const,job=one} 42",
        reason: "quoted names are new",
    },
    Exception {
        expression: "sum by ('job') (const)",
        at: 1807250,
        over: None,
        theirs: "400 bad_data",
        ours: "{job=one} 42",
        reason: "quoted names are new",
    },
    Exception {
        expression: "label_replace(const, 'not-classic', 'x', '', '')",
        at: 1807250,
        over: None,
        theirs: "invalid destination label name in label_replace(): not-classic",
        ours: "{__name__=const,job=one,not-classic=x} 42",
        reason: "label names are any UTF-8",
    },
    Exception {
        expression: "label_join(const, 'not-classic', '-', 'job')",
        at: 1807250,
        over: None,
        theirs: "invalid destination label name in label_join(): not-classic",
        ours: "{__name__=const,job=one,not-classic=one} 42",
        reason: "label names are any UTF-8",
    },
    Exception {
        expression: "count_values('not-classic', const)",
        at: 1807250,
        over: None,
        theirs: "invalid label name \"not-classic\"",
        ours: "{not-classic=42} 1",
        reason: "label names are any UTF-8",
    },
    Exception {
        expression: "count_over_time(const[60])",
        at: 1807250,
        over: None,
        theirs: "400 bad_data",
        ours: "{job=one} 4",
        reason: "durations are numbers of seconds, too",
    },
    Exception {
        expression: "const offset 60",
        at: 1807250,
        over: None,
        theirs: "400 bad_data",
        ours: "{__name__=const,job=one} 42",
        reason: "durations are numbers of seconds, too",
    },
    Exception {
        expression: "const offset 0s",
        at: 1807250,
        over: None,
        theirs: "400 bad_data",
        ours: "{__name__=const,job=one} 42",
        reason: "an offset may be zero",
    },
    Exception {
        expression: "5m",
        at: 1807250,
        over: None,
        theirs: "400 bad_data",
        ours: "{} 300",
        reason: "durations are numbers of seconds, too",
    },
    Exception {
        expression: "1_000",
        at: 1807250,
        over: None,
        theirs: "400 bad_data",
        ours: "{} 1000",
        reason: "digits may be parted by underscores",
    },
    Exception {
        expression: "topk(NaN, const)",
        at: 1807250,
        over: None,
        theirs: "Scalar value NaN overflows int64",
        ours: "Parameter value is NaN",
        reason: "worded otherwise",
    },
    Exception {
        expression: "bottomk(-Inf, const)",
        at: 1807250,
        over: None,
        theirs: "Scalar value -Inf overflows int64",
        ours: "",
        reason: "fewer than one are none, whatever the number",
    },
    Exception {
        expression: "first_over_time(const[1m])",
        at: 1807250,
        over: None,
        theirs: "400 bad_data",
        ours: "{__name__=const,job=one} 42",
        reason: "a new function",
    },
    Exception {
        expression: "mad_over_time(const[1m])",
        at: 1807250,
        over: None,
        theirs: "400 bad_data",
        ours: "{job=one} 0",
        reason: "a new function",
    },
    Exception {
        expression: "limitk(1, const)",
        at: 1807250,
        over: None,
        theirs: "400 bad_data",
        ours: "{__name__=const,job=one} 42",
        reason: "a new aggregation",
    },
    Exception {
        expression: "start()",
        at: 1807250,
        over: None,
        theirs: "400 bad_data",
        ours: "{} 1709249407",
        reason: "a new function",
    },
    Exception {
        expression: "ln(weird{k='subnormal'})",
        at: 1807250,
        over: None,
        theirs: "{k=subnormal} -709.0895657",
        ours: "{k=subnormal} -739.6442814",
        reason: "Go's logarithm on x86-64 takes no subnormal number",
    },
    Exception {
        expression: "text{v='\\363'}",
        at: 1807250,
        over: None,
        theirs: "",
        ours: "400 bad_data",
        reason: "strings here are UTF-8",
    },
];

/// A whole class of expressions whose answers become alike when theirs are changed in one place.
pub(super) struct Adjusted {
    pub(super) applies: fn(&str) -> bool,
    pub(super) change: fn(&mut Said),
    pub(super) reason: &'static str,
}

/// Classes of expressions.
pub(super) const ADJUSTED: [Adjusted; 3] = [
    Adjusted {
        applies: |expression| expression == "temp * 2 == temp + temp",
        change: |said| {
            if let Said::Result { series, .. } = said {
                series.iter_mut().for_each(|(labels, _)| drop(labels.insert("__name__".to_owned(), "temp".to_owned())));
            }
        },
        reason: "names are dropped when a query ends, and a comparison of vectors forgets that one is to be",
    },
    Adjusted {
        applies: |expression| expression.contains("atan2"),
        change: |said| {
            if let Said::Result { series, .. } = said {
                series.iter_mut().for_each(|(labels, _)| drop(labels.remove("__name__")));
            }
        },
        reason: "atan2 kept the metric's name",
    },
    Adjusted {
        applies: |expression| expression.starts_with("topk") || expression.starts_with("bottomk"),
        change: |said| {
            if let Said::Error { message, .. } = said {
                *message = message.replace("Scalar value NaN overflows int64", "Parameter value is NaN");
            }
        },
        reason: "a parameter that is NaN was said to overflow",
    },
];

/// Changes their answer by the first rule that applies, and says which.
pub(super) fn adjust(expression: &str, theirs: &mut Said) -> Option<usize> {
    let rule = ADJUSTED.iter().position(|rule| (rule.applies)(expression))?;
    (ADJUSTED[rule].change)(theirs);
    Some(rule)
}
