//! Asks ZooKeeper whether it serves, on a connection of its own and without leaving a session behind.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::upstream::Dialer;
use crate::metrics::UpstreamState;
use crate::zk::frame;
use crate::zk::record::{ConnectResponse, connect_request, is_read_only_refusal};

/// Longest answer to a four-letter word that is read, in bytes; `srvr` answers with a few hundred.
const LONGEST_ANSWER: u64 = 16 * 1024;

/// What a probe found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Whether and how ZooKeeper serves.
    pub state: UpstreamState,
    /// Its version, where it tells.
    pub version: Option<String>,
    /// How it was asked, and what it said when it doesn't serve.
    pub detail: String,
}

impl Health {
    fn new(state: UpstreamState, detail: impl Into<String>) -> Self {
        Self { state, version: None, detail: detail.into() }
    }
}

/// Probes once. `srvr` tells most, `isro` tells less; a server that allows neither is asked to resume a session
/// that can't exist, which it refuses in words only if it serves (`ZooKeeperServer.processConnectRequest`).
pub async fn probe(dialer: &Dialer, within: Duration) -> Health {
    match timeout(within, ask_all(dialer)).await {
        Ok(Ok(health)) => health,
        Ok(Err(error)) => Health::new(UpstreamState::Unreachable, error.to_string()),
        Err(_) => Health::new(UpstreamState::Unreachable, format!("no answer within {within:?}")),
    }
}

/// Puts one four-letter word to ZooKeeper and gives its answer, which may be its refusal, or empty.
///
/// # Errors
/// If it can't be connected to, or does not answer in time.
pub async fn ask(dialer: &Dialer, question: &[u8; 4], within: Duration) -> io::Result<String> {
    timeout(within, word(dialer, question)).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// Time between two probes while ZooKeeper does not serve, at first.
const SOON: Duration = Duration::from_millis(250);

/// What part of the time without service may pass until the next probe.
const PART: u32 = 8;

/// How long to wait for the next probe. While ZooKeeper serves, `interval`. While it has not served for some time, an
/// eighth of that time, from 250 ms up to `interval`: readiness follows a restart at once, and a server that is away for
/// hours is asked no more often than one that serves.
pub fn pause(interval: Duration, away: Option<Duration>) -> Duration {
    away.map_or(interval, |away| (away / PART).max(SOON).min(interval))
}

async fn ask_all(dialer: &Dialer) -> io::Result<Health> {
    if let Some(health) = read_srvr(&word(dialer, b"srvr").await?) {
        return Ok(health);
    }
    if let Some(health) = read_isro(&word(dialer, b"isro").await?) {
        return Ok(health);
    }
    resume_nothing(dialer).await
}

async fn dial(dialer: &Dialer) -> io::Result<TcpStream> {
    dialer.dial(None).await.map_err(io::Error::other)
}

/// The answer to a four-letter word. A server that hangs up without one has said nothing.
async fn word(dialer: &Dialer, word: &[u8; 4]) -> io::Result<String> {
    let mut stream = dial(dialer).await?;
    stream.write_all(word).await?;
    let mut answer = Vec::new();
    match stream.take(LONGEST_ANSWER).read_to_end(&mut answer).await {
        Err(error) if error.kind() != io::ErrorKind::ConnectionReset => Err(error),
        _ => Ok(String::from_utf8_lossy(&answer).into_owned()),
    }
}

/// Reads `srvr`; `None` if the server does not allow it.
fn read_srvr(answer: &str) -> Option<Health> {
    if answer.contains("not currently serving requests") {
        return Some(Health::new(UpstreamState::NotServing, answer.trim()));
    }
    let field = |name: &str| answer.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let state = match field("Mode:")? {
        "leader" => UpstreamState::Leader,
        "follower" => UpstreamState::Follower,
        "observer" => UpstreamState::Observer,
        "standalone" => UpstreamState::Standalone,
        "read-only" => UpstreamState::ReadOnly,
        mode => return Some(Health::new(UpstreamState::NotServing, format!("srvr names a mode {mode:?}"))),
    };
    let version = field("Zookeeper version:").and_then(|version| version.split(['-', ',']).next());
    Some(Health { state, version: version.map(str::to_owned), detail: "srvr".to_owned() })
}

/// Reads `isro`; `None` if the server does not allow it.
fn read_isro(answer: &str) -> Option<Health> {
    match answer.trim() {
        "rw" => Some(Health::new(UpstreamState::Serving, "isro")),
        "ro" => Some(Health::new(UpstreamState::ReadOnly, "isro")),
        "null" => Some(Health::new(UpstreamState::NotServing, "isro")),
        _ => None,
    }
}

/// A session that no server gives out: ids begin with the server's number and a time.
const NO_SESSION: i64 = 1;

async fn resume_nothing(dialer: &Dialer) -> io::Result<Health> {
    let mut stream = dial(dialer).await?;
    stream.write_all(&connect_request(NO_SESSION, [0; 16], 4000)).await?;
    let answer = frame::read_frame(&mut stream).await.ok();
    if answer.as_deref().is_some_and(is_read_only_refusal) {
        return Ok(Health::new(UpstreamState::ReadOnly, "a ConnectRequest; it allows no four-letter words"));
    }
    Ok(match answer.and_then(|body| ConnectResponse::parse(body).ok()) {
        Some(response) if response.read_only() == Some(true) => {
            Health::new(UpstreamState::ReadOnly, "a ConnectRequest; it allows no four-letter words")
        }
        Some(_) => Health::new(UpstreamState::Serving, "a ConnectRequest; it allows no four-letter words"),
        None => Health::new(UpstreamState::NotServing, "it closes the connection on a ConnectRequest"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_does_not_serve_is_asked_sooner_and_ever_less_often() {
        let interval = Duration::from_secs(5);
        assert_eq!(pause(interval, None), interval);
        assert_eq!(pause(interval, Some(Duration::ZERO)), SOON);
        assert_eq!(pause(interval, Some(Duration::from_secs(2))), SOON);
        assert_eq!(pause(interval, Some(Duration::from_secs(16))), Duration::from_secs(2));
        assert_eq!(pause(interval, Some(Duration::from_secs(86_400))), interval);
        let shorter = Duration::from_millis(100);
        assert_eq!(pause(shorter, Some(Duration::ZERO)), shorter, "upstream.probe_interval is never exceeded");

        // As a server that never comes: the first minute, and the hour behind it.
        let (mut now, mut probes) = (Duration::ZERO, Vec::new());
        while now < Duration::from_secs(3660) {
            probes.push(now);
            now += pause(interval, Some(now));
        }
        let first = probes.iter().filter(|at| at.as_secs() < 60).count();
        assert!((20..=40).contains(&first), "{first}");
        assert!(probes.len() - first <= 3600 / 5 + 1, "{}", probes.len());
    }

    #[test]
    fn only_a_server_that_says_so_serves() {
        let isro = |answer: &str| read_isro(answer).map(|health| health.state);
        assert_eq!(isro("rw"), Some(UpstreamState::Serving));
        assert_eq!(isro("ro"), Some(UpstreamState::ReadOnly));
        assert_eq!(isro("null"), Some(UpstreamState::NotServing));
        let srvr = |answer: &str| read_srvr(answer).map(|health| health.state);
        assert_eq!(
            srvr("This ZooKeeper instance is not currently serving requests\n"),
            Some(UpstreamState::NotServing)
        );
        assert_eq!(srvr("Zookeeper version: 3.4.14-x, built on y\nMode: dancing\n"), Some(UpstreamState::NotServing));
        for refusal in ["", "srvr is not executed because it is not in the whitelist.\n"] {
            assert_eq!((srvr(refusal), isro(refusal)), (None, None));
        }
    }
}
