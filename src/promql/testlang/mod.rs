//! The PromQL test language of Prometheus (`load`, `clear`, `eval`): reads scripts, keeps their series in memory, runs
//! their evaluations against any evaluator and compares.
//!
//! Every instant evaluation is also run again in other shapes that must give the same result: pinned with `@` at other
//! times, and as the middle step of a range query.
//!
//! ```
//! use watchfire::promql::testlang::{Command, parse_script};
//! let script = parse_script("load 1m\n  up 1+1x3\n\neval instant at 1m up\n  up 2\n").unwrap();
//! assert!(matches!(&script[1], Command::Eval(eval) if eval.expr == "up" && eval.line == 4));
//! ```

mod compare;
mod histogram;
mod load;
mod nhcb;
mod parse;
mod pin;
mod run;
mod script;
mod store;

#[cfg(test)]
mod tests;

pub use histogram::describe_histogram;
pub use parse::{ScriptError, parse_script};
pub use run::{Evaluator, Failure, Options, Report, run_script};
pub use script::{
    Command, Eval, EvalTime, Expectations, ExpectedResult, ExpectedSeries, Load, LoadSeries, MessageCheck,
};
pub use store::MemoryStore;
