//! One `x509` entry where the server has one of each secret.

use super::support::gate::{Gate, zoogate};
use super::support::pki::Pki;
use super::support::run;
use super::support::wire::{self, CREATOR_ALL, Wire, op};
use super::support::zookeeper::{Factory, ZooKeeper, ZooKeeperConfig};
use super::{set_acl, translating};

const ALICE: &str = "x509:CN=alice,O=Acme,C=US";
const BOB: &str = "x509:CN=bob,O=Acme,C=US";

/// A gate with these secrets.
fn gate_with(pki: &Pki, server: &ZooKeeper, secrets: &[&str]) -> Gate {
    std::fs::write(pki.path("secret"), secrets.concat()).unwrap();
    translating(pki, server.address())
}

fn open(gate: &Gate, pki: &Pki, name: &str) -> Wire {
    let client = if name == "alice" { &pki.alice } else { &pki.bob };
    let mut wire = Wire::tls(gate.address(), &pki.ca, client).unwrap();
    wire.open_new();
    wire
}

fn ask(wire: &mut Wire, opcode: i32, body: &[u8]) -> i32 {
    wire.request(opcode, body).unwrap().unwrap().error
}

fn read(wire: &mut Wire, path: &str) -> i32 {
    ask(wire, op::GET_DATA, &wire::path_and_watch(path, false))
}

/// How many entries the server really has. Nobody in particular may read them: hashes are masked.
fn entries_on_the_server(server: &ZooKeeper, path: &str) -> Vec<(i32, String)> {
    let mut wire = Wire::plain(server.address());
    wire.open_new();
    wire.acl(path)
}

#[test]
fn acls_outlive_a_change_of_the_secret() {
    let pki = Pki::new();
    let server = ZooKeeperConfig::new("3.9.5", Factory::Nio).start();
    let [old, new] = [(), ()].map(|()| run(&mut zoogate(&["secret"])));
    let bob_reads = [(31, "x509", "CN=alice,O=Acme,C=US"), (1, "x509", "CN=bob,O=Acme,C=US")];
    let all_read: Vec<_> = CREATOR_ALL.iter().copied().chain([(1, "world", "anyone")]).collect();

    let gate = gate_with(&pki, &server, &[&old]);
    let mut alice = open(&gate, &pki, "alice");
    assert_eq!(ask(&mut alice, op::CREATE, &wire::create("/explicit", &bob_reads, 0)), 0);
    assert_eq!(ask(&mut alice, op::CREATE, &wire::create("/forgotten", CREATOR_ALL, 0)), 0);
    drop(alice);
    gate.finish();

    let gate = gate_with(&pki, &server, &[&new, &old]);
    let (mut alice, mut bob) = (open(&gate, &pki, "alice"), open(&gate, &pki, "bob"));
    assert_eq!(
        alice.who_am_i(),
        [b"ip:127.0.0.1".to_vec(), ALICE.into()],
        "once, although two credentials are injected"
    );
    assert_eq!(alice.acl("/explicit"), [(1, BOB.to_owned()), (31, ALICE.to_owned())], "made with the old secret");
    assert_eq!(read(&mut bob, "/explicit"), 0);

    assert_eq!(ask(&mut alice, op::CREATE, &wire::create("/both", &all_read, 0)), 0);
    let masked = (31, "digest:x509/CN=alice%2CO=Acme%2CC=US:x".to_owned());
    let anyone = (1, "world:anyone".to_owned());
    let on_the_server = entries_on_the_server(&server, "/both");
    assert_eq!(on_the_server, [anyone.clone(), masked.clone(), masked.clone()]);
    for wire in [&mut alice, &mut bob] {
        assert_eq!(wire.acl("/both"), [anyone.clone(), (31, ALICE.to_owned())], "masked or not");
    }

    // What is read and written back is made with the new secret.
    assert_eq!(ask(&mut alice, op::SET_ACL, &set_acl("/explicit", &bob_reads, 0)), 0);
    let shown = [(31, "x509", "CN=alice,O=Acme,C=US"), (1, "world", "anyone")];
    assert_eq!(ask(&mut alice, op::SET_ACL, &set_acl("/both", &shown, 0)), 0);
    assert_eq!(entries_on_the_server(&server, "/both"), [anyone.clone(), masked]);
    assert_eq!(alice.acl("/both"), [anyone, (31, ALICE.to_owned())]);
    drop((alice, bob));
    gate.finish();

    let gate = gate_with(&pki, &server, &[&new]);
    let (mut alice, mut bob) = (open(&gate, &pki, "alice"), open(&gate, &pki, "bob"));
    assert_eq!(ask(&mut alice, op::SET_ACL, &set_acl("/both", &shown, 1)), 0);
    assert_eq!(read(&mut bob, "/explicit"), 0);
    assert_eq!(read(&mut alice, "/forgotten"), -102, "nobody wrote its ACL anew");
    drop((alice, bob));
    gate.finish();
}
