//! Accepts connections and answers them, on threads that do nothing else.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, watch};
use tower_http::compression::predicate::{DefaultPredicate, NotForContentType, Predicate as _};
use tower_http::compression::{CompressionLayer, CompressionLevel};

use super::bind::{Bound, HttpError};
use super::refusals::Explained;
use crate::http::edge::{Edge, stopped};
use crate::http::{guard, routes};
use crate::limits::MAX_HEAD_BYTES;
use crate::profiling::RuntimeHandle;

/// Threads that accept, parse and write. Evaluation happens on blocking threads, so two keep `/metrics` quick.
const WORKERS: usize = 2;
/// Blocking threads beside those of queries: reloads, profiles and `/metrics`.
const OTHER_THREADS: usize = 8;
/// Connections at once; further ones wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 512;
/// A client that sends its request more slowly than this is hung up on.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause after a failed accept (out of file descriptors): trying again at once would only burn CPU.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A server that answers.
#[derive(Debug)]
pub struct Running {
    addrs: Vec<SocketAddr>,
    stop: watch::Sender<bool>,
    runtime: Runtime,
    done: tokio::task::JoinHandle<()>,
}

impl Bound {
    /// Answers from now on.
    ///
    /// # Errors
    /// When the threads cannot be started.
    pub fn serve(self, edge: Arc<Edge>) -> Result<Running, HttpError> {
        let addrs = self.addrs().to_vec();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .max_blocking_threads(edge.engine.config().max_concurrent.max(1) + OTHER_THREADS)
            .thread_name("watchfire-http")
            .enable_all()
            .build()
            .map_err(HttpError::Threads)?;
        edge.add_runtime(RuntimeHandle { name: "http", handle: runtime.handle().clone() });
        let stop = edge.stop.clone();
        let listeners = {
            let _inside = runtime.enter();
            self.listeners
                .into_iter()
                .map(TcpListener::from_std)
                .collect::<Result<Vec<_>, _>>()
                .map_err(HttpError::Threads)?
        };
        let done = runtime.spawn(serve_all(listeners, edge));
        Ok(Running { addrs, stop, runtime, done })
    }
}

impl Running {
    /// The addresses that answer.
    pub fn addrs(&self) -> &[SocketAddr] {
        &self.addrs
    }

    /// Takes no more connections, ends the streams, waits for answers under way for at most `patience`. Blocking.
    pub fn shutdown(self, patience: Duration) {
        self.stop.send_replace(true);
        let done = self.done;
        self.runtime.block_on(async {
            if tokio::time::timeout(patience, done).await.is_err() {
                tracing::warn!("requests were still under way at the end and have been cut off");
            }
        });
        self.runtime.shutdown_timeout(Duration::from_millis(100));
    }
}

async fn serve_all(listeners: Vec<TcpListener>, edge: Arc<Edge>) {
    let predicate = DefaultPredicate::new().and(NotForContentType::const_new("application/octet-stream"));
    let compression = CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(predicate);
    let router = routes::router(&edge.config.route_prefix)
        .layer(compression)
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&edge), guard::guard))
        .with_state(Arc::clone(&edge));
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut stop = edge.stop.subscribe();
    let accepting = listeners.iter().map(|listener| accept(listener, &router, &edge, &places));
    tokio::select! {
        _ = futures_util::future::join_all(accepting) => {}
        () = stopped(&mut stop) => {}
    }
    drop(listeners);
    // Every connection gives its place back when it has ended.
    let _ = places.acquire_many(MAX_CONNECTIONS as u32).await;
}

async fn accept(listener: &TcpListener, router: &axum::Router, edge: &Arc<Edge>, places: &Arc<Semaphore>) {
    loop {
        let Ok(place) = Arc::clone(places).acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (router, stop) = (router.clone(), edge.stop.subscribe());
        tokio::spawn(async move {
            answer(stream, router, stop).await;
            drop(place);
        });
    }
}

/// One connection until its end; when the server stops, until the answer under way is written.
async fn answer(stream: TcpStream, router: axum::Router, mut stop: watch::Receiver<bool>) {
    // Small answers and events should not wait for more to send.
    let _ = stream.set_nodelay(true);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(Explained::new(stream)), TowerToHyperService::new(router))
        .with_upgrades();
    tokio::pin!(connection);
    // A client that hangs up or sends nonsense is no news.
    tokio::select! {
        _ = connection.as_mut() => {}
        () = stopped(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}
