use proptest::prelude::*;
use rcgen::{CertificateParams, DnType, DnValue, KeyPair, SanType};

use super::*;
use crate::identity::der::encode;

/// A self-signed certificate as a real library makes it.
fn certificate(names: Vec<SanType>, common_names: &[&str]) -> Vec<u8> {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "Acme");
    for (index, name) in common_names.iter().enumerate() {
        // rcgen keeps one value a type, so a second common name goes by its number.
        let oid = if index == 0 { DnType::CommonName } else { DnType::CustomDnType(vec![2, 5, 4, 3]) };
        params.distinguished_name.push(oid, DnValue::Utf8String((*name).to_owned()));
    }
    params.subject_alt_names = names;
    let key = KeyPair::generate().unwrap();
    params.self_signed(&key).unwrap().der().to_vec()
}

fn uri(name: &str) -> SanType {
    SanType::URI(name.try_into().unwrap())
}

fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

fn email(name: &str) -> SanType {
    SanType::Rfc822Name(name.try_into().unwrap())
}

/// The encoded parts of a certificate made by hand; `None` leaves the version out.
struct Parts {
    version: Option<u8>,
    subject: Vec<u8>,
    after_key: Vec<u8>,
}

impl Parts {
    fn v3(subject: Vec<u8>, extensions: &[Vec<u8>]) -> Self {
        Self { version: Some(2), subject, after_key: encode(0xa3, &encode(0x30, &extensions.concat())) }
    }

    fn encode(&self) -> Vec<u8> {
        let version = self.version.map(|version| encode(0xa0, &[2, 1, version])).unwrap_or_default();
        let empty = encode(0x30, &[]);
        let tbs = [&version[..], &[2, 1, 1], &empty, &empty, &empty, &self.subject, &empty, &self.after_key].concat();
        encode(0x30, &[encode(0x30, &tbs), empty, encode(0x03, &[0])].concat())
    }
}

/// A name of one common name.
fn subject(tag: u8, value: &[u8]) -> Vec<u8> {
    let attribute = encode(0x30, &[encode(0x06, name::COMMON_NAME), encode(tag, value)].concat());
    encode(0x30, &encode(0x31, &attribute))
}

/// A subjectAltName extension of these general names.
fn alternative_names(names: &[(u8, &[u8])]) -> Vec<u8> {
    let names: Vec<_> = names.iter().map(|(tag, name)| encode(*tag, name)).collect();
    let value = encode(0x04, &encode(0x30, &names.concat()));
    encode(0x30, &[encode(0x06, &[0x55, 0x1d, 0x11]), encode(0x01, &[0xff]), value].concat())
}

fn with_alternative_names(names: &[(u8, &[u8])]) -> Vec<u8> {
    Parts::v3(subject(0x0c, b"alice"), &[alternative_names(names)]).encode()
}

fn name_at(certificate: &[u8], source: Source) -> String {
    identify(certificate, source).unwrap().as_str().to_owned()
}

fn refusal(certificate: &[u8], source: Source) -> Refusal {
    identify(certificate, source).unwrap_err().refusal
}

#[test]
fn each_source_gives_its_name_of_a_real_certificate() {
    let names = vec![uri("spiffe://td/ns/a"), dns("a.example"), email("a@b.example")];
    let certificate = certificate(names, &["client, 1"]);
    assert_eq!(name_at(&certificate, Source::Subject), "CN=client\\, 1,O=Acme");
    assert_eq!(name_at(&certificate, Source::SanUri), "spiffe://td/ns/a");
    assert_eq!(name_at(&certificate, Source::SanDns), "a.example");
    assert_eq!(name_at(&certificate, Source::SanEmail), "a@b.example");
    assert_eq!(name_at(&certificate, Source::CommonName), "client, 1");
}

#[test]
fn a_certificate_without_the_name_has_no_identity() {
    let bare = certificate(vec![], &[]);
    for source in [Source::SanUri, Source::SanDns, Source::SanEmail, Source::CommonName] {
        let error = identify(&bare, source).unwrap_err();
        assert_eq!(error.refusal, Refusal::NoIdentity);
        assert!(error.to_string().contains(source.as_str()), "{error}");
    }
    let other_kind = certificate(vec![dns("a.example")], &["a"]);
    assert_eq!(refusal(&other_kind, Source::SanUri), Refusal::NoIdentity);
}

#[test]
fn two_alternative_names_of_the_kind_are_ambiguous() {
    let certificate = certificate(vec![uri("spiffe://td/a"), dns("a.example"), uri("spiffe://td/b")], &["a"]);
    let error = identify(&certificate, Source::SanUri).unwrap_err();
    assert_eq!(error.refusal, Refusal::AmbiguousIdentity);
    assert!(!error.detail.contains("spiffe"), "{error}");
    assert_eq!(name_at(&certificate, Source::SanDns), "a.example");
    let case = with_alternative_names(&[(0x82, b"a.example"), (0x82, b"A.example")]);
    assert_eq!(refusal(&case, Source::SanDns), Refusal::AmbiguousIdentity);
}

#[test]
fn the_same_alternative_name_twice_is_one_name() {
    let certificate = with_alternative_names(&[(0x86, b"urn:a"), (0x82, b"a"), (0x86, b"urn:a")]);
    assert_eq!(name_at(&certificate, Source::SanUri), "urn:a");
}

#[test]
fn two_common_names_are_ambiguous_even_when_equal() {
    assert_eq!(refusal(&certificate(vec![], &["a", "b"]), Source::CommonName), Refusal::AmbiguousIdentity);
    assert_eq!(refusal(&certificate(vec![], &["a", "a"]), Source::CommonName), Refusal::AmbiguousIdentity);
}

#[test]
fn a_common_name_that_is_not_text_is_malformed() {
    for (tag, value) in [(0x0c, &b"a\xff"[..]), (0x0c, b"a\0"), (0x14, b"\xe9"), (0x04, b"a"), (0x1e, b"abc")] {
        let certificate = Parts::v3(subject(tag, value), &[]).encode();
        assert_eq!(refusal(&certificate, Source::CommonName), Refusal::Malformed, "{tag:#x} {value:x?}");
    }
}

#[test]
fn an_alternative_name_with_a_control_or_foreign_character_is_malformed() {
    for name in [&b"a\0.example"[..], b"a\n", b"\x7f", b"\xc3\xa9", b"\x1b[2J"] {
        for (tag, source) in [(0x81, Source::SanEmail), (0x82, Source::SanDns), (0x86, Source::SanUri)] {
            let certificate = with_alternative_names(&[(tag, name)]);
            assert_eq!(refusal(&certificate, source), Refusal::Malformed, "{name:x?}");
        }
    }
    let beside_a_good_one = with_alternative_names(&[(0x82, b"a"), (0x82, b"b\0")]);
    assert_eq!(refusal(&beside_a_good_one, Source::SanDns), Refusal::Malformed);
}

#[test]
fn an_empty_subject_has_no_identity_and_the_detail_tells_where_else_to_look() {
    for empty in [vec![0x30, 0], vec![0x30, 2, 0x31, 0]] {
        let certificate = Parts::v3(empty, &[alternative_names(&[(0x86, b"urn:a")])]).encode();
        let error = identify(&certificate, Source::Subject).unwrap_err();
        assert_eq!(error.refusal, Refusal::NoIdentity);
        assert!(error.detail.contains("san_uri"), "{error}");
        assert_eq!(subject_name(&certificate).unwrap(), "");
        assert_eq!(name_at(&certificate, Source::SanUri), "urn:a");
    }
}

#[test]
fn an_empty_name_is_no_identity() {
    assert_eq!(refusal(&with_alternative_names(&[(0x86, b"")]), Source::SanUri), Refusal::NoIdentity);
    assert_eq!(refusal(&Parts::v3(subject(0x0c, b""), &[]).encode(), Source::CommonName), Refusal::NoIdentity);
}

#[test]
fn a_name_above_the_longest_identity_is_malformed() {
    let at_most = "a".repeat(MAX_IDENTITY);
    assert_eq!(name_at(&with_alternative_names(&[(0x86, at_most.as_bytes())]), Source::SanUri), at_most);
    let above = vec![b'a'; MAX_IDENTITY + 1];
    assert_eq!(refusal(&with_alternative_names(&[(0x86, &above)]), Source::SanUri), Refusal::Malformed);
    assert_eq!(refusal(&Parts::v3(subject(0x0c, &above), &[]).encode(), Source::Subject), Refusal::Malformed);
}

#[test]
fn certificates_of_version_1_have_a_subject_and_no_alternative_names() {
    let certificate = Parts { version: None, subject: subject(0x0c, b"old"), after_key: vec![] }.encode();
    assert_eq!(name_at(&certificate, Source::Subject), "CN=old");
    assert_eq!(name_at(&certificate, Source::CommonName), "old");
    assert_eq!(refusal(&certificate, Source::SanUri), Refusal::NoIdentity);
}

#[test]
fn fields_that_a_version_does_not_have_are_malformed() {
    let unique_id = encode(0x81, &[0, 1]);
    let extensions = encode(0xa3, &encode(0x30, &[]));
    let check = |version, after_key: &[u8]| {
        let parts = Parts { version, subject: subject(0x0c, b"a"), after_key: after_key.to_vec() };
        identify(&parts.encode(), Source::Subject).is_ok()
    };
    assert!(!check(None, &unique_id) && !check(None, &extensions) && !check(Some(1), &extensions));
    assert!(!check(Some(3), &[]) && !check(Some(2), &[5, 0]));
    assert!(check(Some(1), &unique_id) && check(Some(2), &[unique_id, extensions].concat()));
}

#[test]
fn the_extension_twice_is_malformed() {
    let names = alternative_names(&[(0x86, b"urn:a")]);
    let certificate = Parts::v3(subject(0x0c, b"a"), &[names.clone(), names]).encode();
    assert_eq!(refusal(&certificate, Source::SanUri), Refusal::Malformed);
}

#[test]
fn what_is_not_one_certificate_is_malformed() {
    let good = with_alternative_names(&[(0x86, b"urn:a")]);
    for source in Source::ALL {
        assert_eq!(refusal(&[], *source), Refusal::Malformed);
        assert_eq!(refusal(&[&good[..], &[0]].concat(), *source), Refusal::Malformed, "trailing byte");
        for end in 0..good.len() {
            assert_eq!(refusal(&good[..end], *source), Refusal::Malformed, "cut at {end}");
        }
    }
}

#[test]
fn sources_are_parsed_by_their_words() {
    for source in Source::ALL {
        assert_eq!(source.to_string().parse(), Ok(*source));
        assert!(UnknownSource.to_string().contains(source.as_str()));
    }
    assert_eq!("Subject".parse::<Source>(), Err(UnknownSource));
    assert_eq!(Source::default(), Source::Subject);
}

proptest! {
    #[test]
    fn a_damaged_certificate_never_panics(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut certificate = with_alternative_names(&[(0x86, b"urn:a"), (0x82, b"a")]);
        let at = at.index(certificate.len());
        certificate[at] = byte;
        for source in Source::ALL {
            if let Ok(identity) = identify(&certificate, *source) {
                prop_assert!(!identity.as_str().is_empty() && identity.as_str().len() <= MAX_IDENTITY);
            }
        }
    }

    #[test]
    fn arbitrary_bytes_are_never_a_certificate(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        for source in Source::ALL {
            prop_assert_eq!(refusal(&bytes, *source), Refusal::Malformed);
        }
    }
}
