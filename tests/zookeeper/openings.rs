//! How sessions are opened: ConnectRequests of every shape that clients send, and servers that refuse them in words of
//! their own.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::support::clients::tls_files;
use crate::support::gate::Gate;
use crate::support::pki::Pki;
use crate::support::wire::{self, Session, Wire, op};
use crate::support::zookeeper::{Factory, ZooKeeperConfig};
use crate::support::{free_address, run, set_up, wait_for};

/// A ConnectRequest for a session of 10 s.
fn connect_request(id: i64, password: &[u8], read_only: &[u8]) -> Vec<u8> {
    let length = i32::try_from(password.len()).unwrap();
    let head = [&[0; 12][..], &10_000_i32.to_be_bytes(), &id.to_be_bytes(), &length.to_be_bytes()].concat();
    [&head, password, read_only].concat()
}

/// A ConnectRequest whose password is null.
fn null_password(read_only: &[u8]) -> Vec<u8> {
    [&[0; 12][..], &10_000_i32.to_be_bytes(), &0_i64.to_be_bytes(), &(-1_i32).to_be_bytes(), read_only].concat()
}

/// The timeout that was granted, and the length of the ConnectResponse; `None` if there was none.
fn opened(wire: &mut Wire, request: &[u8]) -> Option<(i32, usize)> {
    wire.send_frame(request).unwrap();
    let record = wire.read_frame().unwrap()?;
    Some((i32::from_be_bytes(record[4..8].try_into().unwrap()), record.len()))
}

/// What the records of connections that ended for `reason` say.
fn details(gate: &Gate, reason: &str) -> Vec<String> {
    let records = gate.log().into_iter().filter(|line| line["reason"] == reason);
    records.map(|record| record["detail"].as_str().unwrap_or_default().to_owned()).collect()
}

/// aiozk sends one byte, tokio-zookeeper and lua-resty-zookeeper none, finagle one of 16.
fn a_password_of_any_length_opens_a_session(version: &str, factory: Factory) {
    let pki = Pki::new();
    let server = ZooKeeperConfig::new(version, factory).start();
    let gate = Gate::in_front_of(server.address(), &pki);
    let enter = || Wire::tls(gate.address(), &pki.ca, &pki.alice).unwrap();
    for length in [0, 1, 8, 16, 32, 500] {
        for read_only in [&[][..], &[0], &[1]] {
            let request = connect_request(0, &vec![u8::try_from(length % 251).unwrap(); length], read_only);
            let directly = opened(&mut Wire::plain(server.address()), &request);
            assert_eq!(directly, Some((10_000, 36 + read_only.len())), "{length} bytes");
            assert_eq!(opened(&mut enter(), &request), directly, "{length} bytes, {read_only:?}");
        }
    }
    for read_only in [&[][..], &[0]] {
        assert_eq!(opened(&mut enter(), &null_password(read_only)), None, "no server gets a null password");
    }
    let details = wait_for(|| Some(details(&gate, "bad_connect_request")).filter(|details| details.len() == 2));
    assert!(details.is_some_and(|details| details.iter().all(|detail| detail.contains("password is null"))));
    gate.finish();
}

#[test]
fn a_password_of_any_length_opens_a_session_on_3_4_nio() {
    a_password_of_any_length_opens_a_session("3.4.14", Factory::Nio);
}

#[test]
fn a_password_of_any_length_opens_a_session_on_3_9_netty() {
    a_password_of_any_length_opens_a_session("3.9.5", Factory::Netty);
}

/// A server says that such a session has expired, and closes its owner's connection first. So the gate says the same, and
/// the server gets nothing.
fn a_password_of_another_length_resumes_nothing(version: &str) {
    let pki = Pki::new();
    let server = ZooKeeperConfig::new(version, Factory::Nio).start();
    let gate = Gate::in_front_of(server.address(), &pki);
    let enter = |address: SocketAddr| match address == gate.address() {
        true => Wire::tls(address, &pki.ca, &pki.alice).unwrap(),
        false => Wire::plain(address),
    };
    for address in [server.address(), gate.address()] {
        let mut owner = enter(address);
        let session: Session = owner.open_new();
        let longer = [&session.password[..], &[0]].concat();
        for password in [&[][..], &session.password[..1], &session.password[..15], &longer] {
            for read_only in [&[][..], &[0]] {
                let request = connect_request(session.id, password, read_only);
                let answer = opened(&mut enter(address), &request);
                assert_eq!(answer, Some((0, 36 + read_only.len())), "{version}: expired, {} bytes", password.len());
            }
        }
        let alive = owner.request(op::EXISTS, &wire::path_and_watch("/", false)).ok().flatten();
        let cut = alive.is_none();
        assert_eq!(cut, address == server.address(), "only a server that is asked cuts the owner");
    }
    gate.finish();
}

#[test]
fn a_password_of_another_length_resumes_nothing_on_3_4() {
    a_password_of_another_length_resumes_nothing("3.4.14");
}

#[test]
fn a_password_of_another_length_resumes_nothing_on_3_9() {
    a_password_of_another_length_resumes_nothing("3.9.5");
}

/// A server of an ensemble without a quorum closes where the client does not take a read-only server. Where it does, servers
/// before 3.7 open a session, and later ones refuse in the words of a reply, NOTREADONLY. A client sees what it sees
/// directly; `lengths` are those of the answers, and `reasons` how the gate calls the endings.
fn a_read_only_server_is_named_as_one(version: &str, lengths: [Option<usize>; 3], reasons: &[&str]) {
    let pki = Pki::new();
    let members: Vec<String> =
        (1..=3).map(|number| format!("server.{number}={}:{}", free_address(), free_address().port())).collect();
    let server = ZooKeeperConfig::new(version, Factory::Nio)
        .line("4lw.commands.whitelist=*")
        .jvm("-Dreadonlymode.enabled=true")
        .member(1, &members)
        .spawn();
    wait_for(|| (server.mode().as_deref() == Some("read-only")).then_some(())).expect("a read-only server");
    let gate = Gate::spawn(&Gate::config(&pki, server.address()));
    wait_for(|| gate.get("/readyz").filter(|(_, body)| body.contains("read_only"))).expect("/readyz tells it");
    for (read_only, length) in [&[][..], &[0], &[1]].into_iter().zip(lengths) {
        let answer = |mut wire: Wire| {
            wire.send_frame(&connect_request(0, &[0; 16], read_only)).unwrap();
            wire.read_frame().unwrap()
        };
        let directly = answer(Wire::plain(server.address()));
        let gated = answer(Wire::tls(gate.address(), &pki.ca, &pki.alice).unwrap());
        assert_eq!(directly.as_ref().map(Vec::len), length, "{version} {read_only:?}");
        assert_eq!(gated.as_ref().map(Vec::len), length, "{version} {read_only:?}");
        if length == Some(16) {
            assert_eq!(gated, directly);
        }
    }
    let ended = || {
        let ended: Vec<String> =
            gate.log().iter().filter_map(|line| Some(line["reason"].as_str()?.to_owned())).collect();
        Some(ended).filter(|ended| ended.len() == 3)
    };
    assert_eq!(wait_for(ended).expect("three records"), reasons);
    if reasons.contains(&"upstream_read_only") {
        assert!(details(&gate, "upstream_read_only")[0].contains("ZooKeeper is read-only"));
    }
    gate.finish();
}

#[test]
fn a_read_only_server_of_3_9_is_named_as_one() {
    let reasons = ["upstream_refused", "upstream_refused", "upstream_read_only"];
    a_read_only_server_is_named_as_one("3.9.5", [None, None, Some(16)], &reasons);
}

#[test]
fn a_read_only_server_of_3_6_is_named_as_one() {
    let reasons = ["upstream_refused", "upstream_refused", "client_closed"];
    a_read_only_server_is_named_as_one("3.6.4", [None, None, Some(37)], &reasons);
}

#[test]
fn aiozk_comes_in() {
    let pki = Pki::new();
    let server = ZooKeeperConfig::new("3.9.5", Factory::Nio).start();
    let gate = Gate::in_front_of(server.address(), &pki);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/python/aio.py");
    let aiozk = |address: SocketAddr, tls: serde_json::Value| {
        let arguments = json!({ "hosts": address.to_string(), "path": "/aiozk", "tls": tls }).to_string();
        run(Command::new(set_up("venv/bin/python")).arg(&script).arg(arguments))
    };
    assert_eq!(aiozk(server.address(), json!(null)), "from aiozk\n", "directly");
    assert_eq!(aiozk(gate.address(), json!(tls_files(&pki, "alice"))), "from aiozk\n");
    gate.finish();
}
