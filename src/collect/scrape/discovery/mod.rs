//! Where targets come from: the configuration itself, files, and servers that name them.

mod file;
mod group;
mod http;

pub(super) use file::{FileWatcher, LOOK_EVERY};
pub(super) use http::fetch;

/// The most bytes of a file or an answer with targets.
const MAX_BYTES: usize = 16 << 20;
/// The most addresses of a file or an answer.
const MAX_ADDRESSES: usize = 50_000;
