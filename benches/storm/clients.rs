//! Thousands of clients that lose their gate at the same moment.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::common::client::{Client, Clients, Granted, Session, Wanted, ping};
use crate::common::process::pin_this_thread;

const TIMEOUT: Duration = Duration::from_secs(10);
/// As Java's clients reckon: silence of so long ends an attempt and a connection.
const PATIENCE: Duration = Duration::from_millis(6667);
const PING: Duration = Duration::from_millis(3333);
const LONGEST_PAUSE: u64 = 1000;

/// How many clients open their first session at a time.
const OPENERS: usize = 64;
const OPENING_DEADLINE: Duration = Duration::from_secs(120);

/// Hosts that the clients are spread over; there are many in a real storm, and limits per address are not its topic.
const HOSTS: usize = 100;

/// Identities that the certificates name.
const IDENTITIES: usize = 100;

/// From where to where so many clients go.
#[derive(Clone, Copy)]
pub(super) struct Storm {
    pub(super) before: SocketAddr,
    pub(super) after: SocketAddr,
    pub(super) sessions: usize,
    pub(super) certificates: usize,
    pub(super) resume: bool,
}

/// The clients, on a thread of their own.
pub(super) struct Crowd {
    tally: Arc<Tally>,
    sessions: usize,
    orders: mpsc::UnboundedSender<Order>,
    thread: Option<JoinHandle<anyhow::Result<()>>>,
}

/// What the thread is to do: pin itself and answer. It ends when nobody can give orders any more.
struct Order {
    cpus: String,
    done: oneshot::Sender<anyhow::Result<()>>,
}

#[derive(Default)]
struct Tally {
    connected: AtomicUsize,
    /// How many have lost a connection.
    noticed: AtomicUsize,
    lost: AtomicUsize,
    attempts: AtomicUsize,
    /// When a session was connected last.
    last: Mutex<Option<Instant>>,
    failure: Mutex<Option<anyhow::Error>>,
}

impl Crowd {
    /// Opens all sessions at the gate that will die.
    pub(super) async fn gather(clients: &Clients, storm: Storm) -> anyhow::Result<Self> {
        let tally = Arc::new(Tally::default());
        let (orders, received) = mpsc::unbounded_channel();
        let members = members(clients, storm)?;
        let thread = std::thread::spawn({
            let tally = Arc::clone(&tally);
            move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                runtime.block_on(live_all(members, storm, tally, received));
                // Thousands of tasks are not waited for.
                runtime.shutdown_background();
                Ok(())
            }
        });
        let crowd = Self { tally, sessions: storm.sessions, orders, thread: Some(thread) };
        let until = Instant::now() + OPENING_DEADLINE;
        while crowd.tally.connected.load(Ordering::Relaxed) < storm.sessions {
            let failure = crowd.tally.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(failure) = failure {
                return Err(failure).context("a session can't be opened before the storm");
            }
            ensure!(Instant::now() < until, "not all sessions are open after {OPENING_DEADLINE:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(crowd)
    }

    /// Leaves these CPUs only to the clients.
    pub(super) async fn pin(&self, cpus: &str) -> anyhow::Result<()> {
        let (done, is_done) = oneshot::channel();
        let order = Order { cpus: cpus.to_owned(), done };
        self.orders.send(order).ok().context("the clients' thread has ended")?;
        is_done.await?
    }

    /// Waits until each session is back or lost; says whether that was so in time.
    pub(super) async fn settle(&self, until: Instant) -> bool {
        loop {
            // Clients that have not noticed yet that they are cut off look as if they were back.
            let noticed = self.tally.noticed.load(Ordering::Relaxed) >= self.sessions;
            let (connected, lost) = (&self.tally.connected, &self.tally.lost);
            if noticed && connected.load(Ordering::Relaxed) + lost.load(Ordering::Relaxed) == self.sessions {
                return true;
            }
            if Instant::now() >= until {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// How many sessions are connected, and since when the last of them is, from the cut.
    pub(super) fn kept(&self, cut: Instant) -> (usize, Duration) {
        let last = *self.tally.last.lock().unwrap_or_else(PoisonError::into_inner);
        let last = last.map_or(Duration::ZERO, |last| last.saturating_duration_since(cut));
        (self.tally.connected.load(Ordering::Relaxed), last)
    }

    pub(super) fn attempts(&self) -> usize {
        self.tally.attempts.load(Ordering::Relaxed)
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        let (nobody, _) = mpsc::unbounded_channel();
        self.orders = nobody;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// One client of the storm.
struct Member {
    client: Client,
    index: u64,
}

fn members(clients: &Clients, storm: Storm) -> anyhow::Result<Vec<Member>> {
    let certified = (0..storm.certificates).map(|index| clients.newcomer(&format!("client-{}", index % IDENTITIES)));
    let certified = certified.collect::<anyhow::Result<Vec<_>>>()?;
    let member = |index: usize| {
        let client =
            certified[index % certified.len()].clone().from(Ipv4Addr::new(127, 1, 0, 1 + (index % HOSTS) as u8));
        Member { client: if storm.resume { client.resuming() } else { client }, index: index as u64 }
    };
    Ok((0..storm.sessions).map(member).collect())
}

async fn live_all(members: Vec<Member>, storm: Storm, tally: Arc<Tally>, mut orders: mpsc::UnboundedReceiver<Order>) {
    let openers = Arc::new(Semaphore::new(OPENERS));
    for member in members {
        let (openers, tally) = (Arc::clone(&openers), Arc::clone(&tally));
        tokio::spawn(async move {
            if let Err(error) = member.live(storm, &openers, &tally).await {
                *tally.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            }
        });
    }
    while let Some(Order { cpus, done }) = orders.recv().await {
        // Who ordered it may have been interrupted.
        let _ = done.send(pin_this_thread(&cpus));
    }
}

impl Member {
    /// Has a session, loses the connection, comes back; until the session is lost.
    async fn live(self, storm: Storm, openers: &Semaphore, tally: &Tally) -> anyhow::Result<()> {
        let mut wanted = Wanted { timeout: TIMEOUT.as_millis() as u32, id: 0, password: [0; 16] };
        let opener = openers.acquire().await?;
        let (mut session, granted) = Box::pin(self.client.session(storm.before, wanted)).await?;
        drop(opener);
        ensure!(granted.timeout == wanted.timeout, "a session timeout of {} ms", granted.timeout);
        (wanted.id, wanted.password) = (granted.id, granted.password);
        let mut attempt = 0;
        loop {
            tally.connected();
            stay(&mut session).await;
            drop(session);
            tally.connected.fetch_sub(1, Ordering::Relaxed);
            tally.noticed.fetch_add(1, Ordering::Relaxed);
            session = loop {
                tokio::time::sleep(pause(self.index, attempt)).await;
                attempt += 1;
                tally.attempts.fetch_add(1, Ordering::Relaxed);
                match tokio::time::timeout(PATIENCE, Box::pin(self.client.session(storm.after, wanted))).await {
                    Ok(Ok((_, Granted { timeout: 0, .. }))) => {
                        tally.lost.fetch_add(1, Ordering::Relaxed);
                        return Ok(());
                    }
                    Ok(Ok((session, _))) => break session,
                    Ok(Err(_)) | Err(_) => {}
                }
            };
        }
    }
}

impl Tally {
    fn connected(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        self.connected.fetch_add(1, Ordering::Relaxed);
    }
}

/// Keeps a session alive until its connection ends or is silent for too long.
async fn stay(session: &mut Session) {
    let mut pings = tokio::time::interval_at(tokio::time::Instant::now() + PING, PING);
    let (mut heard, mut buffer) = (Instant::now(), [0; 64]);
    loop {
        tokio::select! {
            received = session.receive(&mut buffer) => match received {
                Ok(0) | Err(_) => return,
                Ok(_) => heard = Instant::now(),
            },
            _ = pings.tick() => {
                if heard.elapsed() >= PATIENCE || session.send(&ping()).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// The same in every run: splitmix64 of client and attempt.
fn pause(client: u64, attempt: u64) -> Duration {
    let mut random = (client << 16 | attempt).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    random = (random ^ (random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    random = (random ^ (random >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    Duration::from_millis((random ^ (random >> 31)) % LONGEST_PAUSE)
}
