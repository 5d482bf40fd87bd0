use std::time::Duration;

use super::*;

/// Reads a small schema and gives every error, one a line.
fn read(text: &str) -> String {
    let doc = match Document::parse("f.yml", text) {
        Ok(doc) => doc,
        Err(errors) => return errors.to_string(),
    };
    let mut errors = YamlErrors::default();
    let mut map = doc.root().mapping(&mut errors);
    map.required("name", &mut errors, Node::nonempty_string);
    map.optional("on", &mut errors, Node::boolean);
    map.optional("count", &mut errors, Node::integer::<u8>);
    map.optional("ratio", &mut errors, Node::float);
    map.optional("every", &mut errors, Node::duration);
    map.optional("size", &mut errors, Node::size);
    map.optional("match", &mut errors, Node::regex);
    map.optional("mode", &mut errors, |node, errors| node.word(&[("fast", 1), ("slow", 2)], errors));
    map.optional("labels", &mut errors, Node::string_map);
    map.optional("items", &mut errors, |node, errors| {
        Some(node.list_of(errors, |item, errors| {
            let mut item = item.mapping(errors);
            let id = item.required("id", errors, Node::integer::<u32>);
            item.finish(errors);
            id
        }))
    });
    map.finish(&mut errors);
    errors.to_string()
}

#[test]
fn says_everything_that_is_wrong_with_its_place() {
    let cases: &[(&str, &str)] = &[
        ("name: x", ""),
        ("name: x\non: yes\ncount: 7\nratio: .inf\nevery: 1h30m\nsize: 1GB\nmatch: a.*\nmode: fast", ""),
        ("", r#"f.yml:1:1: name: the key "name" is missing here"#),
        ("name:", r#"f.yml:1:1: name: the key "name" is missing here"#),
        ("name: ''", "f.yml:1:7: name: is empty; expected a string"),
        (
            "- a",
            "f.yml:1:1: found a list; expected a mapping (key: value)\nf.yml:1:1: name: the key \"name\" is missing here",
        ),
        (
            "nam: x\non: maybe\nitems:\n  - id: 1\n  - ad: 2\n    id: x\n",
            concat!(
                "f.yml:1:1: name: the key \"name\" is missing here\n",
                "f.yml:1:1: nam: unknown key; expected one of count, every, items, labels, match, mode, name, on, ratio, size; did you mean \"name\"?\n",
                "f.yml:2:5: on: found \"maybe\"; expected true or false\n",
                "f.yml:5:5: items[1].ad: unknown key; expected one of id; did you mean \"id\"?\n",
                "f.yml:6:9: items[1].id: found \"x\"; expected a whole number from 0 to 4294967295",
            ),
        ),
        ("name: x\ncount: 256", "f.yml:2:8: count: found \"256\"; expected a whole number from 0 to 255"),
        ("name: x\nratio: [1]", "f.yml:2:8: ratio: found a list; expected a number"),
        (
            "name: x\nevery: 5",
            "f.yml:2:8: every: \"5\" has no unit; expected a duration such as 500ms, 30s, 5m or 1h30m",
        ),
        (
            "name: x\nevery: 5 min",
            "f.yml:2:8: every: bad duration \"5 min\"; expected a duration such as 500ms, 30s, 5m or 1h30m",
        ),
        ("name: x\nsize: big", "f.yml:2:7: size: bad size \"big\"; expected a size such as 512MB, 1GB or 1.5TB"),
        (
            "name: x\nmode: fats",
            "f.yml:2:7: mode: unknown word \"fats\"; expected one of fast, slow; did you mean \"fast\"?",
        ),
        ("name: x\nname: y", "f.yml:2:1: name: the key stands in this mapping already, on line 1"),
        ("name: x\nlabels: {a: [1]}", "f.yml:2:13: labels.a: found a list; expected a string"),
        ("name: x\nitems: {a: 1}", "f.yml:2:8: items: found a mapping; expected a list"),
    ];
    for (text, expected) in cases {
        assert_eq!(read(text), *expected, "{text}");
    }
    assert!(
        read("name: x\nmatch: 'a('").starts_with("f.yml:2:8: match: bad regular expression \"a(\": missing closing )")
    );
}

#[test]
fn syntax_errors_have_places() {
    for (text, place) in [
        ("a: [1, 2", "f.yml:2:1"),
        ("a: b: c", "f.yml:1:5"),
        ("a: 1\n\tb: 2", "f.yml:1:4"),
        ("a: *nowhere", "f.yml:1:4"),
        ("a: &x [*x]", "f.yml:1:8"),
        ("? [a, b]\n: 1", "f.yml:1:3"),
        ("<<: 5", "f.yml:1:1"),
    ] {
        let error = Document::parse("f.yml", text).expect_err(text).to_string();
        assert!(error.starts_with(place), "{text:?} gave {error}");
    }
    let error = Document::parse_bytes("f.yml", b"a: 1\nb: \xff").expect_err("not UTF-8").to_string();
    assert_eq!(error, "f.yml:2:4: not UTF-8 text; save the file as UTF-8");
}

#[test]
fn anchors_aliases_and_merge_keys() {
    let text = "base: &base {a: '1', b: '2'}\nmore: &more {b: '3', c: '4'}\nx: {<<: *base, b: '9'}\ny: {b: '8', <<: [*more, *base]}\nz: *base\n";
    let doc = Document::parse("f.yml", text).expect("parses");
    let mut errors = YamlErrors::default();
    let mut map = doc.root().mapping(&mut errors);
    let mut get = |key| {
        let mut pairs = map.optional(key, &mut errors, Node::string_map).expect("there");
        pairs.sort();
        pairs.into_iter().map(|(k, v)| k + &v).collect::<Vec<_>>().join(" ")
    };
    assert_eq!((get("x"), get("y"), get("z")), ("a1 b9".into(), "a1 b8 c4".into(), "a1 b2".into()));
    assert!(errors.is_empty(), "{errors}");
}

#[test]
fn only_the_first_document_is_read() {
    let doc = Document::parse("f.yml", "name: a\n---\nname: [\n").expect("the first one is fine");
    assert_eq!(
        doc.warnings().iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["f.yml:2:1: a second document begins here; only the first one is read"]
    );
    assert!(Document::parse("f.yml", "---\nname: a\n...\n").expect("one").warnings().is_empty());
}

#[test]
fn bombs_are_refused() {
    let deep = "- ".repeat(100_000);
    let brackets = "[".repeat(100_000);
    let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for i in 1..10 {
        let items = vec![format!("*a{}", i - 1); 10].join(", ");
        laughs += &format!("a{i}: &a{i} [{items}]\n");
    }
    for text in [deep, brackets, laughs] {
        assert!(Document::parse("f.yml", &text).is_err());
    }
}

#[test]
fn scalars_keep_their_meaning() {
    let text = "a: null\nb: 'null'\nc: !!str null\nd: |\n  x\n  y\ne: >-\n  x\n  y\nf: \"t\\tq\"\n";
    let doc = Document::parse("f.yml", text).expect("parses");
    let mut errors = YamlErrors::default();
    let map = doc.root().string_map(&mut errors).expect("a map");
    let values: Vec<&str> = map.iter().map(|(_, value)| value.as_str()).collect();
    assert_eq!(values, ["", "null", "null", "x\ny\n", "x y", "t\tq"]);
}

#[test]
fn places_inside_text() {
    // The byte offset of "X" in the value, and where X stands in the file.
    let cases: &[(&str, u32, u32)] = &[
        ("e: a + X", 1, 8),
        ("e: 'it''s X'", 1, 11),
        (r#"e: "a\"b X""#, 1, 10),
        ("e: |\n  a\n   + X\n", 3, 6),
        ("e: |-  # why\n\n    a\n    X", 4, 5),
        ("e: >\n  a +\n  X\n", 3, 3),
        ("e: a +\n  b +\n  X", 3, 3),
        ("e: é + X", 1, 8),
        ("l:\n- e:\n    X", 3, 5),
    ];
    for (text, line, col) in cases {
        let doc = Document::parse("f.yml", text).expect(text);
        let mut errors = YamlErrors::default();
        let mut map = doc.root().mapping(&mut errors);
        let node = match map.get("l") {
            Some(list) => list.list(&mut errors)[0].mapping(&mut errors).get("e").expect("e"),
            None => map.get("e").expect("e"),
        };
        let value = node.string(&mut errors).expect("a string");
        let offset = value.find('X').expect("an X");
        assert_eq!(node.place_in_text(offset), Mark { line: *line, col: *col }, "{text:?}");
    }
}

#[test]
fn writes_and_hides_secrets() {
    #[derive(serde::Serialize)]
    struct Shown {
        password: Secret,
        every: u64,
    }
    let every = Duration::from_secs(3).as_secs();
    let text = to_string(&Shown { password: Secret::new("hunter2"), every }).expect("plain");
    assert_eq!(text, "password: <secret>\nevery: 3\n");
    assert_eq!(format!("{:?} {0}", Secret::new("hunter2")), "<secret> <secret>");
}
