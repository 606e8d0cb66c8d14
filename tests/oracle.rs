//! Native ZooKeeper is the oracle: the id that its TLS port gives a certificate is the id that zoogate must find.
#![allow(clippy::unwrap_used, reason = "a test that can't go on stops there")]

mod support;

use support::gate::{Gate, digest_id, identities};
use support::pki::{Certified, Pki};
use support::subjects::{Subject, certificate, subjects};
use support::wait_for;
use support::wire::{Wire, join_surrogates};
use support::zookeeper::{Factory, ZooKeeper, ZooKeeperConfig};

fn oracle(pki: &Pki) -> ZooKeeper {
    ZooKeeperConfig::new("3.9.5", Factory::Netty).secure(pki).start()
}

/// The id after `scheme:` that a server holds for a client that connects with this certificate.
fn id_of(wire: &mut Wire, scheme: &str) -> Vec<u8> {
    wire.open_new();
    let prefix = format!("{scheme}:");
    let ids = wire.who_am_i();
    let mut found = ids.iter().filter_map(|id| id.strip_prefix(prefix.as_bytes()));
    let id = found.next().unwrap_or_else(|| panic!("no {scheme} among {ids:?}")).to_vec();
    assert_eq!(found.next(), None, "more than one {scheme} among {ids:?}");
    id
}

fn native_id(oracle: &ZooKeeper, pki: &Pki, client: &Certified) -> Vec<u8> {
    let mut wire = Wire::tls(oracle.secure_address(), &pki.ca, client).unwrap();
    join_surrogates(&id_of(&mut wire, "x509"))
}

/// RFC 3986, upper case, of all but letters, digits and `-._~=/@+`.
fn percent_encode(text: &str) -> String {
    let plain = |b: &u8| b.is_ascii_alphanumeric() || b"-._~=/@+".contains(b);
    text.bytes().map(|b| if plain(&b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

fn readable(id: &[u8]) -> String {
    String::from_utf8_lossy(id).into_owned()
}

#[test]
fn native_zookeeper_prints_the_ids_of_the_vectors() {
    let pki = Pki::new();
    let oracle = oracle(&pki);
    for subject in subjects() {
        let id = native_id(&oracle, &pki, &certificate(&pki, &subject));
        if let Some(expected) = &subject.expected {
            assert_eq!(readable(&id), readable(expected), "{}", subject.name);
        }
    }
}

#[test]
fn zoogate_finds_the_id_that_native_zookeeper_gives() {
    let pki = Pki::new();
    let oracle = oracle(&pki);
    let subjects = subjects();
    let certificates: Vec<Certified> = subjects.iter().map(|subject| certificate(&pki, subject)).collect();
    let ders: Vec<&[u8]> = certificates.iter().map(|certificate| certificate.der.as_slice()).collect();
    let found = identities(&pki, &ders);
    assert_eq!(found.len(), subjects.len(), "one line of output for each of input");
    for ((subject, certificate), ids) in subjects.iter().zip(&certificates).zip(found) {
        let native = native_id(&oracle, &pki, certificate);
        let ids = ids.unwrap_or_else(|reason| panic!("{}: {reason}", subject.name));
        assert_eq!(ids.x509, readable(&native), "{}", subject.name);
        assert_eq!(ids.digest.is_none(), native.is_empty(), "{}: nobody has a credential", subject.name);
    }
}

#[test]
fn the_injected_user_is_the_native_id_percent_encoded() {
    let pki = Pki::new();
    let oracle = oracle(&pki);
    let gate = Gate::in_front_of(oracle.address(), &pki);
    for subject in subjects().iter().filter(|subject| !subject.is_empty()) {
        let client = certificate(&pki, subject);
        let native = native_id(&oracle, &pki, &client);
        let mut wire = Wire::tls(gate.address(), &pki.ca, &client).unwrap();
        let injected = id_of(&mut wire, "digest");
        let native = String::from_utf8(native).unwrap();
        assert_eq!(readable(&injected), format!("x509/{}", percent_encode(&native)), "{}", subject.name);
        assert_eq!(digest_id(&pki, &client.der).rsplit_once(':').unwrap().0, readable(&injected), "{}", subject.name);
    }
    gate.finish();
}

#[test]
fn a_certificate_with_an_empty_subject_is_native_nobody_and_is_refused_by_the_gate() {
    let pki = Pki::new();
    let oracle = oracle(&pki);
    let gate = Gate::in_front_of(oracle.address(), &pki);
    let nobodies: Vec<Subject> = subjects().into_iter().filter(Subject::is_empty).collect();
    assert_eq!(nobodies.len(), 2, "an empty name, and a name of one empty part");
    for subject in &nobodies {
        let client = certificate(&pki, subject);
        assert_eq!(readable(&native_id(&oracle, &pki, &client)), "", "{}", subject.name);
        let opened = Wire::tls(gate.address(), &pki.ca, &client).and_then(|mut wire| wire.open(None));
        assert!(!matches!(opened, Ok(Some(_))), "{} was let in: {opened:?}", subject.name);
    }
    let refused = || gate.output().matches("no_identity").count() >= nobodies.len();
    assert!(wait_for(|| refused().then_some(())).is_some(), "no refusal is logged: {}", gate.output());
}
