use super::{Action, RelabelConfig, RelabelRules};
use crate::model::{Labels, LabelsBuilder};

/// A rule from `key=value` words; `_` is a space, `source` is split at commas.
fn rule(text: &str) -> RelabelConfig {
    let mut rule = RelabelConfig::default();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let (key, value) = word.split_once('=').expect("key=value");
        match key {
            "source" => rule.source_labels = Some(value.split(',').map(str::to_owned).collect()),
            "separator" => rule.separator = value.to_owned(),
            "regex" => rule.regex = value.to_owned(),
            "modulus" => rule.modulus = value.parse().expect("a number"),
            "target" => rule.target_label = value.to_owned(),
            "replacement" => rule.replacement = value.to_owned(),
            "legacy" => rule.legacy_names = true,
            "action" => {
                rule.action = Action::ALL.iter().find(|(name, _)| *name == value).expect("known").1;
            }
            other => panic!("{other}"),
        }
    }
    rule
}

/// Labels before, the rules, labels after; `None`: dropped.
type Case = (&'static [(&'static str, &'static str)], &'static [&'static str], Option<&'static str>);

const CASES: &[Case] = &[
    (
        &[("a", "foo"), ("b", "bar")],
        &["source=a target=d regex=f(.*) replacement=ch${1}-ch${1}"],
        Some(r#"{a="foo", b="bar", d="choo-choo"}"#),
    ),
    (
        &[("a", "foo"), ("b", "bar")],
        &["source=a,b regex=f(.*);(.*)r target=a replacement=b${1}${2}m"],
        Some(r#"{a="boobam", b="bar"}"#),
    ),
    // Anchored on both sides.
    (&[("a", "abc")], &["source=a regex=b target=d"], Some(r#"{a="abc"}"#)),
    (&[("a", "a\nb")], &["source=a regex=a(.)b target=d replacement=x$1"], Some("{a=\"a\\nb\", d=\"x\\n\"}")),
    // No match changes nothing, an empty value removes.
    (&[("a", "x"), ("d", "y")], &["source=a regex=z target=d replacement="], Some(r#"{a="x", d="y"}"#)),
    (&[("a", "x"), ("d", "y")], &["source=a regex=x target=d replacement="], Some(r#"{a="x"}"#)),
    (&[("a", "x")], &["source=none target=a"], Some("{}")),
    (&[("a", "x")], &["target=b replacement=fixed"], Some(r#"{a="x", b="fixed"}"#)),
    (&[("a", "x")], &["source=a regex=(y)?x target=d replacement=<$1>"], Some(r#"{a="x", d="<>"}"#)),
    (
        &[("a", "some-name")],
        &["source=a regex=some-([^-]+) target=${1} replacement=v"],
        Some(r#"{a="some-name", name="v"}"#),
    ),
    (&[("a", "x")], &["source=a regex=(.*) target=l_$1 replacement=$$1"], Some(r#"{a="x", l_x="$1"}"#)),
    // A target that comes out empty is none.
    (&[("a", "x")], &["source=b regex=(.*) target=$1 replacement=v"], Some(r#"{a="x"}"#)),
    (&[("a", "0x")], &["source=a target=$1 replacement=v legacy=1"], Some(r#"{a="0x"}"#)),
    (&[("a", "x"), ("b", "y")], &["source=a,b separator=/ target=c"], Some(r#"{a="x", b="y", c="x/y"}"#)),
    // Each rule sees what those before have done.
    (
        &[("a", "x")],
        &["source=a target=__tmp", "source=__tmp target=c replacement=${1}1"],
        Some(r#"{__tmp="x", a="x", c="x1"}"#),
    ),
    (&[("a", "x")], &["source=a regex=x action=drop", "target=b replacement=1"], None),
    (&[("a", "x")], &["source=a regex=y action=drop"], Some(r#"{a="x"}"#)),
    (&[("a", "x")], &["source=a regex=y action=keep"], None),
    (&[("a", "x")], &["source=a regex=x|y action=keep"], Some(r#"{a="x"}"#)),
    (&[("a", "x")], &["source=none regex= action=keep"], Some(r#"{a="x"}"#)),
    (&[("a", "1"), ("b", "1")], &["source=a target=b action=keepequal"], Some(r#"{a="1", b="1"}"#)),
    (&[("a", "1"), ("b", "2")], &["source=a target=b action=keepequal"], None),
    (&[("a", "1"), ("b", "1")], &["source=a target=b action=dropequal"], None),
    (&[("a", "1"), ("b", "2")], &["source=a target=b action=dropequal"], Some(r#"{a="1", b="2"}"#)),
    (&[("a", "1")], &["source=none target=b action=dropequal"], None),
    // Figures of Prometheus' own `hashmod`.
    (&[("c", "baz")], &["source=c target=d modulus=1000 action=hashmod"], Some(r#"{c="baz", d="976"}"#)),
    (&[("a", "foo\nbar")], &["source=a target=b modulus=1000 action=hashmod"], Some("{a=\"foo\\nbar\", b=\"734\"}")),
    (&[("m_a", "1"), ("b", "2")], &["regex=m_(.+) replacement=$1 action=labelmap"], Some(r#"{a="1", b="2", m_a="1"}"#)),
    (&[("m_a", "1")], &["regex=m_(.+) replacement=x_${1} action=labelmap"], Some(r#"{m_a="1", x_a="1"}"#)),
    (&[("ab", "1"), ("b", "2")], &["regex=a.* action=labeldrop"], Some(r#"{b="2"}"#)),
    (&[("ab", "1"), ("b", "2")], &["regex=a.* action=labelkeep"], Some(r#"{ab="1"}"#)),
    (&[("ab", "1")], &["regex=zz action=labelkeep"], Some("{}")),
    (
        &[("a", "fOo"), ("b", "Bar")],
        &["source=a,b separator=- target=u action=uppercase"],
        Some(r#"{a="fOo", b="Bar", u="FOO-BAR"}"#),
    ),
    (
        &[("a", "ÄΣß")],
        &["source=a target=l action=lowercase", "source=a target=u action=uppercase"],
        Some(r#"{a="ÄΣß", l="äσß", u="ÄΣß"}"#),
    ),
];

#[test]
fn rules_change_labels_as_prometheus_does() {
    for (before, rules, expected) in CASES {
        let rules = RelabelRules::new(rules.iter().map(|text| rule(text)).collect()).expect("good rules");
        let mut labels = LabelsBuilder::from(&Labels::from_pairs(before));
        let kept = rules.apply(&mut labels).then(|| labels.build().to_string());
        assert_eq!(kept.as_deref(), *expected, "{before:?} {:?}", rules.configs().collect::<Vec<_>>());
    }
}

#[test]
fn bad_rules_are_refused() {
    let cases = [
        ("action=hashmod target=a", "modulus"),
        ("action=hashmod modulus=8", "target_label is missing"),
        ("source=a", "target_label is missing"),
        ("action=lowercase target=${3}", ""),
        ("action=lowercase target=${3} legacy=1", "cannot be a label's name"),
        ("action=uppercase source=a", "target_label is missing"),
        ("action=lowercase target=a replacement=x", "no use for a replacement"),
        ("action=keepequal source=a", "target_label is missing"),
        ("action=keepequal source=a target=b replacement=x", "no use for a replacement"),
        ("action=dropequal source=a target=b regex=x", "no other key"),
        ("action=keepequal source=a target=b separator=x", "no other key"),
        ("action=keepequal source=a target=b modulus=1", "no other key"),
        ("action=labeldrop regex=a source=b", "expected regex"),
        ("action=labelkeep regex=a target=b", "expected regex"),
        ("action=labelmap replacement=", "cannot be a label's name"),
        ("action=labelmap replacement=a-b legacy=1", "cannot be a label's name"),
        ("action=labelmap replacement=a_${1}_$x legacy=1", ""),
        ("target=a-b legacy=1", "cannot be a label's name"),
        ("target=a-b", ""),
        ("target=0$1 legacy=1", "cannot be a label's name"),
        ("target=$1$$ legacy=1", "cannot be a label's name"),
        ("target=a regex=(", "bad regular expression \"(\": missing closing )"),
        ("target=a regex=(?=x)", "bad regular expression"),
    ];
    for (text, expected) in cases {
        let found = RelabelRules::new(vec![rule(text)]).map_or_else(|error| error.to_string(), |_| String::new());
        assert_eq!(found.is_empty(), expected.is_empty(), "{text}: {found}");
        assert!(found.contains(expected), "{text}: {found}");
    }
}

#[test]
fn equal_are_rules_that_are_written_equally() {
    let make = |text: &str| RelabelRules::new(vec![rule(text)]).expect("good");
    assert_eq!(make("target=a"), make("target=a"));
    assert_ne!(make("target=a"), make("target=a regex=.*"));
    assert!(RelabelRules::default().is_empty());
}
