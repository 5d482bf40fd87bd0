//! The server in process on port 0, asked through real sockets.

mod agents;
mod api;
mod client;
mod fixture;
mod guarding;
mod pages;
mod schema;
mod streams;

pub(in crate::http) use fixture::{NOW, World};
