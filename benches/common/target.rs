//! The relays: how each is configured and started.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::net::TcpStream;

use super::process::{Process, pinned};

/// A relay that can be started.
pub(crate) enum Target {
    /// This program's own.
    Bare {
        /// KiB of each of a connection's two buffers.
        buffer: usize,
    },
    Zoogate(PathBuf),
    OtherZoogate(PathBuf),
    HaProxy(PathBuf),
}

/// The relays that there are, and where their files go.
#[derive(clap::Args)]
pub(crate) struct Programs {
    /// Directory with ca.pem, server.pem, server.key, client.pem and client.key; logs go there too.
    #[arg(long)]
    pub(crate) directory: PathBuf,
    /// The zoogate to measure.
    #[arg(long)]
    zoogate: PathBuf,
    /// Another build of zoogate, for a comparison of two.
    #[arg(long)]
    other_zoogate: Option<PathBuf>,
    /// The HAProxy to measure.
    #[arg(long)]
    haproxy: Option<PathBuf>,
    /// Measure these relays alone: `bare`, `zoogate`, `other zoogate` or `HAProxy`.
    #[arg(long, value_delimiter = ',')]
    pub(crate) only: Option<Vec<String>>,
}

impl Programs {
    pub(crate) fn targets(&self) -> Vec<Target> {
        let mut targets = vec![Target::Bare { buffer: 16 }, Target::Zoogate(self.zoogate.clone())];
        targets.extend(self.other_zoogate.clone().map(Target::OtherZoogate));
        targets.extend(self.haproxy.clone().map(Target::HaProxy));
        targets.retain(|target| self.only.as_ref().is_none_or(|only| only.iter().any(|name| name == target.name())));
        targets
    }

    /// What the programs say that they are.
    pub(crate) fn versions(&self) -> Vec<String> {
        let version = |program: &PathBuf, option: &str| {
            let said = Command::new(program).arg(option).output().ok()?;
            let line = String::from_utf8_lossy(&said.stdout).lines().next()?.to_owned();
            Some(line.split(" - ").next()?.trim_end_matches(|letter: char| !letter.is_alphanumeric()).to_owned())
        };
        let zoogate = version(&self.zoogate, "--version");
        zoogate.into_iter().chain(self.haproxy.as_ref().and_then(|haproxy| version(haproxy, "-v"))).collect()
    }
}

/// Where and how a relay runs.
pub(crate) struct Place<'a> {
    pub(crate) directory: &'a Path,
    pub(crate) upstream: SocketAddr,
    /// CPUs that it is pinned to, as `taskset -c` takes them.
    pub(crate) cpus: Option<&'a str>,
    /// Tells two relays of the same kind apart, in the names of their files.
    pub(crate) role: &'a str,
    /// Threads for connections; the relay's own choice if there is no number.
    pub(crate) workers: Option<usize>,
    /// How many connections it may have.
    pub(crate) connections: usize,
    /// More keys for a zoogate.
    pub(crate) keys: &'a str,
}

/// A relay that runs.
pub(crate) struct Relay {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
    /// Everything that it says.
    pub(crate) log: PathBuf,
}

impl Target {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Bare { .. } => "bare",
            Self::Zoogate(_) => "zoogate",
            Self::OtherZoogate(_) => "other zoogate",
            Self::HaProxy(_) => "HAProxy",
        }
    }

    /// Starts it and waits until it accepts.
    pub(crate) async fn start(&self, place: &Place<'_>) -> anyhow::Result<Relay> {
        let address = free_address()?;
        let log = place.directory.join(format!("{}.log", self.file(place)));
        let file = File::create(&log).with_context(|| format!("can't write {}", log.display()))?;
        let mut command = pinned(&self.command(place, address)?, place.cpus);
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let process = Process::start(&mut command)?;
        for _ in 0..100 {
            if TcpStream::connect(address).await.is_ok() {
                return Ok(Relay { process, address, log });
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bail!("{} does not listen on {address}; see its log in {}", self.name(), place.directory.display())
    }

    /// What its files are called.
    fn file(&self, place: &Place<'_>) -> String {
        format!("{}{}", self.name().replace(' ', "-"), place.role)
    }

    fn command(&self, place: &Place<'_>, address: SocketAddr) -> anyhow::Result<Command> {
        let &Place { directory, upstream, .. } = place;
        match self {
            Self::Bare { buffer } => {
                let mut command = Command::new(std::env::current_exe()?);
                command.arg("bare").arg("--directory").arg(directory);
                command.args(["--listen", &address.to_string(), "--upstream", &upstream.to_string()]);
                command.args(["--buffer", &buffer.to_string()]);
                if let Some(workers) = place.workers {
                    command.args(["--workers", &workers.to_string()]);
                }
                Ok(command)
            }
            Self::Zoogate(program) | Self::OtherZoogate(program) => {
                let file = directory.join(format!("{}.yaml", self.file(place)));
                fs::write(&file, zoogate_yaml(place, address))?;
                let mut command = Command::new(program);
                command.args(["run", "--config"]).arg(file);
                Ok(command)
            }
            Self::HaProxy(program) => {
                let file = directory.join(format!("{}.cfg", self.file(place)));
                fs::write(&file, haproxy_cfg(place, address))?;
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

fn zoogate_yaml(place: &Place<'_>, address: SocketAddr) -> String {
    let Place { upstream, connections, keys, .. } = place;
    let workers = place.workers.map_or(String::new(), |workers| format!("runtime: {{ workers: {workers} }}\n"));
    format!(
        "listen: {{ address: '{address}' }}
upstream: {{ address: '{upstream}' }}
tls:
  key_store: {{ path: server.pem, key_path: server.key }}
  trust_store: {{ path: ca.pem }}
identity: {{ secret_file: secret }}
admin: {{ address: none }}
limits: {{ connections: {connections} }}
log: {{ format: json }}
{workers}{keys}"
    )
}

/// TCP mode, as close to what the others do as its settings allow.
fn haproxy_cfg(place: &Place<'_>, address: SocketAddr) -> String {
    let Place { upstream, connections, .. } = place;
    let directory = place.directory.display();
    let threads = place.workers.map_or(String::new(), |workers| format!("  nbthread {workers}\n"));
    format!(
        "global
{threads}  maxconn {connections}
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
