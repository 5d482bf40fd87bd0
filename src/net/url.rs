//! URLs that the client takes.

use hyper::Uri;

/// Why a URL is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// It is no URL.
    #[error("bad URL {url:?}: {reason}; expected http://host:port/path")]
    Syntax {
        /// The text.
        url: String,
        /// What is wrong.
        reason: String,
    },
}

/// Reads an absolute `http://` or `https://` URL.
///
/// # Errors
/// Says what was expected.
pub fn parse_url(url: &str) -> Result<Uri, UrlError> {
    let syntax = |reason: &str| UrlError::Syntax { url: without_userinfo(url), reason: reason.to_owned() };
    let uri: Uri = url.parse().map_err(|error: hyper::http::uri::InvalidUri| syntax(&error.to_string()))?;
    match uri.scheme_str() {
        Some("http" | "https") => {}
        Some(other) => return Err(syntax(&format!("unknown scheme {other}"))),
        None => return Err(syntax("it has no scheme")),
    }
    match uri.host() {
        Some(host) if !host.is_empty() => Ok(uri),
        _ => Err(syntax("it has no host")),
    }
}

/// The URL without `user:password@`, for messages.
pub fn without_userinfo(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    match authority.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://{host}{path}"),
        None => url.to_owned(),
    }
}
