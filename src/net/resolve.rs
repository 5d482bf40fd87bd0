//! Look-ups of host names that cannot use up the runtime's threads, however slow the name server is.
//!
//! The system's look-up cannot be stopped: its caller may go away, its thread stays until the name server has answered or not, often for ten
//! seconds. So there are never more than [`LANES`] at a time in the whole process, and never two for one host. Hosts whose last look-up
//! failed or was slow have a lane of their own: they do not keep the others waiting. Addresses in digits do not come here.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::client::legacy::connect::dns::Name;
use parking_lot::Mutex;
use rustc_hash::{FxHashMap, FxHashSet};
use tokio::sync::{Semaphore, watch};
use tower::Service;

use crate::clock::Stopwatch;

/// Look-ups at a time: one for hosts that are well, one for those that are not.
const LANES: usize = 2;
/// A look-up that takes longer puts its host on the slow lane.
const SLOW: Duration = Duration::from_secs(1);
/// Hosts on the slow lane that are remembered; all are forgotten when there are more.
const MAX_SLOW: usize = 1_000;

type Addresses = Result<Vec<SocketAddr>, String>;
type Answer = watch::Receiver<Option<Addresses>>;
type LookUp = dyn Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync;

/// What looks names up, for all clients of the process.
#[derive(Clone)]
pub(super) struct Resolver(Arc<LookUps>);

struct LookUps {
    lanes: [Arc<Semaphore>; LANES],
    state: Mutex<State>,
    look_up: Box<LookUp>,
}

#[derive(Default)]
struct State {
    running: FxHashMap<String, Answer>,
    slow: FxHashSet<String>,
}

impl Resolver {
    /// The one of this process.
    pub(super) fn shared() -> Self {
        static SHARED: LazyLock<Resolver> = LazyLock::new(|| {
            // Port 0 stands for the URL's, which the connector sets.
            Resolver::new(Box::new(|host| (host, 0).to_socket_addrs().map(Iterator::collect)))
        });
        SHARED.clone()
    }

    fn new(look_up: Box<LookUp>) -> Self {
        let lanes = std::array::from_fn(|_| Arc::new(Semaphore::new(1)));
        Self(Arc::new(LookUps { lanes, state: Mutex::default(), look_up }))
    }

    async fn addresses(self, host: String) -> io::Result<std::vec::IntoIter<SocketAddr>> {
        let mut answer = self.ask(&host).await?;
        let found = answer.wait_for(Option::is_some).await.map_err(|_| io::Error::other("the look-up was given up"))?;
        match &*found {
            Some(Ok(addresses)) => Ok(addresses.clone().into_iter()),
            Some(Err(reason)) => Err(io::Error::other(reason.clone())),
            None => Err(io::Error::other("the look-up was given up")),
        }
    }

    /// Joins the look-up of this host that runs, or starts one when its lane is free. Who goes away while waiting leaves nothing behind.
    async fn ask(&self, host: &str) -> io::Result<Answer> {
        let lane = {
            let state = self.0.state.lock();
            if let Some(answer) = state.running(host) {
                return Ok(answer);
            }
            usize::from(state.slow.contains(host))
        };
        let permit = Arc::clone(&self.0.lanes[lane]).acquire_owned().await.map_err(io::Error::other)?;
        let mut state = self.0.state.lock();
        if let Some(answer) = state.running(host) {
            return Ok(answer);
        }
        let (tell, answer) = watch::channel(None);
        state.running.insert(host.to_owned(), answer.clone());
        drop(state);
        let (all, host) = (Arc::clone(&self.0), host.to_owned());
        tokio::task::spawn_blocking(move || {
            let started = Stopwatch::start();
            let found = (all.look_up)(&host).map_err(|error| error.to_string());
            all.finish(host, found.is_err() || started.elapsed() > SLOW);
            tell.send_replace(Some(found));
            drop(permit);
        });
        Ok(answer)
    }
}

impl State {
    /// The look-up of a host that runs; one whose runtime ended before does not.
    fn running(&self, host: &str) -> Option<Answer> {
        self.running.get(host).filter(|answer| answer.has_changed().is_ok() || answer.borrow().is_some()).cloned()
    }
}

impl LookUps {
    fn finish(&self, host: String, slow: bool) {
        let mut state = self.state.lock();
        state.running.remove(&host);
        if !slow {
            state.slow.remove(&host);
            return;
        }
        if state.slow.len() >= MAX_SLOW {
            state.slow.clear();
        }
        state.slow.insert(host);
    }
}

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        Box::pin(self.clone().addresses(name.as_str().to_owned()))
    }
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Resolver")
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::net::SocketAddr;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use parking_lot::Mutex;

    use super::{LANES, Resolver};

    const HERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

    /// As many askers as you like of a dead host use one thread, at most [`LANES`] with other dead hosts, and a good host is found meanwhile.
    #[test]
    fn dead_names_leave_threads_and_the_good_lane_free() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(3).build();
        let (hold, held) = std::sync::mpsc::sync_channel::<()>(1);
        let (held, running, most) = (Mutex::new(held), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (inside, peak) = (Arc::clone(&running), Arc::clone(&most));
        let waits = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let dead_waits = Arc::clone(&waits);
        let resolver = Resolver::new(Box::new(move |host| {
            peak.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            if host.starts_with("dead") && dead_waits.load(Ordering::SeqCst) {
                // Ends when the test does.
                let _ = held.lock().recv();
            }
            inside.fetch_sub(1, Ordering::SeqCst);
            if host.starts_with("dead") { Err(io::Error::other("no such host")) } else { Ok(vec![HERE]) }
        }));
        runtime.expect("a runtime").block_on(async {
            let ask = |host: String| resolver.clone().addresses(host);
            for host in 0..4 {
                let error = ask(format!("dead{host}")).await.expect_err("it fails");
                assert_eq!(error.to_string(), "no such host");
            }
            waits.store(true, Ordering::SeqCst);
            let askers: Vec<_> = (0..20).map(|n| tokio::spawn(ask(format!("dead{}", n % 4)))).collect();
            tokio::task::yield_now().await;
            let found = ask("good".to_owned()).await.expect("its lane is free");
            assert_eq!(found.collect::<Vec<_>>(), [HERE]);
            // The pool's third thread is free for others.
            assert_eq!(tokio::task::spawn_blocking(|| 7).await.expect("it ran"), 7);
            askers.iter().for_each(tokio::task::JoinHandle::abort);
            drop(hold);
        });
        assert!(most.load(Ordering::SeqCst) <= LANES, "{most:?}");
    }
}
