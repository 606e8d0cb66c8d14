//! ZooKeeper's own process on this host, by Linux' tables.

use std::collections::HashSet;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::cli::check::sockets::{self, Listener};

/// The class that ZooKeeper's scripts start, and the one of a server alone.
const MAIN: [&str; 2] = ["QuorumPeerMain", "ZooKeeperServerMain"];

/// What has the upstream's port on this host.
#[derive(Debug)]
pub(in super::super) enum Owner {
    ZooKeeper(Process),
    /// Another program; such as Docker's, which carries connections to a namespace of its own.
    Other(String),
    /// No process that may be looked at has it.
    Hidden,
}

/// ZooKeeper as it runs.
#[derive(Debug)]
pub(in super::super) struct Process {
    pub(in super::super) listening: Vec<SocketAddr>,
    /// The arguments of Java, one a line.
    pub(in super::super) flags: String,
    /// Where it sees its files.
    pub(in super::super) root: PathBuf,
    /// The zoo.cfg that it was started with, as it is called there.
    pub(in super::super) zoo_cfg: Option<PathBuf>,
}

/// Looks for the process that listens at this port.
pub(in super::super) fn owner_of(port: u16) -> Owner {
    let listeners = sockets::listeners();
    let wanted: HashSet<u64> =
        listeners.iter().filter(|listener| listener.address.port() == port).map(|listener| listener.inode).collect();
    let Ok(processes) = fs::read_dir("/proc") else { return Owner::Hidden };
    let mut other = None;
    for path in processes.flatten().map(|entry| entry.path()) {
        let inodes = socket_inodes(&path);
        if inodes.is_disjoint(&wanted) {
            continue;
        }
        let arguments = arguments(&fs::read(path.join("cmdline")).unwrap_or_default());
        if let Some(zoo_cfg) = started_with(&arguments) {
            return Owner::ZooKeeper(process(&path, &arguments, (&listeners, &inodes), zoo_cfg));
        }
        other = arguments.into_iter().next().or(other);
    }
    other.map_or(Owner::Hidden, Owner::Other)
}

fn process(
    path: &Path,
    arguments: &[String],
    (listeners, inodes): (&[Listener], &HashSet<u64>),
    zoo_cfg: Option<PathBuf>,
) -> Process {
    let listening = listeners.iter().filter(|listener| inodes.contains(&listener.inode));
    let cwd = fs::read_link(path.join("cwd")).unwrap_or_default();
    Process {
        listening: listening.map(|listener| listener.address).collect(),
        flags: arguments.join("\n"),
        root: path.join("root"),
        zoo_cfg: zoo_cfg.map(|zoo_cfg| cwd.join(zoo_cfg)),
    }
}

/// The sockets that a process has open; none where that may not be seen.
fn socket_inodes(process: &Path) -> HashSet<u64> {
    let files = fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
    let targets = files.filter_map(|file| fs::read_link(file.path()).ok());
    targets.filter_map(|target| inode(target.to_str()?)).collect()
}

/// Of `socket:[4711]`.
fn inode(target: &str) -> Option<u64> {
    target.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

fn arguments(cmdline: &[u8]) -> Vec<String> {
    let words = cmdline.split(|byte| *byte == 0).filter(|word| !word.is_empty());
    words.map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

/// The argument behind ZooKeeper's class, where that is started.
#[expect(clippy::option_option, reason = "whether it is ZooKeeper, and whether it was told of a file")]
fn started_with(arguments: &[String]) -> Option<Option<PathBuf>> {
    let class = |word: &String| MAIN.iter().any(|main| word.rsplit('.').next() == Some(main));
    let at = arguments.iter().position(class)?;
    Some(arguments.get(at + 1).filter(|word| word.parse::<u16>().is_err()).map(PathBuf::from))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn zookeeper_is_told_from_other_programs_by_the_class_that_java_starts() {
        let started = |cmdline: &[u8]| started_with(&arguments(cmdline));
        let main = b"java\0-Xmx1g\0org.apache.zookeeper.server.quorum.QuorumPeerMain\0/etc/zoo.cfg\0";
        assert_eq!(started(main), Some(Some(PathBuf::from("/etc/zoo.cfg"))));
        assert_eq!(started(b"java\0org.apache.zookeeper.server.ZooKeeperServerMain\x002181\0/data\0"), Some(None));
        assert_eq!(started(b"docker-proxy\0-port\x002181\0"), None);
        assert_eq!((inode("socket:[12]"), inode("pipe:[12]")), (Some(12), None));
    }

    #[test]
    fn the_program_that_has_a_port_is_found() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(matches!(owner_of(port), Owner::Other(_)));
        drop(listener);
        assert!(matches!(owner_of(port), Owner::Hidden));
    }
}
