//! The doors that a server's settings open.

use super::{Door, Kind, State};
use crate::cli::check::zoo_cfg::settings::{Settings, is_loopback};

const ANYWHERE: &str = "0.0.0.0";

/// A port that the settings open.
#[derive(Clone, Debug)]
pub(in super::super) struct Declared {
    pub(super) kind: Kind,
    pub(super) port: u16,
    host: String,
    guard: Option<&'static str>,
}

impl Declared {
    fn new(kind: Kind, host: Option<&str>, port: u16) -> Self {
        let host = host.map(|host| host.trim_matches(['[', ']'])).filter(|host| !host.is_empty());
        Self { kind, port, host: host.unwrap_or(ANYWHERE).to_owned(), guard: None }
    }

    pub(super) fn state(&self, loopback: bool) -> State {
        match self.guard {
            _ if loopback => State::Loopback,
            Some(guard) => State::Guarded(guard),
            None => State::Open,
        }
    }

    pub(super) fn door(&self) -> Door {
        let Self { host, port, .. } = self;
        let at = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        let everywhere = matches!(host.as_str(), ANYWHERE | "::");
        Door { kind: self.kind, at, state: self.state(is_loopback(host)), everywhere }
    }
}

/// All of them but the plaintext client port, of which other words tell. `lines` are the `server.N` lines by N; `own` is
/// this server's N, where it is known.
pub(in super::super) fn declared(settings: &Settings, lines: &[(String, String)], own: Option<&str>) -> Vec<Declared> {
    let own_lines: Vec<&str> = lines
        .iter()
        .filter(|(id, _)| own.is_none_or(|own| own == id || !lines.iter().any(|(known, _)| known == own)))
        .map(|(_, line)| line.as_str())
        .collect();
    let mut doors = secure(settings, &own_lines);
    let alone = lines.len() < 2 && !settings.is_false("standaloneEnabled");
    if !alone {
        doors.extend(own_lines.iter().flat_map(|line| between_servers(settings, line)));
    }
    if let Some(port) = port(settings, "observerMasterPort") {
        let guard = guard(settings);
        doors.push(Declared { guard, ..Declared::new(Kind::ObserverMaster, None, port) });
    }
    // ZooKeeper compares with `false` as it is written.
    if settings.get("admin.enableServer") != Some("false") {
        let port = port(settings, "admin.serverPort").unwrap_or(8080);
        doors.push(Declared::new(Kind::Admin, settings.get("admin.serverAddress"), port));
    }
    if settings.own("metricsProvider.className").is_some_and(|class| class.contains("Prometheus")) {
        let host = settings.own("metricsProvider.httpHost");
        let tls = port(settings, "metricsProvider.httpsPort");
        let plain = port(settings, "metricsProvider.httpPort").or(tls.is_none().then_some(7000));
        doors.extend(plain.into_iter().chain(tls).map(|port| Declared::new(Kind::Metrics, host, port)));
    }
    doors
}

/// The ports between servers that the field uses, for where no setting can be seen.
pub(in super::super) fn usual_ports() -> Vec<Declared> {
    let usual = [(Kind::Quorum, 2888), (Kind::Election, 3888), (Kind::Metrics, 7000)];
    usual.map(|(kind, port)| Declared::new(kind, None, port)).to_vec()
}

fn port(settings: &Settings, key: &str) -> Option<u16> {
    settings.get(key)?.parse().ok().filter(|port| *port != 0)
}

fn secure(settings: &Settings, own_lines: &[&str]) -> Vec<Declared> {
    let key = port(settings, "secureClientPort")
        .map(|port| Declared::new(Kind::SecureClient, settings.own("secureClientPortAddress"), port));
    let parts = own_lines.iter().filter_map(|line| line.split(';').nth(2)).filter_map(|part| {
        let (host, port) = part.trim().rsplit_once(':').map_or((None, part.trim()), |(host, port)| (Some(host), port));
        Some(Declared::new(Kind::SecureClient, host, port.parse().ok()?))
    });
    key.into_iter().chain(parts).collect()
}

/// Of `host:2888:3888[:role]`, and several of these between `|`.
fn between_servers(settings: &Settings, line: &str) -> Vec<Declared> {
    let everywhere = settings.own("quorumListenOnAllIPs").is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let guard = guard(settings);
    let servers = line.split(';').next().unwrap_or_default();
    let mut doors = Vec::new();
    for address in servers.split('|').map(str::trim) {
        let end = if address.starts_with('[') { address.find(']').map(|at| at + 1) } else { address.find(':') };
        let Some((host, ports)) = end.and_then(|end| address.split_at_checked(end)) else { continue };
        let host = (!everywhere).then_some(host);
        let ports = ports.trim_start_matches(':').split(':').map(|port| port.trim().parse().ok());
        for (kind, port) in [Kind::Quorum, Kind::Election].into_iter().zip(ports) {
            doors.extend(port.map(|port| Declared { guard, ..Declared::new(kind, host, port) }));
        }
    }
    doors
}

/// What the ports between servers ask for.
fn guard(settings: &Settings) -> Option<&'static str> {
    let own = |key: &str| settings.own(key).is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let asks = settings.get("ssl.quorum.clientAuth").is_none_or(|auth| auth.eq_ignore_ascii_case("need"));
    // With portUnification plaintext is taken too.
    if own("sslQuorum") && !own("portUnification") && asks {
        return Some("a certificate (sslQuorum)");
    }
    (own("quorum.auth.enableSasl") && own("quorum.auth.serverRequireSasl")).then_some("SASL (quorum.auth)")
}
