//! `identity.inject: x509` with the provider on real servers: what a certificate gets from native TLS, it gets behind the gate.
#![allow(clippy::unwrap_used, reason = "a test that can't go on stops there")]

mod support;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use support::clients::{java, java_client_with, steps};
use support::gate::{Gate, secret_file, zoogate};
use support::pki::{Certified, Pki};
use support::subjects::{certificate, subjects};
use support::wire::{self, CREATOR_ALL, Reply, Wire, op};
use support::zookeeper::{Factory, ZooKeeper, ZooKeeperConfig};
use support::{run, wait_for};

const ALICE: &str = "CN=alice,O=Acme,C=US";
const BOB: &str = "CN=bob,O=Acme,C=US";

const OK: i32 = 0;
const NO_AUTH: i32 = -102;
const AUTH_FAILED: i32 = -115;
const SESSION_CLOSED: i32 = -124;

/// The YAML of a gate that injects `x509` ids, with more lines in its section `identity`.
fn config(pki: &Pki, upstream: SocketAddr, identity: &str) -> String {
    let lines = format!("  inject: x509\n{identity}");
    Gate::config(pki, upstream).replace("  inject: digest\n", &lines)
}

fn gate(pki: &Pki, server: &ZooKeeper) -> Gate {
    Gate::start(&config(pki, server.address(), ""))
}

fn server(version: &'static str, factory: Factory) -> ZooKeeperConfig {
    ZooKeeperConfig::new(version, factory).line("maxClientCnxns=0")
}

/// A way into a server for the holder of a certificate, with a session.
struct Door<'a> {
    address: SocketAddr,
    pki: &'a Pki,
}

impl Door<'_> {
    fn enter(&self, client: &Certified) -> Wire {
        let mut wire = Wire::tls(self.address, &self.pki.ca, client).unwrap();
        wire.open_new();
        wire
    }
}

/// What somebody sees of itself: its ids, but for its address, and the ACL of what it created with CREATOR_ALL.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    who_am_i: Vec<Vec<u8>>,
    acl: Vec<(i32, Vec<u8>)>,
}

impl Seen {
    /// What native ZooKeeper's id must make of both.
    fn of(id: &[u8], asks_who_am_i: bool) -> Self {
        let id = [b"x509:", id].concat();
        Self { who_am_i: asks_who_am_i.then(|| id.clone()).into_iter().collect(), acl: vec![(31, id)] }
    }
}

fn create_and_look(wire: &mut Wire, path: &str, asks_who_am_i: bool) -> Seen {
    assert_eq!(error(wire.request(op::CREATE, &wire::create(path, CREATOR_ALL, 0))), OK, "{path}");
    let who_am_i = if asks_who_am_i { ids(wire) } else { Vec::new() };
    Seen { who_am_i, acl: wire.raw_acl(path) }
}

/// whoAmI, but for the address.
fn ids(wire: &mut Wire) -> Vec<Vec<u8>> {
    wire.who_am_i().into_iter().filter(|id| !id.starts_with(b"ip:")).collect()
}

fn error(reply: std::io::Result<Option<Reply>>) -> i32 {
    reply.unwrap().expect("a reply, not an end").error
}

fn read(wire: &mut Wire, path: &str) -> i32 {
    error(wire.request(op::GET_DATA, &wire::path_and_watch(path, false)))
}

/// The error of getData of each path, asked all at once.
fn read_all(wire: &mut Wire, paths: &[String]) -> Vec<i32> {
    let get = |(xid, path): (i32, &String)| {
        wire::frame(&wire::request(xid, op::GET_DATA, &wire::path_and_watch(path, false)))
    };
    let burst: Vec<u8> = (1_000..).zip(paths).flat_map(get).collect();
    wire.send(&burst).unwrap();
    (1_000..).zip(paths).map(|(xid, _)| error(wire.reply_to(xid))).collect()
}

/// Somebody whose subject is not empty.
struct Person {
    name: String,
    certificate: Certified,
}

fn people(pki: &Pki) -> Vec<Person> {
    let subjects = subjects().into_iter().filter(|subject| !subject.is_empty());
    let people: Vec<Person> =
        subjects.map(|subject| Person { certificate: certificate(pki, &subject), name: subject.name }).collect();
    assert!(people.len() > 70, "the list has {} people", people.len());
    people
}

/// Everyone's znode, below `/PREFIX`.
fn paths(prefix: &str, people: &[Person]) -> Vec<String> {
    (0..people.len()).map(|number| format!("/{prefix}-{number}")).collect()
}

/// Everyone creates a znode by one door, and looks at it.
fn all_create(door: &Door<'_>, people: &[Person], paths: &[String], asks_who_am_i: bool) -> Vec<Seen> {
    let look =
        |(person, path): (&Person, &String)| create_and_look(&mut door.enter(&person.certificate), path, asks_who_am_i);
    people.iter().zip(paths).map(look).collect()
}

/// Everyone reads everyone's znode by one door.
fn all_read(door: &Door<'_>, people: &[Person], paths: &[String]) -> Vec<Vec<i32>> {
    people.iter().map(|person| read_all(&mut door.enter(&person.certificate), paths)).collect()
}

fn assert_seen(what: &str, people: &[Person], found: &[Seen], expected: &[Seen]) {
    for ((person, found), expected) in people.iter().zip(found).zip(expected) {
        assert_eq!(found, expected, "{what}: {}", person.name);
    }
    assert_eq!(found.len(), expected.len());
}

fn assert_rights(what: &str, people: &[Person], found: &[Vec<i32>], expected: &[Vec<i32>]) {
    for ((person, found), expected) in people.iter().zip(found).zip(expected) {
        for ((other, found), expected) in people.iter().zip(found).zip(expected) {
            assert_eq!(found, expected, "{what}: {} reads what {} made", person.name, other.name);
        }
    }
    assert_eq!(found.len(), expected.len());
}

/// Whoever has the same id may read, and nobody else.
fn rights_by_id(seen: &[Seen]) -> Vec<Vec<i32>> {
    let verdict = |reader: &Seen, owner: &Seen| if reader.acl == owner.acl { OK } else { NO_AUTH };
    seen.iter().map(|reader| seen.iter().map(|owner| verdict(reader, owner)).collect()).collect()
}

/// The oracle is a server without the provider. `asks`: it knows whoAmI.
fn the_gate_gives_what_native_tls_gives(version: &'static str, asks: bool) {
    let pki = Pki::new();
    let secret = secret_file(&pki);
    let people = people(&pki);
    let door = |address| Door { address, pki: &pki };

    let oracle = server(version, Factory::Netty).secure(&pki).start();
    let native = door(oracle.secure_address());
    let made = paths("made", &people);
    let seen = all_create(&native, &people, &made, asks);
    let rights = all_read(&native, &people, &made);
    assert_rights("on native TLS", &people, &rights, &rights_by_id(&seen));
    drop(oracle);

    let nio = server(version, Factory::Nio).provider(&secret).start();
    let nio_gate = gate(&pki, &nio);
    let gated = door(nio_gate.address());
    assert_seen("through the gate to NIO", &people, &all_create(&gated, &people, &made, asks), &seen);
    assert_rights("through the gate to NIO", &people, &all_read(&gated, &people, &made), &rights);
    nio_gate.finish();
    drop(nio);

    let both = server(version, Factory::Netty).secure(&pki).provider(&secret).start();
    let netty_gate = gate(&pki, &both);
    let (native, gated) = (door(both.secure_address()), door(netty_gate.address()));
    let old = paths("old", &people);
    assert_seen("beside the provider", &people, &all_create(&native, &people, &old, asks), &seen);
    assert_seen("through the gate to Netty", &people, &all_create(&gated, &people, &made, asks), &seen);
    assert_rights("what native TLS wrote", &people, &all_read(&gated, &people, &old), &rights);
    assert_rights("what came by the gate", &people, &all_read(&native, &people, &made), &rights);
    every_right_is_the_same(&native, &gated);
    netty_gate.finish();
}

/// All kinds of request on a znode that alice made by native TLS, by herself and by bob, by each of two doors.
fn every_right_is_the_same(native: &Door<'_>, gated: &Door<'_>) {
    let (alice, bob) = (&native.pki.alice, &native.pki.bob);
    let mut outcomes = Vec::new();
    for (name, door) in [("by-native", native), ("by-gate", gated)] {
        let path = format!("/{name}");
        let mut owner = native.enter(alice);
        assert_eq!(error(owner.request(op::CREATE, &wire::create(&path, CREATOR_ALL, 0))), OK);
        let child = wire::create(&format!("{path}/child"), &[(31, "world", "anyone")], 0);
        assert_eq!(error(owner.request(op::CREATE, &child)), OK);
        outcomes.push([bob, alice].map(|client| use_all_rights(&mut door.enter(client), &path)));
    }
    assert_eq!(outcomes[0][0], [NO_AUTH; 6], "bob on native TLS");
    assert_eq!(outcomes[0][1], [OK; 6], "alice on native TLS");
    assert_eq!(outcomes[1], outcomes[0]);
}

/// The errors of getData, setData, create below, setACL, getACL as it is then, and delete below.
fn use_all_rights(wire: &mut Wire, path: &str) -> [i32; 6] {
    let any = (-1_i32).to_be_bytes().to_vec();
    let set_data = [wire::string(path), wire::buffer(b"new"), any.clone()].concat();
    let set_acl = [wire::string(path), wire::acl_entries(CREATOR_ALL), any.clone()].concat();
    let delete = [wire::string(&format!("{path}/child")), any].concat();
    let requests = [
        (op::GET_DATA, wire::path_and_watch(path, false)),
        (op::SET_DATA, set_data),
        (op::CREATE, wire::create(&format!("{path}/more"), CREATOR_ALL, 0)),
        (op::SET_ACL, set_acl),
        (op::GET_ACL, wire::string(path)),
        (op::DELETE, delete),
    ];
    requests.map(|(opcode, body)| error(wire.request(opcode, &body)))
}

#[test]
fn the_gate_gives_what_native_tls_of_3_9_gives() {
    the_gate_gives_what_native_tls_gives("3.9.5", true);
}

#[test]
fn the_gate_gives_what_native_tls_of_3_6_gives() {
    the_gate_gives_what_native_tls_gives("3.6.4", false);
}

#[test]
fn the_gate_gives_what_native_tls_of_3_5_gives() {
    the_gate_gives_what_native_tls_gives("3.5.10", false);
}

/// 3.4 has no TLS of its own, so what its newer sister prints for a certificate is the measure.
#[test]
fn the_gate_gives_3_4_native_ids_and_rights_by_them() {
    let pki = Pki::new();
    let people = people(&pki);
    let made = paths("made", &people);
    let oracle = server("3.9.5", Factory::Netty).secure(&pki).start();
    let native = Door { address: oracle.secure_address(), pki: &pki };
    let seen: Vec<Seen> = people
        .iter()
        .map(|person| {
            let id = ids(&mut native.enter(&person.certificate)).pop().unwrap();
            Seen::of(id.strip_prefix(b"x509:").unwrap(), false)
        })
        .collect();
    drop(oracle);
    for factory in [Factory::Nio, Factory::Netty] {
        let server = server("3.4.14", factory).provider(&secret_file(&pki)).start();
        let gate = gate(&pki, &server);
        let gated = Door { address: gate.address(), pki: &pki };
        let what = format!("{factory:?}");
        assert_seen(&what, &people, &all_create(&gated, &people, &made, false), &seen);
        assert_rights(&what, &people, &all_read(&gated, &people, &made), &rights_by_id(&seen));
        gate.finish();
    }
}

/// Native TLS gives all whose subject is empty one id of no characters; nobody gets that behind the gate.
#[test]
fn a_certificate_with_an_empty_subject_is_native_nobody_and_is_refused_by_the_gate() {
    let pki = Pki::new();
    let server = server("3.9.5", Factory::Netty).secure(&pki).provider(&secret_file(&pki)).start();
    let gate = gate(&pki, &server);
    let nobodies: Vec<_> = subjects().into_iter().filter(|subject| subject.is_empty()).collect();
    assert_eq!(nobodies.len(), 2, "an empty name, and a name of one empty part");
    let native = Door { address: server.secure_address(), pki: &pki };
    for (number, subject) in nobodies.iter().enumerate() {
        let client = certificate(&pki, subject);
        let path = format!("/nobody-{number}");
        let seen = create_and_look(&mut native.enter(&client), &path, true);
        assert_eq!(seen, Seen::of(b"", true), "{}", subject.name);

        let opened = Wire::tls(gate.address(), &pki.ca, &client).and_then(|mut wire| wire.open(None));
        assert!(!matches!(opened, Ok(Some(_))), "{} was let in: {opened:?}", subject.name);
        let mut alice = Wire::tls(gate.address(), &pki.ca, &pki.alice).unwrap();
        alice.open_new();
        assert_eq!(read(&mut alice, &path), NO_AUTH, "what nobody owns is not open to all");
    }
    assert_eq!(ended(&gate, "no_identity", nobodies.len()), nobodies.len());
    gate.finish();
}

/// How many connections ended for this reason; waits until there are as many as are due.
fn ended(gate: &Gate, reason: &str, due: usize) -> usize {
    let count = || gate.log().iter().filter(|record| record["reason"] == reason).count();
    wait_for(|| Some(count()).filter(|found| *found >= due)).unwrap_or_else(count)
}

/// A znode in a directory, both alice's alone; whether somebody sees all and may remove it.
fn superuser(server: &ZooKeeper, pki: &Pki, address: SocketAddr) -> (Vec<Vec<u8>>, i32, i32) {
    let door = Door { address, pki };
    let mut alice = door.enter(&pki.alice);
    for path in ["/hers", "/hers/child"] {
        assert_eq!(error(alice.request(op::CREATE, &wire::create(path, CREATOR_ALL, 0))), OK, "{}", server.log());
    }
    let mut bob = door.enter(&pki.bob);
    let delete = [wire::string("/hers/child"), (-1_i32).to_be_bytes().to_vec()].concat();
    (ids(&mut bob), read(&mut bob, "/hers/child"), error(bob.request(op::DELETE, &delete)))
}

#[test]
fn identity_super_gives_what_the_native_super_user_has() {
    let pki = Pki::new();
    let secret = secret_file(&pki);
    let line = format!("X509AuthenticationProvider.superUser={BOB}");
    let oracle = server("3.9.5", Factory::Netty).secure(&pki).line(&line).start();
    let native = superuser(&oracle, &pki, oracle.secure_address());
    let (expected, read, deleted) = &native;
    assert_eq!((*read, *deleted), (OK, OK));
    assert_eq!(expected.len(), 2, "super, and who bob is");
    assert!(expected.contains(&format!("x509:{BOB}").into_bytes()), "{expected:?}");
    drop(oracle);

    for factory in [Factory::Nio, Factory::Netty] {
        let common = server("3.9.5", factory).provider(&secret).start();
        let gate = gate(&pki, &common);
        let (who, read, deleted) = superuser(&common, &pki, gate.address());
        assert_eq!((who, read, deleted), (vec![format!("x509:{BOB}").into_bytes()], NO_AUTH, NO_AUTH), "not listed");
        gate.finish();
        drop(common);

        let listed = format!("  super: [ '{BOB}' ]\n");
        let plain = server("3.9.5", factory).provider(&secret).start();
        let gate = Gate::start(&config(&pki, plain.address(), &listed));
        assert_eq!(superuser(&plain, &pki, gate.address()), native, "{factory:?}");
        gate.finish();
        drop(plain);

        // The server's own word makes nobody super who comes by the gate: the gate's operator must say so too.
        let server = server("3.9.5", factory).provider(&secret).line(&line).start();
        let mut unlisted = self::gate(&pki, &server);
        unlisted.expect_log("list the server's superUser in identity.super");
        let mut bob = Wire::tls(unlisted.address(), &pki.ca, &pki.bob).unwrap();
        bob.open_new();
        let _ = bob.send_frame(&wire::request(1, op::GET_DATA, &wire::path_and_watch("/", false)));
        assert_eq!(bob.read_frame().unwrap(), None, "an end, and no frame");
        assert_eq!(ended(&unlisted, "auth_failed", 1), 1, "{}", unlisted.output());
        let door = Door { address: unlisted.address(), pki: &pki };
        assert_eq!(ids(&mut door.enter(&pki.alice)), [format!("x509:{ALICE}").into_bytes()]);
        unlisted.finish();
        let gate = Gate::start(&config(&pki, server.address(), &listed));
        assert_eq!(superuser(&server, &pki, gate.address()), native, "{factory:?}");
        gate.finish();
    }
}

#[test]
fn a_server_that_enforces_x509_refuses_whoever_bypasses_the_gate() {
    let pki = Pki::new();
    for factory in [Factory::Nio, Factory::Netty] {
        let server = server("3.9.5", factory)
            .provider(&secret_file(&pki))
            .line("enforce.auth.enabled=true")
            .line("enforce.auth.schemes=x509")
            .start();
        // It is ready, so the gate's own probe is not turned away.
        let gate = gate(&pki, &server);
        let mut alice = Wire::tls(gate.address(), &pki.ca, &pki.alice).unwrap();
        alice.open_new();
        let open = wire::create("/open", &[(31, "world", "anyone")], 0);
        assert_eq!(error(alice.request(op::CREATE, &open)), OK);

        for own_credential in [None, Some(b"user:password".to_vec())] {
            let mut bypass = Wire::plain(server.address());
            bypass.own_credential = own_credential;
            bypass.open_new();
            assert_eq!(read(&mut bypass, "/open"), SESSION_CLOSED);
            assert_eq!(bypass.read_frame().unwrap(), None, "the server hangs up");
        }
        assert_eq!(read(&mut alice, "/open"), OK);
        drop(alice);
        gate.finish();
    }
}

/// A program for native TLS may call `addAuthInfo("x509", …)` before it is connected, which ZooKeeper's own provider takes for
/// a repetition.
#[test]
fn a_java_client_that_adds_its_x509_identity_itself_works_or_is_refused() {
    let pki = Pki::new();
    pki.java_key_store("alice");
    pki.java_trust_store();
    let server = server("3.9.5", Factory::Netty).secure(&pki).provider(&secret_file(&pki)).start();
    let command = |address: SocketAddr, root: &str| {
        java_client_with(java("3.9.5", &pki, Some("alice")), address, root, Some(("x509", ALICE)))
    };
    let outcomes = |address: SocketAddr| -> Vec<String> {
        let steps = steps(&run(&mut command(address, "/java")));
        let mut wire = Wire::plain(server.address());
        wire.open_new();
        let delete = [wire::string("/java"), (-1_i32).to_be_bytes().to_vec()].concat();
        assert_eq!(error(wire.request(op::DELETE, &delete)), OK);
        let words = |outcome: &str| -> String {
            outcome.split(' ').filter(|id| !id.starts_with("ip:127.")).collect::<Vec<_>>().join(" ")
        };
        steps.iter().map(|(step, outcome)| format!("{step}: {}", words(outcome))).collect()
    };
    let native = outcomes(server.secure_address());
    assert!(native.contains(&format!("whoami: x509:{ALICE}")), "{native:?}");
    assert!(native.contains(&format!("acl: x509:{ALICE}:31")), "{native:?}");
    let answering = gate(&pki, &server);
    assert_eq!(outcomes(answering.address()), native);
    answering.finish();

    let yaml = config(&pki, server.address(), "") + "client_auth: { x509: refuse }\n";
    let refusing = Gate::start(&yaml);
    let output = command(refusing.address(), "/refused").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    // The word of the event, or of the state if a request was under way.
    let told = ["AuthFailed", "AUTH_FAILED"].iter().any(|word| said.contains(word));
    assert!(!output.status.success() && told, "{output:?}");
    assert_ne!(ended(&refusing, "client_auth_refused", 1), 0, "{}", refusing.output());
    refusing.finish();
}

/// The provider's form of an assertion, made by other means than zoogate's.
fn assertion(secret: &[u8], session_id: i64, identity: &str, superuser: bool) -> Vec<u8> {
    let message = [b"zoogate x509 v1\0", &session_id.to_be_bytes()[..], &[u8::from(superuser)], identity.as_bytes()];
    let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), &message.concat());
    let flag = if superuser { "super" } else { "" };
    let [identity, mac] = [identity.as_bytes(), mac.as_ref()].map(|bytes| BASE64_URL_SAFE_NO_PAD.encode(bytes));
    format!("zoogate1:{identity}:{flag}:{mac}").into_bytes()
}

/// Even who knows the secret is, by native TLS and by the gate, what the certificate says.
#[test]
fn a_genuine_assertion_helps_nobody_by_native_tls_or_by_the_gate() {
    let pki = Pki::new();
    let secret_file = secret_file(&pki);
    let secret = fs::read_to_string(&secret_file).unwrap();
    let secret = secret.trim().as_bytes();
    let server = server("3.9.5", Factory::Netty).secure(&pki).provider(&secret_file).start();
    let gate = gate(&pki, &server);
    let mut bob = Wire::tls(gate.address(), &pki.ca, &pki.bob).unwrap();
    bob.open_new();
    assert_eq!(error(bob.request(op::CREATE, &wire::create("/of-bob", CREATOR_ALL, 0))), OK);

    let claim = |wire: &mut Wire, superuser: bool| {
        let session = wire.open_new();
        let data = assertion(secret, session.id, BOB, superuser);
        wire.send_frame(&wire::request(-4, op::AUTH, &wire::auth("x509", &data))).unwrap();
        assert_eq!(wire.read_reply().unwrap().map(|reply| (reply.xid, reply.error)), Some((-4, OK)));
        (ids(wire), read(wire, "/of-bob"))
    };
    for superuser in [false, true] {
        for address in [server.secure_address(), gate.address()] {
            let mut alice = Wire::tls(address, &pki.ca, &pki.alice).unwrap();
            assert_eq!(claim(&mut alice, superuser), (vec![format!("x509:{ALICE}").into_bytes()], NO_AUTH));
        }
        // From loopback to the plain port it is as good as the gate's: it is the secret that must be kept.
        let (who, read) = claim(&mut Wire::plain(server.address()), superuser);
        assert!(who.contains(&format!("x509:{BOB}").into_bytes()) && read == OK, "{who:?}, {read}");
    }
    drop(bob);
    gate.finish();
}

/// A file of secrets, replaced as configuration tools do.
struct Secrets(PathBuf);

impl Secrets {
    fn write(&self, secrets: &[&str]) {
        let new = self.0.with_extension("new");
        fs::write(&new, secrets.join("\n")).unwrap();
        fs::rename(new, &self.0).unwrap();
    }
}

fn new_secret() -> String {
    run(&mut zoogate(&["secret"])).trim().to_owned()
}

/// A gate that has these secrets.
fn gate_with(pki: &Pki, server: &ZooKeeper, secrets: &[&str]) -> Gate {
    let own = Secrets(pki.path("own-secret"));
    own.write(secrets);
    let yaml = config(pki, server.address(), "");
    let [old, new] = [secret_file(pki), own.0].map(|path: PathBuf| path.display().to_string());
    Gate::start(&yaml.replace(&old, &new))
}

#[test]
fn the_secret_is_rotated_without_a_server_restart_and_sessions_live_on() {
    let pki = Pki::new();
    let [old, new] = [new_secret(), new_secret()];
    let servers_file = Secrets(pki.path("server-secret"));
    servers_file.write(&[&old]);
    let server = server("3.9.5", Factory::Nio).provider(&servers_file.0).start();

    let first = gate_with(&pki, &server, &[&old]);
    let mut alice = Wire::tls(first.address(), &pki.ca, &pki.alice).unwrap();
    let session = alice.open_new();
    assert_eq!(error(alice.request(op::CREATE, &wire::create("/ephemeral", CREATOR_ALL, 1))), OK);
    alice.cut();
    first.finish();

    // The server learns of the new secret first, and is not restarted: it is the gate that makes assertions.
    servers_file.write(&[&old, &new]);
    let second = gate_with(&pki, &server, &[&new, &old]);
    let mut alice = Wire::tls(second.address(), &pki.ca, &pki.alice).unwrap();
    let resumed = alice.open(Some(&session)).unwrap().unwrap();
    assert_eq!((resumed.id, resumed.timeout), (session.id, session.timeout), "sealed with the old secret");
    assert_eq!(read(&mut alice, "/ephemeral"), OK);
    assert_eq!(alice.acl("/ephemeral"), [(31, format!("x509:{ALICE}"))], "ids do not depend on the secret");
    alice.cut();
    second.finish();

    servers_file.write(&[&new]);
    let third = gate_with(&pki, &server, &[&new]);
    let mut alice = Wire::tls(third.address(), &pki.ca, &pki.alice).unwrap();
    let again = alice.open(Some(&resumed)).unwrap().unwrap();
    assert_eq!(again.id, session.id, "sealed anew at the last resume");
    assert_eq!(read(&mut alice, "/ephemeral"), OK);
    drop(alice);
    third.finish();

    // The provider looks at the file once a second.
    std::thread::sleep(Duration::from_millis(1_100));
    let stale = gate_with(&pki, &server, &[&old]);
    nobody_gets_in(stale, &pki);
}

/// The session is granted, and then the connection ends without a word of the server's refusal: a Java client that saw
/// AUTHFAILED would stop for good.
fn nobody_gets_in(mut gate: Gate, pki: &Pki) {
    gate.expect_log("give it the file identity.secret_file");
    let mut alice = Wire::tls(gate.address(), &pki.ca, &pki.alice).unwrap();
    alice.open_new();
    // The end may come before the request has left.
    let _ = alice.send_frame(&wire::request(1, op::GET_DATA, &wire::path_and_watch("/", false)));
    assert_eq!(alice.read_frame().unwrap(), None, "an end, and no frame");
    assert_eq!(ended(&gate, "auth_failed", 1), 1, "{}", gate.output());
    let told =
        |text: &str| gate.log().iter().any(|record| record["level"] == "ERROR" && record.to_string().contains(text));
    assert!(told("AUTHFAILED") && told("give it the file identity.secret_file"), "{}", gate.output());
    gate.finish();
}

#[test]
fn a_server_that_refuses_the_assertion_lets_nobody_in_and_the_log_names_the_fix() {
    let pki = Pki::new();
    let [ours, theirs] = [new_secret(), new_secret()];
    let servers_file = Secrets(pki.path("server-secret"));
    servers_file.write(&[&theirs]);
    for factory in [Factory::Nio, Factory::Netty] {
        let other_secret = server("3.9.5", factory).provider(&servers_file.0).start();
        nobody_gets_in(gate_with(&pki, &other_secret, &[&ours]), &pki);
        let log = other_secret.log();
        assert!(log.contains("made with another secret"), "{log}");
        assert!(!log.contains(&ours) && !log.contains(&theirs));
    }
    // Native TLS has a provider of the same scheme, which finds no certificate on a plain connection.
    let no_provider = server("3.9.5", Factory::Netty).secure(&pki).start();
    nobody_gets_in(gate_with(&pki, &no_provider, &[&ours]), &pki);
    let no_scheme = server("3.9.5", Factory::Nio).start();
    nobody_gets_in(gate_with(&pki, &no_scheme, &[&ours]), &pki);
}

#[test]
fn a_client_with_a_new_name_keeps_what_it_made_by_native_tls() {
    let pki = Pki::new();
    let server = server("3.9.5", Factory::Netty).secure(&pki).provider(&secret_file(&pki)).start();
    let native = Door { address: server.secure_address(), pki: &pki };
    let mut alice = native.enter(&pki.alice);
    assert_eq!(error(alice.request(op::CREATE, &wire::create("/old", CREATOR_ALL, 0))), OK);

    let rules = "  mapping: [ 'RULE:^CN=([a-z]+),.*$/acme.$1/' ]\n  also_inject: [ unmapped ]\n";
    let gate = Gate::start(&config(&pki, server.address(), rules));
    let gated = Door { address: gate.address(), pki: &pki };
    let (mut alice, mut bob) = (gated.enter(&pki.alice), gated.enter(&pki.bob));
    let both = [format!("x509:{ALICE}"), "x509:acme.alice".to_owned()];
    assert_eq!(ids(&mut alice), both.clone().map(String::into_bytes));
    assert_eq!((read(&mut alice, "/old"), read(&mut bob, "/old")), (OK, NO_AUTH));
    assert_eq!(error(alice.request(op::CREATE, &wire::create("/new", CREATOR_ALL, 0))), OK);
    assert_eq!(alice.acl("/new"), both.map(|id| (31, id)));

    // What is printed for bob is what an ACL needs to let him in.
    let printed = identity_of(&gate.config_file(), &pki.path("bob.crt"));
    assert_eq!(printed, "x509:acme.bob\n");
    let id = printed.trim().strip_prefix("x509:").unwrap();
    let shared = wire::create("/shared", &[(1, "x509", id)], 0);
    assert_eq!(error(alice.request(op::CREATE, &shared)), OK);
    assert_eq!((read(&mut alice, "/shared"), read(&mut bob, "/shared")), (NO_AUTH, OK));
    drop((alice, bob));
    gate.finish();
}

fn identity_of(config: &Path, certificate: &Path) -> String {
    run(zoogate(&["identity", "--config"]).arg(config).arg(certificate))
}

#[test]
fn a_client_whose_credential_is_refused_is_told_so_as_a_server_would() {
    let pki = Pki::new();
    let server = server("3.9.5", Factory::Nio).provider(&secret_file(&pki)).start();
    let gate = Gate::start(&(config(&pki, server.address(), "") + "client_auth: { x509: refuse }\n"));
    let mut alice = Wire::tls(gate.address(), &pki.ca, &pki.alice).unwrap();
    alice.open_new();
    alice.send_frame(&wire::request(-4, op::AUTH, &wire::auth("x509", ALICE.as_bytes()))).unwrap();
    assert_eq!(alice.read_reply().unwrap().map(|reply| (reply.xid, reply.error)), Some((-4, AUTH_FAILED)));
    assert_eq!(alice.read_frame().unwrap(), None, "the connection ends");
    assert_eq!(ended(&gate, "client_auth_refused", 1), 1, "{}", gate.output());
    assert!(!server.log().contains("Refused x509 authentication"), "ZooKeeper never hears of it");
    gate.finish();
}
