//! Tables: what templates give, and what they refuse with which words.

use crate::model::{Labels, Timestamp};

use super::{NoQueries, QueryFunc, QueryRow, Template, TemplateData, check};

/// Answers `metric` with two rows, `none` with none, anything else with an error.
struct Rows;

impl QueryFunc for Rows {
    fn query(&self, text: &str, ts: Timestamp) -> Result<Vec<QueryRow>, String> {
        let row = |instance: &str, value| QueryRow {
            labels: Labels::from_pairs(&[("__name__", "metric"), ("instance", instance), ("__value__", "v")]),
            value,
        };
        match text {
            "metric" => Ok(vec![row("b", 21.0), row("a", 11.0)]),
            "ts" => Ok(vec![row("t", ts as f64)]),
            "none" => Ok(Vec::new()),
            other => Err(format!("cannot evaluate {other}")),
        }
    }
}

fn data() -> TemplateData {
    TemplateData {
        labels: Labels::from_pairs(&[("job", "api"), ("instance", "host.example.com:9100"), ("empty_is_absent", "")]),
        external_labels: Labels::from_pairs(&[("cluster", "c1")]),
        external_url: "http://watch.example.com:9480/path/prefix".to_owned(),
        value: 1234567.0.into(),
        now: 1_435_065_584_128,
    }
}

fn expand(text: &str) -> Result<String, String> {
    let template = Template::parse(text).map_err(|error| error.to_string())?;
    template.expand(&data(), &Rows).map_err(|error| error.to_string())
}

fn check_all(cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        match expand(text) {
            Ok(got) => assert_eq!(got, *expected, "{text}"),
            Err(error) => panic!("{text}: {error}"),
        }
    }
}

#[test]
fn language() {
    check_all(&[
        ("", ""),
        ("plain {text}", "plain {text}"),
        ("{{1}}", "1"),
        ("{{ -3 }} {{ 0x1F }} {{ 017 }} {{ 1_000 }}", "-3 31 15 1000"),
        ("{{ 1.5 }} {{ 1e3 }} {{ 1e6 }} {{ 1e-5 }} {{ .5 }}", "1.5 1000 1e+06 1e-05 0.5"),
        ("{{ 'a' }}", "97"),
        (r#"{{ "a\t\"b\" \u00e9 \x41" }}"#, "a\t\"b\" é A"),
        (r"{{ `raw \d }}` }}", r"raw \d }}"),
        ("{{ true }} {{ false }}", "true false"),
        ("a {{- 1 -}} b", "a1b"),
        ("a\n  {{- 1 }} b {{ 2 -}}  \n c", "a1 b 2c"),
        ("a {{/* comment */}} b", "a  b"),
        ("a {{- /* comment }} */ -}} b", "ab"),
        ("{{ \"}}\" }}", "}}"),
        ("{{ .Labels.job }} {{ $labels.job }} {{ $.Labels.job }}", "api api api"),
        ("{{ .Labels.nope }}|{{ $labels.nope }}", "|"),
        ("{{ .ExternalLabels.cluster }} {{ $externalLabels.cluster }}", "c1 c1"),
        (
            "{{ .ExternalURL }} {{ $externalURL }}",
            "http://watch.example.com:9480/path/prefix http://watch.example.com:9480/path/prefix",
        ),
        ("{{ .Value }} {{ $value }}", "1.234567e+06 1.234567e+06"),
        ("{{ $x := 1 }}{{ $x }}", "1"),
        ("{{ $x := 1 }}{{ if true }}{{ $x = 2 }}{{ end }}{{ $x }}", "2"),
        ("{{ $x := 1 }}{{ if true }}{{ $x := 2 }}{{ $x }}{{ end }}{{ $x }}", "21"),
        ("{{ if true }}y{{ end }}", "y"),
        ("{{ if 0 }}y{{ else }}n{{ end }}", "n"),
        ("{{ if \"\" }}a{{ else if 1 }}b{{ else }}c{{ end }}", "b"),
        ("{{ if false }}a{{ else if 0.0 }}b{{ else }}c{{ end }}", "c"),
        ("{{ with .Labels }}{{ .job }}{{ end }}", "api"),
        ("{{ with $x := .Labels.job }}{{ $x }}{{ . }}{{ end }}", "apiapi"),
        ("{{ with .Labels.nope }}a{{ else }}b{{ end }}", "b"),
        ("{{ with \"\" }}a{{ else with \"x\" }}{{ . }}{{ end }}", "x"),
        ("{{ range query \"metric\" }}{{ .Labels.instance }}={{ .Value }};{{ end }}", "b=21;a=11;"),
        ("{{ range $i, $r := query \"metric\" }}{{ $i }}{{ $r.Labels.instance }}{{ end }}", "0b1a"),
        ("{{ range $r := query \"metric\" }}{{ $r.Value }} {{ end }}", "21 11 "),
        ("{{ range query \"none\" }}x{{ else }}nothing{{ end }}", "nothing"),
        ("{{ range 3 }}{{ . }}{{ end }}", "012"),
        ("{{ range $k, $v := .Labels }}{{ $k }}={{ $v }} {{ end }}", "instance=host.example.com:9100 job=api "),
        (
            "{{ range 5 }}{{ if eq . 3 }}{{ break }}{{ end }}{{ if eq . 1 }}{{ continue }}{{ end }}{{ . }}{{ end }}",
            "02",
        ),
        ("{{ $n := 0 }}{{ range $i, $x := query \"metric\" }}{{ $n = $i }}{{ end }}{{ $n }}", "1"),
        ("{{ define \"t\" }}<{{ . }}>{{ end }}{{ template \"t\" 5 }}{{ template \"t\" .Labels.job }}", "<5><api>"),
        ("{{ template \"t\" }}{{ define \"t\" }}{{ . }}!{{ end }}", "<no value>!"),
        ("{{ block \"b\" 7 }}[{{ $ }}]{{ end }}{{ template \"b\" 8 }}", "[7][8]"),
        ("{{ define \"t\" }}{{ .arg0 }}-{{ .arg1 }}{{ end }}{{ template \"t\" (args 1 \"x\") }}", "1-x"),
        ("{{ (query \"metric\" | first).Value }}", "21"),
        ("{{ ((1)) }}", "1"),
        ("{{ print nil }}", "<nil>"),
        ("{{ .Labels }}", "map[instance:host.example.com:9100 job:api]"),
    ]);
}

#[test]
fn go_functions() {
    check_all(&[
        ("{{ printf \"%s %d %v\" \"a\" 5 1.5 }}", "a 5 1.5"),
        ("{{ printf \"%.2f|%6.1f|%-6.1f|%06.1f|%+d\" 1.234 1.25 1.25 -1.25 3 }}", "1.23|   1.2|1.2   |-001.2|+3"),
        ("{{ printf \"%q %x %X %t %T\" \"a\\\"b\" 255 \"hi\" true 1.5 }}", "\"a\\\"b\" ff 6869 true float64"),
        (
            "{{ printf \"%e %g %G %.3g %.3g\" 1234.5 1e7 1e-7 1234.5 0.0001 }}",
            "1.234500e+03 1e+07 1E-07 1.23e+03 0.0001",
        ),
        (
            "{{ printf \"%5s|%-5s|%.2s|%c|%U|%o|%b\" \"ab\" \"ab\" \"abc\" 65 233 8 5 }}",
            "   ab|ab   |ab|A|U+00E9|10|101",
        ),
        ("{{ printf \"%*d|%%\" 4 7 }}", "   7|%"),
        (
            "{{ printf \"%d\" \"x\" }} {{ printf \"%d\" }} {{ printf \"x\" 1 }}",
            "%!d(string=x) %!d(MISSING) x%!(EXTRA int=1)",
        ),
        ("{{ printf \"%.1f %f\" (index (query \"metric\") 0).Value $value }}", "21.0 1234567.000000"),
        ("{{ print 1 2 \"a\" \"b\" 3 }}", "1 2ab3"),
        ("{{ println 1 \"a\" }}", "1 a\n"),
        ("{{ len \"abc\" }} {{ len (query \"metric\") }} {{ len .Labels }}", "3 2 2"),
        ("{{ index .Labels \"job\" }} {{ index .Labels \"x\" }}.", "api ."),
        ("{{ (index (query \"metric\") 1).Value }}", "11"),
        ("{{ slice \"abcdef\" 1 3 }} {{ slice \"abc\" 1 }} {{ len (slice (query \"metric\") 1) }}", "bc bc 1"),
        ("{{ eq 1 1 }} {{ eq 1 2 3 1 }} {{ eq \"a\" \"b\" }} {{ ne 1 2 }}", "true true false true"),
        ("{{ lt 1 2 }} {{ le 2 2 }} {{ gt 1.5 2.5 }} {{ ge \"b\" \"a\" }}", "true true false true"),
        ("{{ gt $value 5.0 }}", "true"),
        ("{{ and 1 0 2 }} {{ and 1 2 }} {{ or 0 \"\" 3 }} {{ or 0 \"\" }}|{{ not 0 }}", "0 2 3 |true"),
        ("{{ or true (first (query \"none\")) }}", "true"),
        ("{{ html \"<a href='x'>&\" }}", "&lt;a href=&#39;x&#39;&gt;&amp;"),
        ("{{ js \"it's <b>\" }}", r"it\'s \u003Cb\u003E"),
        ("{{ urlquery \"a b&c\" }} {{ urlQueryEscape \"ü/~\" }}", "a+b%26c %C3%BC%2F~"),
        ("{{ 5 | printf \"%d-%d\" 4 }}", "4-5"),
        ("{{ \"x\" | printf \"%s%s\" \"y\" | len }}", "2"),
    ]);
}

#[test]
fn prometheus_functions() {
    check_all(&[
        ("{{ query \"metric\" | first | value }}", "21"),
        ("{{ query \"metric\" | sortByLabel \"instance\" | first | label \"instance\" }}", "a"),
        ("{{ query \"metric\" | first | strvalue }}", "v"),
        ("{{ with query \"ts\" }}{{ . | first | value | printf \"%.0f\" }}{{ end }}", "1435065584128"),
        ("{{ (query \"metric\" | first).Labels.instance }}", "b"),
        ("{{ match \"a+\" \"baa\" }} {{ match \"^a+$\" \"baa\" }}", "true false"),
        ("{{ reReplaceAll \"(a)(b)\" \"$2${1}x\" \"abcab\" }}", "baxcbax"),
        (
            "{{ match \"^\\\\d$\" \"٣\" }} {{ match \"[[a]\" \"[\" }} {{ reReplaceAll \"\\\\Q.\\\\E\" \"$ü$\" \"a.b\" }}",
            "false true a$b",
        ),
        ("{{ title \"aa bB cc\" }} {{ toUpper \"aBc\" }} {{ toLower \"aBc\" }}", "Aa BB Cc ABC abc"),
        (
            "{{ graphLink \"a b\" }} {{ tableLink \"up{x=\\\"1\\\"}\" }}",
            "/graph?g0.expr=a+b&g0.tab=0 /graph?g0.expr=up%7Bx%3D%221%22%7D&g0.tab=1",
        ),
        (
            "{{ stripPort \"host:80\" }} {{ stripPort \"[::1]:80\" }} {{ stripPort \"host\" }} {{ stripPort \"::1\" }}",
            "host ::1 host ::1",
        ),
        (
            "{{ stripDomain \"a.b.c:80\" }} {{ stripDomain \"a.b\" }} {{ stripDomain \"1.2.3.4:5\" }} {{ stripDomain \"[::1]:80\" }}",
            "a:80 a 1.2.3.4:5 [::1]:80",
        ),
        ("{{ .Labels.instance | stripDomain }}", "host:9100"),
        (
            "{{ humanize 0.0 }} {{ humanize 1.0 }} {{ humanize 1234567.0 }} {{ humanize .12 }} {{ humanize -1500 }}",
            "0 1 1.235M 120m -1.5k",
        ),
        ("{{ humanize \"1.5e10\" }} {{ humanize 1e30 }} {{ humanize 1e-8 }}", "15G 1e+06Y 10n"),
        (
            "{{ humanize1024 1.0 }} {{ humanize1024 1048576.0 }} {{ humanize1024 1500 }} {{ humanize1024 0.5 }}",
            "1 1Mi 1.465ki 0.5",
        ),
        (
            "{{ humanizeDuration 0 }} {{ humanizeDuration 1 }} {{ humanizeDuration 60 }} {{ humanizeDuration 3600 }}",
            "0s 1s 1m 0s 1h 0m 0s",
        ),
        (
            "{{ humanizeDuration 86400 }} {{ humanizeDuration 90061.7 }} {{ humanizeDuration -62 }}",
            "1d 0h 0m 0s 1d 1h 1m 1s -1m 2s",
        ),
        (
            "{{ humanizeDuration 12.3456 }} {{ humanizeDuration .1 }} {{ humanizeDuration 1e-6 }} {{ humanizeDuration \"899.99\" }}",
            "12.35s 100ms 1us 14m 59s",
        ),
        (
            "{{ humanizePercentage 0.12345 }} {{ humanizePercentage -0.5 }} {{ humanizePercentage \"1.1\" }}",
            "12.35% -50% 110%",
        ),
        (
            "{{ humanizeTimestamp 1435065584.128 }} {{ humanizeTimestamp 0 }}",
            "2015-06-23 13:19:44.128 +0000 UTC 1970-01-01 00:00:00 +0000 UTC",
        ),
        ("{{ humanizeTimestamp \"1.5\" }}", "1970-01-01 00:00:01.5 +0000 UTC"),
        (
            "{{ (toTime 1435065584.0).Year }} {{ (toTime 1435065584.0).Format \"Mon, 02 Jan 2006 15:04:05 MST\" }}",
            "2015 Tue, 23 Jun 2015 13:19:44 UTC",
        ),
        ("{{ toTime 1.5 }}", "1970-01-01 00:00:01.5 +0000 UTC"),
        (
            "{{ toDuration 90.5 }} {{ toDuration 0.0015 }} {{ toDuration 7322 }} {{ toDuration 0 }}",
            "1m30.5s 1.5ms 2h2m2s 0s",
        ),
        ("{{ (toDuration 90).Minutes }}", "1.5"),
        ("{{ humanizeDuration (toDuration 90) }}", "1m 30s"),
        ("{{ now | humanizeTimestamp }}", "2015-06-23 13:19:44.128 +0000 UTC"),
        ("{{ pathPrefix }} {{ externalURL }}", "/path/prefix http://watch.example.com:9480/path/prefix"),
        ("{{ parseDuration \"1h2m10ms\" }}", "3720.01"),
        ("{{ safeHtml \"<b>\" }}", "<b>"),
        ("{{ range $i, $x := args 1 \"b\" }}{{ $i }}={{ $x }} {{ end }}", "arg0=1 arg1=b "),
        (
            "{{ with query \"metric\" | sortByLabel \"instance\" }}{{ range . }}{{ .Labels.instance }}:{{ humanize .Value }} {{ end }}{{ end }}",
            "a:11 b:21 ",
        ),
    ]);
}

#[test]
fn refuses_with_place() {
    let cases: &[(&str, &str)] = &[
        ("{{", "1:1: unclosed action: expected \"}}\""),
        ("a\nb {{ 1", "2:3: unclosed action: expected \"}}\""),
        ("{{ \"abc }}", "1:4: unterminated quoted string"),
        ("{{ `abc }}", "1:4: unterminated raw quoted string"),
        ("{{/* a }}", "1:3: unclosed comment"),
        ("{{/* a */ b}}", "1:10: comment ends before closing delimiter"),
        ("{{ }}", "1:1: missing value for command"),
        ("{{ if }}x{{ end }}", "1:1: missing value for if"),
        ("{{ nope }}", "1:4: function \"nope\" not defined"),
        ("x\n{{ 1 | nope 2 }}", "2:8: function \"nope\" not defined"),
        ("{{ $nope }}", "1:4: undefined variable \"$nope\""),
        ("{{ $nope = 1 }}", "1:4: undefined variable \"$nope\""),
        ("{{ if true }}{{ $x := 1 }}{{ end }}{{ $x }}", "1:39: undefined variable \"$x\""),
        ("{{ define \"t\" }}{{ $labels.x }}{{ end }}", "1:20: undefined variable \"$labels\""),
        ("{{ if true }}x", "1:1: unclosed {{if}}: expected {{end}}"),
        ("{{ range 3 }}{{ else }}", "1:14: unclosed {{else}}: expected {{end}}"),
        ("x{{ end }}", "1:2: unexpected {{end}}"),
        ("{{ else }}", "1:1: unexpected {{else}}"),
        ("{{ if 1 }}{{ else }}{{ else }}{{ end }}", "1:21: expected {{end}}, found a second {{else}}"),
        ("{{ break }}", "1:1: {{break}} outside {{range}}"),
        ("{{ template 5 }}", "1:13: expected a quoted name in template clause"),
        ("{{ define \"x\" }}", "1:1: unclosed definition of \"x\": expected {{end}}"),
        ("{{ (1 }}", "1:4: unclosed left paren"),
        ("{{ 1) }}", "1:5: unexpected \")\" in command, expected \"}}\""),
        ("{{ 1 | 2 }}", "1:8: non executable command in pipeline: expected a function"),
        ("{{ $a, $b := 1 }}", "1:4: undefined variable \"$a\""),
        ("{{ nil }}", "1:4: nil is not a command"),
        ("{{ 1a }}", "1:4: bad number syntax: \"1a\""),
        ("{{ # }}", "1:4: unexpected '#' in action"),
        ("{{ .Value 1 }}", "1:4: can't give argument to non-function \".Value\""),
        ("{{ .Nope }}", "1:4: can't evaluate field Nope in type template data"),
        ("{{ .Value.x }}", "1:4: can't evaluate field x in type float64"),
        ("{{ nil.x }}", "1:7: unexpected .x after a literal"),
        ("{{ template \"nope\" }}", "1:1: template \"nope\" not defined"),
        ("{{ gt $value 5 }}", "1:4: error calling gt: incompatible types for comparison: float64 and int"),
        ("{{ eq .Labels .Labels }}", "1:4: error calling eq: non-comparable type map[string]string"),
        ("{{ query \"bad\" }}", "1:4: error calling query: cannot evaluate bad"),
        ("{{ query 5 }}", "1:4: error calling query: wrong type for value; expected string; got int"),
        ("{{ query \"none\" | first }}", "1:19: error calling first: first() called on vector with no elements"),
        ("{{ toUpper 5 }}", "1:4: error calling toUpper: wrong type for value; expected string; got int"),
        ("{{ toUpper }}", "1:4: wrong number of args for toUpper: want 1 got 0"),
        ("{{ label \"a\" }}", "1:4: wrong number of args for label: want 2 got 1"),
        ("{{ humanize \"x\" }}", "1:4: error calling humanize: strconv.ParseFloat: parsing \"x\": invalid syntax"),
        ("{{ humanize .Labels }}", "1:4: error calling humanize: can't convert map[string]string to float"),
        ("{{ index (query \"metric\") 5 }}", "1:4: error calling index: error indexing: index out of range: 5"),
        ("{{ slice \"abc\" 2 9 }}", "1:4: error calling slice: index out of range: 9"),
        ("{{ len 5 }}", "1:4: error calling len: len of type int"),
        ("{{ range 1.5 }}{{ end }}", "1:10: range can't iterate over float64"),
        ("{{ call 5 }}", "1:4: error calling call: non-function of type int"),
        (
            "{{ parseDuration \"x\" }}",
            "1:4: error calling parseDuration: bad duration \"x\": expected numbers with the units y, w, d, h, m, s, ms from large to small, for example 1h30m",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(expand(text).expect_err(text), *expected, "{text}");
    }
    assert!(expand("{{ match \"(\" \"x\" }}").is_err_and(|error| error.contains("error parsing regexp")));
}

/// A long string.
const NESTED: &str = "printf \"%1000d%1000d%1000d%1000d\" 1 2 3 4";

#[test]
fn bounds_hold() {
    let cases: Vec<(String, &str)> = vec![
        ("{{ range 1000000000 }}{{ end }}".to_owned(), "steps"),
        ("{{ range 100000 }}aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa{{ end }}".to_owned(), "bytes"),
        ("{{ define \"a\" }}{{ template \"a\" }}{{ end }}{{ template \"a\" }}".to_owned(), "limit of 50"),
        ("{{ if 1 }}".repeat(5000), "100 levels"),
        (format!("{{{{ {} }}}}", "(".repeat(5000)), "100 levels"),
        ("{{ $x := \"aaaaaaaaaa\" }}{{ range 30 }}{{ $x = printf \"%s%s\" $x $x }}{{ end }}".to_owned(), "bytes"),
        (
            "{{ $x := \"aaaaaaaaaa\" }}{{ range 40 }}{{ $x = reReplaceAll \"a\" \"aaaaaaaaaa\" $x }}{{ end }}"
                .to_owned(),
            "bytes",
        ),
        ("{{ $x := args 1 1 }}{{ range 60 }}{{ $x = args $x $x }}{{ end }}{{ $x }}".to_owned(), "16 levels"),
        (format!("{{{{ $x := {NESTED} }}}}{{{{ print $x {} }}}}", "$x ".repeat(100_000)), "bytes"),
        (
            "{{ $x := printf \"%1000d%1000d%1000d%1000d\" 1 2 3 4 }}{{ range 20000 }}{{ $y := print $x }}{{ end }}"
                .to_owned(),
            "bytes in all",
        ),
        ("x".repeat(2 << 20), "limit"),
    ];
    for (text, expected) in cases {
        let error = expand(&text).expect_err("beyond a bound");
        assert!(error.contains(expected), "{error}");
    }
    assert_eq!(expand("{{ printf \"%999999999d\" 1 | len }}"), Ok("1000".to_owned()));
}

#[test]
fn checks_and_queries() {
    assert_eq!(check("{{ $labels.x }}"), Ok(()));
    assert!(check("{{ $x }}").is_err());
    let template = Template::parse("{{ query \"up\" }}").expect("parses");
    assert!(template.expand(&data(), &NoQueries).is_err());
}
