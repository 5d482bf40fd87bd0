//! The one place where errors become HTTP: Prometheus' envelope with its status codes.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::json::Json;
use super::ports::SnapshotError;
use crate::model::{DurationError, MatcherError};
use crate::profiling::ProfileError;
use crate::promql::QueryError;
use crate::storage::StorageError;

/// What kind of failure it is; decides `errorType` and the status code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// A parameter or the query is wrong.
    BadData,
    /// The evaluation failed.
    Execution,
    /// It took too long.
    Timeout,
    /// The client went away.
    Canceled,
    /// Our fault.
    Internal,
    /// Not now.
    Unavailable,
    /// No such thing.
    NotFound,
    /// We cannot answer in the asked format.
    NotAcceptable,
    /// The token is missing or wrong.
    Unauthorized,
    /// Not allowed here.
    Forbidden,
    /// Something else runs.
    Conflict,
    /// The body is too large.
    TooLarge,
    /// The body is of another kind than we read.
    UnsupportedMediaType,
    /// There is no room for one more.
    TooMany,
}

impl ErrorKind {
    /// The word in `errorType`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BadData | Self::TooLarge | Self::UnsupportedMediaType => "bad_data",
            Self::Execution => "execution",
            Self::Timeout => "timeout",
            Self::Canceled => "canceled",
            Self::Internal => "internal",
            Self::Unavailable | Self::TooMany => "unavailable",
            Self::NotFound => "not_found",
            Self::NotAcceptable => "not_acceptable",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::Conflict => "conflict",
        }
    }

    /// The status code; 499 is what Prometheus answers to a client that has gone.
    pub fn status(self) -> StatusCode {
        match self {
            Self::BadData => StatusCode::BAD_REQUEST,
            Self::Execution => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Timeout | Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Canceled => StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST),
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::Conflict => StatusCode::CONFLICT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooMany => StatusCode::TOO_MANY_REQUESTS,
        }
    }
}

/// An error on its way to the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// What kind.
    pub kind: ErrorKind,
    /// What the client reads.
    pub message: String,
}

impl ApiError {
    /// An error of this kind.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// `invalid parameter "NAME": REASON`, as Prometheus words it.
    pub(super) fn parameter(name: &str, reason: impl std::fmt::Display) -> Self {
        Self::new(ErrorKind::BadData, format!("invalid parameter {name:?}: {reason}"))
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        if self.kind == ErrorKind::Internal {
            tracing::error!(error = %self.message, "request failed");
        }
        let mut body = Json::default();
        body.raw("{\"status\":\"error\",\"errorType\":").text(self.kind.as_str());
        body.raw(",\"error\":").text(&self.message).raw("}");
        let mut response =
            (self.kind.status(), [(header::CONTENT_TYPE, "application/json")], body.finish()).into_response();
        if self.kind == ErrorKind::Unauthorized {
            let challenge = HeaderValue::from_static("Bearer realm=\"watchfire\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

impl From<QueryError> for ApiError {
    fn from(error: QueryError) -> Self {
        let kind = match error {
            QueryError::BadData(_) => ErrorKind::BadData,
            QueryError::Execution(_) | QueryError::TooManySamples { .. } | QueryError::Unsupported(_) => {
                ErrorKind::Execution
            }
            QueryError::Timeout(_) => ErrorKind::Timeout,
            QueryError::Canceled(_) => ErrorKind::Canceled,
            QueryError::Storage(_) => ErrorKind::Internal,
        };
        Self::new(kind, error.to_string())
    }
}

impl From<StorageError> for ApiError {
    fn from(error: StorageError) -> Self {
        let kind = match error {
            StorageError::TooManySamples => ErrorKind::Execution,
            _ => ErrorKind::Internal,
        };
        Self::new(kind, error.to_string())
    }
}

impl From<SnapshotError> for ApiError {
    fn from(error: SnapshotError) -> Self {
        let kind = match error {
            SnapshotError::Busy => ErrorKind::Conflict,
            SnapshotError::NoDirectory => ErrorKind::Unavailable,
            SnapshotError::Storage(_) => ErrorKind::Internal,
        };
        Self::new(kind, error.to_string())
    }
}

impl From<ProfileError> for ApiError {
    fn from(error: ProfileError) -> Self {
        let kind = match error {
            ProfileError::Busy { .. } => ErrorKind::Conflict,
            ProfileError::Parameter { .. } => ErrorKind::BadData,
            ProfileError::HeapOff(_) => ErrorKind::Unavailable,
            ProfileError::Failed { .. } => ErrorKind::Internal,
        };
        Self::new(kind, error.to_string())
    }
}

impl From<MatcherError> for ApiError {
    fn from(error: MatcherError) -> Self {
        Self::new(ErrorKind::BadData, error.to_string())
    }
}

impl From<DurationError> for ApiError {
    fn from(error: DurationError) -> Self {
        Self::new(ErrorKind::BadData, error.to_string())
    }
}
