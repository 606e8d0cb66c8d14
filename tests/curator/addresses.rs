//! What `/zookeeper/config` and the answer to a reconfiguration say through a gate, beside what real servers say
//! directly.

use std::net::SocketAddr;

use super::ensemble::{Configuration, SUPER, Seat, Server, at, ports, start};
use super::support::gate::Gate;
use super::support::pki::Pki;
use super::support::wire::{self, Fields, Reply, Wire, op};

const CONFIG: &str = "/zookeeper/config";
const RECONFIG: i32 = 16;

/// The text in a reply, and the Stat behind it.
fn text(reply: Option<Reply>) -> (String, Vec<u8>) {
    let reply = reply.expect("a reply");
    assert_eq!(reply.error, 0);
    let mut fields = Fields(&reply.body);
    let text = String::from_utf8(fields.buffer()).unwrap();
    (text, fields.0.to_vec())
}

fn config(wire: &mut Wire) -> (String, Vec<u8>) {
    text(wire.request(op::GET_DATA, &wire::path_and_watch(CONFIG, false)).unwrap())
}

fn config_from(server: &Server) -> (String, Vec<u8>) {
    let mut wire = Wire::plain(server.seat.client);
    wire.open_new();
    config(&mut wire)
}

/// Alice at this address, with a session.
fn alice(address: SocketAddr, pki: &Pki) -> Wire {
    let mut wire = Wire::tls(address, &pki.ca, &pki.alice).unwrap();
    wire.open_new();
    wire
}

fn one(version: &str, seat: &Seat, configuration: Configuration) -> Server {
    start(version, std::slice::from_ref(seat), configuration).pop().unwrap()
}

fn servers_addresses_become_the_gates(version: &str) {
    let pki = Pki::new();
    let seat = Seat::new("127.0.0.2", "127.0.0.1");
    let server = one(version, &seat, Configuration::Dynamic);
    let gate = Gate::in_front_of(seat.client, &pki);
    let port = gate.address().port();
    let rewritten = format!("server.1={};127.0.0.2:{port}", seat.quorum);

    let (direct, stat) = config_from(&server);
    assert_eq!(direct, format!("{}\nversion=100000000", seat.line(1)), "what the server says");
    let mut watcher = alice(gate.address(), &pki);
    let watched = text(watcher.request(op::GET_DATA, &wire::path_and_watch(CONFIG, true)).unwrap());
    assert_eq!(watched, (format!("{rewritten}\nversion=100000000"), stat));

    let mut superuser = Wire::tls(gate.address(), &pki.ca, &pki.bob).unwrap();
    superuser.own_credential = Some(SUPER.as_bytes().to_vec());
    superuser.open_new();
    let second = format!("{}:observer", ports("127.0.0.3"));
    let joining = format!("server.2={second};127.0.0.1:9,server.3={}:observer;9", ports("127.0.0.3"));
    let third = joining.rsplit_once("server.3=").unwrap().1.trim_end_matches(";9").to_owned();
    // The servers that join; none leave, no new list of all, whatever the version.
    let null = [0xff; 4];
    let body = [&wire::string(&joining)[..], &null, &null, &[0xff; 8]].concat();
    let (answer, answer_stat) = text(superuser.request(RECONFIG, &body).unwrap());
    let (direct, stat) = config_from(&server);
    let line = format!("server.2={second};127.0.0.1:9\nserver.3={third};0.0.0.0:9");
    assert!(direct.starts_with(&format!("{}\n{line}\nversion=", seat.line(1))), "what the server says: {direct}");
    let version_line = direct.rsplit_once('\n').unwrap().1;
    let expected =
        format!("{rewritten}\nserver.2={second};127.0.0.3:{port}\nserver.3={third};0.0.0.0:9\n{version_line}");
    assert_eq!((&answer, answer_stat.len()), (&expected, stat.len()), "the answer to the reconfiguration");

    let notification = watcher.read_reply().unwrap().expect("a notification");
    let event = [&3_i32.to_be_bytes()[..], &3_i32.to_be_bytes(), &wire::string(CONFIG)].concat();
    assert_eq!((notification.xid, notification.body), (-1, event), "NodeDataChanged");
    assert_eq!(config(&mut watcher), (expected, stat));
    drop((watcher, superuser));
    gate.finish();
}

#[test]
fn the_addresses_of_servers_become_those_of_gates_on_3_5() {
    servers_addresses_become_the_gates("3.5.10");
}

#[test]
fn the_addresses_of_servers_become_those_of_gates_on_3_6() {
    servers_addresses_become_the_gates("3.6.4");
}

#[test]
fn the_addresses_of_servers_become_those_of_gates_on_3_9() {
    servers_addresses_become_the_gates("3.9.5");
}

fn a_static_configuration_is_left_alone(version: &str) {
    let pki = Pki::new();
    let seat = Seat::new("127.0.0.2", "127.0.0.1");
    let server = one(version, &seat, Configuration::Static);
    let expected = format!("server.1={}\nversion=0", seat.quorum);
    let (direct, stat) = config_from(&server);
    assert_eq!(direct, expected, "what the server says");
    let everything = "ensemble: { advertise: all, port: 7, addresses: [ \"1=zk1.example.com:443\" ] }\n";
    let gate = Gate::start(&(Gate::config(&pki, seat.client) + everything));
    assert_eq!(config(&mut alice(gate.address(), &pki)), (expected, stat));
    gate.finish();
}

#[test]
fn a_static_configuration_is_left_alone_on_3_5() {
    a_static_configuration_is_left_alone("3.5.10");
}

#[test]
fn a_static_configuration_is_left_alone_on_3_9() {
    a_static_configuration_is_left_alone("3.9.5");
}

#[test]
fn what_is_told_in_place_of_addresses_is_configured() {
    let pki = Pki::new();
    // Where the client address is loopback, and where it is not.
    for client in ["127.0.0.1", "0.0.0.0"] {
        let seat = Seat::new("127.0.0.2", client);
        let server = one("3.9.5", &seat, Configuration::Dynamic);
        let loopback = client == "127.0.0.1";
        for (section, told) in [
            ("", loopback.then_some("127.0.0.2:OWN")),
            ("{ advertise: loopback }", loopback.then_some("127.0.0.2:OWN")),
            ("{ advertise: all }", Some("127.0.0.2:OWN")),
            ("{ advertise: off }", None),
            ("{ port: 7 }", loopback.then_some("127.0.0.2:7")),
            ("{ advertise: all, port: 7 }", Some("127.0.0.2:7")),
            ("{ addresses: [ \"1=zk1.example.com:443\", \"2=zk2.example.com:443\" ] }", Some("zk1.example.com:443")),
            ("{ port: 7, addresses: [ \"2=zk2.example.com:443\" ] }", loopback.then_some("127.0.0.2:7")),
        ] {
            let upstream = SocketAddr::from(([127, 0, 0, 1], seat.client.port()));
            let section = if section.is_empty() { String::new() } else { format!("ensemble: {section}\n") };
            let gate = Gate::start(&(Gate::config(&pki, upstream) + &section));
            let told = told.map(|told| told.replace("OWN", &gate.address().port().to_string()));
            let expected = told.unwrap_or_else(|| seat.client.to_string());
            let (text, _) = config(&mut alice(gate.address(), &pki));
            let expected = format!("server.1={};{expected}\nversion=100000000", seat.quorum);
            assert_eq!(text, expected, "{client} {section}");
            gate.finish();
        }
        drop(server);
    }
}

#[test]
fn hosts_of_ipv6_keep_their_brackets() {
    let pki = Pki::new();
    // Java prints the long form of an address.
    let long = "[0:0:0:0:0:0:0:1]";
    let seat = Seat::new(long, "[::1]");
    let server = one("3.9.5", &seat, Configuration::Dynamic);
    let (direct, stat) = config_from(&server);
    let told = |port| format!("server.1={};{long}:{port}\nversion=100000000", seat.quorum);
    assert_eq!(direct, told(seat.client.port()), "what the server says");
    let listen = at("[::1]");
    let yaml = [("LISTEN".to_owned(), listen), (seat.client.to_string(), seat.client)]
        .iter()
        .fold(Gate::config(&pki, seat.client), |yaml, (from, to)| yaml.replace(from, &format!("\"{to}\"")));
    let gate = Gate::start(&yaml);
    assert_eq!(config(&mut alice(listen, &pki)), (told(listen.port()), stat));
    gate.finish();
}

#[test]
fn the_first_of_several_addresses_is_the_gates_host() {
    let pki = Pki::new();
    for version in ["3.6.4", "3.9.5"] {
        let mut seat = Seat::new("127.0.0.2", "127.0.0.1");
        seat.quorum = format!("{}|{}:participant", ports("127.0.0.2"), ports("127.0.0.3"));
        let server = one(version, &seat, Configuration::Dynamic);
        let (direct, stat) = config_from(&server);
        assert_eq!(direct, format!("{}\nversion=100000000", seat.line(1)), "what the server says");
        let gate = Gate::in_front_of(seat.client, &pki);
        let told = format!("server.1={};127.0.0.2:{}\nversion=100000000", seat.quorum, gate.address().port());
        assert_eq!(config(&mut alice(gate.address(), &pki)), (told, stat));
        gate.finish();
    }
}
