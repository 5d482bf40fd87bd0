//! Functions by name: Go's own and Prometheus'.

mod builtin;
mod compare;
mod humanize;
mod links;
mod query;
mod text;

use super::exec::Executor;
use super::value::Val;

/// What a call gives; the error is a sentence without its place.
pub(super) type Outcome = Result<Val, String>;

/// How a function is called.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// Only its arguments matter.
    Plain(fn(&[Val]) -> Outcome),
    /// It asks, or looks at the clock or the server's address.
    Context(fn(&Executor<'_>, &[Val]) -> Outcome),
    /// `and`: evaluates its arguments one by one.
    And,
    /// `or`: evaluates its arguments one by one.
    Or,
}

/// A function.
#[derive(Debug)]
pub(super) struct Function {
    pub(super) name: &'static str,
    /// Fewest arguments.
    least: usize,
    /// Most arguments.
    most: usize,
    pub(super) kind: Kind,
}

const ANY: usize = usize::MAX;

const fn plain(name: &'static str, least: usize, most: usize, f: fn(&[Val]) -> Outcome) -> Function {
    Function { name, least, most, kind: Kind::Plain(f) }
}

const fn context(name: &'static str, least: usize, most: usize, f: fn(&Executor<'_>, &[Val]) -> Outcome) -> Function {
    Function { name, least, most, kind: Kind::Context(f) }
}

static FUNCTIONS: &[Function] = &[
    Function { name: "and", least: 1, most: ANY, kind: Kind::And },
    Function { name: "or", least: 1, most: ANY, kind: Kind::Or },
    plain("not", 1, 1, builtin::not),
    plain("len", 1, 1, builtin::len),
    plain("index", 1, ANY, builtin::index),
    plain("slice", 1, 4, builtin::slice),
    plain("print", 0, ANY, builtin::print),
    plain("printf", 1, ANY, builtin::printf),
    plain("println", 0, ANY, builtin::println),
    plain("html", 0, ANY, builtin::html),
    plain("js", 0, ANY, builtin::js),
    plain("urlquery", 0, ANY, builtin::urlquery),
    plain("call", 1, ANY, builtin::call),
    plain("eq", 2, ANY, compare::eq),
    plain("ne", 2, 2, compare::ne),
    plain("lt", 2, 2, compare::lt),
    plain("le", 2, 2, compare::le),
    plain("gt", 2, 2, compare::gt),
    plain("ge", 2, 2, compare::ge),
    context("query", 1, 1, query::query),
    plain("first", 1, 1, query::first),
    plain("label", 2, 2, query::label),
    plain("value", 1, 1, query::value),
    plain("strvalue", 1, 1, query::strvalue),
    plain("sortByLabel", 2, 2, query::sort_by_label),
    plain("args", 0, ANY, query::args),
    plain("match", 2, 2, text::matches),
    plain("reReplaceAll", 3, 3, text::replace_all),
    plain("title", 1, 1, text::title),
    plain("toUpper", 1, 1, text::to_upper),
    plain("toLower", 1, 1, text::to_lower),
    plain("safeHtml", 1, 1, text::safe_html),
    plain("stripPort", 1, 1, text::strip_port),
    plain("stripDomain", 1, 1, text::strip_domain),
    plain("graphLink", 1, 1, links::graph_link),
    plain("tableLink", 1, 1, links::table_link),
    plain("urlQueryEscape", 1, 1, links::escape),
    context("pathPrefix", 0, 0, links::path_prefix),
    context("externalURL", 0, 0, links::external_url),
    plain("humanize", 1, 1, humanize::humanize),
    plain("humanize1024", 1, 1, humanize::humanize1024),
    plain("humanizeDuration", 1, 1, humanize::duration),
    plain("humanizePercentage", 1, 1, humanize::percentage),
    plain("humanizeTimestamp", 1, 1, humanize::timestamp),
    plain("toTime", 1, 1, humanize::to_time),
    plain("toDuration", 1, 1, humanize::to_duration),
    plain("parseDuration", 1, 1, humanize::parse_duration),
    context("now", 0, 0, humanize::now),
];

impl Function {
    pub(super) fn by_name(name: &str) -> Option<&'static Self> {
        FUNCTIONS.iter().find(|function| function.name == name)
    }

    /// Whether the function takes that many arguments.
    pub(super) fn check_count(&self, got: usize) -> Result<(), String> {
        let Self { name, least, most, .. } = *self;
        if (least..=most).contains(&got) {
            return Ok(());
        }
        let want = if least == most {
            least.to_string()
        } else if got < least {
            format!("at least {least}")
        } else {
            format!("at most {most}")
        };
        Err(format!("wrong number of args for {name}: want {want} got {got}"))
    }
}

/// The argument at `i`, which the count check has seen.
fn arg(args: &[Val], i: usize) -> &Val {
    args.get(i).unwrap_or(&Val::Nil)
}

/// The string at `i`.
fn text_arg(args: &[Val], i: usize) -> Result<&str, String> {
    let value = arg(args, i);
    value.as_text().ok_or_else(|| format!("wrong type for value; expected string; got {}", value.type_name()))
}

/// A number of any type, or a string that is one, as `humanize` and its like take it.
fn number_arg(args: &[Val], i: usize) -> Result<f64, String> {
    match arg(args, i) {
        Val::Float(value) => Ok(*value),
        Val::Int(value) => Ok(*value as f64),
        Val::Duration(ns) => Ok(*ns as f64 / 1e9),
        Val::Text(text) => crate::model::parse_float(text)
            .ok_or_else(|| format!("strconv.ParseFloat: parsing {}: invalid syntax", crate::model::quote(text))),
        other => Err(format!("can't convert {} to float", other.type_name())),
    }
}
