//! Why there is no profile.

use super::gate::Kind;

/// What can go wrong with a profile.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// Another profile is being taken; profiles would disturb each other.
    #[error("a {running} profile has been running for {since_s} s: one profile at a time, try again when it is done")]
    Busy {
        /// What runs.
        running: Kind,
        /// For how long, in seconds.
        since_s: u64,
    },
    /// A parameter is out of its bounds.
    #[error("bad {name}={value}: expected {expected}")]
    Parameter {
        /// Name of the parameter.
        name: &'static str,
        /// What was given.
        value: String,
        /// What is allowed.
        expected: String,
    },
    /// The allocator's profiler is not switched on.
    #[error("heap profiles are off: {0}")]
    HeapOff(String),
    /// Taking the profile failed.
    #[error("cannot {doing}: {reason}")]
    Failed {
        /// What we were doing.
        doing: &'static str,
        /// What went wrong.
        reason: String,
    },
}

impl ProfileError {
    pub(super) fn failed(doing: &'static str, reason: impl ToString) -> Self {
        Self::Failed { doing, reason: reason.to_string() }
    }
}
