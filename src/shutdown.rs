//! Stopping: the phases between the first signal and the end of the process, and who is still alive.

use std::future::{Future, poll_fn};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The share of the grace period over which connections are closed; the rest is for those that are in the
/// middle of a request.
const SPREAD: f64 = 0.8;

/// What every part of the program asks whether it should stop. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub struct Drain(Arc<Phases>);

#[derive(Debug)]
struct Phases {
    stopping: CancellationToken,
    closing: CancellationToken,
    forced: CancellationToken,
    /// Says the same as `closing`, without the lock that every poll of a token takes.
    closes: AtomicBool,
    connections: TaskTracker,
    spread: Duration,
}

impl Drain {
    /// A program that is running and will spread its closings over most of `grace`.
    pub fn new(grace: Duration) -> Self {
        Self(Arc::new(Phases {
            stopping: CancellationToken::new(),
            closing: CancellationToken::new(),
            forced: CancellationToken::new(),
            closes: AtomicBool::new(false),
            connections: TaskTracker::new(),
            spread: grace.mul_f64(SPREAD),
        }))
    }

    /// Runs a connection's task; [`Drain::finished`] waits for it.
    pub fn spawn(&self, connection: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        self.0.connections.spawn(connection)
    }

    /// Phase 1: not ready any more, everything still works.
    pub fn stop(&self) {
        self.0.stopping.cancel();
    }

    /// Phase 2: no new connections; live ones close between requests, each at its own time.
    pub fn close(&self) {
        self.0.stopping.cancel();
        self.0.closes.store(true, Ordering::Release);
        self.0.closing.cancel();
        self.0.connections.close();
    }

    /// Phase 3: whatever is left ends now.
    pub fn force(&self) {
        self.close();
        self.0.forced.cancel();
    }

    /// Whether phase 1 has begun.
    pub fn is_stopping(&self) -> bool {
        self.0.stopping.is_cancelled()
    }

    /// Whether phase 2 has begun. Cheap enough to ask whenever a connection has something to do.
    pub fn is_closing(&self) -> bool {
        self.0.closes.load(Ordering::Acquire)
    }

    /// Waits for phase 1.
    pub async fn stopping(&self) {
        self.0.stopping.cancelled().await;
    }

    /// Waits for phase 2.
    pub async fn closing(&self) {
        self.0.closing.cancelled().await;
    }

    /// Waits for phase 2 and then for this connection's turn, so that clients don't come back all at once.
    pub async fn turn(self) {
        self.0.closing.cancelled().await;
        tokio::time::sleep(random_part(self.0.spread)).await;
    }

    /// Waits for phase 3. Cheap enough to poll whenever a connection has something to do: the token's lock, which
    /// all connections share, is taken once before phase 2.
    pub async fn forced(self) {
        let mut forced = pin!(self.0.forced.cancelled());
        let mut armed = false;
        poll_fn(|cx| {
            if armed && !self.is_closing() {
                return Poll::Pending;
            }
            armed = true;
            forced.as_mut().poll(cx)
        })
        .await;
    }

    /// Waits until phase 2 has begun and no connection is left.
    pub async fn finished(&self) {
        self.0.connections.wait().await;
    }
}

/// A random part of a time over which something is spread.
pub fn random_part(whole: Duration) -> Duration {
    let random = RandomState::new().build_hasher().finish();
    whole.mul_f64(random as f64 / u64::MAX as f64)
}

/// The signals that end the program: SIGTERM and SIGINT.
#[derive(Debug)]
pub struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    /// Takes the signals over from the default action.
    ///
    /// # Errors
    /// If the handlers can't be installed.
    pub fn new() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for the next signal; says which.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn turns_are_spread_over_the_grace_period() {
        let drain = Drain::new(Duration::from_secs(100));
        drain.close();
        let start = tokio::time::Instant::now();
        let turns: Vec<_> = (0..50).map(|_| tokio::spawn(drain.clone().turn())).collect();
        let mut waits = Vec::new();
        for turn in turns {
            turn.await.unwrap();
            waits.push(start.elapsed().as_secs());
        }
        assert!(waits.iter().all(|wait| *wait <= 80), "{waits:?}");
        assert!(waits.last() > Some(&30), "{waits:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn finished_waits_for_the_last_connection() {
        let drain = Drain::new(Duration::from_secs(1));
        drain.spawn(tokio::time::sleep(Duration::from_secs(5)));
        drain.close();
        let start = tokio::time::Instant::now();
        drain.finished().await;
        assert_eq!(start.elapsed().as_secs(), 5);
    }

    #[tokio::test]
    async fn forcing_implies_the_phases_before_it() {
        let drain = Drain::new(Duration::from_secs(1));
        assert!(!drain.is_stopping());
        drain.force();
        assert!(drain.is_stopping());
        drain.closing().await;
        drain.clone().forced().await;
    }
}
