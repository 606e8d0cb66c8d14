//! What is shipped for Prometheus and Grafana: alerts that fire when they should, a runbook for each, and no metric that
//! does not exist.
#![allow(clippy::unwrap_used, reason = "a test that can't go on stops there")]

#[path = "monitoring/dashboard.rs"]
mod dashboard;
#[path = "monitoring/expressions.rs"]
mod expressions;
#[path = "monitoring/probes.rs"]
mod probes;
#[path = "monitoring/prometheus.rs"]
mod prometheus;
#[path = "monitoring/rules.rs"]
mod rules;
mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use support::gate::Gate;
use support::pki::{Pki, Profile, now};
use support::wire::Wire;
use support::zookeeper::{Factory, ZooKeeperConfig, four_letter_word};
use support::{der, wait_for};

const DAY: i64 = 86_400;

/// A file of the repository.
fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &str) -> String {
    fs::read_to_string(repository(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn a_client_whose_certificate_ends_in_an_hour_is_an_alert_until_it_has_renewed() {
    let begun = Instant::now();
    let pki = Pki::new();
    // Netty, for only there ZooKeeper counts what the alert on a bypass asks for.
    let server = ZooKeeperConfig::new("3.9.5", Factory::Netty).line("4lw.commands.whitelist=srvr,mntr").start();
    let mut gate = Gate::in_front_of(server.address(), &pki);
    gate.expect_log("certificate ends soon");
    let prometheus = prometheus::Server::start(&[gate.admin()], &repository(rules::FILE));
    let evaluated = "instance:zoogate_connections:sum == 0";
    wait_for(|| prometheus.holds(evaluated).then_some(())).expect("the rules are evaluated");
    assert_eq!(prometheus.firing(), Vec::<String>::new());

    let mut ending = Profile::client(der::person("alice"));
    ending.valid = (now() - 29 * DAY, now() + 3_600);
    let mut alice = Wire::tls(gate.address(), &pki.ca, &pki.ca.issue(&ending)).unwrap();
    alice.open_new();
    wait_for(|| (prometheus.firing() == ["ZoogateClientCertificatesEndToday"]).then_some(())).expect("the alert fires");
    let alert = prometheus.alert("ZoogateClientCertificatesEndToday");
    assert_eq!(alert["labels"]["instance"], gate.admin().to_string());
    let (_, status) = gate.get("/status").unwrap();
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    for key in rules::keys_of_status() {
        assert!(status.get(&key).is_some(), "the runbooks ask for {key}, and /status has none: {status}");
    }
    assert!(alert["annotations"]["description"].as_str().unwrap().starts_with("1 certificate(s)"), "{alert}");

    alice.cut();
    let mut alice = Wire::tls(gate.address(), &pki.ca, &pki.alice).unwrap();
    alice.open_new();
    wait_for(|| prometheus.firing().is_empty().then_some(())).expect("the alert clears");

    let counted = four_letter_word(server.address(), "mntr").unwrap();
    assert!(counted.contains("zk_non_mtls_remote_conn_count\t0\n"), "clients of the gate are no bypass: {counted}");
    assert!(!counted.contains("zk_non_mtls_local_conn_count\t0\n"), "{counted}");
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
}
