//! The HTTP edge: one table of routes with their scopes, the API, the page, the streams.
