//! The thread that sends.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use bytes::Bytes;
use hyper::Method;
use hyper::header::{HeaderName, HeaderValue};
use serde_json::Value;

use super::state::Shared;
use crate::net::{HttpClient, HttpRequest, Redirects};

/// Changes that come this close together are one heartbeat.
const GATHER: Duration = Duration::from_millis(20);
/// The longest wait between two attempts when nobody answers.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// Bytes of an answer: a view of one worker has a few.
const MAX_ANSWER: usize = 64 << 10;

pub(super) struct Sender {
    pub(super) url: String,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) interval: Duration,
    pub(super) timeout: Duration,
    pub(super) shared: Arc<Shared>,
}

impl Sender {
    /// Starts the thread; the receiver hears of its end.
    pub(super) fn spawn(self) -> std::io::Result<Receiver<()>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        // One word, said once.
        let (ended, done) = sync_channel(1);
        let run = move || runtime.block_on(self.run(ended));
        std::thread::Builder::new().name("watchfire-worker".to_owned()).spawn(run)?;
        Ok(done)
    }

    async fn run(self, ended: SyncSender<()>) {
        // The request's own time bounds its connection too.
        let client = HttpClient::default();
        let mut failures = 0u32;
        loop {
            let (body, last) = self.shared.take();
            let taken = self.send(&client, &body).await;
            failures = if taken { 0 } else { failures.saturating_add(1) };
            if last {
                // Nobody may be waiting any more.
                let _ = ended.try_send(());
                return;
            }
            self.wait(failures).await;
        }
    }

    /// Until the next heartbeat is due: an interval, or sooner when there is news; after failures ever longer, whatever the news.
    async fn wait(&self, failures: u32) {
        let wait = match failures {
            0 => self.interval,
            _ => self.interval.saturating_mul(1 << failures.min(16)).min(LONGEST_WAIT.max(self.interval)),
        };
        let due = tokio::time::sleep(wait);
        tokio::pin!(due);
        loop {
            tokio::select! {
                () = &mut due => return,
                () = self.shared.news.notified() => {
                    if self.shared.is_closing() {
                        return;
                    }
                    if failures == 0 {
                        tokio::time::sleep(GATHER).await;
                        return;
                    }
                }
            }
        }
    }

    async fn send(&self, client: &HttpClient, body: &Value) -> bool {
        let request = HttpRequest {
            method: Method::POST,
            headers: self.headers.clone(),
            body: Bytes::from(body.to_string()),
            timeout: self.timeout,
            max_body: MAX_ANSWER,
            redirects: Redirects::Never,
            ..HttpRequest::get(self.url.as_str())
        };
        match client.send(request).await {
            Ok(answer) if answer.status.is_success() => {
                self.shared.count(|stats| {
                    stats.sent += 1;
                    stats.last_error = None;
                });
                true
            }
            Ok(answer) => {
                let said: Option<Value> = serde_json::from_slice(&answer.body).ok();
                let why = said.as_ref().and_then(|said| said["error"].as_str()).unwrap_or("no reason given");
                let error = format!("{}: {why}", answer.status);
                self.shared.count(|stats| {
                    stats.refused += 1;
                    stats.last_error = Some(error);
                });
                false
            }
            Err(error) => {
                self.shared.count(|stats| {
                    stats.failed += 1;
                    stats.last_error = Some(error.to_string());
                });
                false
            }
        }
    }
}
