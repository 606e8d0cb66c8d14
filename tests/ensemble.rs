//! Three real servers, three gates, and clients that list them all: what moves, and what must not be moved by others.
#![allow(clippy::unwrap_used, reason = "a test that can't go on stops there")]

mod support;

use serde_json::{Value, json};
use support::clients::{Puppet, tls_files};
use support::ensemble::Ensemble;
use support::pki::Pki;
use support::zookeeper::Factory;

/// What a gate says when its server is down.
const UNREACHABLE: &str = "ZooKeeper can't be reached";

/// One session lives through the death of a follower, of what it is connected to, and of the leader. Returns what the
/// client saw of it, the port left out.
fn moves(ensemble: &mut Ensemble, arguments: &Value) -> Vec<(String, Value)> {
    let mut client = Puppet::start("mover.py", arguments);
    let mut seen = Vec::new();
    let port = client.ask("open").as_u64().expect("a port");
    let mut at = ensemble.index_of(port.try_into().unwrap());
    assert_ne!(at, ensemble.leader(), "the first of the hosts is a follower");
    for who in ["server", "front", "leader"] {
        let victim = if who == "leader" { ensemble.leader() } else { at };
        let is_gate = who == "front" && !ensemble.gates.is_empty();
        if is_gate { ensemble.gates[victim].kill() } else { ensemble.servers[victim].kill() }
        seen.push((format!("change as the {who} dies"), client.ask(&format!("change {who}-died"))));
        let mut settled = client.ask("settle");
        let port = settled.as_object_mut().unwrap().remove("port").unwrap().as_u64().expect("a port");
        seen.push((format!("after the {who}'s death"), settled));
        if is_gate { ensemble.gates[victim].restart() } else { ensemble.servers[victim].restart() }
        at = ensemble.index_of(port.try_into().unwrap());
        seen.push((format!("change when the {who} is back"), client.ask(&format!("change {who}-back"))));
    }
    seen.push(("close".to_owned(), client.ask("close")));
    seen
}

/// All hosts, a follower first: clients that don't choose at random begin there.
fn follower_first(ensemble: &Ensemble) -> String {
    let hosts = ensemble.hosts();
    let mut hosts: Vec<&str> = hosts.split(',').collect();
    hosts.rotate_left((ensemble.leader() + 1) % 3);
    hosts.join(",")
}

fn a_session_moves_as_with_plain_zookeeper(version: &'static str, factory: Factory) {
    let pki = Pki::new();
    let mut plain = Ensemble::plain(version, factory);
    let arguments = json!({ "hosts": follower_first(&plain), "root": "/moves", "tls": null, "digest": "alice:a" });
    let expected = moves(&mut plain, &arguments);
    assert_eq!(expected.len(), 10);
    for (step, outcome) in &expected {
        let all = outcome.as_object().is_none_or(|fields| fields.values().all(|value| value == true));
        assert!(all && outcome != false, "directly: {step}: {outcome}");
    }
    drop(plain);

    let mut ensemble = Ensemble::gated(version, factory, &pki, "");
    ensemble.gates.iter_mut().for_each(|gate| gate.expect_log(UNREACHABLE));
    let arguments = json!({
        "hosts": follower_first(&ensemble), "root": "/moves", "tls": tls_files(&pki, "alice"), "digest": null,
    });
    assert_eq!(moves(&mut ensemble, &arguments), expected);
    ensemble.finish();
}

#[test]
fn a_session_moves_as_with_plain_zookeeper_on_3_9_nio() {
    a_session_moves_as_with_plain_zookeeper("3.9.5", Factory::Nio);
}

#[test]
fn a_session_moves_as_with_plain_zookeeper_on_3_8_netty() {
    a_session_moves_as_with_plain_zookeeper("3.8.6", Factory::Netty);
}

#[test]
fn no_session_and_no_acknowledged_write_is_lost_when_gates_are_restarted_under_load() {
    let pki = Pki::new();
    let mut ensemble = Ensemble::gated("3.9.5", Factory::Nio, &pki, "shutdown: { grace: 4s }\n");
    let arguments =
        json!({ "hosts": ensemble.hosts(), "root": "/load", "tls": tls_files(&pki, "alice"), "clients": 6 });
    let mut load = Puppet::start("load.py", &arguments);
    assert_eq!(load.ask("go"), true);
    for gate in &mut ensemble.gates {
        gate.stop();
        assert_eq!(load.ask("go"), true, "every client goes on at the other gates");
        gate.restart();
    }
    let result = load.ask("end");
    assert_eq!(result["sessions kept"], true, "{result}");
    assert_eq!(result["acknowledged but lost"], json!([]), "{result}");
    // A gate that stops leaves no request half done: whatever ZooKeeper did was answered.
    assert_eq!(result["failed but done"], json!([]), "{result}");
    assert!(result["moves"].as_u64() >= Some(6), "whoever was at a gate moved: {result}");
    ensemble.finish();
}
