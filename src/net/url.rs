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
    let syntax = |reason: &str| UrlError::Syntax { url: shown(url), reason: reason.to_owned() };
    let uri: Uri = url.parse().map_err(|error: hyper::http::uri::InvalidUri| syntax(&error.to_string()))?;
    match uri.scheme_str() {
        Some("http" | "https") => {}
        Some(other) => return Err(syntax(&format!("unknown scheme {other}"))),
        None => return Err(syntax("it has no scheme")),
    }
    // Without an escape a password with `/`, `?` or `#` ends the authority, and its beginning stands where the port should.
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let place = authority.rsplit_once('@').map_or(authority, |(_, place)| place);
    let after = place.rsplit_once(']').map_or(place, |(_, after)| after);
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok();
    if after.split_once(':').is_some_and(|(_, port)| !port.is_empty() && !is_port(port)) {
        return Err(syntax("its port is no number up to 65535 (a password has %2F for /, %3F for ?, %23 for #)"));
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

/// The URL for a message that says it cannot be read: where user and password end is not known then, so everything up to the last `@` goes.
fn shown(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").map_or(("", url), |(scheme, rest)| (scheme, rest));
    match rest.rsplit_once('@') {
        Some((_, rest)) if scheme.is_empty() => rest.to_owned(),
        Some((_, rest)) => format!("{scheme}://{rest}"),
        None => url.to_owned(),
    }
}
