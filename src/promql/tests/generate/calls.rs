//! Aggregations and calls of functions.

use super::{Generator, Type};

impl Generator {
    pub(super) fn aggregation(&mut self, depth: u64) -> String {
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

    pub(super) fn call(&mut self, returns: Type, depth: u64) -> String {
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
}
