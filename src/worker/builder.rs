//! What a worker is told before it starts.

use std::sync::Arc;
use std::time::Duration;

use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};

use super::sender::Sender;
use super::state::{Shared, State, Worker};
use crate::net::{UrlError, parse_url};

/// A worker that is heard of less often would be called silent for one lost heartbeat or two.
const LONGEST_INTERVAL: Duration = Duration::from_secs(10);

/// Why a worker cannot start. Whether anybody listens is no reason: that may change.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The address cannot be used.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// The id would be refused.
    #[error(
        "worker id: expected 1 to 128 letters, digits and . _ : @ -, beginning with a letter or digit, found {0:?}"
    )]
    Id(String),
    /// The token cannot stand in a header.
    #[error("the token has characters that no header may have")]
    Token,
    /// The system gives no thread.
    #[error("cannot start the heartbeat thread: {0}")]
    Thread(#[from] std::io::Error),
}

/// Settings of a [`Worker`].
#[derive(Debug, Clone)]
#[must_use = "nothing is sent before start"]
pub struct WorkerBuilder {
    url: String,
    id: String,
    token: Option<String>,
    pub(super) interval: Duration,
    timeout: Duration,
    state: State,
}

impl WorkerBuilder {
    pub(super) fn new(url: &str, id: &str) -> Self {
        Self {
            url: url.to_owned(),
            id: id.to_owned(),
            token: None,
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(2),
            state: State::default(),
        }
    }

    /// The project that it works for.
    pub fn project(mut self, project: &str) -> Self {
        self.state.project = Some(project.to_owned());
        self
    }

    /// The bearer token of a watchfire with a token file.
    pub fn token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    /// One more label; at most 16 are taken.
    pub fn label(mut self, name: &str, value: &str) -> Self {
        self.state.labels.insert(name.to_owned(), value.into());
        self
    }

    /// How often a heartbeat is sent when nothing but numbers change; 1 s when nothing is said, at least 100 ms and at
    /// most 10 s: a watchfire calls a worker silent that it has not heard of for 30 s.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval.clamp(Duration::from_millis(100), LONGEST_INTERVAL);
        self
    }

    /// How long one heartbeat may take; 2 s when nothing is said.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Idle for longer than this it may be ended by whoever started it.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.state.ttl = Some(ttl);
        self
    }

    /// How many tokens the session may use.
    pub fn token_limit(mut self, limit: u64) -> Self {
        self.state.limit = Some(limit);
        self
    }

    /// The process that is told about, when it is not this one.
    pub fn pid(mut self, pid: u32) -> Self {
        self.state.pid = Some(pid);
        self
    }

    /// Starts the thread, which sends the first heartbeat: idle.
    ///
    /// # Errors
    /// [`WorkerError`]: what was said cannot be sent.
    pub fn start(self) -> Result<Worker, WorkerError> {
        let starts = self.id.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        let good = |byte: u8| byte.is_ascii_alphanumeric() || b"._:@-".contains(&byte);
        if !starts || self.id.len() > 128 || !self.id.bytes().all(good) {
            return Err(WorkerError::Id(self.id));
        }
        let url = format!("{}/api/watchfire/v1/workers/{}", self.url.trim_end_matches('/'), self.id);
        parse_url(&url)?;
        let mut headers: Vec<(HeaderName, HeaderValue)> =
            vec![(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
        if let Some(token) = &self.token {
            let mut value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| WorkerError::Token)?;
            value.set_sensitive(true);
            headers.push((AUTHORIZATION, value));
        }
        let shared = Arc::new(Shared::new(self.state));
        let sender =
            Sender { url, headers, interval: self.interval, timeout: self.timeout, shared: Arc::clone(&shared) };
        let done = sender.spawn()?;
        Ok(Worker::new(shared, done))
    }
}
