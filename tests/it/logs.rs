//! Nobody reads the logs, for a while or any more: the program goes on.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::mpsc;

use crate::support::client::Client;
use crate::support::metrics::Admin;
use crate::support::pki::PKI;
use crate::support::process::Process;
use crate::support::setup::Setup;
use crate::support::upstream::Upstream;
use crate::support::wire::op;
use crate::support::{eventually, soon};

#[tokio::test]
async fn a_closed_log_is_survived() {
    let upstream = Upstream::start().await;
    let setup = Setup::new(&upstream).set("log.format", "json").set("upstream.probe_interval", "100ms");
    let setup = setup.set("upstream.probe_timeout", "100ms");
    let (mut child, address, admin) = start_and_deafen(&setup);
    let mut client = Client::open(address).await;
    client.ask(1, op::GET_DATA, b"/a").await;
    client.hang_up().await;
    assert_eq!(admin.reasons().await, ["client_closed"]);
    // Events that are not a connection's: each would be logged, too.
    drop(upstream);
    admin.becomes("zoogate_upstream_up", 0.0).await;
    assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    let ended = tokio::task::spawn_blocking(move || child.wait().unwrap());
    assert!(soon("the end of the process", ended).await.unwrap().success());
}

#[tokio::test]
async fn a_stalled_log_stops_nobody_and_its_losses_are_told() {
    let upstream = Upstream::start().await;
    let setup = Setup::new(&upstream).set("log.format", "json").set("log.level", "debug");
    let mut deaf = Deaf::start(&setup);
    let mut early = Client::open(deaf.address).await;
    // Far more than a pipe and the queue can hold, by means of a name that fills the access record.
    let admin = deaf.admin;
    let dropped = async || admin.metrics().await.of("zoogate_log_lines_dropped_total");
    let talkative = PKI.named(&"x".repeat(4_000));
    let mut connections = 1;
    while connections < 2000 || dropped().await == 0.0 {
        assert!(connections < 10_000, "nothing is lost?");
        for _ in 0..50 {
            drop(TcpStream::connect(deaf.address).await.unwrap());
        }
        for _ in 0..20 {
            drop(Client::connect(deaf.address, &talkative).await);
        }
        connections += 70;
    }
    early.ask(1, op::GET_DATA, b"/a").await;
    early.hang_up().await;
    assert_eq!(deaf.admin.reasons().await.len(), connections);
    let mut reader = deaf.read();
    let told = soon("a word of the loss", reader.recv()).await.unwrap();
    assert_eq!(told["level"], "WARN");
    // Without connections little is logged, so that nothing more is lost.
    let total = dropped().await;
    deaf.terminate();
    let mut lines = told["lines"].as_f64().unwrap();
    while let Some(told) = soon("the end of the log", reader.recv()).await {
        lines += told["lines"].as_f64().unwrap_or_default();
        if told["message"] == "stopped" {
            assert_eq!(lines, total);
            assert!(deaf.end().await.success());
            return;
        }
    }
    panic!("the log ends before the program");
}

#[tokio::test]
async fn a_stalled_log_does_not_keep_the_program_from_ending() {
    let upstream = Upstream::start().await;
    let setup = Setup::new(&upstream).set("log.format", "json").set("log.level", "debug");
    let deaf = Deaf::start(&setup);
    // More than a pipe holds.
    for _ in 0..100 {
        Client::open(deaf.address).await.hang_up().await;
    }
    assert_eq!(deaf.admin.reasons().await.len(), 100);
    let start = Instant::now();
    deaf.terminate();
    assert!(deaf.end().await.success());
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_start_that_fails_leaves_a_whole_log() {
    let upstream = Upstream::start().await;
    let taken = upstream.address.to_string();
    let setup = Setup::new(&upstream).set("log.format", "json").set("limits.connections", "1000000");
    let setup = setup.set("upstream.address", "127.0.0.1:1").set("listen.address", &taken);
    let output = command(&setup).output().unwrap();
    assert_eq!(output.status.code(), Some(70));
    let (log, told) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(told.contains("listen.address: can't listen on"), "{told}");
    assert!(log.contains("too few open files"), "{log}");
    assert!(log.ends_with('\n'), "{log}");
}

/// Speaks plaintext from an address of loopback, and waits for the end.
async fn refused(address: SocketAddr, from: &str) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(from.parse().unwrap(), 0)).unwrap();
    let mut stream = socket.connect(address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let _ = stream.read_to_end(&mut Vec::new()).await;
}

#[tokio::test]
async fn refused_connections_have_few_records_and_a_count_and_admitted_ones_have_all() {
    const REFUSED: usize = 200;
    let upstream = Upstream::start().await;
    let process = Process::start(Setup::new(&upstream).set("log.level", "info"), None).await;
    for _ in 0..REFUSED {
        refused(process.address, "127.0.0.1").await;
    }
    refused(process.address, "127.0.0.2").await;
    // From the same address as the flood.
    for _ in 0..20 {
        Client::open(process.address).await.hang_up().await;
    }
    assert_eq!(process.admin.reasons().await.len(), REFUSED + 21);
    process.signal("TERM");
    eventually("the end", async || process.said("\"stopped\"") == 1).await;
    let log = process.log();
    let records = |reason: &str, peer: &str| {
        let is_one = |event: &&Value| event["message"] == "connection closed" && event["reason"] == reason;
        log.iter().filter(is_one).filter(|event| event["peer"].as_str().unwrap().starts_with(peer)).count()
    };
    assert_eq!(records("client_closed", "127.0.0.1:"), 20);
    assert_eq!(records("plaintext", "127.0.0.2:"), 1, "nobody uses up what another has");
    // More than one if the flood takes minutes.
    let recorded = records("plaintext", "127.0.0.1:");
    assert!((1..20).contains(&recorded), "{recorded}");
    let left_out: u64 = log.iter().filter_map(|event| event["left_out"].as_u64()).sum();
    assert_eq!(recorded as u64 + left_out, REFUSED as u64, "nothing is lost");
    let summary = log.iter().find(|event| event["message"] == "refused connections without a record of their own");
    let summary = summary.unwrap();
    assert_eq!((&summary["reason"], &summary["source"]), (&"plaintext".into(), &"127.0.0.1".into()));
    process.finish(&[]).await;
}

/// A program whose log nobody reads after the line that says where it listens.
struct Deaf {
    child: Child,
    address: SocketAddr,
    admin: Admin,
    log: Option<BufReader<ChildStdout>>,
}

impl Deaf {
    fn start(setup: &Setup) -> Self {
        let mut child = command(setup).spawn().unwrap();
        let mut log = BufReader::new(child.stdout.take().unwrap());
        let (address, admin) = addresses(&mut log);
        Self { child, address, admin, log: Some(log) }
    }

    /// Begins to read: what is told of losses, and the last word.
    fn read(&mut self) -> mpsc::UnboundedReceiver<Value> {
        let log = self.log.take().unwrap();
        let (events, received) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            for line in log.lines() {
                let event: Value = serde_json::from_str(&line.unwrap()).unwrap();
                let told = event["message"].as_str().is_some_and(|message| message.contains("are lost here"));
                if told || event["message"] == "stopped" {
                    let _ = events.send(event);
                }
            }
        });
        received
    }

    fn terminate(&self) {
        assert!(Command::new("kill").arg(self.child.id().to_string()).status().unwrap().success());
    }

    async fn end(mut self) -> ExitStatus {
        // Its log stays open, and unread, until it has ended.
        let ended = tokio::task::spawn_blocking(move || {
            let status = self.child.wait().unwrap();
            drop(self.log.take());
            status
        });
        soon("the end of the process", ended).await.unwrap()
    }
}

fn command(setup: &Setup) -> Command {
    let path = setup.directory.path().join("zoogate.yaml");
    std::fs::write(&path, setup.text()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_zoogate"));
    command.args(["run", "--config"]).arg(path).env_remove("RUST_LOG").stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Starts the program, and closes the pipes of its output once it serves.
fn start_and_deafen(setup: &Setup) -> (Child, SocketAddr, Admin) {
    let mut child = command(setup).spawn().unwrap();
    drop(child.stderr.take());
    let (address, admin) = addresses(&mut BufReader::new(child.stdout.take().unwrap()));
    (child, address, admin)
}

/// Where clients connect and the admin port is, as the log says.
fn addresses(log: &mut impl BufRead) -> (SocketAddr, Admin) {
    let mut events = log.lines().map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    let serving = events.find(|event| event["message"] == "serving").unwrap();
    let address = |field: &str| {
        let text = serving[field].as_str().unwrap().trim_start_matches(|c: char| !c.is_ascii_digit());
        text.trim_end_matches(|c: char| !c.is_ascii_digit()).parse().unwrap()
    };
    (address("listeners"), Admin(address("admin")))
}
