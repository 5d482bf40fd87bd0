//! The syntax tree as `parse_query` answers it (`web/api/v1/translate_ast.go` of Prometheus).

use serde_json::{Value, json};

use crate::model::{MatchOp, Matcher};
use crate::promql::parser::{
    AtModifier, Cardinality, DurationExpr, Expr, Function, ValueType, VectorMatching, VectorSelector,
};

/// Translates a tree. Its depth is bounded by the parser.
pub(super) fn to_json(expr: &Expr) -> Value {
    match expr {
        Expr::Number(node) => json!({"type": "numberLiteral", "val": number(node.value)}),
        Expr::String(node) => json!({"type": "stringLiteral", "val": node.value}),
        Expr::Paren(node) => json!({"type": "parenExpr", "expr": to_json(&node.expr)}),
        Expr::Unary(node) => {
            json!({"type": "unaryExpr", "op": if node.negative { "-" } else { "+" }, "expr": to_json(&node.expr)})
        }
        Expr::Binary(node) => json!({
            "type": "binaryExpr",
            "op": node.op.as_str(),
            "lhs": to_json(&node.lhs),
            "rhs": to_json(&node.rhs),
            "matching": node.matching.as_ref().map(matching),
            "bool": node.return_bool,
        }),
        Expr::Aggregate(node) => json!({
            "type": "aggregation",
            "op": node.op.as_str(),
            "expr": to_json(&node.expr),
            "param": node.param.as_ref().map(to_json),
            "grouping": node.grouping,
            "without": node.without,
        }),
        Expr::Call(node) => json!({
            "type": "call",
            "func": function(node.func),
            "args": node.args.iter().map(to_json).collect::<Vec<_>>(),
        }),
        Expr::Vector(node) => selector("vectorSelector", node),
        Expr::Matrix(node) => {
            let mut value = selector("matrixSelector", &node.selector);
            put(&mut value, "range", duration(&node.range));
            value
        }
        Expr::Subquery(node) => json!({
            "type": "subquery",
            "expr": to_json(&node.expr),
            "range": duration(&node.range),
            "step": node.step.as_ref().map_or(Value::from(0), duration),
            "offset": node.offset.as_ref().map_or(Value::from(0), duration),
            "timestamp": timestamp(node.at),
            "startOrEnd": start_or_end(node.at),
        }),
    }
}

fn number(value: f64) -> String {
    crate::model::format_float(value)
}

fn put(object: &mut Value, key: &str, value: Value) {
    if let Value::Object(map) = object {
        map.insert(key.to_owned(), value);
    }
}

fn selector(kind: &str, node: &VectorSelector) -> Value {
    json!({
        "type": kind,
        "name": node.name,
        "offset": node.offset.as_ref().map_or(Value::from(0), duration),
        "matchers": node.matchers.iter().map(matcher).collect::<Vec<_>>(),
        "timestamp": timestamp(node.at),
        "startOrEnd": start_or_end(node.at),
    })
}

fn matcher(matcher: &Matcher) -> Value {
    let op = match matcher.op {
        MatchOp::Equal => "=",
        MatchOp::NotEqual => "!=",
        MatchOp::Regex => "=~",
        MatchOp::NotRegex => "!~",
    };
    json!({"name": matcher.name, "type": op, "value": matcher.value})
}

/// Milliseconds; an expression that is not a plain duration has none before it is evaluated and is given as text.
fn duration(expr: &DurationExpr) -> Value {
    match expr {
        DurationExpr::Literal(literal) => Value::from((literal.seconds * 1000.0).round() as i64),
        DurationExpr::Unary { negative, inner } => match duration(inner) {
            Value::Number(ms) if *negative => Value::from(-ms.as_i64().unwrap_or(0)),
            value => value,
        },
        other => Value::from(other.to_string()),
    }
}

fn timestamp(at: Option<AtModifier>) -> Value {
    match at {
        Some(AtModifier::At(ts)) => Value::from(ts),
        _ => Value::Null,
    }
}

fn start_or_end(at: Option<AtModifier>) -> Value {
    match at {
        Some(AtModifier::Start) => Value::from("start"),
        Some(AtModifier::End) => Value::from("end"),
        _ => Value::Null,
    }
}

fn matching(matching: &VectorMatching) -> Value {
    let card = match matching.cardinality {
        Cardinality::OneToOne => "one-to-one",
        Cardinality::ManyToOne => "many-to-one",
        Cardinality::OneToMany => "one-to-many",
        Cardinality::ManyToMany => "many-to-many",
    };
    json!({"card": card, "labels": matching.labels, "on": matching.on, "include": matching.include})
}

fn function(function: &Function) -> Value {
    json!({
        "name": function.name,
        "argTypes": function.args.iter().map(|kind| value_type(*kind)).collect::<Vec<_>>(),
        "variadic": function.variadic,
        "returnType": value_type(function.returns),
    })
}

fn value_type(kind: ValueType) -> &'static str {
    match kind {
        ValueType::Scalar => "scalar",
        ValueType::Vector => "vector",
        ValueType::Matrix => "matrix",
        ValueType::String => "string",
    }
}

#[cfg(test)]
mod tests {
    use super::to_json;
    use crate::promql::parser::parse;

    #[test]
    fn translates_the_tree() {
        let expr = parse("sum by (job) (rate(x{a=~\"b\"}[5m] offset 1m)) > bool 1").expect("valid");
        let json = to_json(&expr);
        assert_eq!(json["type"], "binaryExpr");
        assert_eq!(json["bool"], true);
        assert_eq!(json["rhs"]["val"], "1");
        let call = &json["lhs"]["expr"];
        assert_eq!(call["func"]["argTypes"][0], "matrix");
        let selector = &call["args"][0];
        assert_eq!((selector["range"].as_i64(), selector["offset"].as_i64()), (Some(300_000), Some(60_000)));
        assert_eq!(selector["matchers"][0]["type"], "=~");
    }
}
