//! Why a request failed, in words for a target's status.

use std::time::Duration;

use super::UrlError;

/// Why a request gave no usable answer. `url` never carries user names or passwords.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The URL cannot be used.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// Nothing answers there.
    #[error("cannot connect to {url}: {reason}")]
    Connect {
        /// Where to.
        url: String,
        /// What the system says.
        reason: String,
    },
    /// TLS failed: a certificate, a key, a version.
    #[error("cannot speak TLS with {url}: {reason}")]
    Tls {
        /// With whom.
        url: String,
        /// What is wrong and what to do.
        reason: String,
    },
    /// What proves who we are cannot be read.
    #[error("no credentials for {url}: {reason}")]
    Credentials {
        /// For whom.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// The answer took too long.
    #[error("no complete answer from {url} within {}", crate::model::format_duration(*after))]
    Timeout {
        /// Where from.
        url: String,
        /// The limit.
        after: Duration,
    },
    /// The answer is larger than allowed.
    #[error("body size limit exceeded: the answer of {url} is larger than {limit} bytes")]
    BodyTooLarge {
        /// Where from.
        url: String,
        /// The limit in bytes, after decompression.
        limit: usize,
    },
    /// The server sends us elsewhere.
    #[error("{url} redirects to {location}, which is not followed: it is elsewhere, or no http:// or https:// URL")]
    Redirect {
        /// Where from.
        url: String,
        /// Where to.
        location: String,
    },
    /// The server sends us on and on.
    #[error("{url} redirects more than {limit} times, at last to {location}")]
    RedirectLoop {
        /// Where from.
        url: String,
        /// Where to.
        location: String,
        /// How many are followed.
        limit: usize,
    },
    /// The exchange broke off, or is not HTTP.
    #[error("the exchange with {url} broke off: {reason}")]
    Exchange {
        /// With whom.
        url: String,
        /// What the client says.
        reason: String,
    },
    /// The body cannot be decompressed.
    #[error("the answer of {url} cannot be decompressed: {reason}")]
    Encoding {
        /// Where from.
        url: String,
        /// What is wrong.
        reason: String,
    },
}

impl HttpError {
    /// One word for a counter's label: `url`, `connect`, `tls`, `credentials`, `timeout`, `too_large`, `redirect`, `exchange`, `encoding`.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Url(_) => "url",
            Self::Connect { .. } => "connect",
            Self::Tls { .. } => "tls",
            Self::Credentials { .. } => "credentials",
            Self::Timeout { .. } => "timeout",
            Self::BodyTooLarge { .. } => "too_large",
            Self::Redirect { .. } | Self::RedirectLoop { .. } => "redirect",
            Self::Exchange { .. } => "exchange",
            Self::Encoding { .. } => "encoding",
        }
    }
}
