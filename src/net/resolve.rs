//! Look-ups of host names: many at a time, and none that is slow keeps the others waiting.
//!
//! The system's look-up cannot be stopped: its caller may go away, its thread stays until the name server has answered or not, often for ten
//! seconds. So each has a thread of its own, apart from the runtime's, their number has limits, and there are never two for one host. One that
//! takes longer than [`SLOW`] gives its place to the next; hosts whose last look-up failed or was slow have few places of their own. An answer
//! counts for [`KEPT`]. Addresses in digits do not come here.

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
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tower::Service;

use crate::clock::Stopwatch;

/// Look-ups at a time of hosts that are well, or unknown.
const QUICK_PLACES: usize = 16;
/// Look-ups at a time of hosts whose last one failed or was slow.
const SLOW_PLACES: usize = 8;
/// Look-ups that turned out to be slow and have left their place to others. Their threads only wait.
const WAITING_PLACES: usize = 64;
/// A look-up that takes longer is slow.
const SLOW: Duration = Duration::from_secs(1);
/// How long an answer counts: a host that moves is found again within a few scrapes.
const KEPT: Duration = Duration::from_secs(5);
/// Answers that are kept; old ones are forgotten when there are more, and all if that does not help.
const MAX_KEPT: usize = 10_000;
/// Slow hosts that are remembered; all are forgotten when there are more.
const MAX_SLOW: usize = 10_000;
/// Bytes of a thread's stack: a look-up reads a few files and packets.
const STACK: usize = 256 << 10;

type Addresses = Result<Vec<SocketAddr>, String>;
type Answer = watch::Receiver<Option<Addresses>>;
type LookUp = dyn Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync;

/// What looks names up, for all clients of the process.
#[derive(Clone)]
pub(super) struct Resolver(Arc<LookUps>);

struct LookUps {
    quick: Arc<Semaphore>,
    slow: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    state: Mutex<State>,
    kept: Duration,
    look_up: Box<LookUp>,
}

#[derive(Default)]
struct State {
    running: FxHashMap<String, Answer>,
    slow: FxHashSet<String>,
    known: FxHashMap<String, (Stopwatch, Vec<SocketAddr>)>,
}

impl Resolver {
    /// The one of this process.
    pub(super) fn shared() -> Self {
        static SHARED: LazyLock<Resolver> = LazyLock::new(|| {
            // Port 0 stands for the URL's, which the connector sets.
            Resolver::new(KEPT, Box::new(|host| (host, 0).to_socket_addrs().map(Iterator::collect)))
        });
        SHARED.clone()
    }

    fn new(kept: Duration, look_up: Box<LookUp>) -> Self {
        let [quick, slow, waiting] =
            [QUICK_PLACES, SLOW_PLACES, WAITING_PLACES].map(|places| Arc::new(Semaphore::new(places)));
        Self(Arc::new(LookUps { quick, slow, waiting, state: Mutex::default(), kept, look_up }))
    }

    async fn addresses(self, host: String) -> io::Result<std::vec::IntoIter<SocketAddr>> {
        let known = self.0.state.lock().known(&host, self.0.kept);
        if let Some(addresses) = known {
            return Ok(addresses.into_iter());
        }
        let mut answer = self.ask(&host).await?;
        let found = answer.wait_for(Option::is_some).await.map_err(|_| io::Error::other("the look-up was given up"))?;
        match &*found {
            Some(Ok(addresses)) => Ok(addresses.clone().into_iter()),
            Some(Err(reason)) => Err(io::Error::other(reason.clone())),
            None => Err(io::Error::other("the look-up was given up")),
        }
    }

    /// Joins the look-up of this host that runs, or starts one when there is a place. Who goes away while waiting leaves nothing behind.
    async fn ask(&self, host: &str) -> io::Result<Answer> {
        let slow = {
            let state = self.0.state.lock();
            if let Some(answer) = state.running(host) {
                return Ok(answer);
            }
            state.slow.contains(host)
        };
        let places = if slow { &self.0.slow } else { &self.0.quick };
        let place = Arc::clone(places).acquire_owned().await.map_err(io::Error::other)?;
        let mut state = self.0.state.lock();
        if let Some(answer) = state.running(host) {
            return Ok(answer);
        }
        let (tell, answer) = watch::channel(None);
        if let Some(addresses) = state.known(host, self.0.kept) {
            tell.send_replace(Some(Ok(addresses)));
            return Ok(answer);
        }
        state.running.insert(host.to_owned(), answer.clone());
        drop(state);
        self.start(host, tell)?;
        tokio::spawn(hold(place, (!slow).then(|| Arc::clone(&self.0.waiting)), answer.clone()));
        Ok(answer)
    }

    fn start(&self, host: &str, tell: watch::Sender<Option<Addresses>>) -> io::Result<()> {
        let (all, name) = (Arc::clone(&self.0), host.to_owned());
        let run = move || {
            let started = Stopwatch::start();
            let found = (all.look_up)(&name).map_err(|error| error.to_string());
            all.finish(name, &found, started.elapsed() > SLOW);
            tell.send_replace(Some(found));
        };
        let started = std::thread::Builder::new().name("resolve".to_owned()).stack_size(STACK).spawn(run);
        started.map(drop).inspect_err(|_| {
            self.0.state.lock().running.remove(host);
        })
    }
}

/// Keeps a place until the look-up has ended. One that is slow moves to the places for such, if it may, as soon as there is one.
async fn hold(place: OwnedSemaphorePermit, waiting: Option<Arc<Semaphore>>, mut answer: Answer) {
    let mut ended = answer.clone();
    // An error means that the look-up was given up, which ends it too.
    let mut end = std::pin::pin!(ended.wait_for(Option::is_some));
    if tokio::time::timeout(SLOW, &mut end).await.is_ok() {
        return;
    }
    let moved = match waiting {
        Some(waiting) => tokio::select! {
            moved = waiting.acquire_owned() => moved.ok(),
            _ = &mut end => return,
        },
        None => None,
    };
    let _place = match moved {
        Some(moved) => {
            drop(place);
            moved
        }
        None => place,
    };
    let _ = answer.wait_for(Option::is_some).await;
}

impl State {
    /// The look-up of a host that runs; one that was given up does not.
    fn running(&self, host: &str) -> Option<Answer> {
        self.running.get(host).filter(|answer| answer.has_changed().is_ok() || answer.borrow().is_some()).cloned()
    }

    /// What was found a short time ago.
    fn known(&self, host: &str, kept: Duration) -> Option<Vec<SocketAddr>> {
        let (since, addresses) = self.known.get(host)?;
        (since.elapsed() < kept).then(|| addresses.clone())
    }
}

impl LookUps {
    fn finish(&self, host: String, found: &Addresses, slow: bool) {
        let mut state = self.state.lock();
        let state = &mut *state;
        state.running.remove(&host);
        if slow || found.is_err() {
            if state.slow.len() >= MAX_SLOW {
                state.slow.clear();
            }
            state.slow.insert(host.clone());
        } else {
            state.slow.remove(&host);
        }
        let Ok(addresses) = found else {
            state.known.remove(&host);
            return;
        };
        if state.known.len() >= MAX_KEPT {
            state.known.retain(|_, (since, _)| since.elapsed() < self.kept);
        }
        if state.known.len() >= MAX_KEPT {
            state.known.clear();
        }
        state.known.insert(host, (Stopwatch::start(), addresses.clone()));
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
    use std::time::Duration;

    use parking_lot::{Condvar, Mutex};

    use super::{QUICK_PLACES, Resolver, SLOW_PLACES, WAITING_PLACES};

    const HERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

    /// A name server that does not answer for `dead…` until it is told to, and counts.
    #[derive(Clone, Default)]
    struct Names(Arc<(Mutex<bool>, Condvar, AtomicUsize, AtomicUsize, AtomicUsize)>);

    impl Names {
        fn resolver(&self, kept: Duration) -> Resolver {
            let names = self.clone();
            Resolver::new(kept, Box::new(move |host| names.look_up(host)))
        }

        fn look_up(&self, host: &str) -> io::Result<Vec<SocketAddr>> {
            let (answering, told, asked, inside, most) = &*self.0;
            asked.fetch_add(1, Ordering::SeqCst);
            most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            let dead = host.starts_with("dead");
            if dead {
                told.wait_while(&mut answering.lock(), |answering| !*answering);
            }
            inside.fetch_sub(1, Ordering::SeqCst);
            if dead { Err(io::Error::other("no such host")) } else { Ok(vec![HERE]) }
        }

        fn answer(&self) {
            *self.0.0.lock() = true;
            self.0.1.notify_all();
        }

        fn asked(&self) -> usize {
            self.0.2.load(Ordering::SeqCst)
        }
    }

    async fn found(resolver: &Resolver, host: &str) -> Result<Vec<SocketAddr>, String> {
        let addresses = resolver.clone().addresses(host.to_owned()).await;
        addresses.map(Iterator::collect).map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn dead_names_leave_room_for_others() {
        let names = Names::default();
        let resolver = names.resolver(Duration::ZERO);
        let ask = |host: String| tokio::spawn(resolver.clone().addresses(host));
        // As many as there are quick places, and more askers than names.
        let dead: Vec<_> = (0..60).map(|n| ask(format!("dead{}", n % QUICK_PLACES))).collect();
        while names.asked() < QUICK_PLACES {
            tokio::task::yield_now().await;
        }
        // They are found to be slow after a second, and give their places to the next.
        assert_eq!(found(&resolver, "good").await, Ok(vec![HERE]));
        assert_eq!(names.asked(), QUICK_PLACES + 1, "one look-up a name");
        names.answer();
        for asker in dead {
            let error = asker.await.expect("it ran").expect_err("it is dead");
            assert_eq!(error.to_string(), "no such host");
        }
        // Names that failed have places of their own.
        *names.0.0.lock() = false;
        let dead: Vec<_> = (0..QUICK_PLACES).map(|n| ask(format!("dead{n}"))).collect();
        while names.asked() < QUICK_PLACES + 1 + SLOW_PLACES {
            tokio::task::yield_now().await;
        }
        let started = crate::clock::Stopwatch::start();
        assert_eq!(found(&resolver, "good").await, Ok(vec![HERE]));
        assert!(started.elapsed() < Duration::from_millis(900), "nobody had to be found slow first");
        names.answer();
        for asker in dead {
            assert!(asker.await.expect("it ran").is_err());
        }
        assert!(names.0.4.load(Ordering::SeqCst) <= QUICK_PLACES + SLOW_PLACES + WAITING_PLACES);
    }

    #[tokio::test]
    async fn answers_are_kept_for_a_short_time_and_failures_are_not() {
        for (kept, host, expected) in [
            (Duration::from_secs(3_600), "good", 1),
            (Duration::ZERO, "good", 3),
            (Duration::from_secs(3_600), "dead", 3),
        ] {
            let names = Names::default();
            names.answer();
            let resolver = names.resolver(kept);
            for _ in 0..3 {
                assert_eq!(found(&resolver, host).await.is_ok(), host == "good");
            }
            assert_eq!(names.asked(), expected, "{host} {kept:?}");
        }
    }
}
