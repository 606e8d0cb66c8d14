//! Ports of a ZooKeeper server that do not lead through the gate: what one can do there, and the line that closes each.

mod declared;
pub(super) mod process;

use std::net::SocketAddr;

pub(super) use declared::{Declared, declared, usual_ports};

/// What a port is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    SecureClient,
    Quorum,
    Election,
    ObserverMaster,
    Admin,
    Metrics,
    Jmx,
    /// None that the settings name.
    Unknown,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::SecureClient => "secureClientPort",
            Self::Quorum => "quorum port",
            Self::Election => "election port",
            Self::ObserverMaster => "observerMasterPort",
            Self::Admin => "AdminServer",
            Self::Metrics => "metrics port",
            Self::Jmx => "JMX",
            Self::Unknown => "unknown port",
        }
    }

    /// What a stranger can do there.
    pub(super) fn danger(self) -> &'static str {
        match self {
            Self::SecureClient => {
                "a client connects past the gate, by ZooKeeper's own trust store: the gate's revocation, mapping and \
                 limits do not count"
            }
            Self::Quorum | Self::ObserverMaster => {
                "a stranger speaks as a server: it reads all data and writes past every ACL, without a certificate"
            }
            Self::Election => "a stranger votes as a server: it can change who leads, and stop the ensemble",
            Self::Admin => "a stranger reads the server's settings, connections and figures, and runs its commands",
            Self::Metrics => "a stranger reads the server's figures",
            Self::Jmx => {
                "a stranger manages the server; without authentication of JMX it can run any code in ZooKeeper's process"
            }
            Self::Unknown => "the settings do not say what it is for; JMX and Java agents open such ports",
        }
    }

    /// What the server's administrator does, and the line that does it.
    fn remedy(self, everywhere: bool) -> (&'static str, &'static str) {
        match self {
            Self::SecureClient => {
                ("take secureClientPort out of zoo.cfg, or bind it:", "secureClientPortAddress=127.0.0.1")
            }
            Self::Quorum | Self::Election if everywhere => (
                "bind it to the address of the server's line only, then ask for certificates (sslQuorum=true with \
                 ssl.quorum.keyStore and ssl.quorum.trustStore) or let only the other servers reach it in the firewall:",
                "quorumListenOnAllIPs=false",
            ),
            Self::Quorum | Self::Election => (
                "ask for certificates, with ssl.quorum.keyStore.* and ssl.quorum.trustStore.*; until then let only the \
                 other servers reach it in the firewall:",
                "sslQuorum=true",
            ),
            Self::ObserverMaster => (
                "take observerMasterPort out of zoo.cfg, or let only observers reach it in the firewall:",
                "observerMasterPort=0",
            ),
            Self::Admin => ("switch it off, or bind it by admin.serverAddress=127.0.0.1:", "admin.enableServer=false"),
            Self::Metrics => (
                "bind it (ZooKeeper 3.8 and later; before, let only Prometheus reach it in the firewall):",
                "metricsProvider.httpHost=127.0.0.1",
            ),
            Self::Jmx => (
                "take com.sun.management.jmxremote* out of Java's command line; for zkServer.sh, in zookeeper-env.sh:",
                "JMXDISABLE=true",
            ),
            Self::Unknown => (
                "find out what opens it, or close it in the firewall; JMX is switched off in zookeeper-env.sh by",
                "JMXDISABLE=true",
            ),
        }
    }
}

/// Whether others than this host get in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Open,
    /// It is on loopback only.
    Loopback,
    /// It asks for a certificate or for SASL.
    Guarded(&'static str),
}

/// A door, and how it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Door {
    pub(super) kind: Kind,
    /// Address and port.
    pub(super) at: String,
    pub(super) state: State,
    everywhere: bool,
}

impl Door {
    /// What is wrong and what to do, and the line that closes it; `None` for a door that is closed.
    pub(super) fn advice(&self) -> Option<(String, &'static str)> {
        let (text, line) = self.kind.remedy(self.everywhere);
        let (name, danger) = (self.kind.name(), self.kind.danger());
        (self.state == State::Open).then(|| (format!("{name} {}: open; {danger}; {text}", self.at), line))
    }

    /// A line on a door that is closed.
    pub(super) fn closed(&self) -> Option<String> {
        let (name, at) = (self.kind.name(), &self.at);
        match self.state {
            State::Open => None,
            State::Loopback => Some(format!("{name} {at}: closed, on loopback only")),
            State::Guarded(by) => Some(format!("{name} {at}: closed, asks for {by}")),
        }
    }
}

/// The doors that the settings open, without a look at the host.
pub(super) fn by_settings(declared: &[Declared]) -> Vec<Door> {
    declared.iter().map(Declared::door).collect()
}

/// Whether a socket that no setting names belongs to the process for sure, and what it then is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Others {
    /// The sockets are those of the whole host.
    NotZooKeepers,
    /// The sockets are ZooKeeper's.
    Are(Kind),
}

/// The doors that are there, by the listening sockets, and the ports between servers that only open when it leads.
pub(super) fn by_sockets(declared: &[Declared], sockets: &[SocketAddr], others: Others) -> Vec<Door> {
    let mut doors = Vec::new();
    for setting in declared {
        let found: Vec<_> = sockets.iter().filter(|socket| socket.port() == setting.port).collect();
        // A follower does not listen at its quorum port, and does when it leads.
        if found.is_empty() && others != Others::NotZooKeepers && setting.kind == Kind::Quorum {
            let mut door = setting.door();
            door.at.push_str(" (when it leads)");
            doors.push(door);
        }
        doors.extend(found.into_iter().map(|socket| Door {
            kind: setting.kind,
            at: socket.to_string(),
            state: setting.state(socket.ip().to_canonical().is_loopback()),
            everywhere: socket.ip().is_unspecified(),
        }));
    }
    if let Others::Are(kind) = others {
        let known = |socket: &SocketAddr| declared.iter().any(|setting| setting.port == socket.port());
        doors.extend(sockets.iter().filter(|socket| !known(socket)).map(|socket| {
            let loopback = socket.ip().to_canonical().is_loopback();
            let state = if loopback { State::Loopback } else { State::Open };
            Door { kind, at: socket.to_string(), state, everywhere: socket.ip().is_unspecified() }
        }));
    }
    // Several members of a list of servers may have the same port.
    let mut once: Vec<Door> = Vec::new();
    for door in doors {
        if !once.contains(&door) {
            once.push(door);
        }
    }
    once
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::check::zoo_cfg::settings::Settings;

    fn settings(zoo_cfg: &str) -> Settings {
        Settings::read(format!("tickTime=1\n{zoo_cfg}").as_bytes(), "").unwrap_or_else(|error| panic!("{error}"))
    }

    fn written(zoo_cfg: &str) -> Vec<(Kind, String, State)> {
        let settings = settings(zoo_cfg);
        let doors = by_settings(&declared(&settings, &settings.server_lines(), None));
        doors.into_iter().map(|door| (door.kind, door.at, door.state)).collect()
    }

    const NO_ADMIN: &str = "admin.enableServer=false";

    #[test]
    fn doors_are_found_in_every_syntax_and_on_loopback_they_are_closed() {
        let (open, loopback) = (State::Open, State::Loopback);
        for (zoo_cfg, expected) in [
            ("admin.serverPort=1", vec![(Kind::Admin, "0.0.0.0:1", open)]),
            ("admin.enableServer=FALSE", vec![(Kind::Admin, "0.0.0.0:8080", open)]),
            ("admin.serverAddress=127.0.0.1", vec![(Kind::Admin, "127.0.0.1:8080", loopback)]),
            (NO_ADMIN, vec![]),
            ("admin.enableServer=false\nsecureClientPort=7", vec![(Kind::SecureClient, "0.0.0.0:7", open)]),
            (
                "admin.enableServer=false\nsecureClientPort=7\nsecureClientPortAddress=::1",
                vec![(Kind::SecureClient, "[::1]:7", loopback)],
            ),
            (
                "admin.enableServer=false\nserver.1=a:1:2|[fe80::1]:3:4;2181\nserver.2=b:1:2",
                vec![
                    (Kind::Quorum, "a:1", open),
                    (Kind::Election, "a:2", open),
                    (Kind::Quorum, "[fe80::1]:3", open),
                    (Kind::Election, "[fe80::1]:4", open),
                    (Kind::Quorum, "b:1", open),
                    (Kind::Election, "b:2", open),
                ],
            ),
            // One line is a server of its own, which opens no such port.
            ("admin.enableServer=false\nserver.1=a:1:2", vec![]),
            (
                "admin.enableServer=false\nstandaloneEnabled=false\nserver.1=127.0.0.1:1:2:observer;127.0.0.1:3;4",
                vec![
                    (Kind::SecureClient, "0.0.0.0:4", open),
                    (Kind::Quorum, "127.0.0.1:1", loopback),
                    (Kind::Election, "127.0.0.1:2", loopback),
                ],
            ),
            (
                "admin.enableServer=false\nmetricsProvider.className=org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider",
                vec![(Kind::Metrics, "0.0.0.0:7000", open)],
            ),
            ("admin.enableServer=false\nobserverMasterPort=9", vec![(Kind::ObserverMaster, "0.0.0.0:9", open)]),
        ] {
            let expected: Vec<_> = expected.into_iter().map(|(kind, at, state)| (kind, at.to_owned(), state)).collect();
            assert_eq!(written(zoo_cfg), expected, "{zoo_cfg}");
        }
    }

    #[test]
    fn certificates_or_sasl_guard_the_ports_between_servers_only_if_they_are_asked_for() {
        let two = "admin.enableServer=false\nserver.1=a:1:2\nserver.2=a:1:2";
        for (more, guarded) in [
            ("sslQuorum=true", true),
            ("sslQuorum=true\nportUnification=true", false),
            ("sslQuorum=true\nssl.quorum.clientAuth=want", false),
            ("sslQuorum=false", false),
            (
                "quorum.auth.enableSasl=true\nquorum.auth.learnerRequireSasl=true\nquorum.auth.serverRequireSasl=true",
                true,
            ),
            ("quorum.auth.enableSasl=true\nquorum.auth.learnerRequireSasl=true", false),
            ("quorum.auth.serverRequireSasl=true", false),
        ] {
            let doors = written(&format!("{two}\n{more}"));
            assert_eq!(doors.len(), 4, "{doors:?}");
            assert!(doors.iter().all(|(.., state)| matches!(state, State::Guarded(_)) == guarded), "{more}: {doors:?}");
        }
    }

    #[test]
    fn sockets_tell_what_settings_can_not() {
        let settings = settings(
            "admin.serverPort=8080\nserver.1=zk1:2888:3888\nserver.2=zk2:2888:3888\nquorumListenOnAllIPs=true",
        );
        let declared = declared(&settings, &settings.server_lines(), Some("1"));
        let sockets: Vec<SocketAddr> = ["127.0.0.1:8080", "[::]:3888", "[::]:41000", "[::ffff:127.0.0.1]:41001"]
            .map(|socket| socket.parse().unwrap())
            .to_vec();
        let doors = |others| -> Vec<_> {
            by_sockets(&declared, &sockets, others).into_iter().map(|door| (door.kind, door.at, door.state)).collect()
        };
        let named = [
            (Kind::Election, "[::]:3888".to_owned(), State::Open),
            (Kind::Admin, "127.0.0.1:8080".to_owned(), State::Loopback),
        ];
        assert_eq!(doors(Others::NotZooKeepers), named);
        let all = doors(Others::Are(Kind::Unknown));
        assert_eq!(all.len(), 5, "{all:?}");
        assert!(all.contains(&(Kind::Quorum, "0.0.0.0:2888 (when it leads)".to_owned(), State::Open)), "{all:?}");
        assert!(all.contains(&(Kind::Unknown, "[::]:41000".to_owned(), State::Open)), "{all:?}");
        assert!(all.contains(&(Kind::Unknown, "[::ffff:127.0.0.1]:41001".to_owned(), State::Loopback)), "{all:?}");
    }

    #[test]
    fn an_open_door_has_advice_with_a_line_and_a_closed_one_has_none() {
        let settings = settings("server.1=a:1:2\nserver.2=127.0.0.1:1:2");
        for door in by_settings(&declared(&settings, &settings.server_lines(), None)) {
            let open = door.state == State::Open;
            assert_eq!((door.advice().is_some(), door.closed().is_some()), (open, !open), "{door:?}");
        }
    }
}
