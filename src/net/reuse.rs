//! Connections that were kept and closed by the server just when the next request came.
//!
//! Servers end idle connections after a time of their own (five seconds in uvicorn and node.js, a usual interval), so that client and server
//! race. As Go's client, a request that may be repeated is sent again when a connection that had answered before broke without a word.

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::http::Extensions;
use hyper::{Method, Request, Response};
use hyper_util::client::legacy::connect::Connect;
use hyper_util::client::legacy::{Client, Error};

/// Kept connections that may break before one is made that is certainly new.
const MOST_TRIES: usize = 4;

/// Goes with each connection: whether it has answered a request.
#[derive(Debug, Clone, Default)]
pub(super) struct Answered(Arc<AtomicBool>);

/// Sends a request, and sends it again when the connection had been given up by the server.
pub(super) async fn send<C>(
    client: &Client<C, Full<Bytes>>,
    message: Request<Full<Bytes>>,
) -> Result<Response<Incoming>, Error>
where
    C: Connect + Clone + Send + Sync + 'static,
{
    if !matches!(*message.method(), Method::GET | Method::HEAD) {
        return told(client.request(message).await);
    }
    for _ in 1..MOST_TRIES {
        match told(client.request(message.clone()).await) {
            Err(error) if was_given_up(&error) => {}
            result => return result,
        }
    }
    told(client.request(message).await)
}

fn told(result: Result<Response<Incoming>, Error>) -> Result<Response<Incoming>, Error> {
    if let Ok(response) = &result
        && let Some(Answered(flag)) = response.extensions().get()
    {
        flag.store(true, Ordering::Relaxed);
    }
    result
}

/// Whether a connection that had answered before ended instead of a further answer.
fn was_given_up(error: &Error) -> bool {
    let mut known = Extensions::new();
    if let Some(connection) = error.connect_info() {
        connection.get_extras(&mut known);
    }
    known.get().is_some_and(|Answered(flag)| flag.load(Ordering::Relaxed)) && is_end(error)
}

/// Whether an error says that the connection is at its end, and nothing else.
fn is_end(error: &Error) -> bool {
    let mut next: Option<&(dyn std::error::Error + 'static)> = std::error::Error::source(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<hyper::Error>()
            && (found.is_incomplete_message() || found.is_closed() || found.is_canceled())
        {
            return true;
        }
        if let Some(found) = error.downcast_ref::<std::io::Error>() {
            let ends = [
                ErrorKind::ConnectionReset,
                ErrorKind::ConnectionAborted,
                ErrorKind::BrokenPipe,
                ErrorKind::NotConnected,
                ErrorKind::UnexpectedEof,
            ];
            return ends.contains(&found.kind());
        }
        next = error.source();
    }
    false
}
