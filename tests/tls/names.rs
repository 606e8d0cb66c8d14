//! Name constraints, and every place where a certificate has a name. openssl judges the same chains beside.

use std::process::Command;

use rcgen::{CertificateParams, CustomExtension, DistinguishedName, DnType, DnValue};
use zoogate::reason::Refusal;

use crate::pki::{Entity, Openssl, assert_refused, ca, leaf, verifier, verify};

/// Tags of GeneralNames.
const EMAIL: u8 = 0x81;
const DNS: u8 = 0x82;
const DIRECTORY: u8 = 0xa4;
const URI: u8 = 0x86;
const ADDRESS: u8 = 0x87;
const REGISTERED_ID: u8 = 0x88;

type Names<'a> = &'a [(u8, &'a [u8])];

const NAME_CONSTRAINTS: [u64; 4] = [2, 5, 29, 30];

/// What openssl says too, or doesn't.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Openssls {
    Same,
    Other,
}

use Openssls::{Other, Same};

fn tlv(tag: u8, contents: &[u8]) -> Vec<u8> {
    let length = u8::try_from(contents.len()).unwrap();
    let header = if length < 0x80 { vec![tag, length] } else { vec![tag, 0x81, length] };
    [header, contents.to_vec()].concat()
}

fn constraints(permitted: Names<'_>, excluded: Names<'_>) -> Vec<u8> {
    let list = |tag: u8, names: Names<'_>| {
        let subtrees: Vec<_> = names.iter().map(|(form, base)| tlv(0x30, &tlv(*form, base))).collect();
        if names.is_empty() { Vec::new() } else { tlv(tag, &subtrees.concat()) }
    };
    tlv(0x30, &[list(0xa0, permitted), list(0xa1, excluded)].concat())
}

fn with(mut params: CertificateParams, oid: &[u64], value: Vec<u8>) -> CertificateParams {
    params.custom_extensions.push(CustomExtension::from_oid_content(oid, value));
    params
}

fn subject(mut params: CertificateParams, attributes: &[(DnType, DnValue)]) -> CertificateParams {
    params.distinguished_name = DistinguishedName::new();
    for (kind, value) in attributes {
        params.distinguished_name.push(kind.clone(), value.clone());
    }
    params
}

fn cn(text: &str) -> Vec<(DnType, DnValue)> {
    vec![(DnType::CommonName, DnValue::Utf8String(text.to_owned()))]
}

fn email(value: DnValue) -> Vec<(DnType, DnValue)> {
    vec![(DnType::CustomDnType(vec![1, 2, 840, 113_549, 1, 9, 1]), value)]
}

fn san(params: CertificateParams, names: Names<'_>) -> CertificateParams {
    let names: Vec<_> = names.iter().map(|(form, name)| tlv(*form, name)).collect();
    with(params, &[2, 5, 29, 17], tlv(0x30, &names.concat()))
}

/// The DER of a name of one organization.
fn organization(name: &str) -> Vec<u8> {
    let value = [tlv(6, &[0x55, 4, 10]), tlv(0x0c, name.as_bytes())].concat();
    tlv(0x30, &tlv(0x31, &tlv(0x30, &value)))
}

/// Judges the leaf, below a CA with constraints, of which openssl says the same.
struct Bench {
    root: Entity,
    files: Openssl,
}

impl Bench {
    fn new() -> Self {
        let bench = Self { root: Entity::root("Root"), files: Openssl::new() };
        bench.root.write(bench.files.dir.path(), "root");
        bench
    }

    #[track_caller]
    fn judge(&self, value: &[u8], params: CertificateParams, expected: (Option<&str>, Openssls)) {
        let middle = self.root.issue(with(ca("Narrow"), &NAME_CONSTRAINTS, value.to_vec()));
        let alice = middle.issue(params);
        let verdict = verify(&verifier(&[&self.root.cert]), &[&alice.cert, &middle.cert]);
        middle.write(self.files.dir.path(), "middle");
        alice.write(self.files.dir.path(), "alice");
        let arguments = ["verify", "-CAfile", "root.crt", "-untrusted", "middle.crt", "alice.crt"];
        let openssl = Command::new("openssl").args(arguments).current_dir(self.files.dir.path()).output().unwrap();
        let words = String::from_utf8_lossy(&openssl.stderr).into_owned();
        let (words_of_ours, openssls) = expected;
        assert_eq!(
            openssl.status.success() == words_of_ours.is_none(),
            openssls == Same,
            "openssl: {words}, {verdict:?}"
        );
        match words_of_ours {
            None => drop(verdict.unwrap()),
            Some(words) => assert_refused(verdict, Refusal::NameConstraints, words),
        }
    }
}

#[test]
fn a_common_name_that_reads_as_a_host_name_is_bound_in_every_spelling() {
    let bench = Bench::new();
    let permitted = constraints(&[(DNS, b"inside.example")], &[]);
    let excluded = constraints(&[], &[(DNS, b"outside.example")]);
    let outside = "is outside what CN=Narrow,O=Example";
    for (name, openssls) in [
        ("a.outside.example", Same),
        ("A.OUTSIDE.Example", Same),
        ("a.outside.example.", Other),
        ("*.outside.example", Other),
    ] {
        bench.judge(&permitted, subject(leaf("x"), &cn(name)), (Some(outside), openssls));
        bench.judge(&excluded, subject(leaf("x"), &cn(name)), (Some("is what CN=Narrow,O=Example"), openssls));
    }
    for name in ["a.inside.example", "A.Inside.EXAMPLE", "alice", "Alice Example", "a..outside.example"] {
        bench.judge(&permitted, subject(leaf("x"), &cn(name)), (None, Same));
        bench.judge(&excluded, subject(leaf("x"), &cn(name)), (None, Same));
    }
    let host = "a.outside.example";
    let utf32: Vec<u8> = host.bytes().flat_map(|byte| [0, 0, 0, byte]).collect();
    let spellings = [
        DnValue::PrintableString(host.try_into().unwrap()),
        DnValue::Ia5String(host.try_into().unwrap()),
        DnValue::TeletexString(host.try_into().unwrap()),
        DnValue::BmpString(host.try_into().unwrap()),
        DnValue::UniversalString(rcgen::string::UniversalString::from_utf32be(utf32).unwrap()),
    ];
    for spelling in spellings {
        let params = subject(leaf("x"), &[(DnType::CommonName, spelling)]);
        bench.judge(&permitted, params.clone(), (Some("DNS name \"a.outside.example\" of CN=a.outside.example"), Same));
        bench.judge(&excluded, params, (Some("DNS name \"a.outside.example\" of CN=a.outside.example"), Same));
    }
}

#[test]
fn a_leaf_with_a_dns_name_has_its_common_name_left_alone() {
    let bench = Bench::new();
    let permitted = constraints(&[(DNS, b"inside.example")], &[]);
    let named = |common: &str, dns: &[u8]| san(subject(leaf("x"), &cn(common)), &[(DNS, dns)]);
    bench.judge(&permitted, named("a.outside.example", b"a.inside.example"), (None, Same));
    bench.judge(&permitted, named("a.inside.example", b"a.outside.example"), (Some("\"a.outside.example\""), Same));
    bench.judge(&permitted, named("a.inside.example", b"ainside.example"), (Some("\"ainside.example\""), Same));
    // A name of another kind is no reason.
    let other = san(subject(leaf("x"), &cn("a.outside.example")), &[(URI, b"spiffe://a")]);
    bench.judge(&permitted, other, (Some("\"a.outside.example\""), Same));
}

#[test]
fn an_e_mail_address_of_the_subject_is_bound_as_one_of_the_alternative_names() {
    let bench = Bench::new();
    for (base, inside, outside) in [
        (&b"inside.example"[..], "bob@INSIDE.example", "bob@a.inside.example"),
        (b".inside.example", "bob@a.inside.example", "bob@inside.example"),
        (b"bob@inside.example", "bob@inside.example", "eve@inside.example"),
    ] {
        let permitted = constraints(&[(EMAIL, base)], &[]);
        let excluded = constraints(&[], &[(EMAIL, base)]);
        let ia5 = |text: &str| email(DnValue::Ia5String(text.try_into().unwrap()));
        let subjects = |text: &str| [subject(leaf("x"), &ia5(text)), san(leaf("x"), &[(EMAIL, text.as_bytes())])];
        for (inside, outside) in subjects(inside).into_iter().zip(subjects(outside)) {
            bench.judge(&permitted, inside.clone(), (None, Same));
            bench.judge(&permitted, outside.clone(), (Some("e-mail address"), Same));
            bench.judge(&excluded, inside, (Some("excludes by its name constraints"), Same));
            bench.judge(&excluded, outside, (None, Same));
        }
        // Common in practice, and not IA5String.
        let utf8 = subject(leaf("x"), &email(DnValue::Utf8String(outside.to_owned())));
        bench.judge(&permitted, utf8, (Some(outside), Same));
    }
}

#[test]
fn uris_are_bound_by_their_host() {
    let bench = Bench::new();
    let mesh: Names<'_> = &[(URI, b"mesh.example")];
    let below: Names<'_> = &[(URI, b".mesh.example")];
    let uri = |uri: &'static str| san(leaf("x"), &[(URI, uri.as_bytes())]);
    for (base, inside, outside) in [
        (mesh, "spiffe://mesh.example/ns/a", "spiffe://other.example/ns/a"),
        (mesh, "https://MESH.example:8443/", "https://a.mesh.example/mesh.example"),
        (below, "spiffe://a.mesh.example", "spiffe://mesh.example"),
    ] {
        bench.judge(&constraints(base, &[]), uri(inside), (None, Same));
        bench.judge(&constraints(base, &[]), uri(outside), (Some("URI \""), Same));
        bench.judge(&constraints(&[], base), uri(inside), (Some("URI \""), Same));
        bench.judge(&constraints(&[], base), uri(outside), (None, Same));
    }
    let (permitted, excluded) = (constraints(mesh, &[]), constraints(&[], mesh));
    for (odd, openssls) in
        [("urn:mesh.example", Same), ("spiffe://", Same), ("https://10.0.0.1/", Other), ("https://[::1]/", Other)]
    {
        bench.judge(&excluded, uri(odd), (Some("can't be compared"), openssls));
    }
    bench.judge(&permitted, uri("https://mesh.example@evil.example/"), (Some("is outside"), Same));
    bench.judge(&permitted, uri("https://evil.example\\@mesh.example/"), (Some("can't be compared"), Same));
    bench.judge(&excluded, uri("https://a@mesh.example/"), (Some("excludes"), Other));
}

#[test]
fn addresses_are_bound_by_their_network() {
    let bench = Bench::new();
    let net: Names<'_> = &[(ADDRESS, &[10, 1, 0, 0, 255, 255, 0, 0])];
    let address = |octets: &[u8]| san(leaf("x"), &[(ADDRESS, octets)]);
    bench.judge(&constraints(net, &[]), address(&[10, 1, 9, 9]), (None, Same));
    bench.judge(&constraints(net, &[]), address(&[10, 2, 9, 9]), (Some("\"10.2.9.9\" of CN=x"), Same));
    bench.judge(&constraints(net, &[]), address(&[0; 16]), (Some("IP address"), Same));
    bench.judge(&constraints(&[], net), address(&[10, 1, 9, 9]), (Some("\"10.1.0.0/255.255.0.0\""), Same));
    bench.judge(&constraints(&[], net), address(&[10, 2, 9, 9]), (None, Same));
    // As the JDK has it, a common name may be an address; openssl takes it for a host name.
    bench.judge(&constraints(net, &[]), subject(leaf("x"), &cn("10.2.9.9")), (Some("\"10.2.9.9\""), Other));
    bench.judge(&constraints(net, &[]), subject(leaf("x"), &cn("10.1.9.9")), (None, Same));
    // A mask with a gap.
    let gap: Names<'_> = &[(ADDRESS, &[10, 1, 0, 0, 255, 0, 255, 0])];
    bench.judge(&constraints(gap, &[]), address(&[10, 1, 0, 1]), (Some("can't be compared"), Other));
}

#[test]
fn directory_names_bind_the_subject_and_alternative_names() {
    let bench = Bench::new();
    let base = organization("Example");
    let base: Names<'_> = &[(DIRECTORY, &base)];
    let (permitted, excluded) = (constraints(base, &[]), constraints(&[], base));
    let with_organization =
        |text: &str| subject(leaf("x"), &[(DnType::OrganizationName, DnValue::Utf8String(text.into()))]);
    bench.judge(&permitted, leaf("alice"), (None, Same));
    bench.judge(&permitted, with_organization("EXAMPLE "), (None, Same));
    bench.judge(&permitted, with_organization("Example2"), (Some("directory name \"O=Example2\""), Same));
    bench.judge(&excluded, leaf("alice"), (Some("directory name \"CN=alice,O=Example\""), Same));
    bench.judge(&excluded, with_organization("Example2"), (None, Same));
    let (inside, outside) = (organization("Example"), organization("Elsewhere"));
    bench.judge(&permitted, san(leaf("x"), &[(DIRECTORY, &inside)]), (None, Same));
    bench.judge(&permitted, san(leaf("x"), &[(DIRECTORY, &outside)]), (Some("\"O=Elsewhere\""), Same));
}

#[test]
fn what_can_not_be_read_or_compared_is_refused() {
    let bench = Bench::new();
    let id: &[u8] = &[0x2a, 3];
    let other_form = constraints(&[(REGISTERED_ID, id)], &[]);
    bench.judge(&other_form, san(leaf("x"), &[(REGISTERED_ID, id)]), (Some("can't be compared"), Same));
    bench.judge(&other_form, leaf("alice"), (None, Same));
    let permitted = constraints(&[(DNS, b"inside.example")], &[]);
    bench.judge(&permitted, san(leaf("x"), &[(DNS, b"a b.inside.example")]), (Some("can't be compared"), Other));
    // A constraint that starts with a wildcard, a minimum, a maximum.
    let wildcard = constraints(&[], &[(DNS, b"*.inside.example")]);
    bench.judge(&wildcard, san(leaf("x"), &[(DNS, b"a.inside.example")]), (Some("can't be compared"), Other));
    for (tag, number) in [(0x80, 1), (0x81, 0)] {
        let subtree = [tlv(DNS, b"inside.example"), vec![tag, 1, number]].concat();
        let value = tlv(0x30, &tlv(0xa0, &tlv(0x30, &subtree)));
        bench.judge(&value, san(leaf("x"), &[(DNS, b"a.inside.example")]), (Some("can't be read"), Same));
    }
}

#[test]
fn constraints_bind_every_certificate_below_but_self_issued_cas() {
    let root = Entity::root("Root");
    let base = organization("Example");
    let permitted = constraints(&[(DIRECTORY, &base)], &[]);
    let top = root.issue(with(ca("Top"), &NAME_CONSTRAINTS, permitted));
    let chain = |ca_params: CertificateParams, leaf_params: CertificateParams| {
        let middle = top.issue(ca_params);
        let alice = middle.issue(leaf_params);
        verify(&verifier(&[&root.cert]), &[&alice.cert, &middle.cert, &top.cert])
    };
    let stray = |base: CertificateParams| subject(base, &cn("Stray"));
    chain(ca("Middle"), leaf("alice")).unwrap();
    assert_refused(chain(stray(ca("x")), leaf("alice")), Refusal::NameConstraints, "\"CN=Stray\"");
    assert_refused(chain(ca("Middle"), stray(leaf("x"))), Refusal::NameConstraints, "\"CN=Stray\"");

    let narrow = Entity::self_signed(with(
        subject(ca("x"), &cn("Root")),
        &NAME_CONSTRAINTS,
        constraints(&[(DIRECTORY, &base)], &[]),
    ));
    let renewed = narrow.issue(subject(ca("x"), &cn("Root")));
    let judged = |params: CertificateParams| {
        let alice = renewed.issue(params);
        verify(&verifier(&[&narrow.cert]), &[&alice.cert, &renewed.cert])
    };
    judged(leaf("alice")).unwrap();
    assert_refused(judged(stray(leaf("x"))), Refusal::NameConstraints, "what CN=Root (serial");
}

#[test]
fn the_comparisons_are_bounded() {
    let root = Entity::root("Root");
    let long = |tag: u8, parts: Vec<Vec<u8>>| {
        let contents = parts.concat();
        let [high, low] = u16::try_from(contents.len()).unwrap().to_be_bytes();
        [vec![tag, 0x82, high, low], contents].concat()
    };
    let judged = |number: usize| {
        let subtrees: Vec<_> = (0..number).map(|n| tlv(0x30, &tlv(DNS, format!("s{n}").as_bytes()))).collect();
        let value = long(0x30, vec![long(0xa1, subtrees)]);
        let names: Vec<_> = (0..number).map(|n| tlv(DNS, format!("n{n}").as_bytes())).collect();
        let middle = root.issue(with(ca("Narrow"), &NAME_CONSTRAINTS, value));
        let alice = middle.issue(with(leaf("alice"), &[2, 5, 29, 17], long(0x30, names)));
        verify(&verifier(&[&root.cert]), &[&alice.cert, &middle.cert])
    };
    judged(200).unwrap();
    assert_refused(judged(400), Refusal::NameConstraints, "more than 65536 comparisons");
}

#[test]
fn constrained_policies_are_refused_though_they_are_not_critical() {
    let root = Entity::root("Root");
    for (oid, value) in [([2, 5, 29, 36], vec![0x30, 3, 0x80, 1, 0]), ([2, 5, 29, 54], vec![2, 1, 0])] {
        let judged = |ca_params: CertificateParams, leaf_params: CertificateParams| {
            let middle = root.issue(ca_params);
            let alice = middle.issue(leaf_params);
            verify(&verifier(&[&root.cert]), &[&alice.cert, &middle.cert])
        };
        let constrains = |params: CertificateParams| with(params, &oid, value.clone());
        judged(ca("Middle"), leaf("alice")).unwrap();
        let (refusal, words) = (Refusal::UnsupportedExtension, "constrains policies");
        assert_refused(judged(constrains(ca("Middle")), leaf("alice")), refusal, words);
        assert_refused(judged(ca("Middle"), constrains(leaf("alice"))), refusal, words);
    }
}
