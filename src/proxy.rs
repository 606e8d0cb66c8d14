//! The data path: from a TCP connection to its record. `connection.rs` has the whole story in one function.

mod admission;
mod chains;
mod connection;
mod farewell;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod handshakes;
mod health;
mod left_out;
mod listener;
mod notices;
mod ownership;
mod proxy_protocol;
mod record;
mod refusals;
mod relay;
mod reminders;
mod roster;
mod session;
mod socket;
mod source;
mod upstream;
mod words;

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::metrics::Metrics;
use crate::shutdown::Drain;
use crate::snapshot::Snapshot;
use crate::zk::four_letter_word::FourLetterWord;
use chains::Chains;
use handshakes::Handshakes;
use listener::Listeners;
use notices::Notices;
use ownership::Passwords;

pub use chains::Revalidation;
pub use handshakes::HandshakeSettings;
pub use health::{Health, ask, pause, probe};
pub use listener::Pulse;
pub use record::ACCESS;
pub use refusals::{Refusals, RefusedClient};
pub use relay::{Bounds, X509Auth};
pub use roster::{Present, Roster};
pub use socket::{Liveness, listen};
pub use upstream::{DialError, Dialer, LoopbackSources};

/// What holds for every connection as long as the program runs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Admitted client connections at a time.
    pub connections: usize,
    /// Connections whose clients are not known yet.
    pub handshakes: HandshakeSettings,
    /// From authenticated to a complete ConnectRequest.
    pub open_timeout: Duration,
    /// How long ZooKeeper may take for a ConnectResponse, and for the replies to injected packets.
    pub response_timeout: Duration,
    /// What clients may send.
    pub bounds: Bounds,
    /// Four-letter words that are put to ZooKeeper.
    pub words: Vec<FourLetterWord>,
    /// When live connections end with their authority.
    pub revalidation: Revalidation,
}

/// Everything that connections share.
pub struct Gate {
    settings: Settings,
    handshakes: Arc<Handshakes>,
    dialer: Dialer,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    metrics: Arc<Metrics>,
    roster: Arc<Roster>,
    refusals: Arc<Refusals>,
    chains: Arc<Chains>,
    drain: Drain,
    notices: Notices,
    passwords: Passwords,
    pulse: Arc<Pulse>,
}

impl Gate {
    /// A gate that is not open yet.
    ///
    /// # Errors
    /// If the system starts no threads for handshakes.
    pub fn new(
        settings: Settings,
        dialer: Dialer,
        snapshots: watch::Receiver<Arc<Snapshot>>,
        shared: (Arc<Metrics>, Drain),
    ) -> io::Result<Self> {
        let (metrics, drain) = shared;
        let handshakes = Handshakes::new(settings.handshakes.clone(), settings.connections, Arc::clone(&metrics))?;
        Ok(Self {
            handshakes: Arc::new(handshakes),
            chains: Arc::new(Chains::new(settings.revalidation)),
            settings,
            dialer,
            snapshots,
            metrics,
            roster: Arc::default(),
            refusals: Arc::default(),
            drain,
            notices: Notices::new(),
            passwords: Passwords::default(),
            pulse: Arc::default(),
        })
    }

    /// Who is connected.
    pub fn roster(&self) -> Arc<Roster> {
        Arc::clone(&self.roster)
    }

    /// Who was not let in lately.
    pub fn refusals(&self) -> Arc<Refusals> {
        Arc::clone(&self.refusals)
    }

    /// Whether it accepts connections.
    pub fn pulse(&self) -> Arc<Pulse> {
        Arc::clone(&self.pulse)
    }

    /// Accepts connections on every listener until the drain begins.
    ///
    /// # Errors
    /// If the system has lost a listener.
    pub fn open(self: &Arc<Self>, listeners: Vec<TcpListener>) -> io::Result<impl Future<Output = ()> + use<>> {
        Ok(Listeners::new(listeners, self.settings.handshakes.liveness)?.run(Arc::clone(self)))
    }

    /// Ends the authority of live connections when it ends, for ever.
    pub fn revalidate(&self) -> impl Future<Output = ()> + use<> {
        Arc::clone(&self.chains).watch(self.snapshots.clone(), Arc::clone(&self.metrics))
    }

    /// Tells of refused connections that have no record, once nobody is refused so any more; for ever.
    pub fn tell_left_out(self: &Arc<Self>) -> impl Future<Output = ()> + use<> {
        let gate = Arc::clone(self);
        async move {
            loop {
                tokio::time::sleep(left_out::EVERY).await;
                gate.notices.tell(&gate.notices.left_out.overdue(Instant::now()));
            }
        }
    }

    /// Tells of those that nothing has told of yet; for the end.
    pub fn tell_the_rest(&self) {
        self.notices.tell(&self.notices.left_out.rest(Instant::now()));
    }

    fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshots.borrow())
    }
}
