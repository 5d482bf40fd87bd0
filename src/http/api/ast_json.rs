//! The syntax tree as `parse_query` answers it (`web/api/v1/translate_ast.go` of Prometheus), written straight into bytes:
//! a tree of JSON values would be as deep as the query, and its own code knows no bound.

use crate::http::json::Json;
use crate::model::Matcher;
use crate::promql::deep;
use crate::promql::parser::{
    AtModifier, Cardinality, DurationExpr, Expr, Function, RangeMode, ValueType, VectorMatching, VectorSelector,
};

/// Writes a tree.
pub(super) fn write(json: &mut Json, expr: &Expr) {
    deep(|| node(json, expr));
}

fn node(json: &mut Json, expr: &Expr) {
    match expr {
        Expr::Number(node) => begin(json, "numberLiteral").raw(",\"val\":").text(&number(node.value)),
        Expr::String(node) => begin(json, "stringLiteral").raw(",\"val\":").text(&node.value),
        Expr::Paren(node) => child(begin(json, "parenExpr"), "expr", &node.expr),
        Expr::Unary(node) => {
            let op = if node.negative { "-" } else { "+" };
            child(begin(json, "unaryExpr").raw(",\"op\":").text(op), "expr", &node.expr)
        }
        Expr::Binary(node) => {
            begin(json, "binaryExpr").raw(",\"op\":").text(node.op.as_str());
            child(json, "lhs", &node.lhs);
            child(json, "rhs", &node.rhs).raw(",\"matching\":");
            match &node.matching {
                Some(found) => matching(json, found),
                None => json.raw("null"),
            };
            flag(json, "bool", node.return_bool)
        }
        Expr::Aggregate(node) => {
            begin(json, "aggregation").raw(",\"op\":").text(node.op.as_str());
            child(json, "expr", &node.expr);
            match &node.param {
                Some(param) => child(json, "param", param),
                None => json.raw(",\"param\":null"),
            };
            json.raw(",\"grouping\":").strings(node.grouping.iter().map(String::as_str));
            flag(json, "without", node.without)
        }
        Expr::Call(node) => {
            begin(json, "call").raw(",\"func\":");
            function(json, node.func).raw(",\"args\":[");
            for (i, arg) in node.args.iter().enumerate() {
                write(json.raw(if i > 0 { "," } else { "" }), arg);
            }
            json.raw("]")
        }
        Expr::Vector(node) => selector(begin(json, "vectorSelector"), node),
        Expr::Matrix(node) => {
            selector(begin(json, "matrixSelector"), &node.selector).raw(",\"range\":").number(ms(Some(&node.range)))
        }
        Expr::Subquery(node) => {
            child(begin(json, "subquery"), "expr", &node.expr);
            json.raw(",\"range\":").number(ms(Some(&node.range)));
            json.raw(",\"step\":").number(ms(node.step.as_ref()));
            times(json, node.offset.as_ref(), node.at)
        }
    };
    json.raw("}");
}

fn begin<'a>(json: &'a mut Json, kind: &str) -> &'a mut Json {
    json.raw("{\"type\":").text(kind)
}

fn child<'a>(json: &'a mut Json, key: &str, expr: &Expr) -> &'a mut Json {
    write(json.raw(",").text(key).raw(":"), expr);
    json
}

fn flag<'a>(json: &'a mut Json, key: &str, value: bool) -> &'a mut Json {
    json.raw(",").text(key).raw(if value { ":true" } else { ":false" })
}

/// Go's `'f'` format.
fn number(value: f64) -> String {
    if value.is_finite() { value.to_string() } else { crate::model::format_float(value) }
}

fn selector<'a>(json: &'a mut Json, node: &VectorSelector) -> &'a mut Json {
    json.raw(",\"name\":").text(&node.name).raw(",\"matchers\":[");
    for (i, matcher) in node.matchers.iter().enumerate() {
        write_matcher(json.raw(if i > 0 { "," } else { "" }), matcher);
    }
    times(json.raw("]"), node.offset.as_ref(), node.at);
    flag(json, "anchored", node.mode == RangeMode::Anchored);
    flag(json, "smoothed", node.mode == RangeMode::Smoothed)
}

fn write_matcher(json: &mut Json, matcher: &Matcher) {
    json.raw("{\"name\":").text(&matcher.name).raw(",\"type\":").text(&matcher.op.to_string());
    json.raw(",\"value\":").text(&matcher.value).raw("}");
}

fn times<'a>(json: &'a mut Json, offset: Option<&DurationExpr>, at: Option<AtModifier>) -> &'a mut Json {
    json.raw(",\"offset\":").number(ms(offset)).raw(",\"timestamp\":");
    match at {
        Some(AtModifier::At(ts)) => json.number(ts),
        _ => json.raw("null"),
    };
    json.raw(",\"startOrEnd\":").raw(match at {
        Some(AtModifier::Start) => "\"start\"",
        Some(AtModifier::End) => "\"end\"",
        _ => "null",
    })
}

/// Milliseconds of a plain duration; an expression has none before it is evaluated, which Prometheus shows as 0.
fn ms(duration: Option<&DurationExpr>) -> i64 {
    match duration {
        Some(DurationExpr::Literal(literal)) => (literal.seconds * 1000.0).round() as i64,
        _ => 0,
    }
}

fn matching<'a>(json: &'a mut Json, matching: &VectorMatching) -> &'a mut Json {
    json.raw("{\"card\":").text(match matching.cardinality {
        Cardinality::OneToOne => "one-to-one",
        Cardinality::ManyToOne => "many-to-one",
        Cardinality::OneToMany => "one-to-many",
        Cardinality::ManyToMany => "many-to-many",
    });
    json.raw(",\"labels\":").strings(matching.labels.iter().map(String::as_str));
    flag(json, "on", matching.on).raw(",\"include\":").strings(matching.include.iter().map(String::as_str));
    json.raw(",\"fillValues\":{\"lhs\":").float(matching.fill_left.unwrap_or(f64::NAN));
    json.raw(",\"rhs\":").float(matching.fill_right.unwrap_or(f64::NAN)).raw("}}")
}

fn function<'a>(json: &'a mut Json, function: &Function) -> &'a mut Json {
    json.raw("{\"name\":").text(function.name).raw(",\"argTypes\":");
    json.strings(function.args.iter().map(|kind| value_type(*kind)));
    json.raw(",\"variadic\":").number(function.variadic);
    json.raw(",\"returnType\":").text(value_type(function.returns)).raw("}")
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
    use serde_json::{Value, json};

    use super::write;
    use crate::http::json::Json;
    use crate::promql::parser::parse;

    fn check(query: &str, expected: Value) {
        let mut json = Json::default();
        write(&mut json, &parse(query).unwrap_or_else(|error| panic!("{query}: {error}")));
        let found: Value = serde_json::from_slice(&json.finish()).unwrap_or_else(|error| panic!("{query}: {error}"));
        assert_eq!(found, expected, "{query}");
    }

    fn selector(more: Value) -> Value {
        let mut all = json!({
            "type": "vectorSelector", "name": "x", "offset": 0, "timestamp": null, "startOrEnd": null,
            "anchored": false, "smoothed": false,
            "matchers": [{"name": "__name__", "type": "=", "value": "x"}],
        });
        for (key, value) in more.as_object().expect("an object") {
            all[key] = value.clone();
        }
        all
    }

    #[test]
    fn every_node_has_prometheus_fields() {
        check("-0x10", json!({"type": "numberLiteral", "val": "-16"}));
        check("1e9", json!({"type": "numberLiteral", "val": "1000000000"}));
        check("-Inf", json!({"type": "numberLiteral", "val": "-Inf"}));
        check("'a\"'", json!({"type": "stringLiteral", "val": "a\""}));
        check("x @ 1.5 offset -5m", selector(json!({"timestamp": 1500, "offset": -300_000})));
        check("x @ end()", selector(json!({"startOrEnd": "end"})));
        let matrix = selector(json!({"type": "matrixSelector", "range": 300_000, "smoothed": true}));
        check("x[5m] smoothed", matrix);
        check("x[step()]", selector(json!({"type": "matrixSelector", "range": 0})));
        let quoted = json!([
            {"name": "__name__", "type": "=", "value": "my.metric"}, {"name": "a.b", "type": "!~", "value": "c"},
        ]);
        check("{'my.metric','a.b'!~'c'}", selector(json!({"name": "", "matchers": quoted})));
        check(
            "(+x)",
            json!({
                "type": "parenExpr", "expr": {"type": "unaryExpr", "op": "+", "expr": selector(json!({}))},
            }),
        );
        check(
            "x[5m:1m] @ start() offset 1s",
            json!({
                "type": "subquery", "expr": selector(json!({})), "range": 300_000, "step": 60_000, "offset": 1000,
                "timestamp": null, "startOrEnd": "start",
            }),
        );
        check(
            "topk by (a) (2, x)",
            json!({
                "type": "aggregation", "op": "topk", "expr": selector(json!({})), "grouping": ["a"], "without": false,
                "param": {"type": "numberLiteral", "val": "2"},
            }),
        );
        check(
            "sum without () (x)",
            json!({
                "type": "aggregation", "op": "sum", "expr": selector(json!({})), "grouping": [], "without": true,
                "param": null,
            }),
        );
        check(
            "round(x)",
            json!({
                "type": "call", "args": [selector(json!({}))],
                "func": {"name": "round", "argTypes": ["vector", "scalar"], "variadic": 1, "returnType": "vector"},
            }),
        );
        check(
            "x > bool 1",
            json!({
                "type": "binaryExpr", "op": ">", "bool": true, "lhs": selector(json!({})), "matching": null,
                "rhs": {"type": "numberLiteral", "val": "1"},
            }),
        );
        check(
            "x * on (a) group_left (b) fill_left (2) x",
            json!({
                "type": "binaryExpr", "op": "*", "bool": false, "lhs": selector(json!({})), "rhs": selector(json!({})),
                "matching": {
                    "card": "many-to-one", "labels": ["a"], "on": true, "include": ["b"],
                    "fillValues": {"lhs": 2, "rhs": null},
                },
            }),
        );
    }
}
