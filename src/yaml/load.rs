//! Events → marked tree: anchors, aliases, merge keys, bounds.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Tag};

use super::errors::Mark;
use super::tree::{Duplicate, Entry, Kind, Style, Tree};

/// Deeper documents are refused: nothing that we read is a tenth as deep, and readers recurse.
const MAX_DEPTH: usize = 64;
/// Nodes of a document with aliases followed; a 1.2 MB rule file has 50,000.
const MAX_NODES: u64 = 2_000_000;

/// A document that cannot be read at all.
pub(super) struct LoadError {
    pub(super) mark: Mark,
    pub(super) what: String,
}

pub(super) struct Loaded {
    /// `None` for an empty text.
    pub(super) root: Option<Arc<Tree>>,
    /// Where a second document begins, if there is one.
    pub(super) second: Option<Mark>,
}

/// Reads the first document of `text`.
pub(super) fn load(text: &str) -> Result<Loaded, LoadError> {
    let mut parser = Parser::new_from_str(text);
    let mut loader = Loader::default();
    let mut documents = 0;
    while let Some(next) = parser.next_event() {
        let (event, span) = match next {
            Ok(next) => next,
            // Whatever follows the first document is not ours to judge.
            Err(_) if documents > 0 && loader.root.is_some() => break,
            Err(error) => return Err(fail(mark(error.marker()), readable(error.info()))),
        };
        match event {
            Event::DocumentStart(_) if documents > 0 => {
                return Ok(Loaded { root: loader.root, second: Some(mark(&span.start)) });
            }
            Event::DocumentEnd => documents += 1,
            event => loader.event(event, mark(&span.start))?,
        }
    }
    Ok(Loaded { root: loader.root, second: None })
}

fn mark(marker: &Marker) -> Mark {
    let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    Mark { line: number(marker.line()).max(1), col: number(marker.col()).saturating_add(1) }
}

fn fail(mark: Mark, what: impl Into<String>) -> LoadError {
    LoadError { mark, what: what.into() }
}

/// The scanner's words, with what usually causes them.
fn readable(info: &str) -> String {
    match info {
        info if info.contains("tab") => format!("not valid YAML: {info} (indent with spaces)"),
        info => format!("not valid YAML: {info}"),
    }
}

#[derive(Default)]
struct Loader {
    root: Option<Arc<Tree>>,
    stack: Vec<Frame>,
    anchors: HashMap<usize, Arc<Tree>>,
}

struct Frame {
    mark: Mark,
    anchor: usize,
    content: Content,
}

enum Content {
    List(Vec<Arc<Tree>>),
    Map(MapFrame),
}

#[derive(Default)]
struct MapFrame {
    entries: Vec<Entry>,
    /// Key text → index in `entries`.
    seen: HashMap<Box<str>, usize>,
    duplicates: Vec<Duplicate>,
    /// The key whose value comes next.
    key: Option<(Box<str>, Mark, bool)>,
}

impl Loader {
    fn event(&mut self, event: Event<'_>, mark: Mark) -> Result<(), LoadError> {
        match event {
            Event::Scalar(text, style, anchor, tag) => self.scalar(&text, style, anchor, tag, mark),
            Event::Alias(id) => {
                let tree = self.anchors.get(&id).cloned();
                self.value(tree.ok_or_else(|| fail(mark, "this alias stands inside the value that it names"))?, mark)
            }
            Event::SequenceStart(anchor, _) => self.push(mark, anchor, Content::List(Vec::new())),
            Event::MappingStart(anchor, _) => self.push(mark, anchor, Content::Map(MapFrame::default())),
            Event::SequenceEnd | Event::MappingEnd => self.pop(),
            _ => Ok(()),
        }
    }

    fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<Cow<'_, Tag>>,
        mark: Mark,
    ) -> Result<(), LoadError> {
        let style = match style {
            // `!!str null` is the word, not nothing.
            ScalarStyle::Plain if tag.is_some_and(|tag| tag.suffix == "str") => Style::Double,
            ScalarStyle::Plain => Style::Plain,
            ScalarStyle::SingleQuoted => Style::Single,
            ScalarStyle::DoubleQuoted => Style::Double,
            ScalarStyle::Literal | ScalarStyle::Folded => Style::Block,
        };
        let tree = Arc::new(Tree::scalar(mark, text, style));
        self.remember(anchor, &tree);
        self.value(tree, mark)
    }

    fn remember(&mut self, anchor: usize, tree: &Arc<Tree>) {
        // 0 is the parser's word for "no anchor".
        if anchor != 0 {
            self.anchors.insert(anchor, Arc::clone(tree));
        }
    }

    fn push(&mut self, mark: Mark, anchor: usize, content: Content) -> Result<(), LoadError> {
        if let Some(Frame { content: Content::Map(MapFrame { key: None, .. }), .. }) = self.stack.last() {
            return Err(fail(mark, "a key must be a word, not a list or a mapping"));
        }
        if self.stack.len() >= MAX_DEPTH {
            return Err(fail(mark, format!("nested deeper than {MAX_DEPTH} levels")));
        }
        self.stack.push(Frame { mark, anchor, content });
        Ok(())
    }

    fn pop(&mut self) -> Result<(), LoadError> {
        let Some(frame) = self.stack.pop() else { return Ok(()) };
        let tree = Arc::new(match frame.content {
            Content::List(items) => Tree::list(frame.mark, items),
            Content::Map(map) => {
                let entries = map.entries;
                Tree::map(frame.mark, entries, map.duplicates)
            }
        });
        if tree.weight > MAX_NODES {
            return Err(fail(frame.mark, format!("more than {MAX_NODES} values once its aliases are followed")));
        }
        self.remember(frame.anchor, &tree);
        self.value(tree, frame.mark)
    }

    /// Puts a finished value where it belongs: root, list item, key or value of a mapping.
    fn value(&mut self, tree: Arc<Tree>, mark: Mark) -> Result<(), LoadError> {
        match self.stack.last_mut().map(|frame| &mut frame.content) {
            None => self.root = Some(tree),
            Some(Content::List(items)) => items.push(tree),
            Some(Content::Map(map)) => match map.key.take() {
                None => map.key = Some(key_of(&tree, mark)?),
                Some((_, key_mark, true)) => merge(map, &tree, key_mark)?,
                Some((key, key_mark, false)) => insert(map, key, key_mark, tree),
            },
        }
        Ok(())
    }
}

/// Key text, its place, and whether it is the merge key.
fn key_of(tree: &Tree, mark: Mark) -> Result<(Box<str>, Mark, bool), LoadError> {
    match &tree.kind {
        Kind::Scalar { text, style } => Ok((text.clone(), mark, *style == Style::Plain && &**text == "<<")),
        _ => Err(fail(mark, "a key must be a word, not a list or a mapping")),
    }
}

fn insert(map: &mut MapFrame, key: Box<str>, key_mark: Mark, value: Arc<Tree>) {
    let entry = Entry { key, key_mark, value, merged: false };
    match map.seen.get(&entry.key).copied() {
        Some(at) if map.entries[at].merged => map.entries[at] = entry,
        Some(at) => {
            let first = map.entries[at].key_mark;
            map.duplicates.push(Duplicate { key: entry.key, mark: key_mark, first });
        }
        None => {
            map.seen.insert(entry.key.clone(), map.entries.len());
            map.entries.push(entry);
        }
    }
}

/// `<<: *base` or `<<: [*a, *b]`: keys that are not there yet; of several sources the first wins.
fn merge(map: &mut MapFrame, source: &Arc<Tree>, mark: Mark) -> Result<(), LoadError> {
    let sources: &[Arc<Tree>] = match &source.kind {
        Kind::List(items) => items,
        _ => std::slice::from_ref(source),
    };
    for source in sources {
        let Kind::Map { entries, .. } = &source.kind else {
            return Err(fail(mark, "the merge key << takes a mapping or a list of mappings"));
        };
        for entry in entries.iter().filter(|entry| !map.seen.contains_key(&entry.key)).collect::<Vec<_>>() {
            map.seen.insert(entry.key.clone(), map.entries.len());
            map.entries.push(Entry {
                key: entry.key.clone(),
                key_mark: entry.key_mark,
                value: Arc::clone(&entry.value),
                merged: true,
            });
        }
    }
    Ok(())
}
