//! Rule files: YAML → checked groups, with Prometheus' words (model/rulefmt) at the place that each is about.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::model::{Labels, METRIC_NAME};
use crate::promql::parser::{Expr, parse};
use crate::yaml::{Document, Node, YamlErrors};

use super::spec::{AlertSpec, GroupSpec, RuleFile, RuleKind, RuleSpec};
use super::text::Text;

impl RuleFile {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with file, line and column.
    pub fn load(path: &Path) -> Result<Self, YamlErrors> {
        Self::read(&Document::load(path)?)
    }

    /// Checks a rule file's text; `name` is what errors and views call it.
    ///
    /// # Errors
    /// As [`RuleFile::load`].
    pub fn parse(name: &str, text: &str) -> Result<Self, YamlErrors> {
        Self::read(&Document::parse(name, text)?)
    }

    fn read(doc: &Document) -> Result<Self, YamlErrors> {
        let mut errors = YamlErrors::default();
        let file: Arc<str> = doc.file().into();
        let mut map = doc.root().mapping(&mut errors);
        let nodes = map.optional("groups", &mut errors, |node, errors| Some(node.list(errors))).unwrap_or_default();
        map.finish(&mut errors);
        let mut groups: Vec<Arc<GroupSpec>> = Vec::with_capacity(nodes.len());
        for node in nodes {
            let group = read_group(&node, &file, &mut errors);
            if groups.iter().any(|earlier| earlier.name == group.name) {
                errors.push(node.error(format!("groupname: {:?} is repeated in the same file", group.name)));
            }
            groups.push(Arc::new(group));
        }
        errors.into_result(Self { name: file, groups, warnings: doc.warnings().to_vec() })
    }
}

fn read_group(node: &Node<'_>, file: &Arc<str>, errors: &mut YamlErrors) -> GroupSpec {
    let mut map = node.mapping(errors);
    let name = map.optional("name", errors, Node::string).unwrap_or_default();
    if name.is_empty() {
        errors.push(node.error("Groupname must not be empty"));
    }
    let interval = map.optional("interval", errors, Node::duration).filter(|interval| !interval.is_zero());
    let query_offset = map.optional("query_offset", errors, Node::duration);
    let limit = map.optional("limit", errors, Node::integer::<i32>).unwrap_or(0);
    let labels = map.optional("labels", errors, read_pairs).unwrap_or_default();
    check_label_names(&labels, "", errors);
    let rules = map.optional("rules", errors, |node, errors| Some(node.list(errors))).unwrap_or_default();
    map.finish(errors);
    let rules = rules.iter().enumerate().filter_map(|(i, rule)| {
        let place = Place { group: &name, number: i + 1 };
        read_rule(rule, place, &labels, errors).map(Arc::new)
    });
    let rules = rules.collect();
    GroupSpec { file: Arc::clone(file), interval, query_offset, limit: u32::try_from(limit).unwrap_or(0), rules, name }
}

/// A key with its value, both as written, and the value's node.
#[derive(Clone)]
struct Pair<'d> {
    name: &'d str,
    value: String,
    node: Node<'d>,
}

fn read_pairs<'d>(node: &Node<'d>, errors: &mut YamlErrors) -> Option<Vec<Pair<'d>>> {
    let pairs = node.mapping(errors).pairs();
    let mut read = |(name, node): (&'d str, Node<'d>)| {
        let value = if node.is_null() { String::new() } else { node.string(errors)? };
        Some(Pair { name, value, node })
    };
    Some(pairs.into_iter().filter_map(&mut read).collect())
}

/// Which rule a message is about, as Prometheus names it.
struct Place<'a> {
    group: &'a str,
    number: usize,
}

/// A rule as it stands in the file.
struct RawRule<'d> {
    node: Node<'d>,
    /// Beginning of every message.
    title: String,
    record: Option<(Node<'d>, String)>,
    alert: Option<(Node<'d>, String)>,
    hold: Option<(Node<'d>, Duration)>,
    keep_firing_for: Option<(Node<'d>, Duration)>,
    annotations_node: Option<Node<'d>>,
    labels: Vec<Pair<'d>>,
    annotations: Vec<Pair<'d>>,
}

fn read_rule(
    node: &Node<'_>,
    place: Place<'_>,
    group_labels: &[Pair<'_>],
    errors: &mut YamlErrors,
) -> Option<RuleSpec> {
    let mut map = node.mapping(errors);
    let record = map.optional("record", errors, read_name);
    let alert = map.optional("alert", errors, read_name);
    let name = alert.as_ref().or(record.as_ref()).map_or("", |(_, name)| name.as_str());
    let raw = RawRule {
        title: format!("group {:?}, rule {}, {name:?}", place.group, place.number),
        node: node.clone(),
        hold: map.optional("for", errors, read_hold),
        keep_firing_for: map.optional("keep_firing_for", errors, read_hold),
        labels: map.optional("labels", errors, read_pairs).unwrap_or_default(),
        annotations_node: map.get("annotations"),
        annotations: map.optional("annotations", errors, read_pairs).unwrap_or_default(),
        record,
        alert,
    };
    let expr = read_expr(map.get("expr"), &raw, errors);
    map.finish(errors);
    raw.check(errors);
    let labels = merge(group_labels, &raw.labels);
    let kind = match &raw.alert {
        None => RuleKind::Recording,
        Some(_) => RuleKind::Alerting(Box::new(raw.alert_spec(&labels, errors))),
    };
    let (_, name) = raw.alert.or(raw.record)?;
    let expr = expr?;
    Some(RuleSpec { name, query: expr.to_string(), expr, labels: labels_of(&labels), kind, mark: node.mark() })
}

/// A name with its node; an empty one counts as not there, as in Prometheus.
fn read_name<'d>(node: &Node<'d>, errors: &mut YamlErrors) -> Option<(Node<'d>, String)> {
    node.string(errors).filter(|name| !name.is_empty()).map(|name| (node.clone(), name))
}

fn read_hold<'d>(node: &Node<'d>, errors: &mut YamlErrors) -> Option<(Node<'d>, Duration)> {
    node.duration(errors).filter(|hold| !hold.is_zero()).map(|hold| (node.clone(), hold))
}

fn read_expr(node: Option<Node<'_>>, raw: &RawRule<'_>, errors: &mut YamlErrors) -> Option<Expr> {
    let text = node.as_ref().filter(|node| !node.is_null()).map(|node| (node, node.string(errors)));
    let (node, text) = match text {
        Some((node, text)) => (node, text?),
        None => {
            errors.push(raw.error(node.as_ref(), "field 'expr' must be set in rule"));
            return None;
        }
    };
    if text.is_empty() {
        errors.push(raw.error(Some(node), "field 'expr' must be set in rule"));
        return None;
    }
    match parse(&text) {
        Ok(expr) => Some(expr),
        Err(mistakes) => {
            for mistake in mistakes.errors() {
                let what = format!("{}: could not parse expression: {mistake}", raw.title);
                errors.push(node.error_at(node.place_in_text(mistake.pos.start as usize), what));
            }
            None
        }
    }
}

impl<'d> RawRule<'d> {
    fn error(&self, node: Option<&Node<'d>>, what: &str) -> crate::yaml::YamlError {
        node.unwrap_or(&self.node).error(format!("{}: {what}", self.title))
    }

    fn check(&self, errors: &mut YamlErrors) {
        match (&self.record, &self.alert) {
            (Some(_), Some((node, _))) => {
                errors.push(self.error(Some(node), "only one of 'record' and 'alert' must be set"));
            }
            (None, None) => errors.push(self.error(None, "one of 'record' or 'alert' must be set")),
            _ => {}
        }
        if let Some((node, name)) = &self.record {
            self.check_recording(node, name, errors);
        }
        check_label_names(&self.labels, &format!("{}: ", self.title), errors);
        for pair in self.annotations.iter().filter(|pair| pair.name.is_empty()) {
            errors.push(self.error(Some(&pair.node), "invalid annotation name: "));
        }
    }

    fn check_recording(&self, node: &Node<'d>, name: &str, errors: &mut YamlErrors) {
        let fields = [
            ("annotations", self.annotations_node.as_ref().filter(|_| !self.annotations.is_empty())),
            ("for", self.hold.as_ref().map(|(node, _)| node)),
            ("keep_firing_for", self.keep_firing_for.as_ref().map(|(node, _)| node)),
        ];
        for (field, node) in fields {
            if let Some(node) = node {
                errors.push(self.error(Some(node), &format!("invalid field '{field}' in recording rule")));
            }
        }
        if name.contains(['{', '}']) {
            let what = format!("braces present in the recording rule name; should it be in expr?: {name}");
            errors.push(self.error(Some(node), &what));
        }
    }

    fn alert_spec(&self, labels: &[Pair<'_>], errors: &mut YamlErrors) -> AlertSpec {
        AlertSpec {
            hold: self.hold.as_ref().map_or(Duration::ZERO, |(_, hold)| *hold),
            keep_firing_for: self.keep_firing_for.as_ref().map_or(Duration::ZERO, |(_, keep)| *keep),
            annotations: labels_of(&self.annotations),
            label_texts: self.texts("label", labels, errors),
            annotation_texts: self.texts("annotation", &self.annotations, errors),
        }
    }

    fn texts(&self, what: &str, pairs: &[Pair<'_>], errors: &mut YamlErrors) -> Vec<(String, Text)> {
        let mut texts = Vec::with_capacity(pairs.len());
        for pair in pairs {
            match Text::parse(&pair.value) {
                Ok(text) => texts.push((pair.name.to_owned(), text)),
                Err(reason) => {
                    let what = format!("{}: {what} {:?}: {reason}", self.title, pair.name);
                    errors.push(pair.node.error(what));
                }
            }
        }
        texts.sort_by(|(a, _), (b, _)| a.cmp(b));
        texts
    }
}

fn check_label_names(labels: &[Pair<'_>], title: &str, errors: &mut YamlErrors) {
    for pair in labels.iter().filter(|pair| pair.name.is_empty() || pair.name == METRIC_NAME) {
        errors.push(pair.node.error(format!("{title}invalid label name: {}", pair.name)));
    }
}

/// The group's labels with the rule's over them.
fn merge<'d>(group: &[Pair<'d>], rule: &[Pair<'d>]) -> Vec<Pair<'d>> {
    let kept = group.iter().filter(|pair| !rule.iter().any(|other| other.name == pair.name));
    kept.chain(rule).cloned().collect()
}

fn labels_of(pairs: &[Pair<'_>]) -> Labels {
    let pairs: Vec<(&str, &str)> = pairs.iter().map(|pair| (pair.name, pair.value.as_str())).collect();
    Labels::from_pairs(&pairs)
}
