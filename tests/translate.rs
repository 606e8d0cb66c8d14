//! `acl.translate: on` before a stock server is to clients what native TLS is: the same requests, the same replies.
#![allow(clippy::unwrap_used, reason = "a test that can't go on stops there")]

mod support;

#[path = "translate/names.rs"]
mod names;
#[path = "translate/outcome.rs"]
mod outcome;
#[path = "translate/rotation.rs"]
mod rotation;
#[path = "translate/sequence.rs"]
mod sequence;
#[path = "translate/size.rs"]
mod size;

use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use outcome::Acls;
use sequence::{Burst, Sequence};
use support::clients::{java_native_acls, kazoo_native_acls};
use support::gate::{Gate, identities, zoogate};
use support::pki::{Certified, Pki, Profile};
use support::wire::{self, Wire, op};
use support::zookeeper::{Factory, ZooKeeper, ZooKeeperConfig};
use support::{der, run, set_up};

const RUNS: u64 = 4;
const BURSTS: usize = 25;

/// The YAML of a gate with translation. It connects from the address that clients come from, for ids of the scheme `ip`.
fn translating_yaml(pki: &Pki, upstream: SocketAddr) -> String {
    let upstream_line = format!("  address: {upstream}\n");
    let yaml = Gate::config(pki, upstream).replace(&upstream_line, &format!("{upstream_line}  source: system\n"));
    format!("{yaml}acl: {{ translate: on }}\n")
}

fn translating(pki: &Pki, upstream: SocketAddr) -> Gate {
    Gate::start(&translating_yaml(pki, upstream))
}

/// Body of a setACL request.
fn set_acl(path: &str, acl: &[(i32, &str, &str)], version: i32) -> Vec<u8> {
    // A create has data before the ACL, and flags where this has the version.
    let create = wire::create(path, acl, version);
    let path = wire::string(path);
    [&path[..], &create[path.len() + wire::buffer(b"").len()..]].concat()
}

/// A server that has the extended types of znodes and reaps nothing.
fn server(version: &'static str, factory: Factory) -> ZooKeeperConfig {
    ZooKeeperConfig::new(version, factory)
        .jvm("-Dzookeeper.extendedTypesEnabled=true")
        .jvm("-Dzookeeper.forceSync=no")
        .jvm("-Dznode.container.checkIntervalMs=3600000")
}

/// Clients whose names break the syntax of digest ids, of `zkCli.sh`, or of both.
fn clients(pki: &Pki) -> Vec<Certified> {
    let organisation = |value: &str| der::name(&[("2.5.4.10", value), ("2.5.4.3", "client")]);
    let subjects = [
        organisation("Acme, \"Inc.\": ' $(id)"),
        organisation(" a%2Cb%/100 %"),
        organisation("x509/CN=alice"),
        organisation("world:anyone:rwcda,O=Other"),
        organisation("Zoë 日本\u{202e}\u{fffd}"),
        organisation("😀 smile"),
        der::name(&[("2.5.4.11", "unit"); 60]),
        der::name(&[("1.2.840.113549.1.9.1", "a@b.co"), ("2.5.4.3", "mail")]),
        der::person("alice"),
        der::person("bob"),
    ];
    subjects.into_iter().map(|subject| pki.ca.issue(&Profile::client(subject))).collect()
}

/// The `x509` id of each client.
fn names_of(pki: &Pki, clients: &[Certified]) -> Vec<String> {
    let ders: Vec<&[u8]> = clients.iter().map(|client| client.der.as_slice()).collect();
    identities(pki, &ders).into_iter().map(|ids| ids.unwrap().x509).collect()
}

/// Plays a burst in a session of its own, and tells what came back: each request with its outcome.
fn play(mut wire: Wire, burst: &Burst, acls: Acls) -> Vec<String> {
    let session = wire.open_new();
    let xid = |index: usize| if burst.requests[index].opcode == op::AUTH { -4 } else { index as i32 + 1 };
    let mut outcomes = vec![String::new(); burst.requests.len()];
    for pipelined in pipelined(burst) {
        let frames = pipelined.clone().map(|index| {
            let request = &burst.requests[index];
            wire::frame(&wire::request(xid(index), request.opcode, &request.body))
        });
        let frames: Vec<_> = frames.collect();
        send_in_chunks(&mut wire, &frames.concat(), &burst.chunks);
        for _ in pipelined.clone() {
            let Some(reply) = wire.read_reply().unwrap() else { break };
            // Replies to credentials overtake others.
            let index = pipelined.clone().find(|index| xid(*index) == reply.xid && outcomes[*index].is_empty());
            let index = index.unwrap_or_else(|| panic!("nobody asked for {reply:?}"));
            outcomes[index] = outcome::tell(&burst.requests[index], &reply, session.id, acls);
        }
    }
    let _ = wire.request(op::CLOSE_SESSION, &[]);
    let asked = burst.requests.iter().map(|request| request.told.as_str());
    asked.zip(outcomes).map(|(asked, outcome)| format!("{asked}\n    -> {outcome}")).collect()
}

/// What is sent without waiting. Until a server has applied changes that are on their way, it checks what follows a
/// setACL by the old ACL, and forgets them when it rolls a multi back: such races would tell nothing.
fn pipelined(burst: &Burst) -> Vec<Range<usize>> {
    let opcode = |index: usize| burst.requests[index].opcode;
    let waits = |index: &usize| opcode(*index) == op::MULTI || opcode(*index - 1) == op::SET_ACL;
    let starts: Vec<usize> = [0].into_iter().chain((1..burst.requests.len()).filter(waits)).collect();
    let ends = starts.iter().skip(1).copied().chain([burst.requests.len()]);
    starts.iter().copied().zip(ends).map(|(start, end)| start..end).collect()
}

fn send_in_chunks(wire: &mut Wire, bytes: &[u8], sizes: &[usize]) {
    let (mut rest, mut sizes) = (bytes, sizes.iter().cycle());
    // Few enough that a burst of tiny chunks doesn't take seconds.
    let least = rest.len().div_ceil(60);
    while !rest.is_empty() {
        let size = (*sizes.next().unwrap()).max(least).min(rest.len());
        let (chunk, next) = rest.split_at(size);
        wire.send(chunk).unwrap();
        if size % 8 == 1 {
            std::thread::sleep(Duration::from_micros(300));
        }
        rest = next;
    }
}

fn make_root(address: SocketAddr, pki: &Pki, root: &str) {
    let mut wire = Wire::tls(address, &pki.ca, &pki.alice).unwrap();
    wire.open_new();
    let body = wire::create(root, &[(31, "world", "anyone")], 0);
    assert_eq!(wire.request(op::CREATE, &body).unwrap().unwrap().error, 0);
    let _ = wire.request(op::CLOSE_SESSION, &[]);
}

/// A server with TLS of its own, and one without.
struct Servers {
    version: &'static str,
    pki: Pki,
    native: ZooKeeper,
    stock: ZooKeeper,
}

/// One run of bursts against a native server and a gate; what they had in common.
fn compare(servers: &Servers, seed: u64) -> Vec<String> {
    let Servers { version, pki, native, stock } = servers;
    let acls = match seed % 4 {
        2 => Acls::Sorted,
        3 => Acls::Once,
        _ => Acls::InOrder,
    };
    let secrets = (0..if acls == Acls::Once { 2 } else { 1 }).map(|_| run(&mut zoogate(&["secret"])));
    std::fs::write(pki.path("secret"), secrets.collect::<String>()).unwrap();
    let gate = translating(pki, stock.address());
    let clients = clients(pki);
    let names = names_of(pki, &clients);
    let root = format!("/{seed}");
    make_root(native.secure_address(), pki, &root);
    make_root(gate.address(), pki, &root);
    let mut sequence = Sequence::new(seed, &root, &names, acls == Acls::Sorted);
    let mut same = Vec::new();
    for number in 0..BURSTS {
        let burst = sequence.burst();
        let client = &clients[burst.client];
        let expected = play(Wire::tls(native.secure_address(), &pki.ca, client).unwrap(), &burst, acls);
        let found = play(Wire::tls(gate.address(), &pki.ca, client).unwrap(), &burst, acls);
        for (index, (expected, found)) in expected.iter().zip(&found).enumerate() {
            assert_eq!(
                found,
                expected,
                "ZOOGATE_TRANSLATE_SEED={seed}, {version}, burst {number} of {}, request {index} of {:#?}",
                names[burst.client],
                burst.requests.iter().map(|request| request.told.as_str()).collect::<Vec<_>>(),
            );
        }
        same.extend(expected);
    }
    gate.finish();
    same
}

fn every_reply_is_native(version: &'static str) {
    let seeds = match std::env::var("ZOOGATE_TRANSLATE_SEED") {
        Ok(seeds) => seeds.split(',').map(|seed| seed.parse().unwrap()).collect(),
        Err(_) => (0..RUNS).collect::<Vec<u64>>(),
    };
    let pki = Pki::new();
    let native = server(version, Factory::Netty).secure(&pki).start();
    let servers = Servers { version, native, stock: server(version, Factory::Nio).start(), pki };
    let same: Vec<String> = seeds.iter().flat_map(|seed| compare(&servers, *seed)).collect();
    // A seed alone need not come across all of these.
    if seeds.len() as u64 >= RUNS {
        let kinds = [
            ("an ACL with a name", &["getACL", "-> ", "x509:CN="][..]),
            ("an ACL with a masked hash", &["getACL", "-> ", "digest:", ":x:"]),
            ("an id that looks like a masked one", &["getACL", "-> ", "digest:x509/", ":x:"]),
            ("an ACL with an address", &["getACL", "-> ", "ip:127.0.0.1:"]),
            ("who one is", &["whoAmI", "-> ", "x509:CN="]),
            ("a refused id", &["setACL", "-> error -114"]),
            ("a denial", &["getData", "-> error -102"]),
            ("a multi that fails", &["multi", "-> ", "-1 -2: -2"]),
            ("a multi that succeeds", &["multi", "-> ", "15 0: /"]),
            ("a container", &["createContainer", "-> /"]),
            ("a znode of limited life", &["createTTL", "-> /"]),
        ];
        for (kind, parts) in kinds {
            let found = same.iter().filter(|told| parts.iter().all(|part| told.contains(part))).count();
            assert!(found > 2, "{version}: {kind}: {found} times in {} replies", same.len());
        }
    }
}

#[test]
fn every_reply_about_acls_is_that_of_native_tls_on_3_8() {
    every_reply_is_native("3.8.6");
}

#[test]
fn every_reply_about_acls_is_that_of_native_tls_on_3_9() {
    every_reply_is_native("3.9.5");
}

/// What a program prints, first before ZooKeeper's own TLS, then before stock servers of all lines behind a gate.
fn prints_the_same(pki: &Pki, program: impl Fn(SocketAddr) -> Vec<(String, String)>) {
    let native = ZooKeeperConfig::new("3.9.5", Factory::Netty).secure(pki).start();
    let expected = program(native.secure_address());
    assert!(expected.len() > 20, "{expected:?}");
    // `make setup` gets all lines but 3.7, `make setup-matrix` that one too.
    let versions = ["3.4.14", "3.5.10", "3.6.4", "3.7.2", "3.8.6", "3.9.5"].into_iter();
    for version in versions.filter(|version| *version != "3.7.2" || set_up("zookeeper").join(version).exists()) {
        // 3.4 looks for log4j's beans otherwise, and ends without them.
        let stock = ZooKeeperConfig::new(version, Factory::Nio).jvm("-Dzookeeper.jmx.log4j.disable=true").start();
        let gate = translating(pki, stock.address());
        let found = program(gate.address());
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!(found, expected, "{version}");
        }
        assert_eq!(found.len(), expected.len(), "{version}");
        gate.finish();
    }
}

/// Bob's colleague, whose name breaks the syntax of everything that names are written into.
fn with_carol(pki: &Pki) -> [String; 2] {
    let subject = der::name(&[("2.5.4.10", "Acme, \"Inc.\": ' $(id)/%2C"), ("2.5.4.3", "carol=c")]);
    let carol = pki.ca.issue(&Profile::client(subject));
    pki.save("carol", &carol);
    let ids = identities(pki, &[&pki.alice.der, &carol.der]).into_iter().map(|ids| ids.unwrap().x509);
    ids.collect::<Vec<_>>().try_into().unwrap()
}

#[test]
fn a_java_program_for_native_acls_runs_unchanged() {
    let pki = Pki::new();
    let [alice, carol] = with_carol(&pki);
    pki.java_trust_store();
    for name in ["alice", "carol"] {
        pki.java_key_store(name);
    }
    prints_the_same(&pki, |address| java_native_acls(&pki, address, ("alice", &alice), ("carol", &carol)));
}

#[test]
fn a_kazoo_program_for_native_acls_runs_unchanged() {
    let pki = Pki::new();
    let [alice, carol] = with_carol(&pki);
    // Native servers write characters beyond U+FFFF in a way that kazoo can't read.
    let mut strangers = names_of(&pki, &clients(&pki));
    strangers.retain(|name| name.chars().all(|c| u32::from(c) <= 0xffff));
    prints_the_same(&pki, |address| {
        kazoo_native_acls(&pki, address, [("alice", &alice), ("carol", &carol)], &strangers)
    });
}
