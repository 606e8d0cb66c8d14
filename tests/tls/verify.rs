//! Chains, judged without a handshake.

use proptest::prelude::*;
use rcgen::{
    BasicConstraints, CustomExtension, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, KeyPair, KeyUsagePurpose,
    NameConstraints, SanType, date_time_ymd,
};
use rustls_pki_types::UnixTime;
use zoogate::reason::Refusal;
use zoogate::store::{TrustStore, TrustedCertificate};
use zoogate::tls::hex;
use zoogate::tls::revocation::RevocationOptions;
use zoogate::tls::verifier::{ClientVerifier, TrustKind, VerifierError};

use crate::pki::{Der, Entity, Openssl, assert_refused, ca, leaf, trust, verifier, verify, verify_at, year};

#[test]
fn a_chain_through_an_intermediate_is_accepted_and_holds_until_its_earliest_end() {
    let root = Entity::root("Root");
    let mut params = ca("Intermediate");
    (params.not_before, params.not_after) = (date_time_ymd(2022, 1, 1), date_time_ymd(2035, 1, 1));
    let intermediate = root.issue(params);
    let alice = intermediate.issue(leaf("alice"));
    let other = Entity::root("Other");
    let verifier = verifier(&[&other.cert, &root.cert]);

    let verified = verify(&verifier, &[&alice.cert, &intermediate.cert]).unwrap();

    assert_eq!(verified.not_after, date_time_ymd(2035, 1, 1).unix_timestamp());
    assert_eq!(verified.not_before, date_time_ymd(2022, 1, 1).unix_timestamp());
    assert_eq!(&*verified.subject, "CN=alice,O=Example");
    assert_eq!(verified.leaf_not_after, date_time_ymd(2040, 1, 1).unix_timestamp());
    assert_eq!(verified.leaf_not_before, date_time_ymd(2020, 1, 1).unix_timestamp());
    assert_eq!(verified.anchor.alias.as_deref(), Some("entry1"));
    assert_eq!(verified.anchor.subject, "CN=Root,O=Example");
    assert!(!verified.pinned);
    assert!(!verified.serial.is_empty() && verified.serial.chars().all(|c| c.is_ascii_hexdigit()));
}

#[test]
fn an_extra_root_and_strange_certificates_in_the_chain_do_no_harm() {
    let root = Entity::root("Root");
    let intermediate = root.issue(ca("Intermediate"));
    let alice = intermediate.issue(leaf("alice"));
    let stranger = Entity::root("Stranger");
    let junk = Der::from(vec![0x30, 0x03, 1, 2, 3]);
    let chain = [&alice.cert, &junk, &stranger.cert, &root.cert, &intermediate.cert];
    verify(&verifier(&[&root.cert]), &chain).unwrap();
}

#[test]
fn every_kind_of_key_in_use_is_accepted() {
    let root = Entity::root("Root");
    for algorithm in [
        &rcgen::PKCS_ECDSA_P256_SHA256,
        &rcgen::PKCS_ECDSA_P384_SHA384,
        &rcgen::PKCS_ECDSA_P521_SHA512,
        &rcgen::PKCS_ED25519,
        &rcgen::PKCS_RSA_SHA256,
    ] {
        let ca_key = KeyPair::generate_for(algorithm).unwrap();
        let intermediate = root.issue_for(ca("Intermediate"), ca_key);
        let alice = intermediate.issue_for(leaf("alice"), KeyPair::generate_for(algorithm).unwrap());
        let result = verify(&verifier(&[&root.cert]), &[&alice.cert, &intermediate.cert]);
        assert!(result.is_ok(), "{algorithm:?}: {result:?}");
    }
}

#[test]
fn an_rsa_pss_signature_is_accepted() {
    let ca = rsa_ca();
    let alice = ca.issue(
        "alice",
        "-algorithm EC -pkeyopt ec_paramgen_curve:P-256",
        "-sha256 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:32",
    );
    verify(&verifier(&[&ca.cert("ca")]), &[&alice]).unwrap();
}

/// `openssl x509 -days -1` makes them: no time is within their validity.
#[test]
fn a_certificate_that_ends_before_it_begins_has_expired() {
    let backwards = |mut params: rcgen::CertificateParams| {
        (params.not_before, params.not_after) = (date_time_ymd(2030, 1, 2), date_time_ymd(2030, 1, 1));
        params
    };
    let root = Entity::root("Root");
    let alice = root.issue(backwards(leaf("alice")));
    let unused = Entity::self_signed(backwards(ca("Unused")));
    let verifier = verifier(&[&root.cert, &unused.cert]);
    assert_refused(verify_at(&verifier, &[&alice.cert], year(2031)), Refusal::Expired, "expired at 2030-01-01");
    assert_refused(verify_at(&verifier, &[&alice.cert], year(2029)), Refusal::NotYetValid, "before 2030-01-02");
    let intermediate = root.issue(backwards(ca("Intermediate")));
    let bob = intermediate.issue(leaf("bob"));
    assert_refused(verify_at(&verifier, &[&bob.cert, &intermediate.cert], year(2031)), Refusal::Expired, "expired at");
}

#[test]
fn no_certificate_is_its_own_refusal() {
    let root = Entity::root("Root");
    assert_refused(verify(&verifier(&[&root.cert]), &[]), Refusal::NoCertificate, "no certificate");
}

#[test]
fn an_unknown_ca_is_named() {
    let root = Entity::root("Root");
    let stranger = Entity::root("Stranger");
    let mallory = stranger.issue(leaf("mallory"));
    let verifier = verifier(&[&root.cert]);
    assert_refused(
        verify(&verifier, &[&mallory.cert]),
        Refusal::UnknownCa,
        "issued by CN=Stranger,O=Example, which is neither",
    );
    assert_refused(
        verify(&verifier, &[&mallory.cert, &stranger.cert]),
        Refusal::UnknownCa,
        "CN=Stranger,O=Example (serial",
    );
    let error = verify(&verifier, &[&mallory.cert]).unwrap_err();
    assert_eq!(error.subject.as_deref(), Some("CN=mallory,O=Example"));
    assert!(error.serial.is_some());
}

#[test]
fn a_missing_intermediate_is_named() {
    let root = Entity::root("Root");
    let alice = root.issue(ca("Intermediate")).issue(leaf("alice"));
    assert_refused(
        verify(&verifier(&[&root.cert]), &[&alice.cert]),
        Refusal::UnknownCa,
        "CN=Intermediate,O=Example, which is neither",
    );
}

#[test]
fn dates_count_for_leaf_and_intermediates_but_not_for_the_anchor() {
    let mut short = ca("Root");
    short.not_before = date_time_ymd(2025, 1, 1);
    short.not_after = date_time_ymd(2026, 1, 1);
    let root = Entity::self_signed(short);
    let mut params = ca("Intermediate");
    params.not_before = date_time_ymd(2022, 1, 1);
    params.not_after = date_time_ymd(2035, 1, 1);
    let intermediate = root.issue(params);
    let alice = intermediate.issue(leaf("alice"));
    let verifier = verifier(&[&root.cert]);
    let chain = [&alice.cert, &intermediate.cert];

    verify_at(&verifier, &chain, year(2034)).unwrap();
    verify_at(&verifier, &chain, year(2023)).unwrap();
    assert_refused(verify_at(&verifier, &chain, year(2036)), Refusal::Expired, "CN=Intermediate,O=Example (serial");
    assert_refused(verify_at(&verifier, &chain, year(2021)), Refusal::NotYetValid, "2022-01-01T00:00:00Z");
    assert_refused(verify_at(&verifier, &chain, year(2041)), Refusal::Expired, "CN=alice,O=Example");
    assert_refused(verify_at(&verifier, &chain, year(2019)), Refusal::NotYetValid, "CN=alice,O=Example");
}

#[test]
fn two_cas_with_one_name_are_both_trusted_and_told_apart() {
    let (first, second) = (Entity::root("Root"), Entity::root("Root"));
    let verifier = verifier(&[&first.cert, &second.cert]);
    for (ca, alias) in [(&first, "entry0"), (&second, "entry1")] {
        let verified = verify(&verifier, &[&ca.issue(leaf("alice")).cert]).unwrap();
        assert_eq!(verified.anchor.alias.as_deref(), Some(alias));
    }
}

#[test]
fn a_ca_made_anew_under_its_old_name_is_a_bad_signature() {
    let (old, new) = (Entity::root("Root"), Entity::root("Root"));
    let alice = new.issue(leaf("alice"));
    assert_refused(
        verify(&verifier(&[&old.cert]), &[&alice.cert]),
        Refusal::BadSignature,
        "new key under its old name",
    );
    assert_refused(verify(&verifier(&[&old.cert]), &[&alice.cert, &new.cert]), Refusal::BadSignature, "CN=alice");
}

#[test]
fn a_version_1_leaf_and_a_version_1_root_are_accepted() {
    let openssl = rsa_ca();
    // Without extensions, openssl 3.0 issues version 1.
    let alice = openssl.issue("alice", "-algorithm RSA -pkeyopt rsa_keygen_bits:2048", "");
    openssl.run("req -new -key ca.key -subj /CN=old -out old.csr");
    openssl.run("x509 -req -in old.csr -signkey ca.key -days 30 -out old.crt");
    openssl.run("x509 -in ca.key.csr -req -CA old.crt -CAkey ca.key -set_serial 3 -days 30 -out under-old.crt");
    for name in ["alice", "old", "under-old"] {
        assert_eq!(version(&openssl.cert(name)), 1, "{name}");
    }
    let verified = verify(&verifier(&[&openssl.cert("ca")]), &[&alice]).unwrap();
    assert_eq!(&*verified.serial, "1234");
    verify(&verifier(&[&openssl.cert("old")]), &[&openssl.cert("under-old")]).unwrap();

    let other = Entity::root("Other");
    assert_refused(verify(&verifier(&[&other.cert]), &[&alice]), Refusal::UnknownCa, "CN=ca");
    let now = UnixTime::since_unix_epoch(
        UnixTime::now().as_secs().checked_add(31 * 86_400).map(std::time::Duration::from_secs).unwrap(),
    );
    assert_refused(verify_at(&verifier(&[&openssl.cert("ca")]), &[&alice], now), Refusal::Expired, "CN=alice");
}

#[test]
fn a_version_1_leaf_is_not_accepted_by_name_alone() {
    let openssl = rsa_ca();
    let alice = openssl.issue("alice", "-algorithm RSA -pkeyopt rsa_keygen_bits:2048", "");
    openssl.run("req -x509 -newkey rsa:2048 -noenc -keyout ca2.key -subj /O=Example/CN=ca -days 30 -out ca2.crt");
    assert_refused(verify(&verifier(&[&openssl.cert("ca2")]), &[&alice]), Refusal::BadSignature, "CN=alice");
}

#[test]
fn a_version_1_intermediate_is_not_a_ca() {
    let openssl = rsa_ca();
    openssl.issue("middle", "-algorithm RSA -pkeyopt rsa_keygen_bits:2048", "");
    let alice = openssl.issue_by("middle", "alice", "");
    let verifier = verifier(&[&openssl.cert("ca")]);
    assert_refused(verify(&verifier, &[&alice, &openssl.cert("middle")]), Refusal::BadCa, "CN=middle");
}

#[test]
fn a_leaf_that_is_a_ca_is_accepted_when_a_ca_issued_it() {
    let root = Entity::root("Root");
    let intermediate = root.issue(ca("Intermediate"));
    let alice = intermediate.issue(signing_ca("alice"));
    verify(&verifier(&[&root.cert]), &[&alice.cert, &intermediate.cert]).unwrap();
    let stranger = Entity::root("Stranger").issue(signing_ca("mallory"));
    assert_refused(verify(&verifier(&[&root.cert]), &[&stranger.cert]), Refusal::UnknownCa, "CN=Stranger");
}

#[test]
fn a_self_signed_ca_certificate_is_a_client_only_when_it_is_pinned() {
    let (alice, bob) = (Entity::self_signed(signing_ca("alice")), Entity::self_signed(signing_ca("bob")));
    let verifier = verifier(&[&alice.cert]);
    let verified = verify(&verifier, &[&alice.cert]).unwrap();
    assert!(verified.pinned);
    assert_eq!(hex(&verified.anchor.sha256), *verified.leaf_sha256);
    assert_refused(verify(&verifier, &[&bob.cert]), Refusal::UnknownCa, "CN=bob,O=Example (serial");
    assert_refused(verify_at(&verifier, &[&alice.cert], year(2041)), Refusal::Expired, "CN=alice");
}

#[test]
fn a_pinned_leaf_is_accepted_alone_and_makes_no_ca() {
    let root = Entity::root("Root");
    let (alice, bob) = (root.issue(leaf("alice")), root.issue(leaf("bob")));
    let forged = alice.issue(leaf("admin"));
    let verifier = verifier(&[&alice.cert]);
    assert!(verify(&verifier, &[&alice.cert]).unwrap().pinned);
    assert_refused(verify(&verifier, &[&bob.cert]), Refusal::UnknownCa, "CN=Root");
    assert_refused(verify(&verifier, &[&forged.cert, &alice.cert]), Refusal::BadCa, "trusted as a client, not as a CA");
}

#[test]
fn a_pin_is_the_very_certificate_and_not_its_name_or_key() {
    let alice = Entity::self_signed(leaf("alice"));
    let mut later = leaf("alice");
    later.not_after = date_time_ymd(2041, 1, 1);
    let renewed = later.self_signed(&alice.key).unwrap().der().clone();
    assert!(verify(&verifier(&[&alice.cert]), &[&renewed]).is_err());
}

#[test]
fn a_pin_does_not_lift_its_own_usages() {
    let mut params = leaf("server");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let server = Entity::self_signed(params);
    let root = Entity::root("Root");
    let verifier = verifier(&[&server.cert, &root.cert]);
    assert_refused(verify(&verifier, &[&server.cert]), Refusal::BadUsage, "clientAuth");
    assert_refused(verify(&verifier, &[&root.cert]), Refusal::BadUsage, "digitalSignature");
}

#[test]
fn an_issuer_without_key_cert_sign_is_refused() {
    let root = Entity::root("Root");
    let mut params = ca("Intermediate");
    params.key_usages = vec![KeyUsagePurpose::CrlSign];
    let intermediate = root.issue(params);
    for params in [leaf("alice"), signing_ca("alice")] {
        let alice = intermediate.issue(params);
        assert_refused(
            verify(&verifier(&[&root.cert]), &[&alice.cert, &intermediate.cert]),
            Refusal::BadCa,
            "lacks keyCertSign",
        );
    }
    let mut params = ca("Root");
    params.key_usages = vec![KeyUsagePurpose::CrlSign];
    let root = Entity::self_signed(params);
    let alice = root.issue(leaf("alice"));
    assert_refused(verify(&verifier(&[&root.cert]), &[&alice.cert]), Refusal::BadCa, "not as a CA");
}

#[test]
fn an_issuer_without_key_cert_sign_does_not_hide_a_good_one() {
    let root = Entity::root("Root");
    let good = root.issue(ca("Intermediate"));
    let mut params = ca("Intermediate");
    params.key_usages = vec![KeyUsagePurpose::CrlSign];
    let bad = root.issue_for(params, KeyPair::from_pem(&good.key.serialize_pem()).unwrap());
    let alice = good.issue(leaf("alice"));
    verify(&verifier(&[&root.cert]), &[&alice.cert, &bad.cert, &good.cert]).unwrap();
}

#[test]
fn a_leaf_may_not_issue() {
    let root = Entity::root("Root");
    let alice = root.issue(leaf("alice"));
    for params in [leaf("admin"), signing_ca("admin")] {
        let forged = alice.issue(params);
        assert_refused(verify(&verifier(&[&root.cert]), &[&forged.cert, &alice.cert]), Refusal::BadCa, "is not a CA");
    }
}

#[test]
fn a_path_longer_than_an_issuer_allows_is_refused() {
    let root = Entity::root("Root");
    let mut params = ca("Outer");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let outer = root.issue(params);
    let inner = outer.issue(ca("Inner"));
    for params in [leaf("alice"), signing_ca("alice")] {
        let alice = inner.issue(params);
        let result = verify(&verifier(&[&root.cert]), &[&alice.cert, &inner.cert, &outer.cert]);
        assert_refused(result, Refusal::BadCa, "allows 0 intermediates below it, the path has 1");
    }
}

#[test]
fn a_ca_that_rolled_its_key_over_does_not_count_towards_the_path_length() {
    let root = Entity::root("Root");
    let mut params = ca("Issuing");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let old = root.issue(params.clone());
    let new = old.issue(params);
    let alice = new.issue(leaf("alice"));
    verify(&verifier(&[&root.cert]), &[&alice.cert, &new.cert, &old.cert]).unwrap();
}

#[test]
fn issuer_names_are_compared_as_rfc_5280_says() {
    let root = Entity::root("Root CA");
    let alice = root.with_params(ca("ROOT  ca")).issue(leaf("alice"));
    verify(&verifier(&[&root.cert]), &[&alice.cert]).unwrap();
    let other = root.with_params(ca("RootCA")).issue(leaf("alice"));
    assert_refused(verify(&verifier(&[&root.cert]), &[&other.cert]), Refusal::UnknownCa, "CN=RootCA");
}

#[test]
fn usages_that_forbid_a_tls_client_are_refused() {
    let root = Entity::root("Root");
    let verifier = verifier(&[&root.cert]);
    let with = |usages: Vec<ExtendedKeyUsagePurpose>, key_usages: Vec<KeyUsagePurpose>| {
        let mut params = leaf("alice");
        (params.extended_key_usages, params.key_usages) = (usages, key_usages);
        verify(&verifier, &[&root.issue(params).cert])
    };
    assert_refused(with(vec![ExtendedKeyUsagePurpose::ServerAuth], vec![]), Refusal::BadUsage, "clientAuth");
    assert_refused(with(vec![], vec![KeyUsagePurpose::KeyEncipherment]), Refusal::BadUsage, "digitalSignature");
    with(vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth], vec![]).unwrap();
    with(vec![ExtendedKeyUsagePurpose::Any], vec![KeyUsagePurpose::DigitalSignature]).unwrap();
}

#[test]
fn an_intermediate_for_servers_only_is_refused() {
    let root = Entity::root("Root");
    let mut params = ca("Intermediate");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let intermediate = root.issue(params);
    for params in [leaf("alice"), signing_ca("alice")] {
        let alice = intermediate.issue(params);
        assert_refused(
            verify(&verifier(&[&root.cert]), &[&alice.cert, &intermediate.cert]),
            Refusal::BadUsage,
            "CN=Intermediate",
        );
    }
}

#[test]
fn weak_keys_and_hashes_are_named() {
    let openssl = rsa_ca();
    let extensions = "-extfile v3.cnf";
    let verifier = verifier(&[&openssl.cert("ca")]);
    for (genpkey, options, words) in [
        ("-algorithm RSA -pkeyopt rsa_keygen_bits:1024", "", "an RSA key of 1024 bits"),
        ("-algorithm RSA -pkeyopt rsa_keygen_bits:2048", "-sha1", "signed with SHA-1"),
        ("-algorithm RSA -pkeyopt rsa_keygen_bits:2048", "-md5", "signed with MD5"),
        ("-algorithm EC -pkeyopt ec_paramgen_curve:secp256k1", "", "elliptic curve"),
        ("-algorithm ED448", "", "Ed448"),
        ("-algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048", "", "restricted to RSASSA-PSS"),
    ] {
        for version in [extensions, ""] {
            let alice = openssl.issue("alice", genpkey, &format!("{options} {version}"));
            assert_refused(verify(&verifier, &[&alice]), Refusal::WeakKey, words);
        }
    }
}

#[test]
fn a_weak_ca_is_named_rather_than_the_signature_blamed() {
    let openssl = Openssl::new();
    openssl.run("req -x509 -newkey rsa:1024 -noenc -keyout ca.key -subj /CN=weak -days 30 -out ca.crt");
    openssl.write("v3.cnf", "basicConstraints=CA:FALSE\n");
    let alice = openssl.issue("alice", "-algorithm EC -pkeyopt ec_paramgen_curve:P-256", "-extfile v3.cnf");
    assert_refused(verify(&verifier(&[&openssl.cert("ca")]), &[&alice]), Refusal::WeakKey, "CN=weak");
}

#[test]
fn name_constraints_are_kept_and_never_skipped() {
    let root = Entity::root("Root");
    let mut params = ca("Intermediate");
    let permitted_subtrees = vec![GeneralSubtree::DnsName("good.example".to_owned())];
    params.name_constraints = Some(NameConstraints { permitted_subtrees, excluded_subtrees: vec![] });
    let intermediate = root.issue(params);
    let named = |host: &str, base: rcgen::CertificateParams| {
        let mut params = base;
        params.subject_alt_names = vec![SanType::DnsName(host.to_owned().try_into().unwrap())];
        let alice = intermediate.issue(params);
        verify(&verifier(&[&root.cert]), &[&alice.cert, &intermediate.cert])
    };
    named("a.good.example", leaf("alice")).unwrap();
    assert_refused(named("a.bad.example", leaf("alice")), Refusal::NameConstraints, "CN=alice");
    // Our own search keeps them too.
    named("a.good.example", signing_ca("alice")).unwrap();
    assert_refused(named("a.bad.example", signing_ca("alice")), Refusal::NameConstraints, "CN=Intermediate");
}

#[test]
fn name_constraints_of_a_root_are_not_skipped_by_the_own_search() {
    let mut params = ca("Root");
    let permitted_subtrees = vec![GeneralSubtree::DnsName("good.example".to_owned())];
    params.name_constraints = Some(NameConstraints { permitted_subtrees, excluded_subtrees: vec![] });
    let root = Entity::self_signed(params);
    let judged = |host: &str| {
        let alice = root.issue(signing_ca(host));
        verify(&verifier(&[&root.cert]), &[&alice.cert])
    };
    judged("a.good.example").unwrap();
    assert_refused(judged("a.bad.example"), Refusal::NameConstraints, "CN=Root");
}

#[test]
fn a_critical_extension_that_nobody_knows_is_refused() {
    let root = Entity::root("Root");
    for base in [leaf("alice"), signing_ca("alice")] {
        let alice = root.issue(with_extension(base, &[1, 2, 3, 4], &[5, 0]));
        assert_refused(verify(&verifier(&[&root.cert]), &[&alice.cert]), Refusal::UnsupportedExtension, "1.2.3.4");
    }
    // policyConstraints: requireExplicitPolicy 0.
    let intermediate = root.issue(with_extension(ca("Intermediate"), &[2, 5, 29, 36], &[0x30, 3, 0x80, 1, 0]));
    for base in [leaf("alice"), signing_ca("alice")] {
        let alice = intermediate.issue(base);
        let result = verify(&verifier(&[&root.cert]), &[&alice.cert, &intermediate.cert]);
        assert_refused(result, Refusal::UnsupportedExtension, "constrains policies");
    }
}

#[test]
fn an_extension_that_comes_twice_is_malformed() {
    let root = Entity::root("Root");
    let twice = with_extension(with_extension(signing_ca("alice"), &[1, 2, 3], &[5, 0]), &[1, 2, 3], &[5, 0]);
    let alice = root.issue(twice);
    assert_refused(verify(&verifier(&[&root.cert]), &[&alice.cert]), Refusal::Malformed, "1.2.3 twice");
}

#[test]
fn what_our_own_search_accepts_has_dates_and_revocation_checked() {
    let root = Entity::root("Root");
    let mut params = ca("Intermediate");
    params.not_after = date_time_ymd(2022, 1, 1);
    let intermediate = root.issue(params);
    let alice = intermediate.issue(signing_ca("alice"));
    let chain = [&alice.cert, &intermediate.cert];
    verify_at(&verifier(&[&root.cert]), &chain, year(2021)).unwrap();
    assert_refused(verify(&verifier(&[&root.cert]), &chain), Refusal::Expired, "CN=Intermediate");

    let bob = root.issue(signing_ca("bob"));
    let crls = vec![root.crl(&[&bob])];
    let verifier = ClientVerifier::new(&trust(&[&root.cert]), crls, RevocationOptions::default()).unwrap();
    assert_refused(verify(&verifier, &[&bob.cert]), Refusal::Revoked, "CN=bob");
    let not_after = verify(&verifier, &[&root.issue(signing_ca("carol")).cert]).unwrap().not_after;
    assert_eq!(not_after, date_time_ymd(2040, 1, 1).unix_timestamp());
}

#[test]
fn many_useful_certificates_in_any_order_are_all_looked_at() {
    let root = Entity::root("Root");
    let mut chain: Vec<Entity> = Vec::new();
    for depth in 0..5 {
        let issuer = chain.last().unwrap_or(&root);
        chain.push(issuer.issue(ca(&format!("Intermediate {depth}"))));
    }
    let alice = chain[4].issue(leaf("alice"));
    for rotation in 0..5 {
        chain.rotate_left(rotation);
        let sent: Vec<_> = std::iter::once(&alice.cert).chain(chain.iter().map(|entity| &entity.cert)).collect();
        verify(&verifier(&[&root.cert]), &sent).unwrap();
    }
}

#[test]
fn a_chain_of_eleven_is_refused() {
    let root = Entity::root("Root");
    let alice = root.issue(leaf("alice"));
    let chain = |length: usize| {
        std::iter::once(&alice.cert).chain(std::iter::repeat(&root.cert)).take(length).collect::<Vec<_>>()
    };
    verify(&verifier(&[&root.cert]), &chain(10)).unwrap();
    assert_refused(verify(&verifier(&[&root.cert]), &chain(11)), Refusal::ChainTooLarge, "11 certificates; at most 10");
}

#[test]
fn what_is_sent_beside_the_path_is_bounded_and_not_part_of_it() {
    let root = Entity::root("Root");
    let intermediate = root.issue(ca("Intermediate"));
    let alice = intermediate.issue(leaf("alice"));
    let junk = |bytes: usize| Der::from(vec![0xff; bytes]);
    let sent = |bytes: usize| [junk(bytes), junk(1_000)];
    for (trusted, path) in [(&root.cert, vec![0, 3]), (&intermediate.cert, vec![0]), (&alice.cert, vec![0])] {
        let verifier = verifier(&[trusted]);
        // Of the three, what is neither on the path nor the trust store's own is junk too.
        let more: usize = [&root.cert, &intermediate.cert]
            .iter()
            .filter(|der| **der != trusted && !(path.len() == 2 && **der == &intermediate.cert))
            .map(|der| der.len())
            .sum();
        let room = 4096 - 1_000 - more;
        let [first, second] = sent(room);
        let verified = verify(&verifier, &[&alice.cert, &first, &second, &intermediate.cert, &root.cert]).unwrap();
        assert_eq!(*verified.path, path);
        let [first, second] = sent(room + 1);
        let result = verify(&verifier, &[&alice.cert, &first, &second, &intermediate.cert, &root.cert]);
        assert_refused(
            result,
            Refusal::ChainTooLarge,
            "issuers only: the client sent 4097 bytes of other certificates",
        );
    }
}

/// `openssl req -x509` makes a CA of each client.
#[test]
fn a_pinned_certificate_is_a_client_and_never_an_issuer() {
    let root = Entity::root("Root");
    let carol = Entity::self_signed(signing_ca("carol"));
    let bob = carol.issue(leaf("bob"));
    let options = RevocationOptions::default();
    let pinning = |store: &[&Der], crls: Vec<Vec<u8>>| {
        ClientVerifier::with_pins(&trust(store), &trust(&[&carol.cert]).certificates, crls, options).unwrap()
    };
    for store in [&[][..], &[&root.cert]] {
        let verifier = pinning(store, Vec::new());
        assert!(verify(&verifier, &[&carol.cert]).unwrap().pinned);
        for chain in [&[&bob.cert][..], &[&bob.cert, &carol.cert]] {
            assert_refused(verify(&verifier, chain), Refusal::UnknownCa, "CN=carol");
        }
        // Not as an intermediate either, and not under the name of a CA that is trusted.
        let between = root.issue_for(signing_ca("carol"), KeyPair::from_pem(&carol.key.serialize_pem()).unwrap());
        assert_eq!(verify(&verifier, &[&bob.cert, &between.cert]).is_ok(), !store.is_empty());
        assert_refused(verify_at(&verifier, &[&carol.cert], year(2041)), Refusal::Expired, "CN=carol");
    }
    // In the trust store the same certificate is a CA.
    verify(&verifier(&[&carol.cert]), &[&bob.cert]).unwrap();

    // Neither does it speak for CRLs of its name; nor is one of its twin's key trusted.
    let twin = Entity::self_signed(signing_ca("carol"));
    assert_refused(verify(&pinning(&[], Vec::new()), &[&twin.cert]), Refusal::UnknownCa, "CN=carol");
    let junk = trust(&[&Der::from(vec![1, 2, 3])]).certificates;
    let problems = ClientVerifier::with_pins(&trust(&[&root.cert]), &junk, Vec::new(), options).unwrap_err();
    assert!(matches!(problems[..], [VerifierError::Pinned { index: 0, .. }]), "{problems:?}");
}

#[test]
fn a_pinned_certificate_is_refused_when_its_issuer_revokes_it() {
    let root = Entity::root("Root");
    let (alice, bob) = (root.issue(leaf("alice")), root.issue(leaf("bob")));
    let pins = trust(&[&alice.cert, &bob.cert]).certificates;
    let other = Entity::root("Other");
    let crls = vec![root.crl(&[&bob])];
    let verifier =
        ClientVerifier::with_pins(&trust(&[&other.cert]), &pins, crls, RevocationOptions::default()).unwrap();
    verify(&verifier, &[&alice.cert]).unwrap();
    assert_refused(verify(&verifier, &[&bob.cert]), Refusal::Revoked, "CN=bob");
}

#[test]
fn what_a_trusted_certificate_is_trusted_as_is_told_and_a_probable_client_among_cas() {
    let told = |params: rcgen::CertificateParams| {
        let entity = Entity::self_signed(params);
        let verifier = verifier(&[&entity.cert]);
        let entry = verifier.trust_entries().next().unwrap();
        (entry.kind, entry.looks_like_client)
    };
    assert_eq!(told(ca("Example CA")), (TrustKind::Ca, false));
    assert_eq!(told(ca("zk-clients")), (TrustKind::Ca, false), "it may only sign certificates and CRLs");
    assert_eq!(told(signing_ca("Example Root")), (TrustKind::Ca, false), "an old CA without keyUsage");
    assert_eq!(told(signing_ca("carol")), (TrustKind::Ca, true));
    let mut purposes = ca("Example CA");
    purposes.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    assert_eq!(told(purposes), (TrustKind::Ca, true));
    let mut names = ca("Example CA");
    names.subject_alt_names = vec![SanType::DnsName("kafka.example.com".try_into().unwrap())];
    assert_eq!(told(names), (TrustKind::Ca, true));
    let mut signs = ca("carol");
    signs.key_usages.push(KeyUsagePurpose::DigitalSignature);
    assert_eq!(told(signs), (TrustKind::Ca, true));
    assert_eq!(told(leaf("carol")).0, TrustKind::Client);
}

#[test]
fn issuers_that_sign_each_other_end_the_search() {
    let root = Entity::root("Root");
    // Nine certificates of one name, each of which may have issued each: 9! orders.
    let first = Entity::root("Loop");
    let loops: Vec<_> = (0..9).map(|_| first.issue(ca("Loop"))).collect();
    let mallory = first.issue(signing_ca("mallory"));
    let chain: Vec<_> = std::iter::once(&mallory.cert).chain(loops.iter().map(|entity| &entity.cert)).collect();
    let started = std::time::Instant::now();
    assert!(verify(&verifier(&[&root.cert]), &chain).is_err());
    assert!(started.elapsed().as_secs() < 20);
}

#[test]
fn a_trust_store_that_can_not_work_says_which_entry() {
    let options = RevocationOptions::default();
    let empty = TrustStore { certificates: Vec::new() };
    assert_eq!(ClientVerifier::new(&empty, Vec::new(), options).unwrap_err(), [VerifierError::Empty]);

    let junk = Der::from(vec![1, 2, 3]);
    let root = Entity::root("Root");
    let problems = ClientVerifier::new(&trust(&[&junk, &root.cert, &junk]), Vec::new(), options).unwrap_err();
    let texts: Vec<_> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(texts.len(), 2, "{texts:?}");
    assert!(texts[0].contains("entry entry0") && texts[1].contains("entry entry2"), "{texts:?}");

    let nameless = TrustStore { certificates: vec![TrustedCertificate { alias: None, certificate: junk }] };
    let problems = ClientVerifier::new(&nameless, Vec::new(), options).unwrap_err();
    assert!(problems[0].to_string().contains("number 1"), "{problems:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_mutation_of_a_chain_panics_or_is_accepted_unpinned(position in 0_usize..4096, value: u8, which in 0_usize..2, cut: bool) {
        let fixture = &*FIXTURE;
        let mut chain = fixture.chain.clone();
        let mut bytes = chain[which].to_vec();
        let position = position % bytes.len();
        let changed = bytes[position] != value || cut;
        if cut { bytes.truncate(position) } else { bytes[position] = value }
        chain[which] = Der::from(bytes);
        let result = fixture.verifier.verify(&chain, UnixTime::now());
        prop_assert!(result.is_err() || !changed, "byte {position} of certificate {which} set to {value}: accepted");
    }

    #[test]
    fn no_mutation_of_a_trusted_certificate_or_crl_panics(position in 0_usize..4096, value: u8, which in 0_usize..2) {
        let fixture = &*FIXTURE;
        let mut files = [fixture.root.to_vec(), fixture.crl.clone()];
        let position = position % files[which].len();
        files[which][position] = value;
        let [root, crl] = files;
        let store = trust(&[&Der::from(root)]);
        if let Ok(verifier) = ClientVerifier::new(&store, vec![crl], RevocationOptions::default()) {
            let _ = verifier.verify(&fixture.chain, UnixTime::now());
        }
    }
}

struct Fixture {
    verifier: ClientVerifier,
    chain: Vec<Der>,
    root: Der,
    crl: Vec<u8>,
}

static FIXTURE: std::sync::LazyLock<Fixture> = std::sync::LazyLock::new(|| {
    let root = Entity::root("Root");
    let intermediate = root.issue(ca("Intermediate"));
    // A leaf that is a CA, so that our own search is exercised too.
    let alice = intermediate.issue(signing_ca("alice"));
    let chain = vec![alice.cert.clone(), intermediate.cert.clone()];
    Fixture { verifier: verifier(&[&root.cert]), chain, crl: root.crl(&[&alice]), root: root.cert }
});

/// What `openssl req -x509` makes for a client by default: a CA that may also sign handshakes.
fn signing_ca(cn: &str) -> rcgen::CertificateParams {
    let mut params = ca(cn);
    params.key_usages = Vec::new();
    params
}

fn with_extension(mut params: rcgen::CertificateParams, oid: &[u64], value: &[u8]) -> rcgen::CertificateParams {
    let mut extension = CustomExtension::from_oid_content(oid, value.to_vec());
    extension.set_criticality(true);
    params.custom_extensions.push(extension);
    params
}

/// `ca.crt` and `ca.key`, RSA 2048, and `ca.key.csr`, `v3.cnf` for leaves of version 3.
fn rsa_ca() -> Openssl {
    let openssl = Openssl::new();
    openssl.run("req -x509 -newkey rsa:2048 -noenc -keyout ca.key -subj /O=Example/CN=ca -days 60 -out ca.crt");
    openssl.run("req -new -key ca.key -subj /CN=client -out ca.key.csr");
    openssl.write("v3.cnf", "basicConstraints=CA:FALSE\n");
    openssl
}

fn version(certificate: &Der) -> u32 {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).unwrap();
    parsed.version().0 + 1
}
