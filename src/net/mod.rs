//! One HTTP client with timeouts and limits, and server plumbing.
