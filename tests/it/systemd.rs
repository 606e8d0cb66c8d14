//! Under a service manager: what it hears, and the sockets that it passes.

use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::net::UnixDatagram;

use crate::support::client::Client;
use crate::support::pki::PKI;
use crate::support::process::{PROGRAM, Process};
use crate::support::setup::Setup;
use crate::support::upstream::Upstream;
use crate::support::wire::op;
use crate::support::{eventually, soon};

/// A service manager's ear.
struct Ear {
    path: PathBuf,
    socket: UnixDatagram,
    _directory: tempfile::TempDir,
}

impl Ear {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        Self { path, socket, _directory: directory }
    }

    /// Has a program speak to it.
    fn attach(&self, mut command: Command) -> Command {
        command.env("NOTIFY_SOCKET", &self.path).stdin(Stdio::null());
        command
    }

    async fn next(&self) -> String {
        let mut message = vec![0; 4096];
        let length = soon("a notification", self.socket.recv(&mut message)).await.unwrap();
        String::from_utf8(message[..length].to_vec()).unwrap()
    }

    /// Skips what comes before a message that satisfies the condition; a message that must not come fails the test.
    async fn until(&self, condition: impl Fn(&str) -> bool) -> String {
        loop {
            let message = self.next().await;
            if condition(&message) {
                return message;
            }
            assert!(message.starts_with("STATUS=") || message == "WATCHDOG=1", "{message}");
        }
    }

    /// Forgets what it has heard and waits until it hears that the program is alive.
    async fn until_alive(&self) {
        while self.socket.try_recv(&mut [0; 4096]).is_ok() {}
        self.until(|message| message == "WATCHDOG=1").await;
    }

    /// How often it hears that the program is alive within some time.
    async fn beats(&self, within: Duration) -> usize {
        let end = tokio::time::Instant::now() + within;
        let (mut beats, mut message) = (0, [0; 4096]);
        while let Ok(length) = tokio::time::timeout_at(end, self.socket.recv(&mut message)).await {
            beats += usize::from(&message[..length.unwrap()] == b"WATCHDOG=1");
        }
        beats
    }
}

fn watched(ear: &Ear, command: Command, patience: Duration) -> Command {
    let mut command = ear.attach(command);
    command.env("WATCHDOG_USEC", patience.as_micros().to_string());
    command
}

/// Microseconds of the clock that systemd compares with.
fn monotonic() -> i64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec * 1_000_000 + now.tv_nsec / 1000
}

#[tokio::test]
async fn the_service_manager_hears_of_start_reload_and_stop() {
    let (ear, upstream) = (Ear::new(), Upstream::start().await);
    let setup = Setup::new(&upstream).set("reload.interval", "off").set("upstream.probe_interval", "300ms");
    let setup = setup.set("upstream.probe_timeout", "300ms");
    let process = Process::by(setup, ear.attach(Command::new(PROGRAM))).await;
    // Status and readiness come from two tasks, and the status is said when it changes: ZooKeeper may have answered before
    // the first time, or behind it.
    let (mut ready, mut serving) = (false, false);
    while !(ready && serving) {
        let message = ear.next().await;
        assert!(message == "READY=1" || message.starts_with("STATUS=serving"), "{message}");
        ready |= message == "READY=1";
        serving |= message == "STATUS=serving";
    }

    let reloads = async |status: &str| {
        let before = monotonic();
        process.signal("HUP");
        let reloading = ear.until(|message| message.starts_with("RELOADING=1\n")).await;
        let told: i64 = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap().parse().unwrap();
        assert!((before..monotonic()).contains(&told), "{before} {told}");
        // Status and readiness come from two tasks.
        let (mut ready, mut said) = (false, false);
        while !(ready && said) {
            let message = ear.next().await;
            ready |= message == "READY=1";
            said |= message.starts_with(status);
        }
    };
    process.write("server.pem", "nothing");
    reloads("STATUS=serving; reload failing: tls.key_store: ").await;
    process.write("server.pem", &PKI.renewed_server());
    reloads("STATUS=serving").await;

    process.signal("TERM");
    ear.until(|message| message.starts_with("STOPPING=1\nSTATUS=stopping")).await;
    process.finish(&["can't be used"]).await;
}

#[tokio::test]
async fn it_is_ready_without_zookeeper_and_says_what_is_wrong() {
    let (ear, mut upstream) = (Ear::new(), Upstream::start().await);
    let setup = Setup::new(&upstream).set("upstream.probe_interval", "200ms").set("upstream.probe_timeout", "200ms");
    upstream.close().await;
    let process = Process::by(setup, ear.attach(Command::new(PROGRAM))).await;
    let (mut ready, mut status) = (false, String::new());
    while !ready || !status.contains("unreachable") {
        let message = ear.next().await;
        match message == "READY=1" {
            true => ready = true,
            false => status = message,
        }
    }
    assert!(status.starts_with("STATUS=serving; ZooKeeper unreachable: ") && status.contains("refused"), "{status}");
    process.finish(&[]).await;
}

#[tokio::test]
async fn what_a_status_says_is_the_sum_of_what_is_wrong() {
    let (ear, mut upstream) = (Ear::new(), Upstream::start().await);
    let setup = Setup::new(&upstream).set("upstream.probe_interval", "200ms").set("upstream.probe_timeout", "200ms");
    upstream.close().await;
    std::fs::write(setup.directory.path().join("ca.crl"), PKI.crl(1, false)).unwrap();
    let process = Process::by(setup.set("tls.crls", "ca.crl"), ear.attach(Command::new(PROGRAM))).await;
    process.write("ca.crl", "nothing");
    let listen = "listen: { address: '127.0.0.1:0', backlog: 7 }";
    process.signal("HUP");
    let wrong = |message: &str| message.contains("reload failing: tls.crls") && message.contains("; ZooKeeper unreach");
    ear.until(|message| wrong(message) || message == "READY=1").await;
    loop {
        let message = ear.next().await;
        if wrong(&message) {
            break;
        }
    }
    process.write("ca.crl", &PKI.crl(2, false));
    let text = process.configuration();
    let other = text.replacen("listen:\n  address: 127.0.0.1:0\n", &format!("{listen}\n"), 1);
    assert_ne!(text, other);
    process.write("zoogate.yaml", &other);
    process.signal("HUP");
    loop {
        let message = ear.next().await;
        if message.contains("serving; restart to apply what has changed in listen; ZooKeeper unreachable") {
            break;
        }
    }
    process.finish(&["can't be used", "only a restart reads"]).await;
}

#[tokio::test]
async fn the_watchdog_is_fed_while_nobody_comes_and_while_no_place_is_free() {
    let (ear, upstream) = (Ear::new(), Upstream::start().await);
    let setup = Setup::new(&upstream).set("limits.connections", "1");
    let patience = Duration::from_millis(600);
    let process = Process::by(setup, watched(&ear, Command::new(PROGRAM), patience)).await;
    let idle = ear.beats(Duration::from_secs(2)).await;
    assert!((3..=12).contains(&idle), "{idle} times");
    let client = Client::open(process.address).await;
    let _waiting = TcpStream::connect(process.address).unwrap();
    let full = ear.beats(Duration::from_secs(2)).await;
    assert!((3..=12).contains(&full), "{full} times");
    client.hang_up().await;
    process.finish(&[]).await;
}

/// A client that asks without a pause, and counts the answers.
async fn busy(address: SocketAddr, answers: Arc<AtomicUsize>) {
    let mut client = Client::open(address).await;
    for xid in 1.. {
        client.ask(xid, op::GET_DATA, b"/a").await;
        answers.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn the_watchdog_hears_nothing_while_the_task_that_accepts_is_stuck_and_the_others_go_on() {
    let (ear, upstream) = (Ear::new(), Upstream::start().await);
    // The kernel takes a second over each accept4. -D: the program keeps the process id that its parent knows.
    let mut strace = Command::new("strace");
    strace.args(["-D", "-f", "--seccomp-bpf", "-qq", "-o", "/dev/null", "-e", "trace=accept4"]);
    strace.args(["-e", "inject=accept4:delay_enter=1s", PROGRAM]);
    let process = Process::by(Setup::new(&upstream), watched(&ear, strace, Duration::from_millis(300))).await;
    assert!(ear.beats(Duration::from_secs(1)).await > 3);
    let answers = Arc::<AtomicUsize>::default();
    let clients = [(); 2].map(|()| tokio::spawn(busy(process.address, Arc::clone(&answers))));
    eventually("the clients", async || answers.load(Ordering::Relaxed) > 100).await;
    let mut calls = Vec::new();
    // Where the thread that is stuck was the only one awake, everything is stuck: not what is wanted here.
    let others_went_on = soon("a round in which the others went on", async {
        loop {
            ear.until_alive().await;
            calls.push(TcpStream::connect(process.address).unwrap());
            // A beat may be on its way.
            ear.beats(Duration::from_millis(150)).await;
            let before = answers.load(Ordering::Relaxed);
            assert_eq!(ear.beats(Duration::from_millis(600)).await, 0);
            let answered = answers.load(Ordering::Relaxed) - before;
            if answered > 20 {
                return answered;
            }
        }
    });
    others_went_on.await;
    // Once it moves, it is heard again.
    ear.until_alive().await;
    drop(calls);
    clients.into_iter().for_each(|client| client.abort());
    process.finish(&[]).await;
}

/// Addresses where nobody listens.
fn free<const N: usize>() -> [SocketAddr; N] {
    let listeners: [TcpListener; N] = std::array::from_fn(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap())
}

/// The program as systemd starts it for its sockets; it waits for the first connection.
fn activated(addresses: &[SocketAddr], names: &str) -> Command {
    let mut command = Command::new("systemd-socket-activate");
    for address in addresses {
        command.arg("-l").arg(address.to_string());
    }
    command.arg(format!("--fdname={names}")).arg(PROGRAM).stdin(Stdio::null());
    // Its own words would stand among the program's.
    command.env("SYSTEMD_LOG_LEVEL", "err");
    command
}

#[tokio::test]
async fn sockets_are_taken_by_their_names() {
    let upstream = Upstream::start().await;
    let addresses: [_; 3] = free();
    let setup = Setup::new(&upstream).set("listen.address", "fd:tls").set("admin.address", "fd:admin");
    // The order is not what counts.
    let command = activated(&addresses, "tls:admin:tls");
    let trigger = std::thread::spawn(move || {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(20) && TcpStream::connect(addresses[1]).is_err() {
            std::thread::sleep(Duration::from_millis(10));
        }
    });
    let process = Process::by(setup, command).await;
    trigger.join().unwrap();
    assert_eq!(process.admin.0, addresses[1]);
    for address in [addresses[0], addresses[2]] {
        let mut client = Client::open(address).await;
        client.ask(1, op::GET_DATA, b"/a").await;
        client.hang_up().await;
    }
    assert_eq!(process.admin.get("/livez").await.0, 200);
    eventually("the ends", async || process.admin.reasons().await.len() == 2).await;
    process.finish(&[]).await;
}

/// The program with sockets behind its standard input, output and error, under these names.
fn passed(names: &str) -> Command {
    let mut command = Command::new("sh");
    let script = "exec 3<&0 0</dev/null; export LISTEN_FDS=1 LISTEN_PID=$$; exec \"$0\" \"$@\"";
    command.args(["-c", script, PROGRAM]).env("LISTEN_FDNAMES", names);
    command
}

/// What is said to sockets that are not those of the configuration.
async fn complaint(listen: &str, socket: impl Into<OwnedFd>, names: &str) -> String {
    let upstream = Upstream::start().await;
    let setup = Setup::new(&upstream).set("listen.address", listen);
    let path = setup.directory.path().join("zoogate.yaml");
    std::fs::write(&path, setup.text()).unwrap();
    let mut command = passed(names);
    command.args(["run", "--config"]).arg(path).stdin(Stdio::from(socket.into()));
    let output = soon("an end", tokio::task::spawn_blocking(move || command.output().unwrap())).await.unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(78), "{said}");
    said
}

#[tokio::test]
async fn sockets_that_are_not_those_of_the_configuration_stop_the_start() {
    let tcp = || TcpListener::bind("127.0.0.1:0").unwrap();
    let missing = complaint("fd:tls", tcp(), "client").await;
    assert!(missing.contains("listen.address: no socket named `tls` was passed, only `client`"), "{missing}");
    assert!(missing.contains("FileDescriptorName=tls"), "{missing}");
    let unused = complaint("127.0.0.1:0", tcp(), "tls").await;
    assert!(unused.contains("`tls` was passed, and no key") && unused.contains("`listen.address: fd:tls`"), "{unused}");
    let names = complaint("fd:tls", tcp(), "tls:admin").await;
    assert!(names.contains("1 sockets were passed with 2 names"), "{names}");
    let directory = tempfile::tempdir().unwrap();
    let unix = complaint("fd:tls", UnixListener::bind(directory.path().join("s")).unwrap(), "tls").await;
    assert!(unix.contains("`tls` is not a listening TCP socket"), "{unix}");
    let listener = tcp();
    let connection = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let accepted = complaint("fd:tls", connection, "tls").await;
    assert!(accepted.contains("it is a connection") && accepted.contains("Accept=yes"), "{accepted}");
}

#[tokio::test]
async fn a_name_that_nobody_passes_stops_the_start() {
    let upstream = Upstream::start().await;
    let setup = Setup::new(&upstream).set("admin.address", "fd:admin");
    let path = setup.directory.path().join("zoogate.yaml");
    std::fs::write(&path, setup.text()).unwrap();
    let output = Command::new(PROGRAM).args(["run", "--config"]).arg(path).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(78), "{said}");
    assert!(said.contains("admin.address: no socket named `admin` was passed, nor any other"), "{said}");
}

/// Connects all the time, each connection held until the other side ends it, and counts refusals.
struct Callers {
    stop: Arc<AtomicBool>,
    calls: Arc<AtomicUsize>,
    calling: std::thread::JoinHandle<Vec<std::io::Error>>,
}

impl Callers {
    fn start(address: SocketAddr) -> Self {
        let (stop, calls) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let (stopped, counted) = (Arc::clone(&stop), Arc::clone(&calls));
        let calling = std::thread::spawn(move || {
            let mut refused = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                refused.extend(TcpStream::connect(address).err());
                counted.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(2));
            }
            refused
        });
        Self { stop, calls, calling }
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }

    fn stop(self) -> Vec<std::io::Error> {
        self.stop.store(true, Ordering::Relaxed);
        self.calling.join().unwrap()
    }
}

#[tokio::test]
async fn a_restart_on_a_socket_that_is_held_refuses_nobody() {
    let upstream = Upstream::start().await;
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let start = async || {
        let setup = Setup::new(&upstream).set("listen.address", "fd:tls").set("shutdown.grace", "0s");
        let mut command = passed("tls");
        command.stdin(Stdio::from(OwnedFd::from(socket.try_clone().unwrap())));
        Process::by(setup, command).await
    };
    let mut process = start().await;
    let callers = Callers::start(address);
    for _ in 0..3 {
        Client::open(address).await.hang_up().await;
        process.finish(&[]).await;
        // Between the two: whoever comes now waits.
        let before = callers.calls();
        let waiting = tokio::spawn(Client::open(address));
        eventually("callers in between", async || callers.calls() > before + 10).await;
        assert!(!waiting.is_finished());
        process = start().await;
        soon("the one that waited", waiting).await.unwrap().hang_up().await;
    }
    assert!(callers.calls() > 30);
    let refused = callers.stop();
    assert!(refused.is_empty(), "{refused:?}");
    // The test can see a refusal.
    process.finish(&[]).await;
    drop(socket);
    assert!(TcpStream::connect(address).is_err());
}

#[tokio::test]
async fn a_socket_that_blocks_is_taken_all_the_same() {
    let upstream = Upstream::start().await;
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let setup = Setup::new(&upstream).set("listen.address", "127.0.0.1:0").set("admin.address", "fd:admin");
    let mut command = passed("admin");
    command.stdin(Stdio::from(OwnedFd::from(socket.try_clone().unwrap())));
    let process = Process::by(setup, command).await;
    // Somebody who says nothing holds nobody up.
    let mut silent = TcpStream::connect(process.admin.0).unwrap();
    assert_eq!(process.admin.get("/livez").await.0, 200);
    process.finish(&[]).await;
    silent.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    assert_eq!(silent.read(&mut [0; 1]).unwrap_or(0), 0);
}
