//! What the integration tests share: certificates, real ZooKeeper servers, the program under test, raw wire clients
//! and programs written against other client libraries.
//!
//! `make setup` fetches what is not Rust into `target/`; a test that lacks it panics and says so.
#![allow(dead_code, reason = "every test program uses a part of this")]
#![allow(clippy::unwrap_used, reason = "a test that can't go on stops there")]
#![allow(unreachable_pub, reason = "a module of test programs has no outside")]

pub mod clients;
pub mod der;
pub mod ensemble;
pub mod gate;
pub mod pki;
pub mod subjects;
pub mod wire;
pub mod zookeeper;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

/// How long a test waits for something that must happen, before it fails.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A file or directory that `make setup` makes, below `target/`.
pub fn set_up(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target").join(name);
    assert!(path.exists(), "{} is not there: run `make setup` first", path.display());
    path
}

/// A loopback address that nothing listens on and that no other test gets, of this process or another, as long as this
/// one runs: servers listen on it long after they were given it, and end and start again.
///
/// Taken from below Linux' range of ephemeral ports, or an outgoing connection could own it before its server does.
pub fn free_address() -> SocketAddr {
    static RESERVED: Mutex<Vec<Socket>> = Mutex::new(Vec::new());
    // Processes that start together have numbers that are close together.
    let start = std::process::id().wrapping_mul(7_919) % 12_000;
    for step in 0..12_000 {
        let port = u16::try_from(20_000 + (start + step) % 12_000).unwrap();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if let Some(socket) = reserve(address) {
            RESERVED.lock().unwrap_or_else(PoisonError::into_inner).push(socket);
            return address;
        }
    }
    panic!("no free port on loopback between 20000 and 32000");
}

/// Binds a socket that never listens. It is bound for itself alone, so it fails beside any other; then it suffers others
/// with SO_REUSEADDR beside it, as servers have (Java's, Rust's).
fn reserve(address: SocketAddr) -> Option<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&address.into()).ok()?;
    socket.set_reuse_address(true).unwrap();
    Some(socket)
}

/// Polls until `probe` gives something; `None` when [`PATIENCE`] has run out.
pub fn wait_for<T>(mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = probe() {
            return Some(value);
        }
        if Instant::now() > deadline {
            return None;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Runs a program to its end and returns its standard output; panics with all that it printed if it fails.
pub fn run(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|e| panic!("{command:?} can't be run: {e}"));
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{stdout}\n{stderr}", output.status);
    stdout
}
