//! What ZooKeeper says of itself, and what in its settings defeats the gate.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use tokio::runtime::Builder;

use super::doors::process::{self, Owner, Process};
use super::doors::{self, Door, Kind, Others};
use super::sockets;
use super::zoo_cfg::dynamic::{my_id, read_beside, server_lines};
use super::zoo_cfg::{self, settings::Settings};
use crate::app;
use crate::cli::text::escaped;
use crate::config::{Config, Inject, ListenAddress, UpstreamSource};
use crate::metrics::UpstreamState;
use crate::proxy::{self, Health};

pub(super) struct Findings {
    /// A line on what was reached.
    pub(super) summary: String,
    /// What defeats the gate, each with what to do.
    pub(super) warnings: Vec<String>,
}

/// Asks ZooKeeper, without opening a session; an error if it doesn't answer.
pub(super) fn look(config: &Config) -> Result<Findings, String> {
    let runtime = Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    runtime.block_on(ask(config))
}

async fn ask(config: &Config) -> Result<Findings, String> {
    let address = &config.upstream.address;
    let (dialer, within) = (app::dialer(&config.upstream), config.upstream.probe_timeout);
    let health = proxy::probe(&dialer, within).await;
    // A refusal is an answer too; what says nothing to any question may not even be ZooKeeper.
    let conf = proxy::ask(&dialer, b"conf", within).await.unwrap_or_default();
    let silent = health.state == UpstreamState::NotServing && conf.trim().is_empty();
    if health.state == UpstreamState::Unreachable || silent {
        return Err(format!("upstream.address: ZooKeeper does not answer at {address}: {}", health.detail));
    }
    let conf = Conf::of(&conf);
    let mut warnings: Vec<String> = not_serving(&health).into_iter().collect();
    let around = way_round(config);
    if around.is_empty() {
        warnings.extend(conf.as_ref().and_then(Conf::open_client_address));
    }
    warnings.extend(around);
    let doors = local_port(config).map(|port| doors_at(port, conf.as_ref(), config)).unwrap_or_else(|| Doors {
        open: Vec::new(),
        notes: vec!["doors: ZooKeeper is not on this host; run this on its host to see its other ports".to_owned()],
    });
    warnings.extend(doors.open);
    // A server that does not serve tells nothing by `conf` even where it allows it.
    if matches!(config.identity.inject, Inject::X509 { .. }) {
        warnings.push(
            "identity.inject: whether ZooKeeper has zoogate's provider for `x509` can't be seen from here: if the first \
             client ends as `auth_failed`, it doesn't, or has another secret"
                .to_owned(),
        );
    }
    if conf.is_some() || health.state.serves() {
        warnings.extend(one_source(config, conf.as_ref()));
    }
    let lines = doors.notes.into_iter().chain([summary(config, &health)]);
    Ok(Findings { summary: lines.collect::<Vec<_>>().join("\n"), warnings })
}

/// The upstream's port, if that is on this host.
fn local_port(config: &Config) -> Option<u16> {
    let address = &config.upstream.address;
    let is_local = address.ip().map_or(address.host == "localhost", |ip| ip.to_canonical().is_loopback());
    is_local.then_some(address.port)
}

/// ZooKeeper's ports beside the one that the gate uses.
struct Doors {
    /// Each with what to do.
    open: Vec<String>,
    /// Doors that are closed, and what could not be looked at.
    notes: Vec<String>,
}

fn doors_at(port: u16, conf: Option<&Conf<'_>>, config: &Config) -> Doors {
    let told = |flags: &str| {
        conf.and_then(|conf| Settings::read(conf.0.as_bytes(), flags).ok())
            .unwrap_or_else(|| Settings::read(b"tickTime=2000", flags).unwrap_or_default())
    };
    let mut notes = Vec::new();
    let found = match process::owner_of(port) {
        Owner::Other(program) => {
            notes.push(format!(
                "doors: {} listens at port {port}, and is no ZooKeeper server that can be looked into: the server's other \
                 ports, perhaps in another network namespace, were not looked at",
                escaped(&program)
            ));
            return Doors { open: Vec::new(), notes };
        }
        Owner::Hidden => {
            notes.push(
                "doors: which process is ZooKeeper can't be seen: run this as root and in ZooKeeper's network namespace. \
                 Only the usual ports were looked at, and not whether they ask for certificates"
                    .to_owned(),
            );
            let own: Vec<_> = config.listen.addresses.iter().filter_map(ListenAddress::socket).collect();
            let sockets: Vec<_> = sockets::listening().into_iter().filter(|socket| !own.contains(socket)).collect();
            let settings = told("");
            let mut declared = doors::declared(&settings, &settings.server_lines(), None);
            declared.extend(doors::usual_ports());
            doors::by_sockets(&declared, &sockets, Others::NotZooKeepers)
        }
        Owner::ZooKeeper(process) => {
            let (settings, lines, id) = read_settings(&process, &mut notes)
                .unwrap_or_else(|| (told(&process.flags), told("").server_lines(), None));
            let declared = doors::declared(&settings, &lines, id.as_deref());
            let sockets: Vec<_> = process.listening.iter().copied().filter(|socket| socket.port() != port).collect();
            let others = if process.flags.contains("com.sun.management.jmxremote") { Kind::Jmx } else { Kind::Unknown };
            doors::by_sockets(&declared, &sockets, Others::Are(others))
        }
    };
    notes.extend(found.iter().filter_map(Door::closed));
    let open = found.iter().filter_map(Door::advice).map(|(text, line)| escaped(&format!("{text} {line}")));
    Doors { open: open.collect(), notes }
}

type ReadSettings = (Settings, Vec<(String, String)>, Option<String>);

/// The settings that the process was started with, as it sees its files.
fn read_settings(process: &Process, notes: &mut Vec<String>) -> Option<ReadSettings> {
    let within = |path: &Path| process.root.join(path.strip_prefix("/").unwrap_or(path));
    let named = process.zoo_cfg.as_ref()?;
    let file = within(named);
    let read = zoo_cfg::read_server(&file, &process.flags);
    let settings = match read {
        Ok(settings) => settings,
        Err(error) => {
            notes.push(escaped(&format!("doors: {} was not looked at: {error}", named.display())));
            return None;
        }
    };
    let mut lines = settings.server_lines();
    if let Some(dynamic) = settings.own("dynamicConfigFile") {
        match read_beside(&file, &within(Path::new(dynamic)).display().to_string()) {
            Ok(more) => lines.extend(server_lines(more.iter().map(|(key, line)| (key.as_str(), line.as_str())))),
            Err(error) => notes.push(escaped(&format!("doors: {dynamic} was not looked at: {error}"))),
        }
    }
    let id = settings.own("dataDir").and_then(|data| my_id(&within(Path::new(data))));
    Some((settings, lines, id))
}

fn summary(config: &Config, health: &Health) -> String {
    let version = health.version.as_deref().unwrap_or("of unknown version");
    let found = format!("ZooKeeper {version} at {}: {}", config.upstream.address, health.state);
    // Why it does not serve is a warning's matter.
    if health.state.serves() { format!("{found}, as told by {}", health.detail) } else { found }
}

fn not_serving(health: &Health) -> Option<String> {
    (!health.state.serves()).then(|| format!("ZooKeeper is {}: {}", health.state, health.detail))
}

/// Where others than this machine can connect to ZooKeeper, as far as this machine knows.
fn way_round(config: &Config) -> Vec<String> {
    let address = &config.upstream.address;
    let is_local = address.ip().map_or(address.host == "localhost", |ip| ip.is_loopback());
    if !is_local {
        return vec![format!(
            "upstream.address: {address} is not on loopback: whoever reaches it passes by the gate, and what the gate \
             sends there is not encrypted; put the gate beside the server, or close the port to all but the gate"
        )];
    }
    let own: Vec<_> = config.listen.addresses.iter().filter_map(ListenAddress::socket).collect();
    let open = open_sockets(sockets::listening(), address.port, &own);
    let warnings = open.into_iter().map(|socket| {
        format!(
            "ZooKeeper's port is open on {socket}: whoever reaches it passes by the gate; set \
             clientPortAddress=127.0.0.1 in zoo.cfg and restart ZooKeeper, or move the port by `reconfig` if it stands \
             in a dynamic configuration"
        )
    });
    warnings.collect()
}

/// Sockets of this port that others can reach, but for the gate's own: it may take ZooKeeper's usual port on the
/// machine's outer address.
fn open_sockets(listening: Vec<SocketAddr>, port: u16, own: &[SocketAddr]) -> Vec<SocketAddr> {
    let is_open = |socket: &SocketAddr| {
        socket.port() == port && !socket.ip().to_canonical().is_loopback() && !own.contains(socket)
    };
    listening.into_iter().filter(is_open).collect()
}

/// ZooKeeper counts connections by their source address.
fn one_source(config: &Config, conf: Option<&Conf<'_>>) -> Option<String> {
    if config.upstream.source == UpstreamSource::PerClient {
        return None;
    }
    let remedy = "set maxClientCnxns=0 in zoo.cfg, or have ZooKeeper on 127.0.0.1 and `upstream.source: per_client`";
    let Some(conf) = conf else {
        return Some(format!(
            "upstream.source: to ZooKeeper all clients come from one address, and maxClientCnxns (60 by default) \
             limits them together; it allows no `conf` that would tell: {remedy}"
        ));
    };
    let limit: usize = conf.value("maxClientCnxns")?.parse().ok()?;
    (1..config.limits.connections).contains(&limit).then(|| {
        format!(
            "upstream.source: to ZooKeeper all clients come from one address, and its maxClientCnxns={limit} limits \
             them together: {remedy}"
        )
    })
}

/// The answer to `conf`: lines of `name=value`.
struct Conf<'a>(&'a str);

impl<'a> Conf<'a> {
    /// `None` if the server does not tell.
    fn of(answer: &'a str) -> Option<Self> {
        let conf = Self(answer);
        conf.value("clientPort").is_some().then_some(conf)
    }

    fn value(&self, name: &str) -> Option<&'a str> {
        self.0.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix('=')).map(str::trim)
    }

    /// The client's part of this server's line in a dynamic configuration, `server.1=…;0.0.0.0:2181`.
    fn open_client_address(&self) -> Option<String> {
        let id = self.value("serverId")?;
        let (_, client) = self.value(&format!("server.{id}"))?.split_once(';')?;
        let host = client.rsplit_once(':').map_or("0.0.0.0", |(host, _)| host.trim_matches(['[', ']']));
        let ip: IpAddr = host.parse().ok()?;
        (!ip.to_canonical().is_loopback()).then(|| {
            format!(
                "ZooKeeper's client address is {client}: whoever reaches it passes by the gate; in its dynamic \
                 configuration end the line server.{id}=… with `;127.0.0.1:PORT`"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_address_of_this_server_is_found_among_others() {
        let conf = |client: &str| {
            format!(
                "clientPort=2181\nserverId=2\nmembership: \nserver.1=a:2888:3888:participant;0.0.0.0:2181\n\
                 server.2=b:2888:3888:participant{client}\nserver.22=c:1:2;0.0.0.0:1\n"
            )
        };
        for (client, open) in [
            (";0.0.0.0:2181", true),
            (";2181", true),
            (";[0:0:0:0:0:0:0:0]:2181", true),
            (";10.0.0.7:2181", true),
            (";127.0.0.1:2181", false),
            (";[::1]:2181", false),
            ("", false),
        ] {
            let conf = conf(client);
            assert_eq!(Conf::of(&conf).unwrap().open_client_address().is_some(), open, "{client}");
        }
    }

    #[test]
    fn only_what_others_can_reach_and_the_gate_does_not_hold_is_open() {
        let sockets =
            |text: &str| -> Vec<SocketAddr> { text.split(' ').map(|socket| socket.parse().unwrap()).collect() };
        // Java listens on `127.0.0.1` by a socket of IPv6.
        let listening =
            sockets("127.0.0.1:2181 [::ffff:127.0.0.1]:2181 [::1]:2181 10.0.0.5:2181 10.0.0.6:2181 [::]:22");
        let open = |own: &str| open_sockets(listening.clone(), 2181, &sockets(own));
        assert_eq!(open("10.0.0.5:2181"), sockets("10.0.0.6:2181"));
        assert_eq!(open("0.0.0.0:2281"), sockets("10.0.0.5:2181 10.0.0.6:2181"));
    }

    #[test]
    fn a_refusal_of_conf_is_no_configuration() {
        assert!(Conf::of("conf is not executed because it is not in the whitelist.\n").is_none());
        assert!(Conf::of("").is_none());
    }
}
