//! One table: what must hold in front of every line of ZooKeeper, on both of its network layers.
//!
//! `ZOOKEEPER_VERSIONS="3.4.14 3.9.5"` chooses the versions; without it, all that are set up are taken.
//! `make test-matrix` sets up and takes one of each line.
#![allow(clippy::unwrap_used, reason = "a test that can't go on stops there")]
#![allow(clippy::print_stdout, reason = "shown only when a row fails, whose own message does not say where it is")]

mod support;

use std::collections::BTreeSet;
use std::fs;

use support::gate::{Gate, digest_id, zoogate};
use support::pki::{Certified, Pki};
use support::run;
use support::set_up;
use support::wire::{self, CREATOR_ALL, Session, Wire, op};
use support::zookeeper::{Factory, ZooKeeperConfig};
use zoogate::zk::session_password::stock_password;

/// A gate before the server under test, and what it stands there with.
struct Case<'a> {
    version: &'a str,
    pki: &'a Pki,
    gate: Gate,
}

/// What shows that a promise is kept.
type Shows = fn(&Case<'_>);

/// Each row is a promise, and what shows that it is kept.
const ROWS: &[(&str, Shows)] = &[
    ("the gate is ready and names the version", is_ready),
    ("`check --upstream` names the version", check_names_the_version),
    ("`srvr` is answered inside TLS", answers_srvr),
    ("a znode for its creator is the identity's that `zoogate identity` prints", identity_owns_its_znodes),
    ("a session is its owner's and nobody else's", session_is_its_owners),
];

impl Case<'_> {
    fn enter(&self, who: &Certified) -> Wire {
        Wire::tls(self.gate.address(), &self.pki.ca, who).unwrap()
    }
}

fn is_ready(case: &Case<'_>) {
    let (status, body) = case.gate.get("/readyz").unwrap();
    assert_eq!(status, 200, "{body}");
    let (_, status) = case.gate.get("/status").unwrap();
    assert!(status.contains(case.version), "{status}");
}

fn check_names_the_version(case: &Case<'_>) {
    let told = run(zoogate(&["check", "--upstream", "--config"]).arg(case.gate.config_file()));
    assert!(told.contains(&format!("ZooKeeper {} at ", case.version)), "{told}");
    assert!(told.contains(": standalone, as told by srvr"), "{told}");
}

fn answers_srvr(case: &Case<'_>) {
    let mut wire = case.enter(&case.pki.alice);
    wire.send(b"srvr").unwrap();
    let answer = String::from_utf8(wire.read_to_end().unwrap()).unwrap();
    assert!(answer.starts_with(&format!("Zookeeper version: {}", case.version)), "{answer}");
}

fn identity_owns_its_znodes(case: &Case<'_>) {
    let mut alice = case.enter(&case.pki.alice);
    alice.open_new();
    let created = alice.request(op::CREATE, &wire::create("/alices", CREATOR_ALL, 0)).unwrap().unwrap();
    assert_eq!(created.error, 0);
    let printed = digest_id(case.pki, &case.pki.alice.der);
    assert_eq!(alice.acl("/alices"), [(31, format!("digest:{printed}"))]);

    let mut bob = case.enter(&case.pki.bob);
    bob.open_new();
    let read = |wire: &mut Wire| wire.request(op::GET_DATA, &wire::path_and_watch("/alices", false)).unwrap().unwrap();
    assert_eq!(read(&mut bob).error, -102, "NoAuth");
    assert_eq!(read(&mut alice).error, 0);
    [alice, bob].into_iter().for_each(close);
}

fn session_is_its_owners(case: &Case<'_>) {
    let mut alice = case.enter(&case.pki.alice);
    let session = alice.open_new();
    assert_ne!(session.password, stock_password(session.id), "it is sealed");
    let created = alice.request(op::CREATE, &wire::create("/own", CREATOR_ALL, 1)).unwrap().unwrap();
    assert_eq!(created.error, 0);

    for password in [stock_password(session.id).to_vec(), vec![0; 16], session.password.clone()] {
        let stolen = Session { password, ..session.clone() };
        let refused = case.enter(&case.pki.bob).open(Some(&stolen)).unwrap().unwrap();
        assert_eq!((refused.timeout, refused.id, &refused.password[..]), (0, 0, &[0; 16][..]));
    }
    let own = alice.request(op::EXISTS, &wire::path_and_watch("/own", false)).unwrap().unwrap();
    assert_eq!(own.error, 0, "the owner's connection was not cut");

    alice.cut();
    let mut back = case.enter(&case.pki.alice);
    let resumed = back.open(Some(&session)).unwrap().unwrap();
    assert_eq!((resumed.id, resumed.timeout), (session.id, session.timeout));
    let own = back.request(op::GET_DATA, &wire::path_and_watch("/own", false)).unwrap().unwrap();
    assert_eq!(own.error, 0, "she is who she was, and her ephemeral znode is there");
    close(back);
}

/// Closes a session. 3.4 on Netty mostly hangs up before the answer is written, asked directly too.
fn close(mut wire: Wire) {
    let answer = wire.request(op::CLOSE_SESSION, &[]).unwrap();
    assert!(answer.is_none_or(|reply| reply.error == 0));
}

/// The versions to take, oldest first.
fn versions() -> Vec<String> {
    let chosen = std::env::var("ZOOKEEPER_VERSIONS").unwrap_or_default();
    let mut versions: BTreeSet<String> = chosen.split_whitespace().map(str::to_owned).collect();
    if versions.is_empty() {
        let entries = fs::read_dir(set_up("zookeeper")).unwrap().map(|entry| entry.unwrap().path());
        let ready = entries.filter(|path| path.join("cp.txt").exists());
        versions = ready.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    }
    assert!(!versions.is_empty(), "no ZooKeeper is set up");
    versions.into_iter().collect()
}

fn holds_on(factory: Factory) {
    let pki = Pki::new();
    for version in versions() {
        let server = ZooKeeperConfig::new(&version, factory).start();
        let case = Case { version: &version, pki: &pki, gate: Gate::in_front_of(server.address(), &pki) };
        for (promise, shows) in ROWS {
            println!("{version} {factory:?}: {promise}");
            shows(&case);
        }
        case.gate.finish();
    }
}

#[test]
fn every_promise_holds_on_every_version_by_nio() {
    holds_on(Factory::Nio);
}

#[test]
fn every_promise_holds_on_every_version_by_netty() {
    holds_on(Factory::Netty);
}
