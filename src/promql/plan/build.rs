//! From the tree to the plan.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use rustc_hash::FxHashMap;

use crate::model::{Labels, LabelsBuilder, METRIC_NAME, MatchOp, Matcher, Timestamp};
use crate::promql::deep;
use crate::promql::parser::{
    AggregateExpr, AtModifier, BinaryExpr, Call as CallExpr, Expr, FunctionId, MatrixSelector, Pos, RangeMode,
    SubqueryExpr, ValueType, VectorSelector,
};
use crate::promql::result::QueryError;

use super::{Aggregate, Binary, Call, Info, Kind, Node, Plan, QueryTimes, Selector, Source, Window, durations};

pub(super) fn plan(expr: &Expr, times: QueryTimes, subquery_step: Duration) -> Result<Plan, QueryError> {
    let gives = expr.value_type();
    if times.is_range() && !matches!(gives, ValueType::Scalar | ValueType::Vector) {
        return Err(QueryError::BadData(format!(
            "invalid expression type {:?} for range query, must be Scalar or instant Vector",
            gives.as_str()
        )));
    }
    let subquery_step = i64::try_from(subquery_step.as_millis()).unwrap_or(60_000).max(1);
    let builder = Builder { times, subquery_step, asked_times: Cell::new(false), references: RefCell::default() };
    let root = builder.node(expr)?;
    Ok(Plan { root, gives, bound_to_times: builder.asked_times.get(), stays: false })
}

struct Builder {
    times: QueryTimes,
    subquery_step: i64,
    /// Whether anything depended on the query's times.
    asked_times: Cell<bool>,
    /// References of the `info` calls that are planned already: without it, calls inside of calls would look through
    /// all of their insides at each level.
    references: RefCell<FxHashMap<*const CallExpr, Option<Reference>>>,
}

/// Offset and `@` of a selector.
type Reference = (i64, Option<Timestamp>);

impl Builder {
    /// The query's times, for something that will not hold at others.
    fn times(&self) -> QueryTimes {
        self.asked_times.set(true);
        self.times
    }

    fn node(&self, expr: &Expr) -> Result<Node, QueryError> {
        deep(|| self.level(expr))
    }

    fn level(&self, expr: &Expr) -> Result<Node, QueryError> {
        match expr {
            Expr::Number(number) => Ok(node(Kind::Number(number.value), number.pos, true)),
            Expr::String(text) => Ok(node(Kind::Text(text.value.as_str().into()), text.pos, true)),
            // Any number of parentheses costs neither a node nor a level.
            Expr::Paren(paren) => {
                let mut inner = self.node(expr.without_parens())?;
                inner.pos = paren.pos;
                Ok(inner)
            }
            Expr::Unary(unary) if !unary.negative => self.node(&unary.expr),
            Expr::Unary(unary) => {
                let inner = self.node(&unary.expr)?;
                let invariant = inner.invariant;
                Ok(node(Kind::Negate(Box::new(inner)), unary.pos, invariant))
            }
            Expr::Binary(binary) => self.binary(binary),
            Expr::Aggregate(aggregate) => self.aggregate(aggregate),
            Expr::Call(call) => self.call(call),
            Expr::Vector(selector) => {
                let selected = self.selector(selector)?;
                let invariant = selected.at.is_some();
                Ok(node(Kind::Vector(selected), selector.pos, invariant))
            }
            Expr::Matrix(_) | Expr::Subquery(_) => {
                let source = self.source(expr)?;
                Ok(node(Kind::Matrix(Box::new(source)), expr.pos(), false))
            }
        }
    }

    fn binary(&self, expr: &BinaryExpr) -> Result<Node, QueryError> {
        let (lhs, rhs) = (self.node(&expr.lhs)?, self.node(&expr.rhs)?);
        let invariant = lhs.invariant && rhs.invariant;
        let matching = expr.matching.clone().unwrap_or_default();
        let binary = Binary { op: expr.op, lhs, rhs, matching, return_bool: expr.return_bool };
        Ok(node(Kind::Binary(Box::new(binary)), expr.pos, invariant))
    }

    fn aggregate(&self, expr: &AggregateExpr) -> Result<Node, QueryError> {
        let inner = self.node(expr.expr.without_parens())?;
        let param = expr.param.as_ref().map(|param| self.node(param.without_parens())).transpose()?;
        let invariant = inner.invariant && param.as_ref().is_none_or(|param| param.invariant);
        let aggregate = Aggregate {
            op: expr.op,
            expr: inner,
            param,
            grouping: expr.grouping.clone(),
            without: expr.without,
            pos: expr.pos,
        };
        Ok(node(Kind::Aggregate(Box::new(aggregate)), expr.pos, invariant))
    }

    fn call(&self, expr: &CallExpr) -> Result<Node, QueryError> {
        if let Some(value) = self.query_constant(expr.func.id) {
            return Ok(node(Kind::Number(value), expr.pos, true));
        }
        match expr.func.id {
            FunctionId::Timestamp | FunctionId::StartTimestamp => {
                if let Some(node) = self.sample_time(expr)? {
                    return Ok(node);
                }
            }
            FunctionId::Absent => return self.absent(expr),
            FunctionId::Info => return self.info(expr),
            _ if expr.args.iter().any(|arg| arg.value_type() == ValueType::Matrix) => return self.window(expr),
            _ => {}
        }
        // Annotations point to what stands between an argument's parentheses.
        let args = expr.args.iter().map(|arg| self.node(arg.without_parens())).collect::<Result<Vec<_>, _>>()?;
        let invariant = is_pure(expr.func.id) && args.iter().all(|arg| arg.invariant);
        Ok(node(Kind::Call(Call { func: expr.func, args }), expr.pos, invariant))
    }

    /// `start()`, `end()`, `step()`, `range()` are known before the query runs.
    fn query_constant(&self, id: FunctionId) -> Option<f64> {
        let ms = match id {
            FunctionId::Start => self.times().start,
            FunctionId::End => self.times().end,
            // Of an instant query both are zero, whatever its time.
            FunctionId::Step => self.times.step,
            FunctionId::Range => self.times.end.saturating_sub(self.times.start),
            _ => return None,
        };
        Some(ms as f64 / 1000.0)
    }

    fn sample_time(&self, expr: &CallExpr) -> Result<Option<Node>, QueryError> {
        let Some(Expr::Vector(selector)) = expr.args.first().map(Expr::without_parens) else { return Ok(None) };
        if selector.mode != RangeMode::Plain {
            return Ok(None);
        }
        let selected = self.selector(selector)?;
        let start = expr.func.id == FunctionId::StartTimestamp;
        let invariant = selected.at.is_some();
        Ok(Some(node(Kind::SampleTime { selector: selected, start }, expr.pos, invariant)))
    }

    fn absent(&self, expr: &CallExpr) -> Result<Node, QueryError> {
        let arg = expr.args.first().ok_or_else(|| missing_argument(expr))?;
        let labels = fixed_labels(arg.without_parens());
        let arg = Box::new(self.node(arg)?);
        let invariant = arg.invariant;
        Ok(node(Kind::Absent { arg, labels }, expr.pos, invariant))
    }

    fn info(&self, expr: &CallExpr) -> Result<Node, QueryError> {
        let base_expr = expr.args.first().ok_or_else(|| missing_argument(expr))?;
        let matchers = match expr.args.get(1).map(Expr::without_parens) {
            Some(Expr::Vector(selector)) => selector.matchers.clone(),
            _ => vec![Matcher::equal(METRIC_NAME, "target_info")],
        };
        let base = self.node(base_expr)?;
        let reference = self.first_reference(base_expr)?;
        self.references.borrow_mut().insert(expr, reference);
        let (offset, at) = reference.unwrap_or((0, None));
        let invariant = base.invariant;
        Ok(node(Kind::Info(Box::new(Info { base, matchers, offset, at })), expr.pos, invariant))
    }

    /// Offset and `@` of the first selector in `expr`, with those of the subqueries around it.
    fn first_reference(&self, expr: &Expr) -> Result<Option<Reference>, QueryError> {
        deep(|| self.reference_below(expr))
    }

    fn reference_below(&self, expr: &Expr) -> Result<Option<Reference>, QueryError> {
        Ok(match expr {
            Expr::Number(_) | Expr::String(_) => None,
            Expr::Paren(node) => self.first_reference(&node.expr)?,
            Expr::Unary(node) => self.first_reference(&node.expr)?,
            Expr::Binary(node) => match self.first_reference(&node.lhs)? {
                None => self.first_reference(&node.rhs)?,
                found => found,
            },
            Expr::Aggregate(node) => self.first_reference(&node.expr)?,
            Expr::Call(node) => {
                if let Some(known) = self.references.borrow().get(&std::ptr::from_ref(node)) {
                    return Ok(*known);
                }
                for arg in &node.args {
                    if let Some(found) = self.first_reference(arg)? {
                        return Ok(Some(found));
                    }
                }
                None
            }
            Expr::Vector(selector) => Some(self.reference_of(selector)?),
            Expr::Matrix(matrix) => Some(self.reference_of(&matrix.selector)?),
            Expr::Subquery(subquery) => {
                let offset = durations::signed(subquery.offset.as_ref(), self.times)?;
                let at = self.at(subquery.at);
                self.first_reference(&subquery.expr)?.map(|(inner, inner_at)| match inner_at {
                    Some(_) => (inner, inner_at),
                    None => (inner.saturating_add(offset), at),
                })
            }
        })
    }

    fn reference_of(&self, selector: &VectorSelector) -> Result<Reference, QueryError> {
        Ok((durations::signed(selector.offset.as_ref(), self.times)?, self.at(selector.at)))
    }

    fn window(&self, expr: &CallExpr) -> Result<Node, QueryError> {
        let mut source = None;
        let mut args = Vec::new();
        for arg in &expr.args {
            if arg.value_type() == ValueType::Matrix {
                source = Some((self.source(arg)?, fixed_labels(arg.without_parens())));
            } else {
                args.push(self.node(arg.without_parens())?);
            }
        }
        let (source, absent) = source.ok_or_else(|| missing_argument(expr))?;
        check_mode(expr.func.id, expr.func.name, source.mode())?;
        let first_arg = match expr.args.first() {
            Some(first) => first.without_parens().pos(),
            None => expr.pos,
        };
        let invariant = is_pure(expr.func.id) && source.is_fixed() && args.iter().all(|arg| arg.invariant);
        let window = Window { func: expr.func, source, args, first_arg, absent };
        Ok(node(Kind::Window(Box::new(window)), expr.pos, invariant))
    }

    fn source(&self, expr: &Expr) -> Result<Source, QueryError> {
        match expr {
            Expr::Paren(_) => self.source(expr.without_parens()),
            Expr::Matrix(matrix) => self.matrix(matrix),
            Expr::Subquery(subquery) => self.subquery(subquery),
            other => Err(QueryError::BadData(format!("expected a range vector, got {}", other.value_type().as_str()))),
        }
    }

    fn matrix(&self, expr: &MatrixSelector) -> Result<Source, QueryError> {
        let selector = self.selector(&expr.selector)?;
        let range = durations::positive(&expr.range, self.times)?;
        Ok(Source::Selector { selector, range, pos: expr.pos })
    }

    fn subquery(&self, expr: &SubqueryExpr) -> Result<Source, QueryError> {
        let step = match &expr.step {
            Some(step) => durations::positive(step, self.times)?.max(1),
            None => self.subquery_step,
        };
        Ok(Source::Subquery {
            expr: self.node(&expr.expr)?,
            range: durations::positive(&expr.range, self.times)?,
            step,
            offset: durations::signed(expr.offset.as_ref(), self.times)?,
            at: self.at(expr.at),
            pos: expr.pos,
        })
    }

    fn selector(&self, expr: &VectorSelector) -> Result<Selector, QueryError> {
        let (offset, at) = self.reference_of(expr)?;
        Ok(Selector { matchers: expr.matchers.clone(), offset, at, mode: expr.mode })
    }

    fn at(&self, at: Option<AtModifier>) -> Option<Timestamp> {
        at.map(|at| match at {
            AtModifier::At(ts) => ts,
            AtModifier::Start => self.times().start,
            AtModifier::End => self.times().end,
        })
    }
}

fn node(kind: Kind, pos: Pos, invariant: bool) -> Node {
    Node { kind, pos, invariant, key: None }
}

/// Whether equal arguments give equal results at every step (Prometheus' `AtModifierUnsafeFunctions` do not).
fn is_pure(id: FunctionId) -> bool {
    use FunctionId::{
        DayOfMonth, DayOfWeek, DayOfYear, DaysInMonth, Hour, Minute, Month, PredictLinear, StartTimestamp, Time,
        Timestamp, Year,
    };
    !matches!(
        id,
        DayOfMonth
            | DayOfWeek
            | DayOfYear
            | DaysInMonth
            | Hour
            | Minute
            | Month
            | Year
            | PredictLinear
            | Time
            | Timestamp
            | StartTimestamp
    )
}

/// Anchored and smoothed windows hold samples beyond their bounds: few functions can cope.
fn check_mode(id: FunctionId, name: &str, mode: RangeMode) -> Result<(), QueryError> {
    use FunctionId::{Changes, Delta, Increase, Rate, Resets};
    let (word, safe, names) = match mode {
        RangeMode::Plain => return Ok(()),
        RangeMode::Anchored => (
            "anchored",
            matches!(id, Changes | Delta | Increase | Rate | Resets),
            "changes, delta, increase, rate, resets",
        ),
        RangeMode::Smoothed => ("smoothed", matches!(id, Delta | Increase | Rate), "delta, increase, rate"),
    };
    if safe {
        return Ok(());
    }
    Err(QueryError::Execution(format!("{word} modifier can only be used with: {names} - not with {name}")))
}

/// The labels of `absent(expr)`: those that the selector fixes by `=`, each named once.
fn fixed_labels(expr: &Expr) -> Labels {
    let matchers = match expr {
        Expr::Vector(selector) => &selector.matchers,
        Expr::Matrix(matrix) => &matrix.selector.matchers,
        _ => return Labels::empty(),
    };
    let mut labels = LabelsBuilder::new();
    let mut seen: Vec<&str> = Vec::new();
    for matcher in matchers.iter().filter(|matcher| matcher.name != METRIC_NAME) {
        if matcher.op == MatchOp::Equal && !seen.contains(&matcher.name.as_str()) {
            labels.put(&matcher.name, &matcher.value);
            seen.push(&matcher.name);
        } else {
            labels.remove(&matcher.name);
        }
    }
    labels.build()
}

fn missing_argument(expr: &CallExpr) -> QueryError {
    QueryError::BadData(format!("missing argument in call to function {:?}", expr.func.name))
}
