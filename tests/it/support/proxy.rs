//! zoogate in this process.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use zoogate::app::{App, ServeError};
use zoogate::config::Config;
use zoogate::systemd::ServiceManager;

use super::metrics::Admin;
use super::setup::Setup;
use super::upstream::Upstream;
use super::{eventually, soon};

/// A running zoogate. Ask for [`Proxy::finish`] at the end: it checks what every test expects.
pub(crate) struct Proxy {
    /// Where clients connect.
    pub(crate) address: SocketAddr,
    /// All addresses where clients connect.
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) admin: Admin,
    upstream: SocketAddr,
    stops: mpsc::Sender<&'static str>,
    running: JoinHandle<Result<(), ServeError>>,
    log: Log,
    files: TempDir,
}

impl Proxy {
    /// Everything by default.
    pub(crate) async fn start(upstream: &Upstream) -> Self {
        Self::with(Setup::new(upstream)).await
    }

    /// Starts with a configuration.
    pub(crate) async fn with(setup: Setup) -> Self {
        let log = Log::capture();
        let config = Config::parse(&setup.text(), setup.directory.path(), "test.yaml").expect("a good configuration");
        let upstream = config.upstream.address.to_string().parse().unwrap();
        let app = App::build(config, ServiceManager::default()).expect("a start");
        let bound = app.bound().unwrap();
        let (stops, wishes) = mpsc::channel(2);
        let running = tokio::spawn(app.run(wishes));
        Self {
            address: bound.listeners[0],
            addresses: bound.listeners,
            admin: Admin(bound.admin.unwrap()),
            upstream,
            stops,
            running,
            log,
            files: setup.directory,
        }
    }

    /// A file that it was started with.
    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.files.path().join(name)
    }

    /// Replaces a file that it was started with.
    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.files.path().join(name), text).unwrap();
    }

    /// Waits until it is ready to serve.
    pub(crate) async fn ready(&self) {
        eventually("readiness", async || self.admin.get("/readyz").await.0 == 200).await;
    }

    /// Wishes it to stop, as a signal does.
    pub(crate) async fn stop(&self) {
        self.stops.send("test").await.unwrap();
    }

    /// Waits until it has stopped by itself.
    pub(crate) async fn stopped(&mut self) {
        soon("the end of App::run", &mut self.running).await.unwrap().unwrap();
    }

    /// Whether it has stopped by itself.
    pub(crate) fn has_stopped(&self) -> bool {
        self.running.is_finished()
    }

    /// The log's events of a level, which [`Proxy::finish`] then takes for expected.
    pub(crate) fn take_log(&self, level: &str) -> Vec<Value> {
        self.log.take(level)
    }

    /// The access records so far, in the order of the connections' ends.
    pub(crate) fn records(&self) -> Vec<Value> {
        self.log.events().into_iter().filter(|event| event["target"] == zoogate::proxy::ACCESS).collect()
    }

    /// Waits until every connection has ended, for exactly these reasons in any order, each with one access
    /// record and none with a socket left; then stops. No warning may be in the log that wasn't taken.
    pub(crate) async fn finish(mut self, reasons: &[&str]) {
        let mut expected: Vec<_> = reasons.iter().map(|reason| (*reason).to_owned()).collect();
        expected.sort();
        assert_eq!(self.admin.reasons().await, expected);
        eventually("the close of every socket", async || self.sockets() == 0).await;
        self.stop().await;
        self.stopped().await;
        self.check_log(&expected);
    }

    /// Checks the log of a zoogate that has stopped: one access record for each connection, no warnings.
    pub(crate) fn check_log(&self, reasons: &[String]) {
        let mut recorded: Vec<_> = self.records().iter().map(|record| word(&record["reason"])).collect();
        recorded.sort();
        assert_eq!(recorded, reasons, "access records");
        let warnings = [self.take_log("WARN"), self.take_log("ERROR")].concat();
        assert!(warnings.is_empty(), "{warnings:#?}");
    }

    /// Open sockets of connections, to clients and to ZooKeeper. One that only the kernel still has, such as in
    /// TIME_WAIT, has no inode.
    fn sockets(&self) -> usize {
        const LISTEN: &str = "0A";
        let ports: BTreeSet<_> = self.addresses.iter().map(SocketAddr::port).collect();
        let port = |address: &str| u16::from_str_radix(address.rsplit(':').next().unwrap(), 16).unwrap();
        let table = std::fs::read_to_string("/proc/self/net/tcp").unwrap();
        let rows = table.lines().skip(1).map(|row| row.split_ascii_whitespace().collect::<Vec<_>>());
        rows.filter(|row| row[3] != LISTEN && row[9] != "0")
            .filter(|row| ports.contains(&port(row[1])) || port(row[2]) == self.upstream.port())
            .count()
    }
}

fn word(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// The events of this thread, which runs the whole test, as zoogate logs them in JSON.
struct Log {
    buffer: Buffer,
    _guard: tracing::subscriber::DefaultGuard,
}

impl Log {
    fn capture() -> Self {
        let buffer = Buffer::default();
        let writer = buffer.clone();
        let subscriber = tracing_subscriber::fmt::Subscriber::builder()
            .json()
            .flatten_event(true)
            .with_max_level(tracing::Level::DEBUG)
            .with_writer(move || writer.clone())
            .finish();
        Self { buffer, _guard: tracing::subscriber::set_default(subscriber) }
    }

    fn events(&self) -> Vec<Value> {
        let bytes = self.buffer.0.lock().unwrap();
        let lines = std::str::from_utf8(&bytes).unwrap().lines();
        let events = lines.map(|line| serde_json::from_str(line).unwrap());
        events.filter(|event: &Value| word(&event["target"]).starts_with("zoogate")).collect()
    }

    fn take(&self, level: &str) -> Vec<Value> {
        let (taken, left): (Vec<_>, Vec<_>) = self.events().into_iter().partition(|event| event["level"] == level);
        *self.buffer.0.lock().unwrap() = left.iter().flat_map(|event| format!("{event}\n").into_bytes()).collect();
        taken
    }
}

#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl io::Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
