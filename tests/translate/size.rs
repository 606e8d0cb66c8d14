//! ACLs of thousands of entries, which translation makes longer.

use std::time::{Duration, Instant};

use super::support::pki::Pki;
use super::support::wait_for;
use super::support::wire::{self, Wire, op};
use super::support::zookeeper::{Factory, ZooKeeperConfig};
use super::{set_acl, translating};

/// ZooKeeper's `jute.maxbuffer` unless told otherwise.
const LONGEST_REQUEST: usize = 0xf_ffff;

/// Names that become twice as long or more as digest ids.
fn names(count: usize) -> Vec<String> {
    let unit = "unité ".repeat(30);
    (0..count).map(|number| format!("CN=service-{number:05},OU={unit}x,O=Acme")).collect()
}

fn entries(names: &[String]) -> Vec<(i32, &str, &str)> {
    let alice = (31, "x509", "CN=alice,O=Acme,C=US");
    names.iter().map(|name| (1, "x509", name.as_str())).chain([alice]).collect()
}

#[test]
fn thousands_of_entries_come_and_go_within_a_second_or_two() {
    let pki = Pki::new();
    let server = ZooKeeperConfig::new("3.9.5", Factory::Nio).start();
    let gate = translating(&pki, server.address());
    let mut alice = Wire::tls(gate.address(), &pki.ca, &pki.alice).unwrap();
    alice.open_new();
    let names = names(2_000);
    let started = Instant::now();
    let created = alice.request(op::CREATE, &wire::create("/p", &entries(&names), 0)).unwrap().unwrap();
    assert_eq!(created.error, 0);
    let acl = alice.acl("/p");
    assert_eq!(acl.len(), 2_001);
    assert_eq!(acl[1_999], (1, format!("x509:{}", names[1_999])));
    let taken = started.elapsed();
    assert!(taken < Duration::from_secs(10), "{taken:?}");
    drop(alice);
    gate.finish();
}

#[test]
fn a_request_that_translation_makes_too_long_for_the_server_ends_the_connection() {
    let pki = Pki::new();
    let server = ZooKeeperConfig::new("3.9.5", Factory::Nio).start();
    let gate = translating(&pki, server.address());
    let connect = || {
        let mut wire = Wire::tls(gate.address(), &pki.ca, &pki.alice).unwrap();
        wire.open_new();
        wire
    };
    let mut alice = connect();
    let few = names(1);
    assert_eq!(alice.request(op::CREATE, &wire::create("/p", &entries(&few), 0)).unwrap().unwrap().error, 0);

    let many = names(4_000);
    let body = set_acl("/p", &entries(&many), -1);
    assert!((LONGEST_REQUEST * 9 / 10..LONGEST_REQUEST).contains(&body.len()), "{}", body.len());
    assert_eq!(alice.request(op::SET_ACL, &body).unwrap(), None, "the server closes, as it does to any long request");
    let told = || gate.output().contains("upstream_closed").then_some(());
    assert!(wait_for(told).is_some(), "{}", gate.output());

    let mut again = connect();
    assert_eq!(again.acl("/p").len(), 2, "nothing of it was done");
    drop(again);
    gate.finish();
}

#[test]
fn a_server_with_a_longer_limit_takes_what_native_tls_takes() {
    let pki = Pki::new();
    let server = ZooKeeperConfig::new("3.9.5", Factory::Nio).jvm("-Djute.maxbuffer=4194304").start();
    let gate = translating(&pki, server.address());
    let mut alice = Wire::tls(gate.address(), &pki.ca, &pki.alice).unwrap();
    alice.open_new();
    let names = names(4_000);
    assert_eq!(alice.request(op::CREATE, &wire::create("/p", &entries(&names), 0)).unwrap().unwrap().error, 0);
    assert_eq!(alice.acl("/p").len(), 4_001);
    drop(alice);
    gate.finish();
}
