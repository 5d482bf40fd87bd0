//! Random PromQL expressions from a seed, of a wanted type, with every function, aggregation, operator and modifier.
//!
//! It writes text, so that spelling is random too: cases of keywords, three kinds of quotes, odd numbers, blanks and
//! comments. It needs nothing of this crate: `tests/it` and `fuzz` include this file by its path.

mod calls;
mod random;
mod selectors;
mod vectors;
mod words;

pub(crate) use random::Random;

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

const LABELS: &[&str] =
    &["a", "b", "le", "job", "on", "by", "sum", "bool", "offset", "group_left", "_x1", "step", "fill"];

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
}
