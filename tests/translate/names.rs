//! Names that native TLS doesn't have, or can't write.

use super::support::clients::{java, zk_cli};
use super::support::der;
use super::support::gate::Gate;
use super::support::pki::{Pki, Profile};
use super::support::wire::{self, CREATOR_ALL, Wire, op};
use super::support::zookeeper::{Factory, ZooKeeperConfig};
use super::{translating, translating_yaml};

#[test]
fn mapped_names_stand_in_acls_as_they_are() {
    let pki = Pki::new();
    pki.java_trust_store();
    pki.java_key_store("alice");
    let server = ZooKeeperConfig::new("3.9.5", Factory::Nio).start();
    let mapping = "  mapping: [ 'RULE:^CN=([a-z]+),.*$/$1/' ]\n";
    let yaml =
        translating_yaml(&pki, server.address()).replace("  from: subject\n", &format!("  from: subject\n{mapping}"));
    let gate = Gate::start(&yaml);
    let connect = |client| {
        let mut wire = Wire::tls(gate.address(), &pki.ca, client).unwrap();
        wire.open_new();
        wire
    };
    let (mut alice, mut bob) = (connect(&pki.alice), connect(&pki.bob));
    assert_eq!(alice.who_am_i(), [b"ip:127.0.0.1".to_vec(), b"x509:alice".to_vec()]);
    alice.request(op::CREATE, &wire::create("/p", CREATOR_ALL, 0)).unwrap();
    let output = zk_cli(
        java("3.9.5", &pki, Some("alice")),
        gate.address(),
        &["setAcl /p x509:alice:cdrwa,x509:bob:r", "getAcl /p"],
    );
    assert!(output.contains("'x509,'alice\n: cdrwa\n'x509,'bob\n: r\n"), "{output}");
    assert_eq!(alice.acl("/p"), [(1, "x509:bob".to_owned()), (31, "x509:alice".to_owned())]);
    let read = wire::path_and_watch("/p", false);
    assert_eq!(bob.request(op::GET_DATA, &read).unwrap().unwrap().error, 0);
    drop((alice, bob));
    gate.finish();
}

/// As Java writes it: two surrogates of three bytes each.
const SMILE_OF_JAVA: &[u8] = b"CN=\xed\xa0\xbd\xed\xb8\x80";

// Java writes such a character in a way that it doesn't read itself: a native server takes it for two others, and
// nobody has that name.
#[test]
fn characters_that_java_writes_its_own_way_are_those_of_the_certificate() {
    let pki = Pki::new();
    let smile = pki.ca.issue(&Profile::client(der::name(&[("2.5.4.3", "😀")])));
    let native = ZooKeeperConfig::new("3.9.5", Factory::Netty).secure(&pki).start();
    let stock = ZooKeeperConfig::new("3.9.5", Factory::Nio).start();
    let gate = translating(&pki, stock.address());
    for (address, expected, error) in
        [(gate.address(), "CN=😀", 0), (native.secure_address(), "CN=\u{fffd}\u{fffd}", -102)]
    {
        let mut alice = Wire::tls(address, &pki.ca, &pki.alice).unwrap();
        alice.open_new();
        let acl = wire::create("/p", &[(1, "x509", "CN=MARK__")], 0);
        let at = acl.windows(6).position(|bytes| bytes == b"MARK__").unwrap();
        let acl = [&acl[..at - 3], SMILE_OF_JAVA, &acl[at + 6..]].concat();
        assert_eq!(alice.request(op::CREATE, &acl).unwrap().unwrap().error, 0);

        let mut wire = Wire::tls(address, &pki.ca, &smile).unwrap();
        wire.open_new();
        let read = wire.request(op::GET_DATA, &wire::path_and_watch("/p", false)).unwrap().unwrap();
        assert_eq!(read.error, error);
        if error == 0 {
            assert_eq!(wire.acl("/p"), [(1, format!("x509:{expected}"))]);
        }
    }
    gate.finish();
}
