//! Three real servers, three gates, and clients that list them all: what moves, and what must not be moved by others.
#![allow(clippy::unwrap_used, reason = "a test that can't go on stops there")]

mod support;

use std::fs;
use std::process::{Command, Output};

use serde_json::{Value, json};
use support::clients::{Puppet, tls_files};
use support::ensemble::Ensemble;
use support::gate::{Gate, repository, secret_file, zoogate};
use support::pki::{Certified, Pki};
use support::wire::{self, Fields, Session, Wire, op};
use support::zookeeper::{Factory, ZooKeeper, ZooKeeperConfig};
use support::{run, set_up, wait_for};
use zoogate::zk::session_password::stock_password;

/// What a gate says when its server is down.
const DOWN: [&str; 2] = ["ZooKeeper can't be reached", "ZooKeeper does not serve any more"];

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
        if is_gate {
            ensemble.gates[victim].kill()
        } else {
            ensemble.servers[victim].kill()
        }
        seen.push((format!("change as the {who} dies"), client.ask(&format!("change {who}-died"))));
        let mut settled = client.ask("settle");
        let port = settled.as_object_mut().unwrap().remove("port").unwrap().as_u64().expect("a port");
        seen.push((format!("after the {who}'s death"), settled));
        if is_gate {
            ensemble.gates[victim].restart()
        } else {
            ensemble.servers[victim].restart()
        }
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
    for gate in &mut ensemble.gates {
        DOWN.iter().for_each(|notice| gate.expect_log(notice));
    }
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

/// Connects to a gate.
fn enter(gate: &Gate, pki: &Pki, who: &Certified) -> Wire {
    Wire::tls(gate.address(), &pki.ca, who).unwrap()
}

/// A session of alice's that owns `/own`, and its connection, on which she watches `/watched`.
fn owner(mut wire: Wire) -> (Wire, Session) {
    let session = wire.open_new();
    let own = wire.request(op::CREATE, &wire::create("/own", &[(31, "world", "anyone")], 1)).unwrap().unwrap();
    assert_eq!(own.error, 0);
    let watched = wire.request(op::CREATE, &wire::create("/watched", &[(31, "world", "anyone")], 0)).unwrap().unwrap();
    assert_eq!(watched.error, 0);
    wire.request(op::GET_DATA, &wire::path_and_watch("/watched", true)).unwrap();
    (wire, session)
}

/// Resumes a session at a gate, which must succeed; returns it as it is then.
fn come_back(gate: &Gate, pki: &Pki, session: &Session) -> Session {
    let mut wire = enter(gate, pki, &pki.alice);
    let resumed = wire.open(Some(session)).unwrap().expect("a ConnectResponse");
    assert_eq!(resumed.id, session.id, "resumed: {}", gate.output());
    assert!(resumed.timeout > 0);
    let own = wire.request(op::EXISTS, &wire::path_and_watch("/own", false)).unwrap().unwrap();
    assert_eq!(own.error, 0, "its ephemeral znode");
    wire.cut();
    resumed
}

#[test]
fn sessions_outlive_the_rotation_of_the_secret() {
    let pki = Pki::new();
    let old = fs::read_to_string(secret_file(&pki)).unwrap();
    let new = run(&mut zoogate(&["secret"]));
    // Each gate has the secrets of its start, so that they differ for a while.
    let settings = "shutdown: { grace: 1s }\nreload: { interval: off }\n";
    let mut ensemble = Ensemble::gated("3.9.5", Factory::Nio, &pki, settings);
    let (wire, mut session) = owner(enter(&ensemble.gates[0], &pki, &pki.alice));
    wire.cut();
    // As docs/security.md has it: everyone must know the new secret before anyone seals with it.
    for secrets in [format!("{old}\n{new}"), format!("{new}\n{old}")] {
        fs::write(secret_file(&pki), secrets).unwrap();
        for restarted in 0..3 {
            ensemble.gates[restarted].stop();
            ensemble.gates[restarted].restart();
            for gate in &ensemble.gates {
                session = come_back(gate, &pki, &session);
            }
        }
    }
    // Without the old secret, what was sealed with the new one still opens.
    fs::write(secret_file(&pki), new).unwrap();
    ensemble.gates[1].stop();
    ensemble.gates[1].restart();
    session = come_back(&ensemble.gates[1], &pki, &session);
    come_back(&ensemble.gates[2], &pki, &session);
    ensemble.finish();
}

/// By how many ids ZooKeeper knows who is on a connection.
fn count_of_ids(wire: &mut Wire) -> usize {
    let created = wire.request(op::CREATE, &wire::create("/ids", wire::CREATOR_ALL, 1)).unwrap().unwrap();
    assert_eq!(created.error, 0);
    let ids = wire.acl("/ids");
    assert!(ids.iter().all(|(perms, id)| *perms == 31 && id.starts_with("digest:x509/CN=alice")), "{ids:?}");
    let path = [wire::string("/ids"), (-1_i32).to_be_bytes().to_vec()].concat();
    assert_eq!(wire.request(op::DELETE, &path).unwrap().unwrap().error, 0);
    ids.len()
}

/// Asks on and on, until the gate closes the connection between two requests.
fn use_until_closed(wire: &mut Wire) {
    let asked = wait_for(|| match wire.request(op::EXISTS, &wire::path_and_watch("/", false)) {
        Ok(Some(reply)) => {
            assert_eq!(reply.error, 0);
            std::thread::sleep(std::time::Duration::from_millis(100));
            None
        }
        Ok(None) | Err(_) => Some(()),
    });
    asked.expect("an end of the connection");
}

#[test]
fn the_secret_is_rotated_without_a_restart_and_live_clients_come_back_with_all_ids() {
    let pki = Pki::new();
    let old = fs::read_to_string(secret_file(&pki)).unwrap();
    let [new, third] = [(); 2].map(|()| run(&mut zoogate(&["secret"])));
    let mut ensemble = Ensemble::gated("3.9.5", Factory::Nio, &pki, "reload: { interval: 1s }\n");
    let (mut wire, mut session) = owner(enter(&ensemble.gates[0], &pki, &pki.alice));
    assert_eq!(count_of_ids(&mut wire), 1);
    for (turn, secrets) in [format!("{old}\n{new}"), format!("{new}\n{old}")].iter().enumerate() {
        fs::write(secret_file(&pki), secrets).unwrap();
        use_until_closed(&mut wire);
        let told = wait_for(|| records(&ensemble.gates[turn], "secret_rotated").pop()).expect("a record");
        assert_eq!(told["session"], format!("{:#x}", session.id));
        let announced = ensemble.gates[turn]
            .log()
            .into_iter()
            .find(|event| event["message"].as_str().is_some_and(|message| message.contains("are closed one by one")));
        assert_eq!(announced.expect("a line for all")["connections"], 1);
        wire = enter(&ensemble.gates[turn + 1], &pki, &pki.alice);
        let resumed = wire.open(Some(&session)).unwrap().expect("a ConnectResponse");
        assert_eq!(resumed.id, session.id, "it keeps its session");
        assert_eq!(resumed.password != session.password, turn == 1, "sealed anew once the new secret is first");
        session = resumed;
        assert_eq!(count_of_ids(&mut wire), 2);
    }
    // Nobody is closed when the old secret goes, and nobody is lost.
    let gate = &ensemble.gates[2];
    let loaded = || gate.metric("zoogate_material_generation{material=\"secret\",of=\"loaded\"}");
    let before = loaded();
    fs::write(secret_file(&pki), &new).unwrap();
    wait_for(|| (loaded() > before).then_some(())).expect("a reload");
    assert_eq!(count_of_ids(&mut wire), 2, "it keeps what it was given");
    wire.cut();
    session = come_back(gate, &pki, &session);
    // Replaced in one step: who is connected is left alone, and told of.
    let mut wire = enter(gate, &pki, &pki.alice);
    session = wire.open(Some(&session)).unwrap().unwrap();
    fs::write(secret_file(&pki), third).unwrap();
    for gate in &mut ensemble.gates {
        gate.expect_log("no longer has the secret");
    }
    let gate = &ensemble.gates[2];
    let warned =
        || gate.log().into_iter().find(|event| event["message"].to_string().contains("no longer has the secret"));
    assert_eq!(wait_for(warned).expect("a warning")["connections"], 1);
    assert_eq!(count_of_ids(&mut wire), 1);
    wire.cut();
    let refused = enter(gate, &pki, &pki.alice).open(Some(&session)).unwrap().unwrap();
    assert_eq!(refused.timeout, 0, "as the warning said");
    ensemble.finish();
}

#[test]
fn a_session_comes_back_to_an_owner_whose_name_was_changed_meanwhile() {
    let pki = Pki::new();
    let server = ZooKeeperConfig::new("3.9.5", Factory::Nio).start();
    let plain = Gate::config(&pki, server.address());
    let renamed = |more: &str| plain.replace("  from: subject\n", &format!("  from: subject\n{more}"));
    let rule = "  mapping: ['RULE:^CN=([^,]+),.*$/$1/']\n";
    let mut gate = Gate::start(&plain);
    let (wire, session) = owner(enter(&gate, &pki, &pki.alice));
    wire.cut();

    gate.stop();
    gate.reconfigure(&renamed(&format!("{rule}  also_inject: [unmapped]\n")));
    gate.restart();
    let resumed = come_back(&gate, &pki, &session);
    assert_ne!(resumed.password, session.password, "from now on it is the new name's");

    // The new name's seal needs no old name; the old name's is a stranger's without it.
    gate.stop();
    gate.reconfigure(&renamed(rule));
    gate.restart();
    let refused = enter(&gate, &pki, &pki.alice).open(Some(&session)).unwrap().unwrap();
    assert_eq!((refused.timeout, refused.id), (0, 0));
    come_back(&gate, &pki, &resumed);
    gate.finish();
}

/// What a server answers to somebody whose session has expired.
fn expired_answer(server: &ZooKeeper) -> Vec<u8> {
    let mut wire = Wire::plain(server.address());
    let nobodys = Session { timeout: 0, id: 1, password: vec![0; 16], length: 0 };
    wire.send_frame(&wire::connect_request(Some(&nobodys))).unwrap();
    wire.read_frame().unwrap().expect("an answer, before the end")
}

/// The session's id, as everybody can read it in the Stat of `/own`.
fn read_owner(wire: &mut Wire) -> i64 {
    let reply = wire.request(op::EXISTS, &wire::path_and_watch("/own", false)).unwrap().unwrap();
    assert_eq!(reply.error, 0);
    // czxid, mzxid, ctime, mtime; version, cversion, aversion; ephemeralOwner.
    Fields(&reply.body[4 * 8 + 3 * 4..]).long()
}

/// Tries to resume a session, and returns the whole answer; the connection must then be closed.
fn attempt(mut wire: Wire, id: i64, password: &[u8]) -> Vec<u8> {
    let stolen = Session { timeout: 0, id, password: password.to_vec(), length: 0 };
    wire.send_frame(&wire::connect_request(Some(&stolen))).unwrap();
    let answer = wire.read_frame().unwrap().expect("a ConnectResponse");
    assert_eq!(wire.read_to_end().unwrap(), b"", "nothing but the answer");
    answer
}

/// The owner's connection goes on: it hears of a change, and its znode is there.
fn assert_undisturbed(owner: &mut Wire, other: &mut Wire) {
    let set = [wire::string("/watched"), wire::buffer(b"v"), (-1_i32).to_be_bytes().to_vec()].concat();
    assert_eq!(other.request(op::SET_DATA, &set).unwrap().unwrap().error, 0);
    let event = owner.read_reply().unwrap().expect("the connection of the owner lives");
    assert_eq!(event.xid, -1, "the watch fires: {event:?}");
    let again = owner.request(op::GET_DATA, &wire::path_and_watch("/watched", true)).unwrap().unwrap();
    assert_eq!(again.error, 0);
    assert_eq!(other.request(op::EXISTS, &wire::path_and_watch("/own", false)).unwrap().unwrap().error, 0);
}

/// The access records with this reason.
fn records(gate: &Gate, reason: &str) -> Vec<Value> {
    gate.log().into_iter().filter(|event| event["reason"] == reason).collect()
}

#[test]
fn nobody_takes_over_a_session_through_the_gates_nor_disturbs_its_owner() {
    let pki = Pki::new();
    let ensemble = Ensemble::gated("3.9.5", Factory::Netty, &pki, "");
    let (home, elsewhere) = (&ensemble.gates[0], &ensemble.gates[1]);
    let expired = expired_answer(&ensemble.servers[0]);
    let (mut alice, session) = owner(enter(home, &pki, &pki.alice));
    let mut bob = enter(elsewhere, &pki, &pki.bob);
    bob.open_new();
    assert_eq!(bob.request(op::SYNC, &wire::string("/")).unwrap().unwrap().error, 0);
    let id = read_owner(&mut bob);
    assert_eq!(id, session.id);

    let attempts: [(&Gate, &str, &[u8], &str); 6] = [
        (home, "the public function", &stock_password(id), "other_identity"),
        (home, "nothing", &[0; 16], "other_identity"),
        (home, "alice's sealed password", &session.password, "other_identity"),
        (elsewhere, "the public function", &stock_password(id), "unsealed"),
        (elsewhere, "nothing", &[0; 16], "wrong_password"),
        (elsewhere, "alice's sealed password", &session.password, "wrong_password"),
    ];
    for (gate, by, password, reason) in attempts {
        let sample = format!("zoogate_sessions_refused_total{{reason=\"{reason}\"}}");
        let (counted, recorded) = (gate.metric(&sample), records(gate, "session_refused").len());
        assert_eq!(attempt(enter(gate, &pki, &pki.bob), id, password), expired, "by {by}");
        assert_undisturbed(&mut alice, &mut bob);
        assert_eq!(gate.metric(&sample), counted + 1.0, "by {by}");
        let record = wait_for(|| records(gate, "session_refused").into_iter().nth(recorded)).expect("a record");
        let detail = record["detail"].as_str().unwrap();
        assert_eq!(record["identity"], "CN=bob,O=Acme,C=US");
        assert!(detail.contains(&format!("{id:#x}")) && detail.contains(reason), "{detail}");
        assert_eq!(detail.contains("CN=alice,O=Acme,C=US"), reason == "other_identity", "{detail}");
    }
    for gate in &ensemble.gates {
        let ended = gate.log().into_iter().filter(|event| event["session"] == format!("{id:#x}")).count();
        assert_eq!(ended, 0, "no connection of alice's has ended: {}", gate.output());
    }
    // The owner herself gets no further without her sealed password, but with it.
    assert_eq!(attempt(enter(home, &pki, &pki.alice), id, &stock_password(id)), expired);
    assert_eq!(records_of_refusal(home, "unsealed"), 1.0);
    assert_undisturbed(&mut alice, &mut bob);
    alice.cut();
    come_back(elsewhere, &pki, &session);
    drop(bob);
    ensemble.finish();
}

fn records_of_refusal(gate: &Gate, reason: &str) -> f64 {
    gate.metric(&format!("zoogate_sessions_refused_total{{reason=\"{reason}\"}}"))
}

/// The same attempts as at the gates, at an ensemble that speaks TLS itself and checks the same certificates.
#[test]
fn native_tls_lets_anybody_take_over_a_session() {
    let pki = Pki::new();
    let ensemble = Ensemble::native("3.9.5", &pki);
    let (home, elsewhere) = (&ensemble.servers[0], &ensemble.servers[1]);
    let enter = |server: &ZooKeeper, who: &Certified| Wire::tls(server.secure_address(), &pki.ca, who).unwrap();
    let (mut alice, session) = owner(enter(home, &pki.alice));
    let mut bob = enter(elsewhere, &pki.bob);
    bob.open_new();
    assert_eq!(bob.request(op::SYNC, &wire::string("/")).unwrap().unwrap().error, 0);
    let id = read_owner(&mut bob);

    // A wrong password is refused, and cuts the owner all the same.
    assert_eq!(attempt(enter(home, &pki.bob), id, &[0; 16]), expired_answer(home));
    assert_eq!(alice.read_reply().unwrap(), None, "the owner's connection is cut");
    let mut alice = enter(home, &pki.alice);
    assert_eq!(alice.open(Some(&session)).unwrap().unwrap().id, id);

    // The computed one is as good as hers, at any server, whoever's certificate comes with it.
    let mut thief = enter(elsewhere, &pki.bob);
    let stolen = Session { timeout: 0, id, password: stock_password(id).to_vec(), length: 0 };
    let taken = thief.open(Some(&stolen)).unwrap().unwrap();
    assert_eq!(taken.id, id, "it is bob's now");
    assert!(taken.timeout > 0);
    assert_eq!(thief.request(op::CLOSE_SESSION, &[]).unwrap().unwrap().error, 0);
    assert_eq!(bob.request(op::SYNC, &wire::string("/")).unwrap().unwrap().error, 0);
    let own = bob.request(op::EXISTS, &wire::path_and_watch("/own", false)).unwrap().unwrap();
    assert_eq!(own.error, -101, "alice's ephemeral znode is gone: NoNode");
    let after = alice.request(op::EXISTS, &wire::path_and_watch("/watched", false));
    assert!(!matches!(&after, Ok(Some(reply)) if reply.error == 0), "her session is over: {after:?}");
}

/// The script of docs/security.md.
fn demonstration(arguments: &[&str]) -> Output {
    let script = repository("deploy/demo/takeover.py");
    Command::new(set_up("venv/bin/python")).arg(script).args(arguments).output().unwrap()
}

#[test]
fn the_demonstration_takes_over_a_session_of_zookeeper_and_fails_at_the_gate() {
    let pki = Pki::new();
    let server = ZooKeeperConfig::new("3.9.5", Factory::Netty).secure(&pki).start();
    let gate = Gate::in_front_of(server.address(), &pki);
    let file = |name: &str| pki.path(name).display().to_string();
    let (ca, alice, bob) = (file("ca.crt"), file("alice.pem"), file("bob.pem"));
    let tls = ["--ca", &ca, "--victim", &alice, "--attacker", &bob];
    let with = |address: std::net::SocketAddr, tls: &[&str]| {
        let output = demonstration(&[&[address.to_string().as_str()], tls].concat());
        let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
        (output.status.code(), text)
    };
    for (address, tls) in [(server.address(), &[][..]), (server.secure_address(), &tls)] {
        let (code, text) = with(address, tls);
        assert!(code == Some(1) && text.contains("TAKEN OVER"), "{code:?}: {text}");
    }
    let (code, text) = with(gate.address(), &tls);
    assert!(code == Some(0) && text.contains("NOT TAKEN OVER"), "{code:?}: {text}");
    assert!(records_of_refusal(&gate, "other_identity") >= 1.0);
    gate.finish();
}
