//! OAuth 2 with client credentials (RFC 6749, section 4.4): a token of a server, kept until it ends.

use std::time::Duration;

use bytes::Bytes;
use hyper::Method;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use serde::Deserialize;
use tokio::sync::Mutex;

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
    /// One question at a time.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    token: Option<Token>,
    /// The server wants our name and password among the parameters.
    in_body: bool,
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
        Ok(Self { config: config.clone(), client, state: Mutex::default() })
    }

    /// The value of the Authorization header.
    pub(super) async fn header(&self) -> Result<HeaderValue, String> {
        let secret = self.config.client_secret.read()?;
        let mut state = self.state.lock().await;
        if let Some(token) = state.token.as_ref().filter(|token| token.is_good(&secret)) {
            return Ok(token.header.clone());
        }
        state.token = None;
        let place = without_userinfo(&self.config.token_url);
        let failed = |reason: String| format!("no token from {place}: {reason}");
        let mut answer = self.ask(&secret, state.in_body).await.map_err(failed)?;
        if answer.is_err() && !state.in_body {
            // Servers differ in where they look for our name: Go tries both ways too.
            if let Ok(token) = self.ask(&secret, true).await.map_err(failed)? {
                state.in_body = true;
                answer = Ok(token);
            }
        }
        let token = answer.map_err(failed)?;
        let header = token.header.clone();
        state.token = Some(token);
        Ok(header)
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
            let said = answer.ok().and_then(|answer| answer.error).map_or(String::new(), |error| format!(" ({error})"));
            return Ok(Err(format!("HTTP status {}{said}", response.status)));
        }
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => return Ok(Err(format!("expected JSON with access_token: {error}"))),
        };
        if let Some(error) = answer.error.filter(|error| !error.is_empty()) {
            return Ok(Err(error));
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

impl Token {
    fn is_good(&self, secret: &str) -> bool {
        let lasts = self.lasts.is_none_or(|lasts| self.since.elapsed() + MARGIN < lasts);
        lasts && self.secret == secret
    }
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
