//! Clients that are connected while something else happens to the relay: what they notice of it.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use super::client::{Client, Clients, REPLY_OF_100, Session, get_data};
use super::process::pin_this_thread;

/// How often each of them reads.
pub(crate) const EVERY: Duration = Duration::from_millis(100);

/// Silence of so long ends a connection: two thirds of the session's timeout, as Java's clients reckon.
const PATIENCE: Duration = Duration::from_millis(6667);

const CONNECT_DEADLINE: Duration = Duration::from_secs(30);

/// Where they are, and where they run.
pub(crate) struct Steadiness<'a> {
    pub(crate) relay: SocketAddr,
    pub(crate) count: usize,
    pub(crate) cpus: Option<&'a str>,
}

/// Clients on a thread of their own, so that another load's work is not taken for the relay's. Each reads at fixed
/// times, whether the reply to the read before has come or not, and a reply's time counts from then: what a client
/// waits is seen whole.
pub(crate) struct Steady {
    notes: Arc<Notes>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<anyhow::Result<()>>>,
}

#[derive(Default)]
struct Notes {
    /// Of each client.
    reads: Vec<Reads>,
    lost: AtomicUsize,
}

/// When each read of a client was to be sent, and how long the reply took if it has come.
#[derive(Default)]
struct Reads(Mutex<Vec<(Instant, Option<Duration>)>>);

impl Reads {
    /// Says which one it is.
    fn sent(&self, due: Instant) -> usize {
        let mut reads = self.lock();
        reads.push((due, None));
        reads.len() - 1
    }

    /// Whether this one has waited for too long.
    fn is_late(&self, which: Option<&usize>) -> bool {
        which.and_then(|which| self.lock().get(*which).copied()).is_some_and(|(due, _)| due.elapsed() > PATIENCE)
    }

    fn answered(&self, which: usize) {
        if let Some((due, took)) = self.lock().get_mut(which) {
            *took = Some(due.elapsed());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(Instant, Option<Duration>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long replies took.
#[derive(Clone, Copy, Default)]
pub(crate) struct Latency {
    pub(crate) p99: Duration,
    pub(crate) slowest: Duration,
}

impl Steady {
    /// Connects them, from addresses that no other load has.
    pub(crate) async fn start(clients: &Clients, steadiness: &Steadiness<'_>) -> anyhow::Result<Self> {
        let notes =
            Notes { reads: (0..steadiness.count).map(|_| Reads::default()).collect(), lost: AtomicUsize::new(0) };
        let notes = Arc::new(notes);
        let (stop, stopped) = watch::channel(false);
        let (ready, is_ready) = mpsc::channel();
        let thread = std::thread::spawn({
            let (notes, cpus) = (Arc::clone(&notes), steadiness.cpus.map(str::to_owned));
            let (clients, relay) = (clients.clone(), steadiness.relay);
            move || {
                if let Some(cpus) = cpus {
                    pin_this_thread(&cpus)?;
                }
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                runtime.block_on(read_all(&clients, relay, (notes, ready), stopped))
            }
        });
        let steady = Self { notes, stop, thread: Some(thread) };
        let until = Instant::now() + CONNECT_DEADLINE;
        while let Err(error) = is_ready.try_recv() {
            if error == mpsc::TryRecvError::Disconnected || Instant::now() > until {
                return Err(steady.failure()).context("the established clients can't connect");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(steady)
    }

    /// Of the reads that were to be sent in this time. A read without a reply counts with its age.
    pub(crate) fn latency(&self, from: Instant, to: Instant) -> Latency {
        let mut times = Vec::new();
        for reads in &self.notes.reads {
            let reads = reads.lock();
            let within = reads.iter().filter(|(at, _)| (from..to).contains(at));
            times.extend(within.map(|(at, took)| took.unwrap_or_else(|| at.elapsed())));
        }
        times.sort_unstable();
        let rank = (times.len() * 99).div_ceil(100).max(1) - 1;
        Latency {
            p99: times.get(rank).copied().unwrap_or_default(),
            slowest: times.last().copied().unwrap_or_default(),
        }
    }

    /// How many lost their connection.
    pub(crate) fn lost(&self) -> usize {
        self.notes.lost.load(Ordering::Relaxed)
    }

    fn failure(mut self) -> anyhow::Error {
        let _ = self.stop.send(true);
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(Err(error))) => error,
            _ => anyhow::anyhow!("no answer in {CONNECT_DEADLINE:?}"),
        }
    }
}

impl Drop for Steady {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        if let Some(thread) = self.thread.take() {
            // Its error was of interest at the start only.
            let _ = thread.join();
        }
    }
}

async fn read_all(
    clients: &Clients,
    relay: SocketAddr,
    (notes, ready): (Arc<Notes>, mpsc::Sender<()>),
    mut stopped: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let opening = async {
        let mut sessions = Vec::new();
        for index in 0..notes.reads.len() {
            // Four of them share an address.
            let client = clients.usual().from(Ipv4Addr::new(127, 2, 0, 1 + (index / 4) as u8));
            sessions.push(open(&client, relay).await?);
        }
        anyhow::Ok(sessions)
    };
    let sessions = tokio::select! {
        sessions = opening => sessions?,
        _ = stopped.wait_for(|stopped| *stopped) => bail!("stopped"),
    };
    let start = Instant::now() + EVERY;
    for (index, session) in sessions.into_iter().enumerate() {
        let (notes, first) = (Arc::clone(&notes), start + EVERY * index as u32 / notes.reads.len() as u32);
        tokio::spawn(async move {
            // That a connection ended, and not how, is what counts.
            let _ = read(session, first, &notes.reads[index]).await;
            notes.lost.fetch_add(1, Ordering::Relaxed);
        });
    }
    ready.send(())?;
    stopped.wait_for(|stopped| *stopped).await?;
    Ok(())
}

async fn open(client: &Client, relay: SocketAddr) -> anyhow::Result<Session> {
    let wanted = super::client::Wanted { timeout: 10_000, id: 0, password: [0; 16] };
    Ok(client.session(relay, wanted).await?.0)
}

/// Returns when the connection has ended.
async fn read(mut session: Session, first: Instant, reads: &Reads) -> anyhow::Result<()> {
    let mut ticks = tokio::time::interval_at(first.into(), EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (request, mut buffer) = (get_data(100), [0; 1024]);
    let (mut waiting, mut bytes) = (VecDeque::new(), 0);
    loop {
        tokio::select! {
            due = ticks.tick() => {
                if reads.is_late(waiting.front()) {
                    return Ok(());
                }
                waiting.push_back(reads.sent(due.into_std()));
                session.send(&request).await?;
            }
            received = session.receive(&mut buffer) => {
                let received = received?;
                if received == 0 {
                    return Ok(());
                }
                bytes += received;
                while bytes >= REPLY_OF_100 {
                    bytes -= REPLY_OF_100;
                    reads.answered(waiting.pop_front().context("a reply without a request")?);
                }
            }
        }
    }
}
