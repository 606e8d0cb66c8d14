//! A ZooKeeper that only pretends: it opens and resumes sessions, expires those of which nothing was heard for their
//! timeout, accepts every credential and answers a read of `/N` with N bytes. It costs so little that what is measured
//! is the relay.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Notify;

use super::client::{GET_DATA, PING, int};
use super::process::{Process, pinned};

const SRVR: &[u8] = b"Zookeeper version: 3.9.5-benchmark, built for measuring\nMode: standalone\nNode count: 1\n";
const BACKLOG: u32 = 4096;
const EXPIRY_CHECK: Duration = Duration::from_millis(200);

/// The sessions that live.
struct Sessions {
    start: Instant,
    live: Mutex<HashMap<u64, Arc<Session>>>,
    next: AtomicU64,
}

struct Session {
    timeout: u32,
    /// Milliseconds from the start.
    heard: AtomicU64,
    /// Ends the connection that has the session: the session has expired, or came back on another one.
    leave: Mutex<Arc<Notify>>,
}

/// Serves on a port of its own for as long as the runtime lives.
pub(crate) async fn start() -> io::Result<SocketAddr> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let listener = socket.listen(BACKLOG)?;
    let address = listener.local_addr()?;
    let sessions = Arc::new(Sessions {
        start: Instant::now(),
        live: Mutex::default(),
        next: AtomicU64::new(0x0100_0000_0000_0001),
    });
    tokio::spawn(expire(Arc::clone(&sessions)));
    tokio::spawn(async move {
        loop {
            let Ok((stream, _)) = listener.accept().await else { continue };
            tokio::spawn(serve(stream, Arc::clone(&sessions)));
        }
    });
    Ok(address)
}

/// Is a process that serves until its standard input ends.
pub(crate) fn run() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        println!("{}", start().await?);
        // It ends with the program that started it, however that ends.
        tokio::task::spawn_blocking(|| io::stdin().read_to_end(&mut Vec::new())).await??;
        Ok(())
    })
}

/// Starts this program as such a process.
pub(crate) fn start_process(cpus: Option<&str>) -> anyhow::Result<(Process, SocketAddr)> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("upstream");
    let mut command = pinned(&command, cpus);
    let mut process = Process::start(command.stdin(Stdio::piped()).stdout(Stdio::piped()))?;
    let mut line = String::new();
    BufReader::new(process.output().context("its output is piped")?).read_line(&mut line)?;
    let address = line.trim().parse().with_context(|| format!("the upstream said {line:?}"))?;
    Ok((process, address))
}

async fn expire(sessions: Arc<Sessions>) {
    loop {
        tokio::time::sleep(EXPIRY_CHECK).await;
        let now = sessions.now();
        sessions.lock().retain(|_, session| {
            let silent = now.saturating_sub(session.heard.load(Ordering::Relaxed));
            let expired = silent >= u64::from(session.timeout);
            if expired {
                lock(&session.leave).notify_one();
            }
            !expired
        });
    }
}

async fn serve(mut stream: TcpStream, sessions: Arc<Sessions>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut prefix = [0; 4];
    stream.read_exact(&mut prefix).await?;
    if &prefix == b"srvr" {
        return stream.write_all(SRVR).await;
    }
    let mut request = vec![0; int(&prefix, 0) as usize];
    stream.read_exact(&mut request).await?;
    let opened = sessions.open(&request);
    stream.write_all(&connect_response(opened.as_ref(), request.len() == 45)).await?;
    let Some(Opened { session, leave, .. }) = opened else { return Ok(()) };
    // Small, since thousands of sessions are idle.
    let mut received = Vec::with_capacity(128);
    let mut replies = Vec::new();
    loop {
        let read = tokio::select! {
            read = stream.read_buf(&mut received) => read?,
            () = leave.notified() => return Ok(()),
        };
        if read == 0 {
            return Ok(());
        }
        session.heard.store(sessions.now(), Ordering::Relaxed);
        let mut at = 0;
        while let Some(frame) = whole_frame(&received[at..]) {
            answer(frame, &mut replies);
            at += frame.len();
        }
        received.drain(..at);
        if !replies.is_empty() {
            stream.write_all(&replies).await?;
            replies.clear();
            replies.shrink_to(64 * 1024);
        }
    }
}

/// A session on a connection.
struct Opened {
    id: u64,
    session: Arc<Session>,
    leave: Arc<Notify>,
}

impl Sessions {
    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Arc<Session>>> {
        lock(&self.live)
    }

    /// Opens the session that the request asks for; none if that has expired or the password is wrong. A relay may keep
    /// a connection for a while that its client has left, so the newest has the session.
    fn open(&self, request: &[u8]) -> Option<Opened> {
        let timeout = int(request, 12) as u32;
        let id = request.get(16..24).and_then(|id| id.try_into().ok()).map_or(0, u64::from_be_bytes);
        let leave = Arc::new(Notify::new());
        if id == 0 {
            let id = self.next.fetch_add(1, Ordering::Relaxed);
            let (heard, leave_) = (AtomicU64::new(self.now()), Mutex::new(Arc::clone(&leave)));
            let session = Arc::new(Session { timeout, heard, leave: leave_ });
            self.lock().insert(id, Arc::clone(&session));
            return Some(Opened { id, session, leave });
        }
        let session = self.lock().get(&id).cloned()?;
        if request.get(28..44) != Some(&password(id)) {
            return None;
        }
        session.heard.store(self.now(), Ordering::Relaxed);
        std::mem::replace(&mut *lock(&session.leave), Arc::clone(&leave)).notify_one();
        Some(Opened { id, session, leave })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn password(id: u64) -> [u8; 16] {
    let mut password = [0x5a; 16];
    password[..8].copy_from_slice(&id.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    password
}

fn whole_frame(bytes: &[u8]) -> Option<&[u8]> {
    (bytes.len() >= 4).then(|| bytes.get(..4 + int(bytes, 0) as usize)).flatten()
}

/// All zeros but the password's length: the session has expired.
fn connect_response(opened: Option<&Opened>, read_only: bool) -> Vec<u8> {
    let length = 36 + usize::from(read_only);
    let mut response = vec![0; 4 + length];
    response[..4].copy_from_slice(&(length as u32).to_be_bytes());
    response[20..24].copy_from_slice(&16_u32.to_be_bytes());
    if let Some(Opened { id, session, .. }) = opened {
        response[8..12].copy_from_slice(&session.timeout.to_be_bytes());
        response[12..20].copy_from_slice(&id.to_be_bytes());
        response[24..40].copy_from_slice(&password(*id));
    }
    response
}

/// A reply: header (xid, zxid, err), and for a read the data and a Stat.
fn answer(frame: &[u8], replies: &mut Vec<u8>) {
    const STAT: usize = 68;
    let xid = if int(frame, 8) == PING { -2 } else { int(frame, 4) };
    let data = (int(frame, 8) == GET_DATA).then(|| data_length(frame));
    let length = 16 + data.map_or(0, |data| 4 + data + STAT);
    replies.extend_from_slice(&(length as u32).to_be_bytes());
    replies.extend_from_slice(&xid.to_be_bytes());
    replies.extend_from_slice(&[0; 12]);
    if let Some(data) = data {
        replies.extend_from_slice(&(data as u32).to_be_bytes());
        replies.resize(replies.len() + data + STAT, b'z');
    }
}

/// N of a read of `/N`.
fn data_length(frame: &[u8]) -> usize {
    let path = frame.get(17..frame.len().saturating_sub(1)).unwrap_or_default();
    std::str::from_utf8(path).ok().and_then(|path| path.parse().ok()).unwrap_or(0)
}
