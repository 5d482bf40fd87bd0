//! OAuth 2 with client credentials (RFC 6749, section 4.4): a token of a server, kept until it ends.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::Method;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use serde::Deserialize;
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::client::{ClientConfig, HttpClient, HttpRequest, Redirects};
use super::proxy::ProxyConfig;
use super::secret::{Auth, Secret, header};
use super::tls::{TlsConfig, TlsError};
use super::url::without_userinfo;
use crate::clock::Stopwatch;

/// A token is not used in the last seconds before its end.
const MARGIN: Duration = Duration::from_secs(10);
/// The longest that the server may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How long a refusal stands: every target asks at each of its scrapes, and servers lock out who is refused too often.
const PAUSE: Duration = Duration::from_secs(10);
/// Characters of the server's own words that a target's status shows.
const MAX_WORDS: usize = 200;
/// Bytes of its answer, as Go reads.
const MAX_ANSWER: usize = 1 << 20;

/// Who gives tokens, and to whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OAuth2Config {
    /// Our name there.
    pub client_id: String,
    /// Our password there.
    pub client_secret: Secret,
    /// Where tokens are asked for.
    pub token_url: String,
    /// What they are to allow.
    pub scopes: Vec<String>,
    /// More parameters of the question.
    pub endpoint_params: Vec<(String, String)>,
    /// How the server is spoken to.
    pub tls: TlsConfig,
    /// The way there.
    pub proxy: Option<ProxyConfig>,
}

/// Asks for tokens, and keeps the last one.
#[derive(Debug)]
pub(super) struct Tokens {
    config: OAuth2Config,
    client: HttpClient,
    /// One question at a time, which has the lock until it is answered.
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    token: Option<Token>,
    /// Whether the server wants our name and password among the parameters; `None` until a way has worked.
    in_body: Option<bool>,
    failed: Option<Failure>,
}

/// Why the last question brought no token.
#[derive(Debug)]
struct Failure {
    reason: String,
    /// The secret that was refused: another one asks anew.
    secret: String,
    since: Stopwatch,
}

#[derive(Debug)]
struct Token {
    header: HeaderValue,
    /// The secret that it was asked for with: another one asks anew.
    secret: String,
    since: Stopwatch,
    /// `None` says nothing about its end.
    lasts: Option<Duration>,
}

#[derive(Deserialize)]
struct Answer {
    access_token: Option<String>,
    token_type: Option<String>,
    #[serde(default)]
    expires_in: serde_json::Value,
    error: Option<String>,
}

impl Tokens {
    pub(super) fn new(config: &OAuth2Config) -> Result<Self, TlsError> {
        let proxy = config.proxy.clone();
        let client = HttpClient::new(&ClientConfig { tls: config.tls.clone(), proxy, ..ClientConfig::default() })?;
        Ok(Self { config: config.clone(), client, state: Arc::default() })
    }

    /// Where tokens come from, for messages.
    pub(super) fn place(&self) -> String {
        without_userinfo(&self.config.token_url)
    }

    /// The value of the Authorization header. The question goes on when whoever asks gives up: a server that takes longer than a scrape may
    /// has its token there for the next one.
    pub(super) async fn header(self: &Arc<Self>) -> Result<HeaderValue, String> {
        let secret = self.config.client_secret.read()?;
        let state = Arc::clone(&self.state).lock_owned().await;
        if let Some(token) = state.token.as_ref().filter(|token| token.is_good(&secret)) {
            return Ok(token.header.clone());
        }
        if let Some(failure) = state.failed.as_ref().filter(|failure| failure.stands(&secret)) {
            return Err(failure.reason.clone());
        }
        let question = tokio::spawn(Arc::clone(self).renew(state, secret));
        question.await.map_err(|error| error.to_string())?
    }

    /// Asks, and keeps what comes. A boxed future, because the server is asked by a client like the one that asks for the token.
    fn renew(
        self: Arc<Self>,
        mut state: OwnedMutexGuard<State>,
        secret: String,
    ) -> Pin<Box<dyn Future<Output = Result<HeaderValue, String>> + Send>> {
        Box::pin(async move {
            (state.token, state.failed) = (None, None);
            match self.find(&mut state.in_body, &secret).await {
                Ok(token) => Ok(state.token.insert(token).header.clone()),
                Err(reason) => {
                    let reason = format!("no token from {}: {reason}", self.place());
                    let failure = Failure { reason: reason.clone(), secret, since: Stopwatch::start() };
                    state.failed = Some(failure);
                    Err(reason)
                }
            }
        })
    }

    /// Asks in the way that worked before. Servers differ in where they look for our name: until one has worked both are tried, as Go does.
    async fn find(&self, in_body: &mut Option<bool>, secret: &str) -> Result<Token, String> {
        let way = in_body.unwrap_or(false);
        let refusal = match self.ask(secret, way).await? {
            Ok(token) => {
                *in_body = Some(way);
                return Ok(token);
            }
            Err(refusal) => refusal,
        };
        if in_body.is_some() {
            return Err(refusal);
        }
        let token = self.ask(secret, true).await?.map_err(|_| refusal)?;
        *in_body = Some(true);
        Ok(token)
    }

    /// Asks once. The inner error is what the server says.
    async fn ask(&self, secret: &str, in_body: bool) -> Result<Result<Token, String>, String> {
        let config = &self.config;
        let mut form = vec![("grant_type", "client_credentials")];
        let scopes = config.scopes.join(" ");
        if !scopes.is_empty() {
            form.push(("scope", &scopes));
        }
        if in_body {
            form.extend([("client_id", config.client_id.as_str()), ("client_secret", secret)]);
        }
        for (name, value) in &config.endpoint_params {
            form.retain(|(known, _)| known != name);
            form.push((name, value));
        }
        let body = form.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value)));
        let body = Bytes::from(body.collect::<Vec<_>>().join("&"));
        let mut request = HttpRequest { method: Method::POST, body, ..HttpRequest::get(config.token_url.as_str()) }
            .timeout(TIMEOUT)
            .header(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        request.max_body = MAX_ANSWER;
        request.redirects = Redirects::SameHost;
        if !in_body {
            let part = |text: &str| Secret::Inline(encoded(text));
            let basic = Auth::Basic { username: part(&config.client_id), password: part(secret) };
            request = request.header(AUTHORIZATION, basic.header()?);
        }
        let since = Stopwatch::start();
        let response = self.client.send(request).await.map_err(|error| error.to_string())?;
        let answer: Result<Answer, _> = serde_json::from_slice(&response.body);
        if !response.status.is_success() {
            let said = answer.ok().and_then(|answer| answer.error);
            let said = said.map_or(String::new(), |error| format!(" ({})", shortened(&error)));
            return Ok(Err(format!("HTTP status {}{said}", response.status)));
        }
        let answer = match answer {
            Ok(answer) => answer,
            // The error's own words quote what it found, which may be the token.
            Err(error) => {
                let (line, column) = (error.line(), error.column());
                return Ok(Err(format!("expected JSON with access_token: line {line}, column {column}")));
            }
        };
        if let Some(error) = answer.error.filter(|error| !error.is_empty()) {
            return Ok(Err(shortened(&error)));
        }
        let Some(token) = answer.access_token.filter(|token| !token.is_empty()) else {
            return Ok(Err("its answer has no access_token".to_owned()));
        };
        let kind = answer.token_type.unwrap_or_default();
        let kind = if kind.is_empty() || kind.eq_ignore_ascii_case("bearer") { "Bearer" } else { kind.as_str() };
        let value = header(&format!("{kind} {token}"))?;
        Ok(Ok(Token { header: value, secret: secret.to_owned(), since, lasts: lasts(&answer.expires_in) }))
    }
}

impl Failure {
    fn stands(&self, secret: &str) -> bool {
        self.secret == secret && self.since.elapsed() < PAUSE
    }
}

impl Token {
    fn is_good(&self, secret: &str) -> bool {
        let lasts = self.lasts.is_none_or(|lasts| self.since.elapsed() + MARGIN < lasts);
        lasts && self.secret == secret
    }
}

fn shortened(words: &str) -> String {
    words.chars().take(MAX_WORDS).collect()
}

/// Seconds, which some servers write as text; none or 0 is no end.
fn lasts(expires_in: &serde_json::Value) -> Option<Duration> {
    let seconds = expires_in.as_f64().or_else(|| expires_in.as_str()?.parse().ok())?;
    (seconds > 0.0).then(|| Duration::try_from_secs_f64(seconds).ok()).flatten()
}

/// As forms have it.
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            b' ' => out.push('+'),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
