//! Real servers and real clients: direct first, then through zoogate, with the same outcome but for the identity.
#![allow(clippy::unwrap_used, reason = "a test that can't go on stops there")]

#[path = "zookeeper/openings.rs"]
mod openings;
mod support;

use std::collections::HashMap;
use std::net::SocketAddr;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use sha1::{Digest as _, Sha1};
use support::clients::{Persona, c_client, java, java_client, kazoo, zk_cli};
use support::gate::{Gate, digest_id, repository, secret_file, zoogate};
use support::pki::Pki;
use support::run;
use support::wire::{self, CREATOR_ALL, Reply, Session, Wire, op};
use support::zookeeper::{Factory, ZooKeeper, ZooKeeperConfig};

/// A client that has no identity but a digest credential of its own: how a server without TLS tells people apart.
fn direct(user: &str) -> Persona {
    let credential = format!("{user}:{user}-password");
    let hash = BASE64_STANDARD.encode(Sha1::digest(&credential));
    Persona { certificate: None, digest: Some(credential), id: format!("digest:{user}:{hash}") }
}

/// A client with a certificate and nothing else.
fn certified(pki: &Pki, name: &'static str) -> Persona {
    let certificate = if name == "alice" { &pki.alice } else { &pki.bob };
    Persona { certificate: Some(name), digest: None, id: format!("digest:{}", digest_id(pki, &certificate.der)) }
}

/// The outcome of every step of the kazoo script, as servers of all versions gave it when asked directly.
fn golden_transcript() -> Vec<Value> {
    let text = std::fs::read_to_string(repository("tests/golden/transcript.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn assert_same(what: &str, found: &[Value], expected: &[Value]) {
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found, expected, "{what}");
    }
    assert_eq!(found.len(), expected.len(), "{what}: number of steps");
}

fn kazoo_sees_no_difference(version: &'static str, factory: Factory) {
    let pki = Pki::new();
    let server = ZooKeeperConfig::new(version, factory).start();
    let transcript = kazoo(server.address(), &pki, &direct("alice"), &direct("bob"));
    assert_same("directly", &transcript, &golden_transcript());

    let gate = Gate::in_front_of(server.address(), &pki);
    let transcript = kazoo(gate.address(), &pki, &certified(&pki, "alice"), &certified(&pki, "bob"));
    assert_same("through zoogate", &transcript, &golden_transcript());
    gate.finish();
}

#[test]
fn kazoo_sees_no_difference_on_3_8_nio() {
    kazoo_sees_no_difference("3.8.6", Factory::Nio);
}

#[test]
fn kazoo_sees_no_difference_on_3_8_netty() {
    kazoo_sees_no_difference("3.8.6", Factory::Netty);
}

#[test]
fn kazoo_sees_no_difference_on_3_9_nio() {
    kazoo_sees_no_difference("3.9.5", Factory::Nio);
}

#[test]
fn kazoo_sees_no_difference_on_3_9_netty() {
    kazoo_sees_no_difference("3.9.5", Factory::Netty);
}

/// Something that connects a raw client, again and again.
type Dial<'a> = &'a dyn Fn() -> Wire;

/// What a raw client sees, frame by frame, without what differs from run to run.
fn frames(dial: Dial<'_>) -> Vec<(&'static str, String)> {
    let mut seen = opening_frames(dial);
    seen.extend(request_frames(dial));
    seen.extend(ending_frames(dial));
    seen
}

fn opening_frames(dial: Dial<'_>) -> Vec<(&'static str, String)> {
    let mut seen = Vec::new();
    let mut wire = dial();
    let session = wire.open_new();
    seen.push(("ConnectRequest of 45 bytes", format!("{} bytes, {} ms", session.length, session.timeout)));

    // Go and old C clients leave the last byte out, and can't read it in the answer.
    let mut short = dial();
    let record = wire::connect_request(None);
    short.send_frame(&record[..44]).unwrap();
    seen.push(("ConnectRequest of 44 bytes", format!("{} bytes", short.read_frame().unwrap().unwrap().len())));

    let mut split = dial();
    for byte in wire::frame(&record) {
        split.send(&[byte]).unwrap();
    }
    seen.push(("ConnectRequest byte by byte", format!("{} bytes", split.read_frame().unwrap().unwrap().len())));

    wire.request(op::CREATE, &wire::create("/frames", CREATOR_ALL, 1)).unwrap();
    wire.cut();
    let mut back = dial();
    let resumed = back.open(Some(&session)).unwrap().unwrap();
    seen.push(("resumed", format!("same session: {}", resumed.id == session.id && resumed.timeout == session.timeout)));
    seen.push((
        "resumed session reads its own znode",
        reply(back.request(op::GET_DATA, &wire::path_and_watch("/frames", false))),
    ));

    let forged = Session { password: vec![7; 16], ..session.clone() };
    let mut thief = dial();
    let refused = thief.open(Some(&forged)).unwrap().unwrap();
    seen.push(("wrong password", format!("{} bytes, {} ms, id {}", refused.length, refused.timeout, refused.id)));
    seen.push(("after the wrong password", end(&mut thief)));
    let mut closer = dial();
    closer.open(Some(&session)).unwrap().unwrap();
    seen.push(("closeSession", reply(closer.request(op::CLOSE_SESSION, &[]))));
    seen.push(("after closeSession", end(&mut closer)));
    let expired = dial().open(Some(&session)).unwrap().unwrap();
    seen.push(("closed session", format!("{} bytes, {} ms, id {}", expired.length, expired.timeout, expired.id)));
    seen
}

fn request_frames(dial: Dial<'_>) -> Vec<(&'static str, String)> {
    let mut seen = Vec::new();
    let mut wire = dial();
    wire.open_new();
    wire.send_frame(&wire::request(-2, op::PING, &[])).unwrap();
    seen.push(("ping", reply(wire.read_reply())));
    seen.push(("absent", reply(wire.request(op::EXISTS, &wire::path_and_watch("/absent", false)))));
    seen.push(("create", reply(wire.request(op::CREATE, &wire::create("/absent", CREATOR_ALL, 0)))));
    seen.push(("create again", reply(wire.request(op::CREATE, &wire::create("/absent", CREATOR_ALL, 0)))));
    seen.push(("bad path", reply(wire.request(op::CREATE, &wire::create("absent", CREATOR_ALL, 0)))));

    // As Java, C and kazoo send it, and as Go does.
    for (what, xid) in [("auth with xid -4", -4), ("auth with a positive xid", 77)] {
        wire.send_frame(&wire::request(xid, op::AUTH, &wire::auth("digest", b"own:password"))).unwrap();
        seen.push((what, reply(wire.read_reply())));
    }
    let delete = [wire::string("/absent"), (-1_i32).to_be_bytes().to_vec()].concat();
    seen.push(("delete", reply(wire.request(op::DELETE, &delete))));

    // Many requests in one write come back as many replies, in order.
    let burst: Vec<u8> = (1..=200)
        .flat_map(|i| wire::frame(&wire::request(1_000 + i, op::GET_DATA, &wire::path_and_watch("/", false))))
        .collect();
    wire.send(&burst).unwrap();
    let answers = (1..=200).map(|i| wire.read_reply().unwrap().unwrap().xid == 1_000 + i);
    seen.push(("burst", format!("{} in order", answers.filter(|in_order| *in_order).count())));
    seen
}

/// Each of these ends the connection.
fn ending_frames(dial: Dial<'_>) -> Vec<(&'static str, String)> {
    let open = || {
        let mut wire = dial();
        wire.open_new();
        wire
    };
    let mut seen = Vec::new();

    let mut wire = open();
    seen.push(("unknown opcode", reply(wire.request(99, &[]))));
    seen.push(("after an unknown opcode", end(&mut wire)));

    let mut wire = open();
    wire.send_frame(&wire::request(-4, op::AUTH, &wire::auth("nobody", b"x"))).unwrap();
    seen.push(("unknown auth scheme", reply(wire.read_reply())));
    seen.push(("after an unknown auth scheme", end(&mut wire)));

    // The largest frame that a server takes is jute.maxbuffer, 0xfffff bytes.
    let fits = wire::request(1, op::GET_DATA, &wire::path_and_watch(&format!("/{}", "x".repeat(0xfffff - 14)), false));
    assert_eq!(fits.len(), 0xfffff);
    let mut wire = open();
    wire.send_frame(&fits).unwrap();
    seen.push(("largest frame", reply(wire.read_reply())));
    let mut wire = open();
    let _ = wire.send_frame(&[fits, vec![0]].concat());
    seen.push(("frame too large", end(&mut wire)));
    seen
}

fn reply(reply: std::io::Result<Option<Reply>>) -> String {
    match reply {
        Ok(Some(reply)) => {
            let xid = if reply.xid > 0 && reply.xid < 77 { "own".to_owned() } else { reply.xid.to_string() };
            format!("xid {xid}, error {}, {} bytes", reply.error, reply.body.len())
        }
        Ok(None) => "end".to_owned(),
        Err(e) => format!("{:?}", e.kind()),
    }
}

/// What follows on a connection that the server is to close.
fn end(wire: &mut Wire) -> String {
    reply(wire.read_reply())
}

fn a_raw_client_sees_no_difference(version: &'static str, factory: Factory) {
    let pki = Pki::new();
    let server = ZooKeeperConfig::new(version, factory).line("maxClientCnxns=0").start();
    let with_credential = || {
        let mut wire = Wire::plain(server.address());
        wire.own_credential = Some(b"alice:alice-password".to_vec());
        wire
    };
    let expected = frames(&with_credential);
    let gate = Gate::in_front_of(server.address(), &pki);
    let found = frames(&|| Wire::tls(gate.address(), &pki.ca, &pki.alice).unwrap());
    assert_eq!(found, expected);
    gate.finish();
}

#[test]
fn a_raw_client_sees_no_difference_on_3_8_netty() {
    a_raw_client_sees_no_difference("3.8.6", Factory::Netty);
}

#[test]
fn a_raw_client_sees_no_difference_on_3_9_nio() {
    a_raw_client_sees_no_difference("3.9.5", Factory::Nio);
}

#[test]
fn the_gate_gives_an_identity_to_a_client_that_has_none() {
    let pki = Pki::new();
    let server = ZooKeeperConfig::new("3.9.5", Factory::Nio).start();
    let create = wire::create("/mine", CREATOR_ALL, 0);

    let mut nobody = Wire::plain(server.address());
    nobody.open_new();
    let refused = nobody.request(op::CREATE, &create).unwrap().unwrap();
    assert_eq!(refused.error, -114, "directly, nobody has an id for an `auth` ACL: InvalidACL");

    let gate = Gate::in_front_of(server.address(), &pki);
    let mut alice = Wire::tls(gate.address(), &pki.ca, &pki.alice).unwrap();
    alice.open_new();
    let created = alice.request(op::CREATE, &create).unwrap().unwrap();
    assert_eq!(created.error, 0);
    let id = format!("digest:{}", digest_id(&pki, &pki.alice.der));
    assert!(id.starts_with("digest:x509/CN=alice%2CO=Acme%2CC=US:"), "{id}");
    assert_eq!(alice.acl("/mine"), [(31, id)], "the hash that ZooKeeper stores is the one that is printed");

    let mut bob = Wire::tls(gate.address(), &pki.ca, &pki.bob).unwrap();
    bob.open_new();
    let denied = bob.request(op::GET_DATA, &wire::path_and_watch("/mine", false)).unwrap().unwrap();
    assert_eq!(denied.error, -102, "NoAuth");
    drop((alice, bob));
    gate.finish();
}

/// The Java client's steps, but for those that show ids.
const JAVA_STEPS: &[(&str, &str)] = &[
    ("connected", "yes"),
    ("create", "/java"),
    ("create again", "NODEEXISTS"),
    ("data event", "NodeDataChanged /java"),
    ("child event", "NodeChildrenChanged /java"),
    ("same session", "true"),
    ("ephemeral survives", "true"),
    ("data after reconnect", "v1"),
    ("event after reconnect", "NodeDataChanged /java"),
    ("multi", "3"),
    ("bad multi", "BADVERSION"),
    ("closed", "yes"),
];

/// Checks the Java client's steps, and returns the ids that it was shown as (whoAmI, ACL).
fn java_ids(steps: Vec<(String, String)>) -> (String, String) {
    let (ids, rest): (Vec<_>, Vec<_>) = steps.into_iter().partition(|(step, _)| step == "whoami" || step == "acl");
    let rest: Vec<(&str, &str)> = rest.iter().map(|(step, outcome)| (step.as_str(), outcome.as_str())).collect();
    assert_eq!(rest, JAVA_STEPS);
    let ids: HashMap<String, String> = ids.into_iter().collect();
    // The address is the gate's own, and differs from client to client.
    let whoami: Vec<&str> = ids["whoami"].split(' ').filter(|id| !id.starts_with("ip:127.")).collect();
    (whoami.join(" "), ids["acl"].clone())
}

/// The flags are those of the articles on Storm and Solr, with JKS stores. The 3.8 client speaks TLS 1.2 only, and the 3.9
/// client TLS 1.3 only.
fn the_java_client_works(version: &'static str, tls: &str) {
    let pki = Pki::new();
    pki.java_key_store("alice");
    pki.java_trust_store();
    let server = ZooKeeperConfig::new(version, Factory::Netty).secure(&pki).start();
    let client = |address: SocketAddr, digest: Option<&str>| {
        java_ids(java_client(java(version, &pki, Some("alice")), address, "/java", digest))
    };

    let native = client(server.secure_address(), None);
    assert_eq!(native.1, "x509:CN=alice,O=Acme,C=US:31", "directly");
    clear(&server);

    let gate = Gate::in_front_of(server.address(), &pki);
    let id = digest_id(&pki, &pki.alice.der);
    let user = id.rsplit_once(':').unwrap().0.to_owned();
    let (whoami, acl) = client(gate.address(), None);
    assert_eq!(whoami, format!("digest:{user}"));
    assert_eq!(acl, format!("digest:{id}:31"));
    clear(&server);

    // Added before the client is connected: sent twice, in front of everything else.
    let (whoami, acl) = client(gate.address(), Some("app:app-password"));
    assert_eq!(whoami, format!("digest:app digest:{user}"));
    assert_eq!(acl, format!("digest:app:fQIPQ0OMRCmU5CZvMDqdUT3NOaI=:31 digest:{id}:31"));
    let output = gate.output();
    assert!(output.contains(tls), "{version} speaks {tls}: {output}");
    gate.finish();
}

/// Removes the Java client's znode. It is open to its creator alone, but the root is open to all, so anyone may delete it.
fn clear(server: &ZooKeeper) {
    let mut wire = Wire::plain(server.address());
    wire.open_new();
    let delete = [wire::string("/java"), (-1_i32).to_be_bytes().to_vec()].concat();
    assert_eq!(wire.request(op::DELETE, &delete).unwrap().unwrap().error, 0);
}

#[test]
fn the_java_client_of_3_8_works_by_tls_1_2() {
    the_java_client_works("3.8.6", "TLSv1.2");
}

#[test]
fn the_java_client_of_3_9_works_by_tls_1_3() {
    the_java_client_works("3.9.5", "TLSv1.3");
}

#[test]
fn alice_grants_bob_with_the_token_that_zoogate_identity_prints() {
    let pki = Pki::new();
    for name in ["alice", "bob"] {
        pki.java_key_store(name);
    }
    pki.java_trust_store();
    let server = ZooKeeperConfig::new("3.9.5", Factory::Nio).start();
    let gate = Gate::in_front_of(server.address(), &pki);
    let cli = |who, lines: &[&str]| zk_cli(java("3.9.5", &pki, Some(who)), gate.address(), lines);

    let printed = run(zoogate(&["identity", "--secret-file"]).arg(secret_file(&pki)).arg(pki.path("bob.crt")));
    let token = printed.split_whitespace().find(|word| word.starts_with("digest:")).expect(&printed);
    let created = cli("alice", &["create /shared treasure auth::cdrwa"]);
    assert!(created.contains("Created /shared"), "{created}");
    let denied = cli("bob", &["get /shared"]);
    assert!(denied.contains("Insufficient permission") && !denied.contains("treasure"), "{denied}");

    let granted = cli("alice", &[&format!("setAcl /shared auth::cdrwa,{token}:r"), "getAcl /shared"]);
    // zkCli.sh prints ids in a CSV form of its own, with each percent sign as %25.
    let shown = token.replacen(':', ",'", 1).replace('%', "%25");
    assert!(granted.contains(&format!("'{shown}\n: r\n")), "{token}: {granted}");
    let read = cli("bob", &["get /shared"]);
    assert!(read.contains("treasure"), "{read}");
    gate.finish();
}

#[test]
fn the_c_client_works() {
    let pki = Pki::new();
    let server = ZooKeeperConfig::new("3.9.5", Factory::Netty).secure(&pki).start();
    let steps = |address, root: &str, digest| -> Vec<String> {
        let steps = c_client(address, &pki, root, digest);
        steps.into_iter().map(|(step, outcome)| format!("{step}: {outcome}")).collect()
    };
    let expected = |root: &str, acl: &str| {
        let acl = format!("acl: {acl}");
        let create = format!("create: {root}");
        [
            "connected: yes",
            &create,
            &acl,
            "get: v0",
            "set: ok",
            "data event: yes",
            "rounds: 50",
            "set again: bad version",
            "close: ok",
        ]
        .map(str::to_owned)
    };
    let native = steps(server.secure_address(), "/direct", None);
    assert_eq!(native, expected("/direct", "x509:CN=alice,O=Acme,C=US:31"));

    // A reply to an auth packet that the client never sent would end it by SIGSEGV. And it reads one frame each time its
    // socket is readable: of two frames in one TLS record it leaves the second in OpenSSL's buffer, and waits for ever.
    let gate = Gate::in_front_of(server.address(), &pki);
    let id = format!("digest:{}:31", digest_id(&pki, &pki.alice.der));
    assert_eq!(steps(gate.address(), "/gate", None), expected("/gate", &id));

    let mut with_digest = steps(gate.address(), "/digest", Some("app:app-password"));
    assert_eq!(with_digest.remove(1), "auth: yes");
    let entries = with_digest.remove(2);
    assert!(entries.contains(&id) && entries.contains("digest:app:fQIPQ0OMRCmU5CZvMDqdUT3NOaI=:31"), "{entries}");
    gate.finish();
}

#[test]
fn the_golden_transcript_holds_what_matters() {
    let golden = golden_transcript();
    for step in [
        json!(["acl", ["ALICE 31"]]),
        json!(["bob reads", "NoAuthError"]),
        json!(["bob sees the masked ACL", ["ALICE:x 31", "world:anyone 1"]]),
        json!(["same session", true]),
        json!(["closeSession removes it", true]),
        json!(["set big", 1_048_540]),
        json!(["acl with sasl", ["ALICE 31", "sasl:carol 31"]]),
    ] {
        assert!(golden.contains(&step), "{step}");
    }
}
