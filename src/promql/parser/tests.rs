//! Tables: what parses and how it prints, what is refused and with which words, series descriptions.

use std::path::PathBuf;

use super::{Expr, SequenceValue, parse, parse_selector, parse_series, parse_start_times};

fn check_print(input: &str, expected: &str) {
    let expr = parse(input).unwrap_or_else(|error| panic!("{input}: {error}"));
    assert_eq!(expr.to_string(), expected, "{input}");
    let again = parse(expected).unwrap_or_else(|error| panic!("printed {expected}: {error}"));
    assert!(same(&again, &expr), "{input}: {expr:?} became {again:?}");
}

#[test]
fn prints_what_it_reads() {
    let cases: &[(&str, &str)] = &[
        ("1", "1"),
        ("0x1F", "31"),
        ("0755", "493"),
        ("1_000", "1000"),
        ("1e3", "1000"),
        ("5m", "5m"),
        ("-1h30m", "-1h30m"),
        ("-0s", "-0s"),
        ("+Inf", "+Inf"),
        ("-inf", "-Inf"),
        ("nAn", "NaN"),
        (".5", "0.5"),
        ("2.", "2"),
        (r#""a\"\n\x41\u00e9\101""#, "\"a\\\"\\nAéA\""),
        (r"'it\'s'", r#""it's""#),
        (r"`\d+`", r#""\\d+""#),
        ("-1^2", "-1 ^ 2"),
        ("2^3^2", "2 ^ 3 ^ 2"),
        ("2/-2^---1*3+2", "2 / -2 ^ -1 * 3 + 2"),
        ("-foo", "-foo"),
        ("+-foo", "+-foo"),
        ("a+b*c", "a + b * c"),
        ("a or b and c unless d", "a or b and c unless d"),
        ("a atan2 b % c", "a atan2 b % c"),
        ("(a)", "(a)"),
        ("foo{}", "foo"),
        ("foo{b='2',a=\"1\",}", r#"foo{a="1",b="2"}"#),
        (r"foo{a=~`\d+`, b!='x', c!~`y`}", r#"foo{a=~"\\d+",b!="x",c!~"y"}"#),
        (r#"{"foo"}"#, r#"{__name__="foo"}"#),
        (r#"{"foo", "bar", __name__!~"baz"}"#, r#"{__name__!~"baz",__name__="bar",__name__="foo"}"#),
        (r#"{""="x"}"#, r#"{""="x"}"#),
        (r#"{"foo.bar", "a.b"="c"}"#, r#"{"a.b"="c",__name__="foo.bar"}"#),
        (r#"{__name__="foo"}"#, r#"{__name__="foo"}"#),
        (r#"{__name__=~"a|b", x!=""}"#, r#"{__name__=~"a|b",x!=""}"#),
        (r#"{"on"}"#, r#"{__name__="on"}"#),
        ("foo:bar:{a='b'}", r#"foo:bar:{a="b"}"#),
        ("foo{by='1',on='2',sum='3',offset='4'}", r#"foo{by="1",offset="4",on="2",sum="3"}"#),
        ("sum", "sum"),
        ("by + offset", "by + offset"),
        ("start", "start"),
        ("end offset 5m", "end offset 5m"),
        ("anchored anchored", "anchored anchored"),
        ("step{a='b'} + range", r#"step{a="b"} + range"#),
        ("and and and", "and and and"),
        ("fill + fill", "fill + fill"),
        ("foo offset 5m", "foo offset 5m"),
        ("foo offset -7", "foo offset -7s"),
        ("foo offset 0", "foo"),
        ("foo offset 0s [5m] offset 1.5", "foo[5m] offset 1s500ms"),
        ("foo @ start() offset step() [5m]", "foo[5m] @ start() offset step()"),
        ("foo anchored[5m]", "foo[5m] anchored"),
        ("foo offset 100 + 2", "foo offset 1m40s + 2"),
        ("foo offset (100 + 2)", "foo offset (100 + 2)"),
        ("foo offset 2 ^ 2", "foo offset 2s ^ 2"),
        ("foo offset -(2*3m)", "foo offset -(2 * 3m)"),
        ("foo offset +(5)", "foo offset 5s"),
        ("foo offset -(5)", "foo offset -5s"),
        ("foo offset +step()", "foo offset step()"),
        ("foo offset ((1 + 2))", "foo offset (1 + 2)"),
        ("foo[((5s))]", "foo[5s]"),
        ("foo[0.0001]", "foo[0.0001]"),
        ("foo[(2)*(-3)^2+100]", "foo[2 * (-3) ^ 2 + 100]"),
        ("foo offset step()", "foo offset step()"),
        ("foo offset -range()", "foo offset -range()"),
        ("foo offset min_of(step(),5s)", "foo offset min_of(step(), 5s)"),
        ("foo @ 10", "foo @ 10.000"),
        ("foo @ -1.5 offset 1m", "foo @ -1.500 offset 1m"),
        ("foo offset 1m @ start()", "foo @ start() offset 1m"),
        ("foo[5m] offset 1m @ end()", "foo[5m] @ end() offset 1m"),
        ("foo[5m:] @ 10", "foo[5m:] @ 10.000"),
        ("foo[5m:30s] offset -1m", "foo[5m:30s] offset -1m"),
        ("foo[1800]", "foo[30m]"),
        ("foo[1.5]", "foo[1s500ms]"),
        ("foo[2y]", "foo[2y]"),
        ("foo[STEP()]", "foo[step()]"),
        ("foo[step():step()]", "foo[step():step()]"),
        ("foo[5m+30]", "foo[5m + 30]"),
        ("foo[1h/2 : step()*2]", "foo[1h / 2:step() * 2]"),
        ("foo[-2^2+10]", "foo[-2 ^ 2 + 10]"),
        ("foo[2^3^1]", "foo[2 ^ 3 ^ 1]"),
        ("foo[max_of(step(), 5s) % 4]", "foo[max_of(step(), 5s) % 4]"),
        ("rate(foo[5m] anchored)", "rate(foo[5m] anchored)"),
        ("foo smoothed @ 5", "foo @ 5.000 smoothed"),
        ("increase(foo[1m] smoothed offset 1m)", "increase(foo[1m] smoothed offset 1m)"),
        ("sum(foo)", "sum(foo)"),
        ("sum(foo) by ()", "sum(foo)"),
        ("SUM by (a, b,) (foo)", "sum by (a, b) (foo)"),
        ("sum without(a)(foo)", "sum without (a) (foo)"),
        (r#"sum by ("a.b", on, by, sum) (foo)"#, r#"sum by ("a.b", on, by, sum) (foo)"#),
        ("topk(5, foo) by (a)", "topk by (a) (5, foo)"),
        ("count_values('x', foo)", r#"count_values("x", foo)"#),
        ("limit_ratio(-0.5, foo)", "limit_ratio(-0.5, foo)"),
        ("a == bool b", "a == bool b"),
        ("a + on (x) b", "a + on (x) b"),
        ("a + ignoring () b", "a + b"),
        ("a * on(x) group_left b", "a * on (x) group_left () b"),
        ("a * on(x) group_right(y,z) b", "a * on (x) group_right (y, z) b"),
        ("Inf ^ 2 + -Inf ^ 2", "Inf ^ 2 + -Inf ^ 2"),
        ("a + on(x) fill(1000000) b", "a + on (x) fill (1e+06) b"),
        (r#"sum by (a:b, "c:d") (foo)"#, r#"sum by ("a:b", "c:d") (foo)"#),
        ("foo @ -0.0004", "foo @ 0.000"),
        ("foo @ 1e15", "foo @ 1000000000000000.000"),
        ("foo @ 9e18", "foo @ 9223372036854776.000"),
        ("a + on(x) fill(0) b", "a + on (x) fill (0) b"),
        ("a + fill_right(-Inf) fill_left(5) b", "a + fill_left (5) fill_right (-Inf) b"),
        ("a > bool on(x) fill(1) b", "a > bool on (x) fill (1) b"),
        ("a </ 5 >/ 2", "a </ 5 >/ 2"),
        ("time()", "time()"),
        ("start() + end() - step() * range()", "start() + end() - step() * range()"),
        ("min_of(1, max_of(2, 3))", "min_of(1, max_of(2, 3))"),
        ("round(foo)", "round(foo)"),
        ("label_join(a, 'b', 'c')", r#"label_join(a, "b", "c")"#),
        ("info(foo, {data=~'.*'})", r#"info(foo, {data=~".*"})"#),
        ("info(foo, {})", "info(foo, {})"),
        ("# a comment\nfoo # and\n+ # more\nbar", "foo + bar"),
        ("foo{ # c\n a='b' }", r#"foo{a="b"}"#),
        ("max_over_time((rate(foo[1m]) / 2)[10m:1m])", "max_over_time((rate(foo[1m]) / 2)[10m:1m])"),
        ("-foo[5m:1m] offset 1m", ""),
    ];
    for (input, expected) in cases {
        if expected.is_empty() {
            assert!(parse(input).is_err(), "{input}");
        } else {
            check_print(input, expected);
        }
    }
}

#[test]
fn refuses_with_prometheus_words() {
    let cases: &[(&str, &str)] = &[
        ("", "unknown position: parse error: no expression found in input"),
        ("# only", "1:1: parse error: no expression found in input"),
        ("1 +", "1:4: parse error: unexpected end of input"),
        ("*1", "1:1: parse error: unexpected <op:*>"),
        ("1 1", "1:3: parse error: unexpected number \"1\""),
        ("foo bar", "1:5: parse error: unexpected identifier \"bar\""),
        ("foo by", "1:5: parse error: unexpected <by>"),
        ("(1", "1:3: parse error: unclosed left parenthesis"),
        ("1)", "1:3: parse error: unexpected right parenthesis ')'"),
        ("1.5.6", "1:1: parse error: bad number or duration syntax: \"1.5.\""),
        ("5x", "1:1: parse error: bad number or duration syntax: \"5\""),
        ("5mm", "1:1: parse error: bad number or duration syntax: \"5mm\""),
        ("0deadbeef", "1:1: parse error: bad number or duration syntax: \"0de\""),
        ("1e", "1:1: parse error: bad number or duration syntax: \"1e\""),
        ("0x1.8", "1:1: parse error: bad number or duration syntax: \"0x1.\""),
        ("1m1m", "1:1: parse error: not a valid duration string: \"1m1m\""),
        ("99999999999999999999s", "1:1: parse error: not a valid duration string: \"99999999999999999999s\""),
        ("x[300y]", "1:3: parse error: duration out of range"),
        ("x offset 1ds", "1:10: parse error: unknown unit \"ds\" in duration \"1ds\""),
        ("x[1.5h]", "1:3: parse error: unknown unit \".\" in duration \"1.5h\""),
        ("x{a=~\"(\"}", "1:3: parse error: error parsing regexp: missing closing ): `(`"),
        ("x{a!~\"b\",a=~\"a**\"}", "1:10: parse error: error parsing regexp: invalid nested repetition operator: `**`"),
        ("sum without (without) (x)", "1:14: parse error: unexpected <without> in grouping opts, expected label"),
        ("500y", "1:1: parse error: duration out of range"),
        ("1e999", "1:1: parse error: error parsing number: strconv.ParseFloat: parsing \"1e999\": value out of range"),
        ("foo ~ 1", "1:5: parse error: unexpected character: '~'"),
        ("foo =~ 1", "1:5: parse error: unexpected character after '=': '~'"),
        ("a\n  !b", "2:3: parse error: unexpected character after '!': 'b'"),
        ("foo = 1", "1:5: parse error: unexpected \"=\""),
        ("\"abc", "1:1: parse error: unterminated quoted string"),
        ("`abc", "1:1: parse error: unterminated raw string"),
        (r#""\q""#, "1:1: parse error: unknown escape sequence U+0071 'q'"),
        (r#""\xff""#, r#"1:1: parse error: invalid UTF-8 in string literal "\xff""#),
        (r#"foo{a="\xff"}"#, r#"1:7: parse error: invalid UTF-8 in string literal "\xff""#),
        ("foo{", "1:5: parse error: unexpected end of input inside braces"),
        ("foo{a", "1:6: parse error: unexpected end of input inside braces"),
        ("foo{a}", "1:6: parse error: unexpected \"}\" in label matching, expected label matching operator"),
        ("foo{a=}", "1:7: parse error: unexpected \"}\" in label matching, expected string"),
        ("foo{a=b}", "1:7: parse error: unexpected identifier \"b\" in label matching, expected string"),
        ("foo{,}", "1:5: parse error: unexpected \",\" in label matching, expected identifier or \"}\""),
        (
            "foo{a='b' c='d'}",
            "1:11: parse error: unexpected identifier \"c\" in label matching, expected \",\" or \"}\"",
        ),
        ("foo{a=='b'}", "1:7: parse error: unexpected \"=\" in label matching, expected string"),
        ("foo{1='b'}", "1:5: parse error: unexpected character inside braces: '1'"),
        ("foo{a!'b'}", "1:6: parse error: unexpected character after '!' inside braces: '\\''"),
        ("{}", "1:1: parse error: vector selector must contain at least one non-empty matcher"),
        ("{a=''}", "1:1: parse error: vector selector must contain at least one non-empty matcher"),
        ("{a=~'.*'}", "1:1: parse error: vector selector must contain at least one non-empty matcher"),
        ("foo{__name__='bar'}", "1:1: parse error: metric name must not be set twice: \"foo\" or \"bar\""),
        ("foo{'bar'}", "1:1: parse error: metric name must not be set twice: \"foo\" or \"bar\""),
        ("foo[5m", "1:7: parse error: unclosed left bracket"),
        (
            "foo[]",
            "1:5: parse error: unexpected \"]\" in subquery or range selector, expected number, duration, step(), or range()",
        ),
        ("foo[0]", "1:5: parse error: duration must be greater than 0"),
        ("foo[-5m]", "1:5: parse error: duration must be greater than 0"),
        ("foo[9.5e10]", "1:5: parse error: duration out of range"),
        ("foo offset 9.5e10", "1:12: parse error: duration out of range"),
        ("foo[5m:5x]", "1:8: parse error: bad number or duration syntax: \"5\""),
        ("foo[5m 3]", "1:8: parse error: unexpected number \"3\" in subquery or range, expected \":\" or \"]\""),
        ("foo[a]", "1:5: parse error: unexpected character in duration expression: 'a'"),
        ("foo]", "1:4: parse error: unexpected right bracket ']'"),
        ("(foo)[5m]", "1:6: parse error: ranges only allowed for vector selectors"),
        ("foo offset 1m [5m]", "1:15: parse error: no offset modifiers allowed before range"),
        ("foo @ 1 [5m]", "1:9: parse error: no @ modifiers allowed before range"),
        ("foo[5m][5m:1m]", "1:1: parse error: subquery is only allowed on instant vector, got matrix instead"),
        ("1[5m:]", "1:1: parse error: subquery is only allowed on instant vector, got scalar instead"),
        (
            "foo offset",
            "1:11: parse error: unexpected end of input in offset, expected number, duration, step(), or range()",
        ),
        (
            "foo offset --5",
            "1:13: parse error: unexpected <op:-> in offset, expected number, duration, step(), or range()",
        ),
        (
            "1 offset 1d",
            "1:1: parse error: offset modifier must be preceded by an instant vector selector or range vector selector or a subquery",
        ),
        ("foo offset 1m offset 2m", "1:1: parse error: offset may not be set multiple times"),
        ("foo @", "1:6: parse error: unexpected end of input in @, expected timestamp"),
        ("foo @ NaN", "1:1: parse error: timestamp out of bounds for @ modifier: NaN"),
        ("foo @ Inf", "1:1: parse error: timestamp out of bounds for @ modifier: +Inf"),
        ("foo @ -Inf", "1:1: parse error: timestamp out of bounds for @ modifier: -Inf"),
        (
            "foo @ 1e100",
            "1:1: parse error: timestamp out of bounds for @ modifier: 10000000000000000159028911097599180468360808563945281389781327557747838772170381060813469985856815104.000000",
        ),
        ("foo @ 1 @ 2", "1:1: parse error: @ <timestamp> may not be set multiple times"),
        ("foo anchored smoothed", "1:1: parse error: anchored and smoothed modifiers cannot be used together"),
        ("nope(1)", "1:1: parse error: unknown function with name \"nope\""),
        ("rate(foo)", "1:6: parse error: expected type range vector in call to function \"rate\", got instant vector"),
        ("abs()", "1:1: parse error: expected 1 argument(s) in call to \"abs\", got 0"),
        ("clamp(a, 1)", "1:1: parse error: expected 3 argument(s) in call to \"clamp\", got 2"),
        ("round(a, 1, 2)", "1:1: parse error: expected at most 2 argument(s) in call to \"round\", got 3"),
        ("label_join(a, 'b')", "1:1: parse error: expected at least 3 argument(s) in call to \"label_join\", got 2"),
        ("abs(a,)", "1:6: parse error: trailing commas not allowed in function call args"),
        ("info(a, b)", "1:9: parse error: expected label selectors only, got vector selector instead"),
        ("info(a, {b='c'} == 1)", "1:9: parse error: expected label selectors only"),
        ("sum()", "1:1: parse error: no arguments for aggregate expression provided"),
        ("topk(a)", "1:1: parse error: wrong number of arguments for aggregate expression provided, expected 2, got 1"),
        ("topk(a, b)", "1:6: parse error: expected type scalar in aggregation parameter, got instant vector"),
        ("count_values(5, a)", "1:14: parse error: expected type string in aggregation parameter, got scalar"),
        ("sum(1)", "1:5: parse error: expected type instant vector in aggregation expression, got scalar"),
        ("sum by (a) (foo) by (b)", "1:18: parse error: unexpected <by>"),
        ("sum by a (foo)", "1:8: parse error: unexpected identifier \"a\" in grouping opts, expected \"(\""),
        (
            "sum by (a b) (foo)",
            "1:11: parse error: unexpected identifier \"b\" in grouping opts, expected \",\" or \")\"",
        ),
        ("sum by ('') (foo)", "1:9: parse error: invalid label name for grouping: \"\""),
        ("sum(foo bar)", "1:9: parse error: unexpected identifier \"bar\" in aggregation"),
        ("sum by (a) foo", "1:12: parse error: unexpected identifier \"foo\" in aggregation"),
        ("rate(foo bar)", "1:10: parse error: unexpected identifier \"bar\""),
        ("avg(rate((foo bar)))", "1:15: parse error: unexpected identifier \"bar\" in aggregation"),
        ("count(foo{a})", "1:12: parse error: unexpected \"}\" in label matching, expected label matching operator"),
        ("foo start", "1:5: parse error: unexpected \"start\""),
        ("foo '\\q'", "1:5: parse error: unknown escape sequence U+0071 'q'"),
        ("foo[", "1:5: parse error: unexpected end of input in duration expression"),
        ("foo[5m bar]", "1:8: parse error: unexpected character: 'b', expected ':'"),
        ("foo[5m/0]", "1:7: parse error: division by zero"),
        ("foo offset (5m % (0))", "1:16: parse error: modulo by zero"),
        ("foo[5m == 2]", "1:8: parse error: unexpected <op:==> in subquery or range, expected \":\" or \"]\""),
        (
            "foo[(5m]",
            "1:8: parse error: unexpected \"]\" in subquery or range selector, expected number, duration, step(), or range()",
        ),
        ("foo[5m:]]", "1:9: parse error: unexpected right bracket ']'"),
        ("foo @ start", "1:12: parse error: unexpected end of input in @, expected timestamp"),
        ("foo @ -Inf", "1:1: parse error: timestamp out of bounds for @ modifier: -Inf"),
        ("(foo) anchored", "1:1: parse error: anchored modifier not implemented"),
        ("foo[5m:] smoothed", "1:1: parse error: smoothed modifier is not supported for subqueries"),
        ("a + fill(x) b", "1:10: parse error: unexpected identifier \"x\""),
        ("info(a, 1)", "1:1: parse error: expected type instant vector in call to function \"info\", got scalar"),
        (
            "clamp(rate(a), 'b', 1)",
            "1:12: parse error: expected type range vector in call to function \"rate\", got instant vector",
        ),
        ("sum some by (a)", "1:5: parse error: unexpected identifier \"some\""),
        ("1 == 1", "1:3: parse error: comparisons between scalars must use BOOL modifier"),
        ("a + bool b", "1:3: parse error: bool modifier can only be used on comparison operators"),
        ("a + 'b'", "1:5: parse error: binary expression must contain only scalar and instant vector types"),
        ("1 and a", "1:1: parse error: set operator \"and\" not allowed in binary scalar expression"),
        ("a + on(x) 1", "1:1: parse error: vector matching only allowed between instant vectors"),
        ("a and on(x) group_left b", "1:1: parse error: no grouping allowed for \"and\" operation"),
        ("a and fill(0) b", "1:1: parse error: filling in missing series not allowed for set operators"),
        ("a * on(x) group_left(x) b", "1:3: parse error: label \"x\" must not occur in ON and GROUP clause at once"),
        ("a * group_left b", "1:5: parse error: unexpected <group_left>"),
        (
            "-'a'",
            "1:1: parse error: unary expression only allowed on expressions of type scalar or instant vector, got \"string\"",
        ),
    ];
    for (input, expected) in cases {
        let error = parse(input).expect_err(input);
        assert_eq!(error.to_string(), *expected, "{input}");
    }
}

#[test]
fn knows_where_nodes_stand() {
    let text = "sum(rate(foo{a='b'}[5m] offset 1m)) by (c) + -bar @ 5";
    let expr = parse(text).expect("valid");
    let Expr::Binary(node) = &expr else { panic!("not a binary expression") };
    let slice = |pos: super::Pos| &text[pos.start as usize..pos.end as usize];
    assert_eq!(slice(node.pos), text);
    assert_eq!(slice(node.lhs.pos()), "sum(rate(foo{a='b'}[5m] offset 1m)) by (c)");
    assert_eq!(slice(node.rhs.pos()), "-bar @ 5");
    let Expr::Aggregate(sum) = &node.lhs else { panic!("not an aggregation") };
    assert_eq!(slice(sum.expr.pos()), "rate(foo{a='b'}[5m] offset 1m)");
    let Expr::Call(rate) = &sum.expr else { panic!("not a call") };
    assert_eq!(slice(rate.args[0].pos()), "foo{a='b'}[5m] offset 1m");
}

#[test]
fn bounds_hold() {
    let deep = |open: &str, close: &str, n: usize| format!("{}foo{}", open.repeat(n), close.repeat(n));
    let refused = [
        (deep("(", ")", 100_000), "MAX_QUERY_DEPTH"),
        (deep("-", "", 100_000), "MAX_QUERY_DEPTH"),
        (deep("abs(", ")", 30_000), "MAX_QUERY_DEPTH"),
        (deep("sum(", ")", 30_000), "MAX_QUERY_DEPTH"),
        (deep("foo + ", "", 25_000), "MAX_QUERY_DEPTH"),
        (deep("foo ^ ", "", 25_000), "MAX_QUERY_DEPTH"),
        (format!("foo{}", "[5m:]".repeat(25_000)), "MAX_QUERY_DEPTH"),
        (format!("foo[{}5m{}]", "(".repeat(100_000), ")".repeat(100_000)), "MAX_DURATION_PARTS"),
        (format!("foo[{}5m]", "1+".repeat(100_000)), "MAX_DURATION_PARTS"),
        (format!("foo offset {}5m", "-".repeat(100_000)), "unexpected <op:-> in offset"),
        (format!("foo{}", "[".repeat(100_000)), "unexpected left bracket"),
        (deep("{", "}", 100_000), "unexpected left brace '{'"),
        (deep("abs(", ")", 100_000), "MAX_QUERY_BYTES"),
        ("x".repeat(300 << 10), "MAX_QUERY_BYTES"),
    ];
    for (text, expected) in refused {
        let error = parse(&text).expect_err("too deep").to_string();
        assert!(error.contains(expected), "{error}");
    }
    let error = parse(&deep("(", ")", 100_000)).expect_err("too deep").to_string();
    assert_eq!(error, "1:20001: parse error: expression nests deeper than the limit of 20000 levels (MAX_QUERY_DEPTH)");
}

fn describe(values: &[SequenceValue]) -> String {
    let text: Vec<String> = values
        .iter()
        .map(|value| match value {
            SequenceValue::Omitted => "_".to_owned(),
            SequenceValue::Float(value) if crate::model::is_stale(*value) => "stale".to_owned(),
            SequenceValue::Float(value) => crate::model::format_float(*value),
            SequenceValue::Histogram { histogram, .. } => {
                format!(
                    "h({} {} {:?} {:?})",
                    histogram.count, histogram.sum, histogram.positive_spans, histogram.positive
                )
            }
        })
        .collect();
    text.join(" ")
}

#[test]
fn reads_series() {
    let cases: &[(&str, &str, &str)] = &[
        ("m", "m", ""),
        ("m{a='b', } 1 2", r#"m{a="b"}"#, "1 2"),
        ("{a=\"b\"} -1", r#"{a="b"}"#, "-1"),
        (r#"{"my.metric", "x.y"="z"} 1"#, r#"{"my.metric", "x.y"="z"}"#, "1"),
        ("sum{by='x'} 1", r#"sum{by="x"}"#, "1"),
        ("a:b 0+10x3", "a:b", "0 10 20 30"),
        ("m -2-3x2", "m", "-2 -5 -8"),
        ("m 0x2 1e3 +5 .5", "m", "0 0 0 1000 5 0.5"),
        ("m 1+-1x1", "", ""),
        ("m _ _x3 1", "m", "_ _ _ _ 1"),
        ("m stale 1 Inf -Inf NaN Infx1", "m", "stale 1 +Inf -Inf NaN +Inf +Inf"),
        ("m 1.5e1x1", "m", "15 15"),
        (
            "m {{schema:0 count:3 sum:4.5 buckets:[1 2] offset:-1}}",
            "m",
            "h(3 4.5 [Span { offset: -1, length: 2 }] [1.0, 2.0])",
        ),
        (
            "m {{count:1 buckets:[1] offset:1}}+{{count:1 buckets:[1] offset:3}}x1",
            "m",
            "h(1 0 [Span { offset: 1, length: 1 }] [1.0]) h(2 0 [Span { offset: 1, length: 1 }, Span { offset: 1, length: 1 }] [1.0, 1.0])",
        ),
        (
            "m {{schema:-1 count:1 buckets:[1] offset:1}}+{{schema:0 count:4 buckets:[2 2] offset:1}}x1",
            "m",
            "h(1 0 [Span { offset: 1, length: 1 }] [1.0]) h(5 0 [Span { offset: 1, length: 1 }] [5.0])",
        ),
        ("m {{}}x1", "m", "h(0 0 [] []) h(0 0 [] [])"),
        ("m 1x", "", ""),
        ("m 1,2", "", ""),
        ("m abc", "", ""),
        ("m{a} 1", "", ""),
        ("m{a='b' 1", "", ""),
        ("m 0x99999999999", "", ""),
        ("m {{nope:1}}", "", ""),
        ("m {{count:1", "", ""),
        ("m {{schema:0}}+{{schema:-1 buckets:[1]}}x2", "", ""),
    ];
    for (text, labels, values) in cases {
        match parse_series(text) {
            Ok((found, sequence)) => {
                assert_eq!((found.to_string().as_str(), describe(&sequence).as_str()), (*labels, *values), "{text}");
            }
            Err(error) => assert!(labels.is_empty(), "{text}: {error}"),
        }
    }
}

#[test]
fn reads_start_times_and_selectors() {
    let (_, starts) = parse_start_times("m{a='b'}@st  _ _x2 -30s-1mx2 +1m 0").expect("valid");
    let expected = [None, None, None, Some(-30_000), Some(-90_000), Some(-150_000), Some(60_000), Some(0)];
    assert_eq!(starts, expected);
    assert!(parse_start_times("m 1").is_err() && parse_start_times("m@st 1").is_err());
    assert_eq!(parse_selector("up{job='x'}").expect("valid").len(), 2);
    assert_eq!(parse_selector("{}").expect("valid").len(), 0);
    for bad in ["", "up[5m]", "sum(up)", "1", "up{"] {
        assert!(parse_selector(bad).is_err(), "{bad}");
    }
}

#[test]
fn every_upstream_expression_survives_printing() {
    let shared = std::env::var("WATCHFIRE_SHARED").unwrap_or_else(|_| "../shared".to_owned());
    let Ok(dir) = std::fs::read_dir(PathBuf::from(&shared).join("promqltest")) else {
        println!("SKIPPED: no promqltest scripts in {shared}");
        return;
    };
    let (mut evals, mut failures) = (0, Vec::new());
    for file in
        dir.filter_map(Result::ok).map(|entry| entry.path()).filter(|path| path.extension() == Some("test".as_ref()))
    {
        let text = std::fs::read_to_string(&file).expect("readable");
        for line in text.lines().map(str::trim).filter(|line| line.starts_with("eval")) {
            let Some(expr) = eval_expression(line) else { continue };
            evals += 1;
            match parse(expr) {
                Err(error) => failures.push(format!("{}: {expr}: {error}", file.display())),
                Ok(tree) => {
                    let printed = tree.to_string();
                    match parse(&printed) {
                        Ok(again) if same(&again, &tree) => {}
                        other => failures.push(format!("{expr} printed as {printed}: {other:?}")),
                    }
                }
            }
        }
    }
    assert!(evals > 1500, "found only {evals} evals");
    assert!(failures.is_empty(), "{} of {evals} fail:\n{}", failures.len(), failures.join("\n"));
}

/// Equal trees; NaN equals NaN, which is what the printed form compares.
fn same(a: &Expr, b: &Expr) -> bool {
    format!("{:?}", a.clone().strip_positions()) == format!("{:?}", b.clone().strip_positions())
}

fn eval_expression(line: &str) -> Option<&str> {
    let rest = line.split_once(char::is_whitespace)?.1.trim_start();
    if let Some(rest) = rest.strip_prefix("range") {
        return rest.split_once(" step ")?.1.trim_start().split_once(char::is_whitespace).map(|(_, expr)| expr);
    }
    let rest = rest.strip_prefix("instant")?.trim_start();
    match rest.strip_prefix("at ") {
        Some(rest) => rest.trim_start().split_once(char::is_whitespace).map(|(_, expr)| expr),
        None => Some(rest),
    }
}
