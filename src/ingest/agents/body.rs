//! A heartbeat's body: JSON, checked field by field. `schemas/heartbeat.json` says the same; a test compares them.

use std::time::Duration;

use super::config::AgentsConfig;
use super::item::{Item, nearest, shorten};
use crate::model::is_classic_label_name;

/// Bytes of a worker's id.
const MAX_ID_BYTES: usize = 128;
/// Bytes of a project's name; the socket of a project takes as many.
const MAX_PROJECT_BYTES: usize = 256;
/// Bytes of a run's id.
const MAX_RUN_BYTES: usize = 128;
/// Bytes of a label's name.
const MAX_LABEL_NAME_BYTES: usize = 128;
/// Whole numbers up to 2^53 are exact in every JSON reader.
const MAX_COUNT: f64 = 9_007_199_254_740_992.0;
/// A year: whoever wants more wants no TTL.
const MAX_TTL_SECONDS: f64 = 31_536_000.0;
/// Mistakes that one answer names.
const MAX_MISTAKES: usize = 5;
/// Labels that the series of a worker, or of a group of processes, have already.
const OWN_LABELS: [&str; 9] = ["project", "worker", "group", "run_id", "pid", "job", "instance", "le", "quantile"];
const FIELDS: [&str; 9] =
    ["pid", "project", "run_id", "status", "tokens", "queue", "in_flight", "labels", "ttl_seconds"];
const TOKEN_FIELDS: [&str; 3] = ["current_run", "total_session", "limit"];

/// What a worker says it is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It works.
    Running,
    /// It holds a run and waits.
    Paused,
    /// It has nothing to do.
    Idle,
}

impl Status {
    /// All of them, in the order of the metric's states.
    pub const ALL: [Self; 3] = [Self::Running, Self::Paused, Self::Idle];

    /// The word in JSON and labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Idle => "idle",
        }
    }
}

/// Tokens that a worker has used; what it does not say is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tokens {
    /// In this run.
    pub current_run: Option<u64>,
    /// Since the worker started.
    pub total_session: Option<u64>,
    /// How many the session may use.
    pub limit: Option<u64>,
}

impl Tokens {
    /// What counts against the limit: the session's tokens, or the run's where the session's are not known.
    fn used(&self) -> Option<u64> {
        self.total_session.or(self.current_run)
    }

    /// Used tokens as a share of the limit, 1 is all; `None` without a limit, at a limit of 0, or when nothing is known of use.
    pub fn usage_ratio(&self) -> Option<f64> {
        let limit = self.limit.filter(|limit| *limit > 0)?;
        Some(self.used()? as f64 / limit as f64)
    }

    /// Tokens that are left of the limit; `None` as for [`Tokens::usage_ratio`].
    pub fn available(&self) -> Option<u64> {
        let limit = self.limit.filter(|limit| *limit > 0)?;
        Some(limit.saturating_sub(self.used()?))
    }
}

/// What a worker says of itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Heartbeat {
    /// Its process.
    pub pid: Option<i32>,
    /// The project that it works for.
    pub project: Option<String>,
    /// The run that it is on, or was on last.
    pub run_id: Option<String>,
    /// What it does.
    pub status: Status,
    /// Its tokens.
    pub tokens: Tokens,
    /// Tasks that wait for it.
    pub queue: Option<u64>,
    /// Requests that it waits for.
    pub in_flight: Option<u64>,
    /// What else it wants to be known by, sorted by name.
    pub labels: Vec<(String, String)>,
    /// After so long without work it may be ended by who started it.
    pub ttl: Option<Duration>,
}

/// Whether a worker may have this id.
///
/// # Errors
/// What an id looks like.
pub fn check_worker_id(id: &str) -> Result<(), String> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"._:@-".contains(&byte);
    let starts = id.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if starts && id.len() <= MAX_ID_BYTES && id.bytes().all(good) {
        return Ok(());
    }
    Err(format!(
        "worker id: expected 1 to {MAX_ID_BYTES} letters, digits and . _ : @ -, beginning with a letter or digit, found {:?}",
        shorten(id)
    ))
}

/// Reads a body.
///
/// # Errors
/// What was expected and what was found, for up to five fields.
pub(super) fn read(body: &[u8], config: &AgentsConfig) -> Result<Heartbeat, String> {
    let item: Item = serde_json::from_slice(body)
        .map_err(|error| format!("expected one JSON object, as schemas/heartbeat.json describes it: {error}"))?;
    let Item::Object(pairs) = item else {
        return Err(format!("expected a JSON object with at least a status, found {}", item.kind()));
    };
    let mut reader = Reader { mistakes: Vec::new() };
    let fields = reader.fields("", pairs, &FIELDS);
    let heartbeat = reader.heartbeat(fields, config);
    if reader.mistakes.is_empty() {
        // Without a mistake the status has been read.
        return heartbeat.ok_or_else(|| "status: expected running, paused or idle".to_owned());
    }
    let more = reader.mistakes.len().saturating_sub(MAX_MISTAKES);
    reader.mistakes.truncate(MAX_MISTAKES);
    let text = reader.mistakes.join("; ");
    Err(if more > 0 { format!("{text}; and {more} more") } else { text })
}

/// Collects what is wrong, so that one answer names everything.
struct Reader {
    mistakes: Vec<String>,
}

/// Fields that were stated; `null` counts as not stated.
struct Fields(Vec<(String, Item)>);

impl Fields {
    fn take(&mut self, name: &str) -> Option<Item> {
        let at = self.0.iter().position(|(found, _)| found == name)?;
        Some(self.0.swap_remove(at).1)
    }
}

impl Reader {
    fn wrong(&mut self, at: &str, expected: &str, found: &Item) {
        self.mistakes.push(format!("{at}: expected {expected}, found {}", found.kind()));
    }

    /// Complains about names that nobody knows, or that come twice.
    fn fields(&mut self, prefix: &str, pairs: Vec<(String, Item)>, known: &[&str]) -> Fields {
        let mut seen: Vec<(String, Item)> = Vec::new();
        for (name, item) in pairs {
            let at = format!("{prefix}{}", shorten(&name));
            if !known.contains(&name.as_str()) {
                let hint = match nearest(&name, known) {
                    Some(near) => format!("did you mean {prefix}{near}?"),
                    None => format!("expected one of {}", known.join(", ")),
                };
                self.mistakes.push(format!("{at}: unknown field; {hint}"));
            } else if seen.iter().any(|(other, _)| *other == name) {
                self.mistakes.push(format!("{at}: stated twice"));
            } else {
                seen.push((name, item));
            }
        }
        seen.retain(|(_, item)| *item != Item::Null);
        Fields(seen)
    }

    fn heartbeat(&mut self, mut fields: Fields, config: &AgentsConfig) -> Option<Heartbeat> {
        let status = self.status(fields.take("status"));
        let pid = self.whole("pid", fields.take("pid"), 1.0, f64::from(i32::MAX));
        let project = self.text("project", fields.take("project"), MAX_PROJECT_BYTES);
        let run_id = self.text("run_id", fields.take("run_id"), MAX_RUN_BYTES);
        let tokens = self.tokens(fields.take("tokens"));
        let queue = self.whole("queue", fields.take("queue"), 0.0, MAX_COUNT);
        let in_flight = self.whole("in_flight", fields.take("in_flight"), 0.0, MAX_COUNT);
        let labels = self.labels(fields.take("labels"), config);
        let ttl = self.ttl(fields.take("ttl_seconds"));
        let pid = pid.and_then(|pid| i32::try_from(pid).ok());
        Some(Heartbeat { pid, project, run_id, status: status?, tokens, queue, in_flight, labels, ttl })
    }

    fn status(&mut self, item: Option<Item>) -> Option<Status> {
        const WORDS: &str = "running, paused or idle";
        let Some(item) = item else {
            self.mistakes.push(format!("status: expected {WORDS}, found nothing"));
            return None;
        };
        let found = match &item {
            Item::Text(text) => Status::ALL.into_iter().find(|status| status.as_str() == text),
            _ => None,
        };
        if found.is_none() {
            self.wrong("status", WORDS, &item);
        }
        found
    }

    fn whole(&mut self, at: &str, item: Option<Item>, least: f64, most: f64) -> Option<u64> {
        match item? {
            Item::Number(number) if number.fract() == 0.0 && (least..=most).contains(&number) => Some(number as u64),
            other => {
                self.wrong(at, &format!("a whole number from {least} to {most}"), &other);
                None
            }
        }
    }

    fn text(&mut self, at: &str, item: Option<Item>, most: usize) -> Option<String> {
        let expected = || format!("a text of 1 to {most} bytes without control characters");
        match item? {
            Item::Text(text) if text.len() > most => {
                self.mistakes.push(format!("{at}: expected {}, found {} bytes", expected(), text.len()));
                None
            }
            Item::Text(text) if !text.is_empty() && !text.chars().any(char::is_control) => Some(text),
            other => {
                self.wrong(at, &expected(), &other);
                None
            }
        }
    }

    fn tokens(&mut self, item: Option<Item>) -> Tokens {
        let pairs = match item {
            None => return Tokens::default(),
            Some(Item::Object(pairs)) => pairs,
            Some(other) => {
                self.wrong("tokens", "an object with current_run, total_session and limit", &other);
                return Tokens::default();
            }
        };
        let mut fields = self.fields("tokens.", pairs, &TOKEN_FIELDS);
        let mut read = |name: &str| {
            let item = fields.take(name);
            self.whole(&format!("tokens.{name}"), item, 0.0, MAX_COUNT)
        };
        Tokens { current_run: read("current_run"), total_session: read("total_session"), limit: read("limit") }
    }

    fn ttl(&mut self, item: Option<Item>) -> Option<Duration> {
        match item? {
            Item::Number(seconds) if seconds > 0.0 && seconds <= MAX_TTL_SECONDS => {
                Some(Duration::from_secs_f64(seconds))
            }
            other => {
                self.wrong("ttl_seconds", &format!("a number above 0, at most {MAX_TTL_SECONDS}"), &other);
                None
            }
        }
    }

    fn labels(&mut self, item: Option<Item>, config: &AgentsConfig) -> Vec<(String, String)> {
        let pairs = match item {
            None => return Vec::new(),
            Some(Item::Object(pairs)) => pairs,
            Some(other) => {
                self.wrong("labels", "an object of texts", &other);
                return Vec::new();
            }
        };
        if pairs.len() > config.max_labels {
            self.mistakes.push(format!("labels: expected at most {}, found {}", config.max_labels, pairs.len()));
            return Vec::new();
        }
        let mut labels: Vec<(String, String)> = Vec::with_capacity(pairs.len());
        for (name, item) in pairs {
            let at = format!("labels.{}", shorten(&name));
            if !is_classic_label_name(&name) || name.starts_with("__") || name.len() > MAX_LABEL_NAME_BYTES {
                let rule = "expected a name of letters, digits and _, not beginning with a digit or __, of at most";
                self.mistakes.push(format!("{at}: {rule} {MAX_LABEL_NAME_BYTES} bytes"));
            } else if OWN_LABELS.contains(&name.as_str()) {
                self.mistakes.push(format!("{at}: expected another name, watchfire sets {name} itself"));
            } else if labels.iter().any(|(other, _)| *other == name) {
                self.mistakes.push(format!("{at}: stated twice"));
            } else {
                labels.extend(self.text(&at, Some(item), config.max_label_bytes).map(|value| (name, value)));
            }
        }
        labels.sort_unstable();
        labels
    }
}
