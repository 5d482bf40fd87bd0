//! Selectors, ranges, and the times that both have.

use super::{Generator, LABELS, NAMES, Type};

const KEYWORDS: &[&str] = &[
    "sum",
    "by",
    "without",
    "offset",
    "and",
    "or",
    "unless",
    "start",
    "end",
    "step",
    "range",
    "min_of",
    "max_of",
    "anchored",
    "smoothed",
    "fill",
    "fill_left",
    "topk",
    "group",
    "count_values",
    "limit_ratio",
    "OFFSET",
    "Sum",
];

impl Generator {
    pub(super) fn selector(&mut self) -> String {
        let body = self.series();
        let times = self.times();
        format!("{body}{times}")
    }

    pub(super) fn series(&mut self) -> String {
        if !self.wild() {
            let name = self.random.pick(&NAMES);
            let matchers = self.random.pick(&[
                "",
                "",
                "",
                "",
                "{a=\"1\"}",
                "{a=~\"1|2\"}",
                "{b!=\"x\"}",
                "{b=\"y\"}",
                "{a!~\"3\"}",
            ]);
            return if self.random.one_in(30) { "missing".to_owned() } else { format!("{name}{matchers}") };
        }
        let matchers = self.matchers();
        match self.random.below(8) {
            0 => format!("{}{matchers}", self.random.pick(KEYWORDS)),
            1 => format!(
                "{{{},{}",
                self.random.pick(&["'my.metric'", "\"é\"", "`x`", "__name__=~'x.*'", "\"a.b\"='c'", "x=~\".+\""]),
                &matchers[1..]
            ),
            2 => self.random.pick(&["x:y:z", ":x", "_", "a1", "job:x:rate5m"]).to_owned(),
            3 => format!("{{__name__=\"{}\"}}", self.random.pick(KEYWORDS)),
            4 | 5 => self.random.pick(&NAMES).to_owned(),
            _ => format!("{}{matchers}", self.random.pick(&NAMES)),
        }
    }

    fn matchers(&mut self) -> String {
        let mut list: Vec<String> = Vec::new();
        for _ in 0..self.random.below(4) {
            let (label, op, blank) =
                (self.random.pick(LABELS), self.random.pick(&["=", "!=", "=~", "!~"]), self.random.pick(&["", " "]));
            let text = self.random.pick(&["", "x", "x|y", ".*", "[0-9]+", "é", "a b", "a\"'\\\\n"]);
            let label = if self.random.one_in(8) { "\"a.b\"" } else { label };
            list.push(format!("{label}{blank}{op}{blank}{}", self.quoted(text)));
        }
        let tail = if !list.is_empty() && self.random.one_in(5) { "," } else { "" };
        format!("{{{}{tail}}}", list.join(","))
    }

    /// `offset` and `@`, in any order.
    fn times(&mut self) -> String {
        if !self.wild() {
            return self
                .random
                .pick(&[
                    "",
                    "",
                    "",
                    "",
                    "",
                    " offset 30s",
                    " offset -20s",
                    " @ 300",
                    " @ 200 offset 1m",
                    " offset (10 + 20)",
                ])
                .to_owned();
        }
        let (mut offset, mut at) = (String::new(), String::new());
        if self.random.one_in(4) {
            offset = format!(" {} {}", self.keyword("offset"), self.offset());
        }
        if self.random.one_in(5) {
            at = self
                .random
                .pick(&[" @ 10", " @ -1.5", " @ start()", " @END ()", " @ 1e9", " @ 5m", " @ +3", " @ 0.0004"])
                .to_owned();
        }
        let mode = if self.random.one_in(12) { self.random.pick(&[" anchored", " smoothed", " ANCHORED"]) } else { "" };
        if self.random.one_in(2) { format!("{mode}{at}{offset}") } else { format!("{offset}{at}{mode}") }
    }

    pub(super) fn matrix(&mut self, depth: u64) -> String {
        if depth > 0 && self.random.one_in(3) {
            let inner = self.expression(Type::Vector, depth - 1);
            let inner = self.parens(&inner);
            if !self.wild() {
                let tail =
                    self.random.pick(&["[2m:20s]", "[3m:]", "[95s:7s] offset 10s", "[1m:15s] @ 400", "[2m*1:10+5]"]);
                return format!("{inner}{tail}");
            }
            let range = self.duration(2);
            let step = if self.random.one_in(2) { self.duration(1) } else { String::new() };
            let times = self.times().replace(" anchored", "").replace(" smoothed", "").replace(" ANCHORED", "");
            return format!("{inner}[{range}:{step}]{times}");
        }
        let body = self.series();
        if !self.wild() {
            let tail = self.random.pick(&["[1m]", "[2m30s]", "[5m]", "[90s] offset 1m", "[3m] @ 350", "[1m+30]"]);
            return format!("{body}{tail}");
        }
        format!("{body}[{}]{}", self.duration(2), self.times())
    }
}
