//! The attackers, on a thread of their own that lets everything else go first.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::attack::{Attack, Method, Replies, Requests};
use crate::common::client::{Session, connect};
use crate::common::process::yield_this_thread;

/// Attackers whose connections stay come from so many addresses, others from one.
const ADDRESSES: usize = 64;

/// After a connection that could not be made: the gate is full, or refuses.
const AFTER_FAILURE: Duration = Duration::from_millis(10);

/// An attack that goes on until this is dropped.
pub(super) struct Attackers {
    progress: Arc<Progress>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<anyhow::Result<()>>>,
}

#[derive(Default)]
struct Progress {
    attempts: AtomicUsize,
    /// Connections that stay and that the gate has not ended.
    open: AtomicUsize,
    /// No attempt is begun any more.
    closing: AtomicBool,
    done: AtomicBool,
}

impl Attackers {
    pub(super) fn start(attack: Arc<Attack>, relay: SocketAddr) -> Self {
        let progress = Arc::new(Progress::default());
        let (stop, stopped) = watch::channel(false);
        let thread = std::thread::spawn({
            let progress = Arc::clone(&progress);
            move || {
                yield_this_thread()?;
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                runtime.block_on(attack_all(attack, relay, &progress, stopped));
                // Thousands of connections are not waited for.
                runtime.shutdown_background();
                progress.done.store(true, Ordering::Relaxed);
                Ok(())
            }
        });
        Self { progress, stop, thread: Some(thread) }
    }

    pub(super) fn attempts(&self) -> usize {
        self.progress.attempts.load(Ordering::Relaxed)
    }

    pub(super) fn open(&self) -> usize {
        self.progress.open.load(Ordering::Relaxed)
    }

    /// Lets no further attempt begin.
    pub(super) fn close(&self) {
        self.progress.closing.store(true, Ordering::Relaxed);
    }

    /// Whether every attempt was made and has ended.
    pub(super) fn are_done(&self) -> bool {
        self.progress.done.load(Ordering::Relaxed) || self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Ends the attack.
    pub(super) fn stop(mut self) -> anyhow::Result<()> {
        self.stop.send_replace(true);
        let thread = self.thread.take().context("the attackers are stopped once")?;
        thread.join().ok().context("the attackers' thread panicked")?
    }
}

impl Drop for Attackers {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn attack_all(
    attack: Arc<Attack>,
    relay: SocketAddr,
    progress: &Arc<Progress>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut tasks = JoinSet::new();
    for index in 0..attack.at_once {
        let host = if attack.stays() { index % ADDRESSES } else { 0 };
        let attacker = Attacker {
            attack: Arc::clone(&attack),
            progress: Arc::clone(progress),
            source: Ipv4Addr::new(127, 3, 0, 1 + host as u8),
            relay,
        };
        tasks.spawn(async move { attacker.go_on().await });
    }
    let all = async { while tasks.join_next().await.is_some() {} };
    tokio::select! {
        () = all => {}
        _ = stopped.wait_for(|stopped| *stopped) => {}
    }
}

struct Attacker {
    attack: Arc<Attack>,
    progress: Arc<Progress>,
    source: Ipv4Addr,
    relay: SocketAddr,
}

/// Counts a connection for as long as it is there.
struct Open<'a>(&'a AtomicUsize);

impl<'a> Open<'a> {
    fn new(open: &'a AtomicUsize) -> Self {
        open.fetch_add(1, Ordering::Relaxed);
        Self(open)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Attacker {
    async fn go_on(&self) {
        while self.take() {
            // To be refused is what an attacker expects.
            if self.attempt().await.is_err() {
                tokio::time::sleep(AFTER_FAILURE).await;
            }
        }
    }

    fn take(&self) -> bool {
        if self.progress.closing.load(Ordering::Relaxed) {
            return false;
        }
        let attempts = &self.progress.attempts;
        let another = |made: usize| (made < self.attack.count).then_some(made + 1);
        attempts.fetch_update(Ordering::Relaxed, Ordering::Relaxed, another).is_ok()
    }

    async fn attempt(&self) -> anyhow::Result<()> {
        match &self.attack.method {
            Method::Handshake(client) => {
                let client = client.clone().from(self.source);
                // TLS 1.3: the client is done before the server has judged it.
                drain(&mut Box::pin(client.handshake(self.relay)).await?).await?;
            }
            Method::Session(client) => {
                let client = client.clone().from(self.source);
                let mut session = Box::pin(client.open(self.relay)).await?;
                let _open = Open::new(&self.progress.open);
                while session.receive(&mut [0; 64]).await? > 0 {}
            }
            Method::Hold(bytes) => {
                let mut tcp = self.connect().await?;
                tcp.write_all(bytes).await?;
                let _open = Open::new(&self.progress.open);
                drain(&mut tcp).await?;
            }
            Method::Throw(bytes) => {
                let mut tcp = self.connect().await?;
                tcp.write_all(bytes).await?;
                // The first answer, or the end.
                let _ = tcp.read(&mut [0; 1024]).await?;
            }
            Method::Drip(bytes) => {
                let mut tcp = self.connect().await?;
                for byte in bytes {
                    tcp.write_all(&[*byte]).await?;
                    // The next one must not join it on the way.
                    tokio::task::yield_now().await;
                }
                let _ = tcp.read(&mut [0; 1024]).await?;
            }
            Method::Requests(requests) => self.request(requests).await?,
        }
        Ok(())
    }

    async fn connect(&self) -> io::Result<TcpStream> {
        connect(Some(self.source), self.relay).await
    }

    /// The attempt is the first of many on its connection.
    async fn request(&self, requests: &Requests) -> anyhow::Result<()> {
        let client = requests.client.clone().from(self.source);
        let mut session = Box::pin(client.open(self.relay)).await?;
        let _open = Open::new(&self.progress.open);
        loop {
            send(&mut session, requests).await?;
            if !self.take() {
                break;
            }
        }
        if requests.replies == Replies::Ignore {
            std::future::pending::<()>().await;
        }
        Ok(())
    }
}

async fn send(session: &mut Session, requests: &Requests) -> anyhow::Result<()> {
    let mut awaited = match requests.replies {
        Replies::Ignore => 0,
        Replies::Await(bytes) | Replies::AwaitAfterBytes(bytes) => bytes,
    };
    if matches!(requests.replies, Replies::AwaitAfterBytes(_)) {
        for byte in &requests.bytes {
            session.send(&[*byte]).await?;
        }
    } else {
        session.send(&requests.bytes).await?;
    }
    let mut buffer = [0; 4096];
    while awaited > 0 {
        let received = session.receive(&mut buffer).await?;
        ensure!(received > 0, "the gate has ended the connection");
        awaited = awaited.saturating_sub(received);
    }
    Ok(())
}

/// Reads until the end.
async fn drain(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<()> {
    let mut buffer = [0; 1024];
    while stream.read(&mut buffer).await? > 0 {}
    Ok(())
}
