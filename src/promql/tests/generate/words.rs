//! Literals, names and durations, in all their spellings.

use super::{Generator, LABELS};

const TEXTS: &[&str] =
    &["", "x", "1", "a b", "é", "\u{1F600}", ".*", "x|y", "[0-9]+", "a.b", "(?i)x", "{}", "#", "0.5"];

impl Generator {
    /// A blank, or what counts as one.
    pub(super) fn blank(&mut self) -> &'static str {
        if !self.wild() {
            return " ";
        }
        self.random.pick(&[" ", " ", " ", "  ", "\n", "\t", " # a comment ( \n", "\r\n"])
    }

    pub(super) fn parens(&mut self, text: &str) -> String {
        let (left, right) = if self.wild() {
            (self.random.pick(&["(", "( ", "(\n"]), self.random.pick(&[")", " )"]))
        } else {
            ("(", ")")
        };
        format!("{left}{text}{right}")
    }

    pub(super) fn keyword(&mut self, word: &str) -> String {
        if self.wild() && self.random.one_in(6) { word.to_uppercase() } else { word.to_owned() }
    }

    pub(super) fn quoted(&mut self, text: &str) -> String {
        match self.random.below(3) {
            0 if !text.contains('`') => format!("`{text}`"),
            1 => format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'").replace('\n', "\\n")),
            _ => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")),
        }
    }

    pub(super) fn string(&mut self) -> String {
        if self.random.one_in(6) {
            let escapes =
                [r#""\x41\u00e9\101\n""#, r"'\'\\'", r#""\a\b\f\r\t\v\U0001F600""#, "`\\d\n\"`", r#""\x00\x7f""#];
            return self.random.pick(&escapes).to_owned();
        }
        let text = self.random.pick(TEXTS);
        self.quoted(text)
    }

    pub(super) fn number(&mut self) -> String {
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

    pub(super) fn labels(&mut self) -> String {
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

    fn plain_duration(&mut self) -> &'static str {
        self.random.pick(&["5m", "1h30m", "1d", "30", "0.5", "90s", "1w", "100ms", "0x10", "2y", "1_00", "1.5"])
    }

    /// A duration in brackets: greater than 0 when it is plain.
    pub(super) fn duration(&mut self, depth: u64) -> String {
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

    pub(super) fn offset(&mut self) -> String {
        let sign = self.random.pick(&["", "", "-", "+"]);
        match self.random.below(4) {
            0 => format!("{sign}({})", self.duration(2)),
            1 => format!("{sign}{}", self.random.pick(&["step()", "range()", "min_of(step(), 1m)", "0", "0s"])),
            _ => format!("{sign}{}", self.plain_duration()),
        }
    }
}
