//! The relays: how each is configured and started. All use one thread for connections.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::net::TcpStream;

use crate::process::Process;

/// A relay that can be started.
pub(super) enum Target {
    /// This program's own.
    Bare {
        /// KiB of each of a connection's two buffers.
        buffer: usize,
    },
    Zoogate(PathBuf),
    OtherZoogate(PathBuf),
    HaProxy(PathBuf),
}

/// Where and how relays run.
pub(super) struct Place<'a> {
    pub(super) directory: &'a Path,
    pub(super) upstream: SocketAddr,
    pub(super) cpu: Option<usize>,
}

/// A relay that runs.
pub(super) struct Relay {
    pub(super) process: Process,
    pub(super) address: SocketAddr,
}

impl Target {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Bare { .. } => "bare",
            Self::Zoogate(_) => "zoogate",
            Self::OtherZoogate(_) => "other zoogate",
            Self::HaProxy(_) => "HAProxy",
        }
    }

    /// Starts it and waits until it accepts.
    pub(super) async fn start(&self, place: &Place<'_>) -> anyhow::Result<Relay> {
        let address = free_address()?;
        let log = place.directory.join(format!("{}.log", self.name().replace(' ', "-")));
        let log = File::create(&log).with_context(|| format!("can't write {}", log.display()))?;
        let mut command = pinned(&self.command(place, address)?, place.cpu);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let process = Process::start(&mut command)?;
        for _ in 0..100 {
            if TcpStream::connect(address).await.is_ok() {
                return Ok(Relay { process, address });
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bail!("{} does not listen on {address}; see its log in {}", self.name(), place.directory.display())
    }

    fn command(&self, place: &Place<'_>, address: SocketAddr) -> anyhow::Result<Command> {
        let &Place { directory, upstream, .. } = place;
        match self {
            Self::Bare { buffer } => {
                let mut command = Command::new(std::env::current_exe()?);
                command.arg("bare").arg("--directory").arg(directory);
                command.args(["--listen", &address.to_string(), "--upstream", &upstream.to_string()]);
                command.args(["--buffer", &buffer.to_string()]);
                Ok(command)
            }
            Self::Zoogate(program) | Self::OtherZoogate(program) => {
                let file = directory.join("zoogate.yaml");
                fs::write(&file, zoogate_yaml(address, upstream))?;
                let mut command = Command::new(program);
                command.args(["run", "--config"]).arg(file);
                Ok(command)
            }
            Self::HaProxy(program) => {
                let file = directory.join("haproxy.cfg");
                fs::write(&file, haproxy_cfg(directory, address, upstream))?;
                let mut command = Command::new(program);
                // In the foreground, so that the process is the one that was started.
                command.arg("-db").arg("-f").arg(file);
                Ok(command)
            }
        }
    }
}

/// A port that was free a moment ago.
fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

fn pinned(command: &Command, cpu: Option<usize>) -> Command {
    let mut pinned = match cpu {
        Some(cpu) => {
            let mut taskset = Command::new("taskset");
            taskset.args(["-c", &cpu.to_string()]).arg(command.get_program());
            taskset
        }
        None => Command::new(command.get_program()),
    };
    pinned.args(command.get_args());
    pinned
}

fn zoogate_yaml(address: SocketAddr, upstream: SocketAddr) -> String {
    format!(
        "listen: {{ address: '{address}' }}
upstream: {{ address: '{upstream}' }}
tls:
  key_store: {{ path: server.pem, key_path: server.key }}
  trust_store: {{ path: ca.pem }}
identity: {{ secret_file: secret }}
admin: {{ address: none }}
limits: {{ connections: 6000 }}
log: {{ format: json }}
runtime: {{ workers: 1 }}
"
    )
}

/// TCP mode, as close to what the others do as its settings allow.
fn haproxy_cfg(directory: &Path, address: SocketAddr, upstream: SocketAddr) -> String {
    let directory = directory.display();
    format!(
        "global
  nbthread 1
  maxconn 6000
  tune.ssl.cachesize 0
  ssl-default-bind-options no-tls-tickets ssl-min-ver TLSv1.2
  ssl-default-bind-ciphersuites TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384
defaults
  mode tcp
  timeout connect 5s
  timeout client 1h
  timeout server 1h
frontend clients
  bind {address} ssl crt {directory}/server-and-key.pem ca-file {directory}/ca.pem verify required
  default_backend zookeeper
backend zookeeper
  server one {upstream}
"
    )
}
