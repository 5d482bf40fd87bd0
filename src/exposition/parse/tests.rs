use super::{Meta, SampleLine, Sink, parse, parse_series};
use crate::exposition::Format;

#[derive(Default)]
struct Lines(Vec<String>);

impl<'a> Sink<'a> for Lines {
    fn sample(&mut self, sample: SampleLine<'a>) -> Result<(), String> {
        let series = parse_series(sample.series)?;
        let labels: Vec<String> = series.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut line = format!("{}[{}] {}", series.name, labels.join("|"), sample.value);
        if let Some(ts) = sample.ts {
            line.push_str(&format!(" @{ts}"));
        }
        if let Some(exemplar) = sample.exemplar {
            line.push_str(&format!(" # {} {} {:?}", exemplar.labels, exemplar.value, exemplar.ts));
        }
        self.0.push(line);
        Ok(())
    }

    fn meta(&mut self, name: &'a str, meta: Meta<'a>) {
        self.0.push(format!("{name}: {meta:?}"));
    }

    fn created(&mut self, sample: SampleLine<'a>) -> Result<(), String> {
        self.0.push(format!("{} created {}", sample.series, sample.value));
        Ok(())
    }
}

fn check(format: Format, text: &str) -> String {
    let mut lines = Lines::default();
    match parse(text, format, &mut lines) {
        Ok(_) => lines.0.join("\n"),
        Err(error) => format!("ERROR {error}"),
    }
}

#[test]
fn text_is_read() {
    let cases = [
        ("", ""),
        ("\n\n", ""),
        ("a 1", "a[] 1"),
        ("a 1\r\nb 2\r\n", "a[] 1\nb[] 2"),
        ("\ta{ b = \"1\" , } 1e3 1500 ", "a[b=1] 1000 @1500"),
        ("a {b=\"1\"} 1", "a[b=1] 1"),
        ("a{b=\"}\\\"\\n\\\\ # \"} -1 -5", "a[b=}\"\n\\ # ] -1 @-5"),
        ("llamacpp:n 1", "llamacpp:n[] 1"),
        ("a{b=\"\"} NaN\na +Inf\na -inf", "a[b=] NaN\na[] inf\na[] -inf"),
        ("{\"my.metric\"} 1\n{\"my.metric\",\"a.b\"=\"x\",c=\"y\"} 2", "my.metric[] 1\nmy.metric[a.b=x|c=y] 2"),
        ("# EOF\n# a comment\n#\n#comment\na 1", "a[] 1"),
        (
            "# HELP a  Some  help.\n# TYPE a gaugehistogram\n# HELP a again",
            "a: Help(\" Some  help.\")\na: Kind(GaugeHistogram)\na: Help(\"again\")",
        ),
        ("# TYPE a untyped\n# TYPE \"b.c\" counter", "a: Kind(Unknown)\nb.c: Kind(Counter)"),
        ("# HELP a\n", "a: Help(\"\")"),
        ("# HELP\n# TYPE \n#  UNIT\na 1", "a[] 1"),
        ("a{b=\"1\n2\",c=\"\n\"} 1\nd 2", "a[b=1\n2|c=\n] 1\nd[] 2"),
        ("# TYPE a counter\na 1\na_created 2", "a: Kind(Counter)\na[] 1\na_created[] 2"),
    ];
    for (text, expected) in cases {
        assert_eq!(check(Format::Text, text), expected, "{text:?}");
    }
}

#[test]
fn open_metrics_is_read() {
    let cases = [
        ("# EOF\n", ""),
        ("a 1 1.5\n# EOF", "a[] 1 @1500"),
        ("a 1\r\nb 2\nc 3\r\n# EOF\r\n", "a[] 1\nb[] 2\nc[] 3"),
        ("# TYPE a gauge\n# TYPE a gauge\na 1\n# EOF", "a: Kind(Gauge)\na: Kind(Gauge)\na[] 1"),
        (
            "# TYPE a_total histogram\na_total_bucket{le=\"+Inf\"} 1\n# EOF",
            "a_total: Kind(Histogram)\na_total_bucket[le=+Inf] 1",
        ),
        ("# TYPE a:b gaugehistogram\na:b_gcount 1\n# EOF", "a:b: Kind(GaugeHistogram)\na:b_gcount[] 1"),
        ("# TYPE a counter\na 1\n# EOF", "a: Kind(Counter)\na[] 1"),
        ("# TYPE \"a.é\" counter\n{\"a.é_total\",\"b c\"=\"d\"} 1\n# EOF", "a.é: Kind(Counter)\na.é_total[b c=d] 1"),
        ("a 1 # {t=\"x # y\"} 0.5\n# EOF", "a[] 1 # {t=\"x # y\"} 0.5 None"),
        ("a{b=\"c\"} 1 2 # {} 0.5 3\n# EOF", "a[b=c] 1 @2000 # {} 0.5 Some(3000)"),
        (
            "# TYPE a counter\n# UNIT a s\na_total 1\na_created 5\n# EOF",
            "a: Kind(Counter)\na: Unit(\"s\")\na_total[] 1\na_created created 5",
        ),
        ("# TYPE a gauge\na_created 5\n# EOF", "a: Kind(Gauge)\na_created[] 5"),
    ];
    for (text, expected) in cases {
        assert_eq!(check(Format::OpenMetrics, text), expected, "{text:?}");
    }
}

#[test]
fn bad_lines_name_the_line_and_what_was_expected() {
    let cases = [
        (Format::Text, "a 1\nb", "line 2: expected a value after the series: \"b\""),
        (Format::Text, "a x", "line 1: expected a value after the series, found \"x\": \"a x\""),
        (Format::Text, "a{b=\"1\" 1", "line 1: expected } before the end of the line"),
        (Format::Text, "a{b=\"1} 1\nc 1", "line 1: expected a closing quote before the end of the line"),
        (Format::Text, "a{b=1} 1", "line 1: expected a quoted value of the label \"b\""),
        (Format::Text, "a{1=\"1\"} 1", "line 1: expected a label name of letters, digits and _"),
        (Format::Text, "a{b=\"1\";c=\"2\"} 1", "line 1: expected , or } after a label value, found \";c=\\\"2\\\"\""),
        (Format::Text, "a{b=\"1\",b=\"2\"} 1", "line 1: expected each label once, found \"b\" twice"),
        (Format::Text, "a{,} 1", "line 1: expected a label name"),
        (Format::Text, "a-b 1", "line 1: expected a metric name"),
        (Format::Text, "{} 1", "line 1: expected a metric name"),
        (Format::Text, "a 1 1.5", "line 1: expected a timestamp in whole milliseconds, found \"1.5\""),
        (Format::Text, "a 1 1 1", "line 1: expected the end of the line after the timestamp"),
        (Format::Text, "a 1 # {} 1", "line 1: expected no exemplar in text 0.0.4"),
        (Format::Text, "# TYPE a meh", "line 1: expected counter, gauge"),
        (Format::Text, "# TYPE \"a", "line 1: expected a metric name after # TYPE"),
        (Format::Text, "a{b=\"1\n2\"} 1\nb x", "line 3: expected a value after the series, found \"x\""),
        (Format::OpenMetrics, "a{b=\"1\n2\"} 1\n# EOF", "line 1: expected a closing quote before the end of the line"),
        (Format::OpenMetrics, "a 1 # {b=\"1\n2\"} 1\n# EOF", "line 1: expected a closing quote before the end"),
        (Format::OpenMetrics, "a 1", "line 2: expected # EOF"),
        (Format::OpenMetrics, "a 1\n", "line 2: expected # EOF"),
        (Format::OpenMetrics, "a 1\n# EO", "line 3: expected # EOF"),
        (Format::OpenMetrics, "", "line 1: expected # EOF"),
        (Format::OpenMetrics, "# EOF\na 1\n", "line 2: expected nothing after # EOF"),
        (Format::OpenMetrics, "a 1 # x\n# EOF", "line 1: expected {labels} of an exemplar after #"),
        (Format::OpenMetrics, "a 1 NaN\n# EOF", "line 1: expected a timestamp in seconds"),
        (Format::Text, "\"", "line 1: expected a value"),
        (Format::Text, "a{\"\\", "line 1: expected a closing quote"),
    ];
    for (format, text, expected) in cases {
        let found = check(format, text);
        assert!(found.starts_with(&format!("ERROR {expected}")), "{text:?}: {found}");
    }
}

#[test]
fn labels_are_limited() {
    let labels: Vec<String> = (0..600).map(|index| format!("l{index}=\"\"")).collect();
    let found = check(Format::Text, &format!("a{{{}}} 1", labels.join(",")));
    assert!(found.contains("expected at most 512 labels"), "{}", &found[..200.min(found.len())]);
}

#[test]
fn no_prefix_of_a_page_and_no_flipped_byte_panics() {
    let page =
        "# HELP a x\n# TYPE a histogram\na_bucket{le=\"0.1\",q=\"\\\"é\"} 1 1 # {t=\"1\"} 2 3\n{\"a.b\"} 4\n# EOF\n";
    for format in [Format::Text, Format::OpenMetrics] {
        for cut in (0..page.len()).filter(|cut| page.is_char_boundary(*cut)) {
            check(format, &page[..cut]);
            check(format, &page[cut..]);
            for other in ['"', '\\', '{', '}', '\n', '#', ' ', 'é'] {
                check(format, &format!("{}{other}{}", &page[..cut], &page[cut..]));
            }
        }
    }
}

/// What real servers sent, and what the Go client wrote.
fn real_pages() -> Vec<(Format, String)> {
    let mut pages = vec![
        (Format::OpenMetrics, include_str!("../../../tests/fixtures/client_golang.om").to_owned()),
        (Format::Text, include_str!("../../../tests/fixtures/client_golang.txt").to_owned()),
    ];
    let shared = std::env::var_os("WATCHFIRE_SHARED").map_or_else(|| "../shared".into(), std::path::PathBuf::from);
    for name in ["llama-server-busy.prom", "llama-server-idle.prom"] {
        match std::fs::read_to_string(shared.join("captures").join(name)) {
            Ok(text) => pages.push((Format::Text, text)),
            Err(_) => println!("SKIPPED: {name} is not in {}", shared.display()),
        }
    }
    pages
}

#[test]
fn real_pages_are_read() {
    for (format, page) in real_pages() {
        let found = check(format, &page);
        assert!(!found.starts_with("ERROR") && found.lines().count() > 10, "{found}");
    }
}

/// Cuts, changed bytes, doubled and swapped pieces of real pages: every reader ends with a result.
#[test]
fn mutations_of_real_pages_do_no_harm() {
    const SPECIAL: &[u8] = b"\"\\{}=,# \n\r\t\0e.-+_:\xc3";
    let mut state = 11u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) as usize) % below.max(1)
    };
    let pages = real_pages();
    let (mut good, mut bad) = (0, 0);
    for round in 0..4_000 {
        let (format, page) = &pages[round % pages.len()];
        let mut bytes = page.clone().into_bytes();
        for _ in 0..=random(3) {
            let (a, b) = (random(bytes.len()), random(bytes.len()));
            let (a, b) = (a.min(b), a.max(b));
            match random(6) {
                0 => bytes.truncate(b),
                1 => drop(bytes.drain(a..b.min(a + 20))),
                2 => bytes.insert(a, SPECIAL[random(SPECIAL.len())]),
                3 => bytes[a] = random(256) as u8,
                4 => {
                    let piece = bytes[a..b.min(a + 50)].to_vec();
                    bytes.splice(b..b, piece);
                }
                _ => bytes.swap(a, b),
            }
            if bytes.is_empty() {
                break;
            }
        }
        let text = String::from_utf8_lossy(&bytes);
        for format in [*format, Format::Text, Format::OpenMetrics] {
            match check(format, &text).starts_with("ERROR") {
                true => bad += 1,
                false => good += 1,
            }
        }
        for line in text.lines() {
            let _ = super::parse_line(line, *format);
        }
        if round % 8 == 0 {
            let _ = crate::exposition::check_openmetrics(&text);
            let _ = crate::exposition::lint_text(&text);
            let _ = crate::exposition::openmetrics_to_text(&text);
        }
    }
    assert!(good > 500 && bad > 500, "{good} good, {bad} bad");
}

/// Pages that would be slow if anything took the square of their size.
#[test]
fn hostile_pages_take_no_longer_than_their_size() {
    const SIZE: usize = 1 << 20;
    let pieces = [
        "{",
        "\"",
        "\\",
        "a{",
        "a{b=\"",
        "#",
        "# HELP ",
        "# TYPE a gauge\n",
        "a{b=\"c\",",
        ",",
        "a 1 # {",
        " ",
        "\n",
        "a\n",
        "1e",
    ];
    let timer = crate::clock::Stopwatch::start();
    for piece in pieces {
        let page = piece.repeat(SIZE / piece.len());
        for format in [Format::Text, Format::OpenMetrics] {
            check(format, &page);
        }
    }
    // 30 MiB in the dev profile on a busy machine; the square of one page would take an hour.
    assert!(timer.elapsed().as_secs() < 120, "{:?}", timer.elapsed());
}

/// Expects one text at every line.
struct Expecting<'h>(Lines, &'h str);

impl<'a> Sink<'a> for Expecting<'_> {
    fn sample(&mut self, sample: SampleLine<'a>) -> Result<(), String> {
        self.0.sample(sample)
    }

    fn expected(&self) -> Option<&str> {
        Some(self.1)
    }

    fn meta(&mut self, name: &'a str, meta: Meta<'a>) {
        self.0.meta(name, meta);
    }

    fn created(&mut self, sample: SampleLine<'a>) -> Result<(), String> {
        self.0.created(sample)
    }
}

/// Whatever series was expected, the line says what it is. A sink expects only what it has read before.
#[test]
fn expectations_change_nothing() {
    let lines = [
        "a 1",
        "a  1",
        "a\t1",
        "a {b=\"c\"} 1",
        "a  {b=\"c\"} 1",
        "a{b=\"c d\"} 1.5 1600",
        "a{b=\"\\\" 1\"} -0.25",
        "ab 1",
        "a 12345678901234567890",
        "a 1e5",
        "a NaN\r",
        "a",
        "a x",
        "{\"a b\"} 2",
    ];
    let known = ["a", "a{b=\"c d\"}", "a{b=\"\\\" 1\"}", "ab", "{\"a b\"}", "a{b=\"c\"}", "a {b=\"c\"}"];
    for format in [Format::Text, Format::OpenMetrics] {
        for line in lines {
            for ending in ["", "\n", "\n# EOF\n", " # {t=\"x\"} 1\n# EOF"] {
                let page = format!("{line}{ending}");
                for expected in known {
                    let mut sink = Expecting(Lines::default(), expected);
                    let found = match parse(&page, format, &mut sink) {
                        Ok(_) => sink.0.0.join("\n"),
                        Err(error) => format!("ERROR {error}"),
                    };
                    assert_eq!(found, check(format, &page), "{page:?} expecting {expected:?}");
                }
            }
        }
    }
}

#[test]
fn values_take_the_short_way_and_the_long_one() {
    for text in [
        "0",
        "-0",
        "1",
        "1.5",
        "-12.25",
        "123456789012345",
        "1234567890123456",
        "0.000000000000001",
        ".5",
        "5.",
        "1e-7",
    ] {
        let expected: f64 = text.parse().expect("a float");
        for (format, page) in [
            (Format::Text, format!("a {text}\n")),
            (Format::Text, format!("a {text} 7\n")),
            (Format::OpenMetrics, format!("a {text}\n# EOF")),
        ] {
            let found = check(format, &page);
            let value: f64 = found.split(' ').nth(1).expect("a value").parse().expect("a float");
            assert_eq!(value.to_bits(), expected.to_bits(), "{page:?}");
        }
    }
}
