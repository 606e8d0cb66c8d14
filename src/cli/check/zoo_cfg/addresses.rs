//! Where clients come to zoogate, and zoogate to ZooKeeper.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::NotZooCfg;
use super::dynamic::ClientParts;
use super::page::{Note, Page};
use super::settings::{Settings, ip, is_loopback};

const ANYWHERE: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// The port of clients in plaintext, where nothing tells another.
const PLAIN_PORT: u16 = 2181;

/// The port of the gate, where clients have used plaintext.
const GATE_PORT: u16 = 2281;

/// The port of the administration, unless that is taken.
const ADMIN_PORT: u16 = 9281;

/// How clients reach the server so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reached {
    /// By TLS on a port of its own.
    Secure,
    /// By TLS on the port that takes plaintext too.
    Unified,
    /// In plaintext only.
    Plain,
}

impl Reached {
    pub(super) fn by(settings: &Settings, parts: &ClientParts) -> Result<Self, NotZooCfg> {
        let dynamic = parts.own.as_ref().is_some_and(|own| own.secure.is_some());
        Ok(match settings.port("secureClientPort")? {
            Some(_) => Self::Secure,
            None if dynamic => Self::Secure,
            None if settings.is_true("client.portUnification") => Self::Unified,
            None => Self::Plain,
        })
    }
}

/// Sets the addresses, and tells what the server must change for them.
pub(super) fn convert(
    settings: &Settings,
    reached: Reached,
    parts: &ClientParts,
    page: &mut Page,
) -> Result<(), NotZooCfg> {
    let plain = Plain::of(settings, parts)?;
    let listen = match reached {
        Reached::Secure => secure(settings, parts, page)?,
        Reached::Unified => {
            page.lost(
                "client.portUnification=true: clients without TLS are turned away by the gate; move them to TLS \
                 first, or keep them on a port that only their hosts reach",
            );
            SocketAddr::new(plain.ip().filter(|ip| !ip.is_loopback()).unwrap_or(ANYWHERE), plain.port)
        }
        Reached::Plain => SocketAddr::new(ANYWHERE, free(GATE_PORT, &[taken(settings), vec![plain.port]].concat())),
    };
    let upstream = upstream(&plain, listen);
    page.set("listen", "address", yaml(listen));
    page.set("upstream", "address", yaml(upstream));
    let admin = free(ADMIN_PORT, &[taken(settings), vec![listen.port(), upstream.port()]].concat());
    if admin != ADMIN_PORT {
        page.set("admin", "address", format!("127.0.0.1:{admin}"));
    }
    if parts.open {
        page.set_with(
            ("ensemble", "advertise"),
            "all".to_owned(),
            "clients are told the gates' addresses, wherever servers say they listen",
        );
    }
    if parts.exist() {
        tell_ensemble(&plain, upstream, (settings, parts), page)
    } else {
        tell(&plain, upstream, page)
    }
    give_up_tls(settings, reached, page);
    many_clients(settings, upstream, page);
    Ok(())
}

/// Ports of the server's host that something else than clients has.
fn taken(settings: &Settings) -> Vec<u16> {
    let keys = ["admin.serverPort", "metricsProvider.httpPort", "metricsProvider.httpsPort", "observerMasterPort"];
    let own = keys.into_iter().filter_map(|key| settings.get(key)?.parse().ok());
    let quorum = settings.file().filter(|(key, _)| key.starts_with("server."));
    let quorum = quorum.flat_map(|(_, line)| line.split([':', ';', '|'])).filter_map(|word| word.parse().ok());
    own.chain(quorum).collect()
}

fn free(port: u16, taken: &[u16]) -> u16 {
    (port..).find(|port| !taken.contains(port)).unwrap_or(port)
}

/// The ports of TLS, which the server must not keep.
fn give_up_tls(settings: &Settings, reached: Reached, page: &mut Page) {
    let takes_over = "zoogate takes that port over, so that clients change nothing. To try zoogate beside it first, \
                      give `listen.address` another port";
    match reached {
        Reached::Secure if settings.own("secureClientPort").is_some() => {
            let keys = match settings.own("secureClientPortAddress") {
                Some(_) => "secureClientPort and secureClientPortAddress",
                None => "secureClientPort",
            };
            page.server(Note::new(format!("take {keys} out: {takes_over}")));
        }
        Reached::Unified => page.server(Note::new(format!("take client.portUnification out: {takes_over}"))),
        // With the line of the ensemble, or there is none.
        Reached::Secure | Reached::Plain => {}
    }
}

/// Where the server takes plaintext so far.
struct Plain {
    /// As it is written; everywhere, where nothing is.
    host: Option<String>,
    port: u16,
    /// Whether there is such a port at all.
    open: bool,
}

impl Plain {
    /// `clientPort` of zoo.cfg, else the client part of the server's line.
    fn of(settings: &Settings, parts: &ClientParts) -> Result<Self, NotZooCfg> {
        if let Some(port) = settings.port("clientPort")? {
            return Ok(Self { host: settings.own("clientPortAddress").map(str::to_owned), port, open: true });
        }
        Ok(match &parts.own {
            Some(own) => Self { host: own.client.host.clone(), port: own.client.port, open: true },
            None => Self { host: Some(LOOPBACK.to_string()), port: PLAIN_PORT, open: false },
        })
    }

    /// None for a name that only a resolver knows.
    fn ip(&self) -> Option<IpAddr> {
        match self.host.as_deref() {
            None => Some(ANYWHERE),
            Some("localhost") => Some(LOOPBACK),
            Some(host) => ip(host),
        }
    }

    fn on_loopback(&self) -> bool {
        self.host.as_deref().is_some_and(is_loopback)
    }
}

/// `secureClientPort`, which the gate takes over.
fn secure(settings: &Settings, parts: &ClientParts, page: &mut Page) -> Result<SocketAddr, NotZooCfg> {
    let dynamic = parts.own.as_ref().and_then(|own| own.secure.as_ref());
    let (host, port) = match (settings.port("secureClientPort")?, dynamic) {
        (None, Some(part)) => (part.host.as_deref(), part.port),
        (port, _) => (settings.own("secureClientPortAddress"), port.unwrap_or(GATE_PORT)),
    };
    let address = host.map_or(Some(ANYWHERE), ip);
    if let (Some(host), None) = (host, address) {
        page.lost(format!(
            "clients reach TLS at {host} now: `listen.address` takes IP addresses only; write that host's instead of \
             0.0.0.0"
        ));
    }
    Ok(SocketAddr::new(address.unwrap_or(ANYWHERE), port))
}

/// On loopback, and not where the gate listens.
fn upstream(plain: &Plain, listen: SocketAddr) -> SocketAddr {
    let ip = plain.ip().filter(|_| plain.on_loopback()).unwrap_or(LOOPBACK);
    let same_host = listen.ip().is_unspecified() || listen.ip() == ip;
    let port = match plain.port {
        port if port != listen.port() || !same_host => port,
        port => port.checked_add(10_000).unwrap_or(PLAIN_PORT),
    };
    SocketAddr::new(ip, port)
}

/// Where client ports stand in the lines of the ensemble.
fn tell_ensemble(plain: &Plain, upstream: SocketAddr, server: (&Settings, &ClientParts), page: &mut Page) {
    let (settings, parts) = server;
    let port = (upstream.port() != plain.port).then_some(upstream.port());
    let lines = parts.moved(upstream.ip(), port);
    if lines.is_empty() {
        return;
    }
    let mut text = "move the client port to loopback in the dynamic configuration, when every client comes through \
                    the gates: as ZooKeeper's superuser in zkCli.sh, server by server. Restart each behind it, for \
                    with Netty it fails to bind the port anew, and has none until then"
        .to_owned();
    if settings.own("clientPort").is_some() {
        text.push_str(". Before that, take clientPort and clientPortAddress out of its zoo.cfg: they contradict it");
    }
    page.server(lines.iter().fold(Note::new(text), |note, line| note.line(format!("reconfig -add {line}"))));
}

fn tell(plain: &Plain, upstream: SocketAddr, page: &mut Page) {
    let (ip, port) = (upstream.ip(), upstream.port());
    let mut lines = Vec::new();
    if plain.port != port || !plain.open {
        lines.push(format!("clientPort={port}"));
    }
    if !plain.on_loopback() || !plain.open {
        lines.push(format!("clientPortAddress={ip}"));
    }
    if lines.is_empty() {
        return;
    }
    let why = match (&plain.host, plain.open) {
        (_, false) => "it has no port for plaintext, which zoogate needs, on loopback".to_owned(),
        (None, _) => "its client port is open to the world, and whoever reaches it passes by the gate".to_owned(),
        (Some(host), _) if !plain.on_loopback() => {
            format!("clientPortAddress={host} is not loopback: whoever reaches it passes by the gate")
        }
        (Some(_), _) => "its port is the one that the gate takes over".to_owned(),
    };
    page.server(lines.into_iter().fold(Note::new(why), Note::line));
}

/// Where clients can't be told apart by addresses of 127.0.0.0/8, ZooKeeper's limit counts them as one.
fn many_clients(settings: &Settings, upstream: SocketAddr, page: &mut Page) {
    if upstream.is_ipv6() && settings.own("maxClientCnxns") != Some("0") {
        let limit = settings.own("maxClientCnxns").unwrap_or("60");
        let note = Note::new(format!(
            "to ZooKeeper all clients come from {}, and maxClientCnxns ({limit}) counts them together",
            upstream.ip()
        ));
        page.server(note.line("maxClientCnxns=0"));
    }
}

fn yaml(address: SocketAddr) -> String {
    if address.is_ipv6() { format!("\"{address}\"") } else { address.to_string() }
}
