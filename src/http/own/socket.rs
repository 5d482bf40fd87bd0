//! `/ws/projects/{project}`: one `perf_metrics` message a second while a run is under way, else every third second.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Path, State};
use axum::response::Response;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::MissedTickBehavior;

use super::perf::PerfMessages;
use super::snapshot::Snapshot;
use crate::http::edge::{Edge, stopped};
use crate::http::error::{ApiError, ErrorKind};
use crate::limits;

/// How often a message may come.
const PERIOD: Duration = Duration::from_secs(1);
/// Every which period a message comes when nothing runs.
const IDLE_PERIODS: u32 = 3;
/// Clients have nothing to say but pings.
const MAX_MESSAGE_BYTES: usize = 4096;
/// Longest name of a project.
const MAX_PROJECT_BYTES: usize = 256;

/// Opens the socket.
pub(in crate::http) async fn project_socket(
    State(edge): State<Arc<Edge>>,
    Path(project): Path<String>,
    upgrade: WebSocketUpgrade,
) -> Result<Response, ApiError> {
    if project.len() > MAX_PROJECT_BYTES {
        return Err(ApiError::parameter("project", format!("at most {MAX_PROJECT_BYTES} bytes")));
    }
    let place = Arc::clone(&edge.sockets).try_acquire_owned().map_err(|_| {
        let max = limits::MAX_LIVE_SUBSCRIBERS;
        ApiError::new(ErrorKind::Unavailable, format!("{max} sockets are open already: close one"))
    })?;
    let upgrade = upgrade.max_message_size(MAX_MESSAGE_BYTES).max_frame_size(MAX_MESSAGE_BYTES);
    Ok(upgrade.on_upgrade(move |socket| follow(edge, project, socket, place)))
}

async fn follow(edge: Arc<Edge>, project: String, mut socket: WebSocket, place: OwnedSemaphorePermit) {
    edge.counters.sockets.fetch_add(1, Ordering::Relaxed);
    send_messages(&edge, &project, &mut socket).await;
    edge.counters.sockets.fetch_sub(1, Ordering::Relaxed);
    drop(place);
}

/// Until the client goes or the server stops.
async fn send_messages(edge: &Edge, project: &str, socket: &mut WebSocket) {
    let mut stop = edge.stop.subscribe();
    let mut messages = PerfMessages::default();
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut waited = IDLE_PERIODS;
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                let (message, active) = messages.next(project, &Snapshot::read(&edge.latest), &edge.agents.views(), edge.clock.now());
                waited += 1;
                if active || waited >= IDLE_PERIODS {
                    waited = 0;
                    if socket.send(Message::Text(message.to_string().into())).await.is_err() {
                        return;
                    }
                }
            }
            received = socket.recv() => match received {
                // Pings are answered by the library; whatever else comes is not for us.
                Some(Ok(message)) if !matches!(message, Message::Close(_)) => {}
                _ => return,
            },
            () = stopped(&mut stop) => return,
        }
    }
}
