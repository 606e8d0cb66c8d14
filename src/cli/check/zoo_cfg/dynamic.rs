//! The client parts of `server.N` lines, in zoo.cfg or in the file of its dynamic configuration.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use super::page::Page;
use super::settings::{Settings, is_loopback};
use super::{MAX_FILE, properties, read};

/// Where clients reach a server, as its line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ClientPart {
    /// None: everywhere.
    pub(super) host: Option<String>,
    pub(super) port: u16,
}

/// A line that has such a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// What stands in front of it: the server among servers.
    quorum: String,
    pub(super) client: ClientPart,
    /// The port for TLS, which newer servers have there too.
    pub(super) secure: Option<ClientPart>,
}

/// What the lines say of this server.
#[derive(Debug, Default)]
pub(super) struct ClientParts {
    pub(super) own: Option<Line>,
    /// Of this server alone, where its number is known; else of all.
    lines: BTreeMap<String, Line>,
    /// Whether clients of any server are told another address than one on loopback.
    pub(super) open: bool,
    /// Every `server.N` line, by N.
    pub(super) server_lines: Vec<(String, String)>,
    /// This server's N, where its data tells.
    pub(super) id: Option<String>,
}

impl ClientParts {
    /// Reads the lines; `zoo_cfg` is where that file was found.
    pub(super) fn of(settings: &Settings, zoo_cfg: &Path, page: &mut Page) -> Self {
        let mut written: BTreeMap<String, String> =
            settings.file().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        if let Some(file) = settings.own("dynamicConfigFile") {
            match read_beside(zoo_cfg, file) {
                Ok(more) => written.extend(more),
                Err(error) => page.lost(format!(
                    "dynamicConfigFile={file}: {error}. If its server lines end in client ports, make sure of \
                     `upstream.address`, and see docs/configuration.md about `ensemble`"
                )),
            }
        }
        let server_lines = server_lines(written.iter().map(|(key, line)| (key.as_str(), line.as_str())));
        let mut lines: BTreeMap<String, Line> = written
            .into_iter()
            .filter_map(|(key, line)| Some((key.strip_prefix("server.")?.to_owned(), Line::of(&line)?)))
            .collect();
        let open = lines.values().any(|line| !line.client.on_loopback());
        let known = settings.own("dataDir").and_then(|data| my_id(Path::new(data)));
        let id = known.clone().filter(|id| lines.contains_key(id));
        let own = match &id {
            Some(id) => lines.get(id).cloned(),
            None => common(&lines, page),
        };
        lines.retain(|other, _| id.as_ref().is_none_or(|id| id == other));
        Self { own, lines, open, server_lines, id: known }
    }

    /// Whether client ports stand in such lines.
    pub(super) fn exist(&self) -> bool {
        self.own.is_some()
    }

    /// The lines that have to change so that clients reach ZooKeeper there only, as they must become; at the port of
    /// `address`, or each at its own.
    pub(super) fn moved(&self, address: IpAddr, port: Option<u16>) -> Vec<String> {
        let moved = |(id, line): (&String, &Line)| {
            let there = SocketAddr::new(address, port.unwrap_or(line.client.port));
            let stays = line.client.on_loopback() && line.client.port == there.port() && line.secure.is_none();
            (!stays).then(|| format!("server.{id}={};{there}", line.quorum))
        };
        self.lines.iter().filter_map(moved).collect()
    }
}

/// The `server.N` lines among settings, by N.
pub(in super::super) fn server_lines<'a>(settings: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<(String, String)> {
    let lines = settings.filter_map(|(key, line)| Some((key.strip_prefix("server.")?, line)));
    lines.map(|(id, line)| (id.to_owned(), line.to_owned())).collect()
}

/// The server's number, by its data.
pub(in super::super) fn my_id(data: &Path) -> Option<String> {
    fs::read_to_string(data.join("myid")).ok().map(|id| id.trim().to_owned())
}

/// What all lines have in common.
fn common(lines: &BTreeMap<String, Line>, page: &mut Page) -> Option<Line> {
    let (id, first) = lines.first_key_value()?;
    if lines.values().any(|line| line.client.port != first.client.port) {
        page.lost(format!(
            "the client ports of the server lines differ, and dataDir has no readable `myid` that tells which is \
             this server's: make sure of `upstream.address` ({} is server {id}'s)",
            first.client.port,
        ));
    }
    let open = lines.values().find(|line| line.client.host.is_none());
    Some(open.unwrap_or(first).clone())
}

impl Line {
    /// Of `host:2888:3888:participant;[host:]port[;[host:]port]`.
    fn of(line: &str) -> Option<Self> {
        let mut parts = line.split(';').map(str::trim);
        let quorum = parts.next()?.to_owned();
        let client = ClientPart::of(parts.next()?)?;
        Some(Self { quorum, client, secure: parts.next().and_then(ClientPart::of) })
    }
}

impl ClientPart {
    fn of(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':').map_or((None, text), |(host, port)| (Some(host), port));
        let host =
            host.map(|host| host.trim_matches(['[', ']'])).filter(|host| !matches!(*host, "" | "0.0.0.0" | "::"));
        Some(Self { host: host.map(str::to_owned), port: port.parse().ok().filter(|port| *port != 0)? })
    }

    fn on_loopback(&self) -> bool {
        self.host.as_deref().is_some_and(is_loopback)
    }
}

/// The file where the server finds it, or beside zoo.cfg, where a copy may lie.
pub(in super::super) fn read_beside(zoo_cfg: &Path, file: &str) -> Result<Vec<(String, String)>, String> {
    let named = Path::new(file);
    let directory = zoo_cfg.parent().unwrap_or(Path::new(""));
    let copy: PathBuf = directory.join(named.file_name().unwrap_or_default());
    let found = if named.is_file() { named } else { &copy };
    let bytes = read(found, MAX_FILE).map_err(|_| format!("neither it nor {} can be read", copy.display()))?;
    let properties = properties::parse(&bytes).map_err(|error| error.to_string())?;
    Ok(properties.into_iter().map(|property| (property.key, property.value)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_parts_are_read_in_every_syntax() {
        let part = |line| Line::of(line).map(|line| (line.client.host, line.client.port));
        let host = |host: &str| Some(host.to_owned());
        for (line, expected) in [
            ("zk1:2888:3888", None),
            ("zk1:2888:3888;2181", Some((None, 2181))),
            ("zk1:2888:3888:participant;0.0.0.0:2181", Some((None, 2181))),
            ("zk1:2888:3888:observer;127.0.0.1:2181", Some((host("127.0.0.1"), 2181))),
            ("[::1]:2888:3888;[::1]:2181", Some((host("::1"), 2181))),
            ("a:1:2|b:1:2;zk1:2181;zk1:2281", Some((host("zk1"), 2181))),
            ("zk1:2888:3888;x", None),
            ("zk1:2888:3888;;2281", None),
        ] {
            assert_eq!(part(line), expected, "{line}");
        }
        let secure = Line::of("zk1:1:2;127.0.0.1:2181;2281").and_then(|line| line.secure);
        assert_eq!(secure, Some(ClientPart { host: None, port: 2281 }));
    }
}
