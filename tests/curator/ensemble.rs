//! Real ensembles that know their members' client addresses, and may have them changed.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};

use super::support::zookeeper::four_letter_word;
use super::support::{free_address, set_up, wait_for};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha1::{Digest as _, Sha1};
use tempfile::TempDir;

/// The digest credential that is the superuser, and may reconfigure.
pub(crate) const SUPER: &str = "super:super-password";

/// One server's place in the configuration.
#[derive(Clone, Debug)]
pub(crate) struct Seat {
    /// What stands before the semicolon: addresses and role.
    pub(crate) quorum: String,
    /// Where it serves clients, in plaintext.
    pub(crate) client: SocketAddr,
}

impl Seat {
    /// A seat with free ports. `quorum` and `client` are IP addresses, v6 ones in brackets.
    pub(crate) fn new(quorum: &str, client: &str) -> Self {
        Self { quorum: format!("{}:participant", ports(quorum)), client: at(client) }
    }

    /// The line as servers print it.
    pub(crate) fn line(&self, number: usize) -> String {
        format!("server.{number}={};{}", self.quorum, self.client)
    }
}

/// A quorum address with its two ports.
pub(crate) fn ports(host: &str) -> String {
    format!("{host}:{}:{}", free_address().port(), free_address().port())
}

/// A free port at this IP address.
pub(crate) fn at(host: &str) -> SocketAddr {
    format!("{host}:{}", free_address().port()).parse().unwrap()
}

/// A port that is free on all of these.
pub(crate) fn shared_port(hosts: &[IpAddr]) -> u16 {
    let free = |port| hosts.iter().all(|host| TcpListener::bind((*host, port)).is_ok());
    (0..100).map(|_| free_address().port()).find(|port| free(*port)).expect("a port that is free on each address")
}

/// How an ensemble is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Configuration {
    /// In a file of its own, with client addresses.
    Dynamic,
    /// In zoo.cfg, without them.
    Static,
}

/// One server; killed when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) seat: Seat,
    child: Child,
    dir: TempDir,
}

/// Starts an ensemble and waits until every server serves.
pub(crate) fn start(version: &str, seats: &[Seat], configuration: Configuration) -> Vec<Server> {
    let numbers = 1..=seats.len();
    let mut servers: Vec<Server> = numbers.map(|number| Server::spawn(version, number, seats, configuration)).collect();
    servers.iter_mut().for_each(Server::wait_until_serving);
    servers
}

impl Server {
    fn spawn(version: &str, number: usize, seats: &[Seat], configuration: Configuration) -> Self {
        let dir = TempDir::with_prefix("zoogate-ensemble-").unwrap();
        let seat = seats[number - 1].clone();
        let data = dir.path().join("data");
        fs::create_dir(&data).unwrap();
        fs::write(data.join("myid"), number.to_string()).unwrap();
        let zoo_cfg = dir.path().join("zoo.cfg");
        fs::write(&zoo_cfg, zoo_cfg_text(&dir, &seat, seats, configuration)).unwrap();
        let class_path = fs::read_to_string(set_up(&format!("zookeeper/{version}/cp.txt"))).unwrap();
        let digest = BASE64_STANDARD.encode(Sha1::digest(SUPER));
        let log = File::create(dir.path().join("log")).unwrap();
        let child = Command::new("java")
            .args(["-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
            .arg(format!("-Dzookeeper.DigestAuthenticationProvider.superDigest=super:{digest}"))
            .arg(format!("-Dzookeeper.multiAddress.enabled={}", seat.quorum.contains('|')))
            .args(["-cp", class_path.trim(), "org.apache.zookeeper.server.quorum.QuorumPeerMain"])
            .arg(&zoo_cfg)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("java starts; `make setup` installs it");
        Self { seat, child, dir }
    }

    fn wait_until_serving(&mut self) {
        let serving = wait_for(|| {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "ZooKeeper ended at once ({ended:?}): {}", self.log());
            four_letter_word(self.seat.client, "srvr").filter(|answer| answer.contains("Mode: "))
        });
        assert!(serving.is_some(), "ZooKeeper does not serve: {}", self.log());
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// Kills the server, as a crash would.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn zoo_cfg_text(dir: &TempDir, seat: &Seat, seats: &[Seat], configuration: Configuration) -> String {
    let mut text = format!(
        "tickTime=500\ninitLimit=20\nsyncLimit=10\ndataDir={}\nadmin.enableServer=false\nstandaloneEnabled=false\n\
         4lw.commands.whitelist=srvr\n",
        dir.path().join("data").display()
    );
    match configuration {
        Configuration::Dynamic => {
            let file = dir.path().join("dynamic.cfg");
            let lines: String = (1..).zip(seats).map(|(number, seat)| seat.line(number) + "\n").collect();
            fs::write(&file, lines).unwrap();
            let _ = writeln!(text, "reconfigEnabled=true\ndynamicConfigFile={}", file.display());
        }
        Configuration::Static => {
            let (ip, port) = (seat.client.ip(), seat.client.port());
            let _ = writeln!(text, "clientPort={port}\nclientPortAddress={ip}");
            for (number, seat) in (1..).zip(seats) {
                let _ = writeln!(text, "server.{number}={}", seat.quorum);
            }
        }
    }
    text
}
