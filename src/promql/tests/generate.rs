//! Random PromQL expressions from a seed, of a wanted type, with every function, aggregation, operator and modifier.
//!
//! It writes text, so that spelling is random too: cases of keywords, three kinds of quotes, odd numbers, blanks and
//! comments. It needs nothing of this crate: `tests/it` and `fuzz` include the same file.

/// Steele's SplitMix64: the same cases on every machine.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }
}

/// Types of the language.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Type {
    Scalar,
    Vector,
    Matrix,
    String,
}

/// A function as the includer's table has it.
#[derive(Clone, Debug)]
pub(crate) struct Signature {
    pub(crate) name: &'static str,
    pub(crate) args: Vec<Type>,
    /// As in Prometheus' table: how often the last argument may appear, -1 for any number.
    pub(crate) variadic: i32,
    pub(crate) returns: Type,
}

/// What the expressions are for.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Style {
    /// Everything that parses.
    Wild,
    /// What finds samples in [`NAMES`], and means the same in an instant and in a range query.
    Tame,
}

/// Metrics that [`Style::Tame`] asks for. They have labels `a` (1, 2, 3) and `b` (x, y); buckets have `le`.
pub(crate) const NAMES: [&str; 4] = ["gauge", "other", "count_total", "h_bucket"];

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
const LABELS: &[&str] =
    &["a", "b", "le", "job", "on", "by", "sum", "bool", "offset", "group_left", "_x1", "step", "fill"];
const TEXTS: &[&str] =
    &["", "x", "1", "a b", "é", "\u{1F600}", ".*", "x|y", "[0-9]+", "a.b", "(?i)x", "{}", "#", "0.5"];

/// Writes expressions.
pub(crate) struct Generator {
    pub(crate) random: Random,
    style: Style,
    functions: Vec<Signature>,
}

impl Generator {
    pub(crate) fn new(seed: u64, style: Style, functions: &[Signature]) -> Self {
        // What asks for the query's own times is different in an instant query.
        let bound = ["start", "end", "step", "range"];
        let keep = |function: &&Signature| style == Style::Wild || !bound.contains(&function.name);
        Self { random: Random(seed), style, functions: functions.iter().filter(keep).cloned().collect() }
    }

    fn wild(&self) -> bool {
        self.style == Style::Wild
    }

    /// An expression of a type, with so many levels at most.
    pub(crate) fn expression(&mut self, kind: Type, depth: u64) -> String {
        let text = match kind {
            Type::Scalar => self.scalar(depth),
            Type::Vector => self.vector(depth),
            Type::Matrix => self.matrix(depth),
            Type::String => self.string(),
        };
        if self.wild() && self.random.one_in(8) { self.parens(&text) } else { text }
    }

    /// A blank, or what counts as one.
    fn blank(&mut self) -> &'static str {
        if !self.wild() {
            return " ";
        }
        self.random.pick(&[" ", " ", " ", "  ", "\n", "\t", " # a comment ( \n", "\r\n"])
    }

    fn parens(&mut self, text: &str) -> String {
        let (left, right) = if self.wild() {
            (self.random.pick(&["(", "( ", "(\n"]), self.random.pick(&[")", " )"]))
        } else {
            ("(", ")")
        };
        format!("{left}{text}{right}")
    }

    fn keyword(&mut self, word: &str) -> String {
        if self.wild() && self.random.one_in(6) { word.to_uppercase() } else { word.to_owned() }
    }

    fn quoted(&mut self, text: &str) -> String {
        match self.random.below(3) {
            0 if !text.contains('`') => format!("`{text}`"),
            1 => format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'").replace('\n', "\\n")),
            _ => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")),
        }
    }

    fn string(&mut self) -> String {
        if self.random.one_in(6) {
            let escapes =
                [r#""\x41\u00e9\101\n""#, r"'\'\\'", r#""\a\b\f\r\t\v\U0001F600""#, "`\\d\n\"`", r#""\x00\x7f""#];
            return self.random.pick(&escapes).to_owned();
        }
        let text = self.random.pick(TEXTS);
        self.quoted(text)
    }

    fn number(&mut self) -> String {
        if !self.wild() {
            return self.random.pick(&["0.5", "2", "1", "0.9", "3", "10", "0.1", "90"]).to_owned();
        }
        self.random
            .pick(&[
                "0",
                "1",
                "2",
                "0.5",
                "1e3",
                "1E-3",
                ".5",
                "5.",
                "0x1F",
                "0XfF",
                "0755",
                "089",
                "1_000",
                "1_0.5",
                "Inf",
                "inf",
                "NaN",
                "nan",
                "1e300",
                "1e-300",
                "5e-324",
                "1.7976931348623157e308",
                "9007199254740993",
                "123456789.125",
                "5m",
                "1h30m",
                "1y",
                "1w2d",
                "100ms",
                "0s",
                "1e6",
                "1000000",
            ])
            .to_owned()
    }

    fn scalar(&mut self, depth: u64) -> String {
        if depth == 0 {
            return self.number();
        }
        match self.random.below(if self.wild() { 9 } else { 7 }) {
            5 if self.wild() => self.chain(Type::Scalar),
            0 if self.wild() => format!("{}{}", self.random.pick(&["-", "+", "--", "-+ "]), self.scalar(depth - 1)),
            1 => self.call(Type::Scalar, depth),
            2 => {
                let (lhs, rhs) = (self.operand(Type::Scalar, depth), self.operand(Type::Scalar, depth));
                let op = self.random.pick(&["+", "-", "*", "/", "%", "^", "atan2", "== bool", "< bool", ">= bool"]);
                let (left, right) = (self.blank(), self.blank());
                format!("{lhs}{left}{op}{right}{rhs}")
            }
            3 if !self.wild() => self.random.pick(&["(time() % 3)", "scalar(sum(gauge))"]).to_owned(),
            4 if self.wild() => {
                let inner = self.scalar(depth - 1);
                self.parens(&inner)
            }
            _ => self.number(),
        }
    }

    /// An expression in parentheses unless it is one word: pieces must not group differently than their types allow.
    fn operand(&mut self, kind: Type, depth: u64) -> String {
        let text = self.expression(kind, depth - 1);
        let is_word = text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if is_word { text } else { self.parens(&text) }
    }

    /// Operands of one type without parentheses, so that the operators decide how they group.
    fn chain(&mut self, kind: Type) -> String {
        let mut ops = vec!["+", "-", "*", "/", "%", "^", "atan2", "*", "^"];
        if kind == Type::Vector {
            ops.extend(["and", "or", "unless", "==", "<", "!="]);
        }
        let mut text = String::new();
        for i in 0..2 + self.random.below(4) {
            if i > 0 {
                let (left, op, right) = (self.blank(), self.random.pick(&ops), self.blank());
                text.push_str(&format!("{left}{op}{right}"));
            }
            text.push_str(self.random.pick(&["", "", "", "-", "+", "--"]));
            text.push_str(&if kind == Type::Vector { self.series() } else { self.number() });
        }
        text
    }

    fn vector(&mut self, depth: u64) -> String {
        if depth == 0 {
            return self.selector();
        }
        match self.random.below(10) {
            0 => self.selector(),
            1..=3 => self.call(Type::Vector, depth),
            4 | 5 => self.aggregation(depth),
            6 => self.with_scalar(depth),
            7 | 8 => self.with_vector(depth),
            _ => {
                let inner = self.operand(Type::Vector, depth);
                format!("{}{inner}", if self.wild() { self.random.pick(&["-", "+", "- "]) } else { "-" })
            }
        }
    }

    fn with_scalar(&mut self, depth: u64) -> String {
        let (vector, scalar) = (self.operand(Type::Vector, depth), self.operand(Type::Scalar, depth.min(2)));
        let mut ops = vec!["+", "-", "*", "/", "%", "^", ">", "< bool", "==", "!=", "<=", ">= bool", "atan2"];
        if self.wild() {
            ops.extend(["</", ">/"]);
        }
        let (op, left, right) = (self.random.pick(&ops), self.blank(), self.blank());
        if self.random.one_in(4) {
            format!("{scalar}{left}{op}{right}{vector}")
        } else {
            format!("{vector}{left}{op}{right}{scalar}")
        }
    }

    fn with_vector(&mut self, depth: u64) -> String {
        if self.wild() && self.random.one_in(3) {
            return self.chain(Type::Vector);
        }
        let (lhs, rhs) = (self.operand(Type::Vector, depth), self.operand(Type::Vector, depth));
        let (left, right) = (self.blank(), self.blank());
        if self.random.one_in(3) {
            let op = self.random.pick(&["and", "or", "unless"]);
            let (op, matching) = (self.keyword(op), self.matching());
            return format!("{lhs}{left}{op}{matching}{right}{rhs}");
        }
        let op = self.random.pick(&["+", "-", "*", "/", "%", "^", ">", "==", "!=", "< bool", ">= bool", "atan2"]);
        if !self.wild() {
            let tail = self.random.pick(&[
                "",
                " on (a, b)",
                " on (a) group_left ()",
                " ignoring (b) group_right ()",
                " ignoring (le)",
                " on (a, b) fill (0)",
                " on (a, b) fill_left (1)",
            ]);
            return format!("{lhs} {op}{tail} {rhs}");
        }
        let mut tail = self.matching();
        if !tail.is_empty() && self.random.one_in(3) {
            let word = self.random.pick(&["group_left", "group_right"]);
            // Labels of `on` must not appear here.
            let include = self.random.pick(&["()", "(z)", "(z, \"y.z\",)"]);
            tail.push_str(&format!(" {word}{include}"));
        }
        if self.random.one_in(4) {
            let value = self.random.pick(&["0", "-1.5", "+Inf", "NaN", "1e6", "5m", "1e-7"]);
            tail.push_str(&match self.random.below(4) {
                0 => format!(" fill({value})"),
                1 => format!(" fill_left ({value})"),
                2 => format!(" FILL_RIGHT({value})"),
                _ => format!(" fill_right({value}) fill_left(3)"),
            });
        }
        format!("{lhs}{left}{op}{tail}{right}{rhs}")
    }

    fn matching(&mut self) -> String {
        if !self.wild() {
            return self.random.pick(&["", "", " on (a)", " on (a, b)", " ignoring (b)"]).to_owned();
        }
        if self.random.one_in(2) {
            return String::new();
        }
        let word = self.random.pick(&["on", "ignoring"]);
        format!(" {}{}", self.keyword(word), self.labels())
    }

    fn labels(&mut self) -> String {
        let mut list: Vec<String> = Vec::new();
        for _ in 0..self.random.below(4) {
            let label = self.random.pick(LABELS);
            list.push(match self.random.below(6) {
                0 => self.random.pick(&["\"a.b\"", "'é'", "`x y`", "\"a\""]).to_owned(),
                1 => "a:b".to_owned(),
                _ => label.to_owned(),
            });
        }
        let tail = if !list.is_empty() && self.random.one_in(5) { "," } else { "" };
        format!("({}{tail})", list.join(","))
    }

    fn aggregation(&mut self, depth: u64) -> String {
        let inner = self.expression(Type::Vector, depth - 1);
        let op = self.random.pick(&[
            "sum",
            "avg",
            "count",
            "min",
            "max",
            "group",
            "stddev",
            "stdvar",
            "topk",
            "bottomk",
            "quantile",
            "limitk",
            "limit_ratio",
            "count_values",
        ]);
        let args = match op {
            "topk" | "bottomk" | "quantile" | "limitk" | "limit_ratio" => {
                format!("{}, {inner}", self.scalar(depth.min(2) - 1))
            }
            "count_values" if self.wild() => format!("{},{inner}", self.string()),
            "count_values" => format!("\"v\", round({inner})"),
            _ => inner,
        };
        let op = self.keyword(op);
        if !self.wild() {
            let grouping =
                self.random.pick(&["", " by (a)", " without (b)", " by (a, b)", " without (a, le)", " by (le)"]);
            return format!("{op}{grouping} ({args})");
        }
        let word = self.random.pick(&["by", "without"]);
        let (word, labels, blank) = (self.keyword(word), self.labels(), self.blank());
        match self.random.below(3) {
            0 => format!("{op}({args})"),
            1 => format!("{op}{blank}{word}{blank}{labels}{blank}({args})"),
            _ => format!("{op}({args}){blank}{word} {labels}"),
        }
    }

    fn call(&mut self, returns: Type, depth: u64) -> String {
        let fitting: Vec<usize> = (0..self.functions.len()).filter(|i| self.functions[*i].returns == returns).collect();
        if fitting.is_empty() {
            return self.expression(returns, 0);
        }
        let index = self.random.pick(&fitting);
        let function = self.functions[index].clone();
        if let Some(call) = self.special_call(function.name, depth) {
            return call;
        }
        let (least, most) = match (function.args.len(), function.variadic) {
            (n, 0) => (n, n),
            (n, more) if more < 0 => (n.saturating_sub(1), n + 3),
            (n, more) => (n - 1, n - 1 + more as usize),
        };
        let count = least + self.random.below((most - least + 1) as u64) as usize;
        let mut args = Vec::new();
        for i in 0..count {
            let kind = function.args.get(i).or(function.args.last()).copied().unwrap_or(Type::Scalar);
            args.push(self.expression(kind, depth - 1));
        }
        let blank = if self.wild() { self.random.pick(&["", "", " "]) } else { "" };
        format!("{}{blank}({})", function.name, args.join(if self.random.one_in(2) { ", " } else { "," }))
    }

    /// Calls whose strings mean something, and whose arguments have rules of their own.
    fn special_call(&mut self, name: &str, depth: u64) -> Option<String> {
        if name == "info" {
            let base = self.expression(Type::Vector, depth - 1);
            let selector = self.random.pick(&["", ", {}", ", {data=~\".+\"}", ", {__name__=\"target_info\",x=\"\"}"]);
            return Some(format!("info({base}{selector})"));
        }
        if self.wild() {
            return None;
        }
        let vector = |this: &mut Self| this.expression(Type::Vector, depth - 1);
        Some(match name {
            "label_replace" => {
                let rest = self.random.pick(&[
                    "\"c\", \"$1\", \"a\", \"(.*)\"",
                    "\"b\", \"z\", \"le\", \"1.*\"",
                    "\"a\", \"\", \"b\", \"x\"",
                ]);
                format!("label_replace({}, {rest})", vector(self))
            }
            "label_join" => format!("label_join({}, \"c\", \"-\", \"a\", \"b\")", vector(self)),
            "sort_by_label" | "sort_by_label_desc" => format!("{name}({}, \"a\", \"b\")", vector(self)),
            "histogram_quantile" => format!("histogram_quantile({}, {})", self.number(), self.buckets(depth)),
            "histogram_quantiles" => {
                format!("histogram_quantiles({}, \"q\", 0.5, {})", self.buckets(depth), self.number())
            }
            "histogram_fraction" => format!("histogram_fraction(0, {}, {})", self.number(), self.buckets(depth)),
            "double_exponential_smoothing" => {
                format!("{name}({}, 0.5, 0.{})", self.matrix(depth - 1), 1 + self.random.below(9))
            }
            "rate" | "increase" | "delta" if self.random.one_in(3) => {
                format!("{name}(count_total[2m] {})", self.random.pick(&["anchored", "smoothed"]))
            }
            _ => return None,
        })
    }

    fn buckets(&mut self, depth: u64) -> String {
        match self.random.below(4) {
            0 => self.expression(Type::Vector, depth - 1),
            1 => "h_bucket".to_owned(),
            2 => "sum by (le) (rate(h_bucket[2m]))".to_owned(),
            _ => "rate(h_bucket[3m])".to_owned(),
        }
    }

    fn selector(&mut self) -> String {
        let body = self.series();
        let times = self.times();
        format!("{body}{times}")
    }

    fn series(&mut self) -> String {
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

    fn matrix(&mut self, depth: u64) -> String {
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

    fn plain_duration(&mut self) -> &'static str {
        self.random.pick(&["5m", "1h30m", "1d", "30", "0.5", "90s", "1w", "100ms", "0x10", "2y", "1_00", "1.5"])
    }

    /// A duration in brackets: greater than 0 when it is plain.
    fn duration(&mut self, depth: u64) -> String {
        if depth == 0 || self.random.one_in(2) {
            return self.plain_duration().to_owned();
        }
        match self.random.below(6) {
            0 => self.random.pick(&["step()", "range()", "STEP ()"]).to_owned(),
            1 => format!("({})", self.duration(depth - 1)),
            2 => format!(
                "{}({}, {})",
                self.random.pick(&["min_of", "max_of", "MAX_OF"]),
                self.duration(depth - 1),
                self.duration(depth - 1)
            ),
            3 => format!("{}({} + 1s)", self.random.pick(&["-", "+", "-2 ^ ", "- (-3)*"]), self.duration(depth - 1)),
            _ => {
                let op = self.random.pick(&["+", "-", "*", "/", "%", "^"]);
                let blank = self.random.pick(&["", " "]);
                format!("{}{blank}{op}{blank}{}", self.duration(depth - 1), self.duration(depth - 1))
            }
        }
    }

    fn offset(&mut self) -> String {
        let sign = self.random.pick(&["", "", "-", "+"]);
        match self.random.below(4) {
            0 => format!("{sign}({})", self.duration(2)),
            1 => format!("{sign}{}", self.random.pick(&["step()", "range()", "min_of(step(), 1m)", "0", "0s"])),
            _ => format!("{sign}{}", self.plain_duration()),
        }
    }
}
