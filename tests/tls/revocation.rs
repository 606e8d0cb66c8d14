//! CRLs: which are taken, and what they say about a chain.

use std::time::Duration;

use rcgen::{CrlDistributionPoint, KeyPair, KeyUsagePurpose, SerialNumber};
use rustls_pki_types::UnixTime;
use zoogate::reason::Refusal;
use zoogate::tls::revocation::{CrlError, RevocationOptions, RevocationPolicy, RevocationScope};
use zoogate::tls::verifier::{ClientVerifier, VerifierError};

use crate::pki::{Der, Entity, Openssl, assert_refused, ca, leaf, trust, verify, verify_at, year};

const SOFT: RevocationOptions = RevocationOptions { scope: RevocationScope::Chain, policy: RevocationPolicy::Soft };
const HARD: RevocationOptions = RevocationOptions { scope: RevocationScope::Chain, policy: RevocationPolicy::Hard };
const HARD_LEAF: RevocationOptions = RevocationOptions { scope: RevocationScope::Leaf, policy: RevocationPolicy::Hard };

struct Pki {
    root: Entity,
    intermediate: Entity,
    alice: Entity,
    bob: Entity,
}

impl Pki {
    fn new() -> Self {
        let root = Entity::root("Root");
        let intermediate = root.issue(ca("Intermediate"));
        let (alice, bob) = (intermediate.issue(leaf("alice")), intermediate.issue(leaf("bob")));
        Self { root, intermediate, alice, bob }
    }

    fn verifier(&self, crls: Vec<Vec<u8>>, options: RevocationOptions) -> ClientVerifier {
        with(&[&self.root.cert], crls, options)
    }

    fn chain<'a>(&'a self, client: &'a Entity) -> [&'a Der; 2] {
        [&client.cert, &self.intermediate.cert]
    }
}

fn with(trusted: &[&Der], crls: Vec<Vec<u8>>, options: RevocationOptions) -> ClientVerifier {
    ClientVerifier::new(&trust(trusted), crls, options).unwrap()
}

#[track_caller]
fn assert_not_taken(trusted: &Der, crl: Vec<u8>, words: &str) {
    let problems = ClientVerifier::new(&trust(&[trusted]), vec![crl], HARD).unwrap_err();
    let [VerifierError::Crl { index: 0, error }] = &problems[..] else { panic!("{problems:?}") };
    assert!(error.to_string().contains(words), "{error}");
}

#[test]
fn a_listed_leaf_is_revoked_and_its_neighbour_is_not() {
    let pki = Pki::new();
    let crls = vec![pki.root.crl(&[]), pki.intermediate.crl(&[&pki.bob])];
    for options in [SOFT, HARD, HARD_LEAF] {
        let verifier = pki.verifier(crls.clone(), options);
        verify(&verifier, &pki.chain(&pki.alice)).unwrap();
        assert_refused(verify(&verifier, &pki.chain(&pki.bob)), Refusal::Revoked, "CN=bob");
    }
}

#[test]
fn a_listed_intermediate_counts_in_the_scope_of_the_chain_only() {
    let pki = Pki::new();
    let crls = vec![pki.root.crl(&[&pki.intermediate]), pki.intermediate.crl(&[])];
    let chain = pki.chain(&pki.alice);
    assert_refused(verify(&pki.verifier(crls.clone(), HARD), &chain), Refusal::Revoked, "CN=Intermediate");
    assert_refused(verify(&pki.verifier(crls.clone(), SOFT), &chain), Refusal::Revoked, "CN=Intermediate");
    verify(&pki.verifier(crls, HARD_LEAF), &chain).unwrap();
}

#[test]
fn a_serial_number_is_the_same_with_and_without_padding() {
    let root = Entity::root("Root");
    let of = |serial: &[u8]| {
        let mut params = leaf("alice");
        params.serial_number = Some(SerialNumber::from_slice(serial));
        root.issue(params)
    };
    let (alice, padded) = (of(&[0x12, 0x34, 0x56]), of(&[0x01, 0x12, 0x34, 0x56]));
    let of_padded = root.crl(&[&padded]);
    let (number, zeros) = ([0x02, 4, 0x01, 0x12, 0x34, 0x56], [0x02, 4, 0x00, 0x12, 0x34, 0x56]);
    verify(&with(&[&root.cert], vec![of_padded.clone()], HARD), &[&alice.cert]).unwrap();
    let crl = root.altered(&of_padded, &number, &zeros);
    assert_refused(verify(&with(&[&root.cert], vec![crl], HARD), &[&alice.cert]), Refusal::Revoked, "CN=alice");
    let padded = Der::from(root.altered(&padded.cert, &number, &zeros));
    let crl = root.crl(&[&alice]);
    assert_refused(verify(&with(&[&root.cert], vec![crl], HARD), &[&padded]), Refusal::Revoked, "CN=alice");
}

#[test]
fn a_crl_that_names_two_signature_algorithms_is_not_taken() {
    // The algorithm outside is the one that it is verified with; RFC 5280 §5.1.1.2 has both be the same.
    let root = Entity::root("Root");
    let (sha256, sha384) = ([0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2], [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3]);
    let same = root.altered(&root.crl(&[]), &sha256, &sha256);
    with(&[&root.cert], vec![same], HARD);
    let other = root.altered(&root.crl(&[]), &sha256, &sha384);
    assert_not_taken(&root.cert, other, "two different signature algorithms");
}

#[test]
fn a_trusted_client_that_is_called_as_a_ca_does_not_disprove_the_cas_crl() {
    let pki = Pki::new();
    // No CA: it is trusted as a client, so its key says nothing about CRLs.
    let namesake = Entity::self_signed(leaf("Intermediate"));
    let crls = vec![pki.root.crl(&[]), pki.intermediate.crl(&[&pki.bob])];
    let verifier = with(&[&pki.root.cert, &namesake.cert], crls, HARD);
    verify(&verifier, &pki.chain(&pki.alice)).unwrap();
    assert_refused(verify(&verifier, &pki.chain(&pki.bob)), Refusal::Revoked, "CN=bob");
}

#[test]
fn a_revoked_path_does_not_hide_a_good_one() {
    let pki = Pki::new();
    let mut params = ca("Intermediate");
    params.serial_number = Some(SerialNumber::from(99));
    let renewed = pki.root.issue_for(params, KeyPair::from_pem(&pki.intermediate.key.serialize_pem()).unwrap());
    let verifier = pki.verifier(vec![pki.root.crl(&[&pki.intermediate]), pki.intermediate.crl(&[])], HARD);
    verify(&verifier, &[&pki.alice.cert, &pki.intermediate.cert, &renewed.cert]).unwrap();
}

#[test]
fn without_any_crl_nothing_is_asked() {
    let pki = Pki::new();
    verify(&pki.verifier(Vec::new(), HARD), &pki.chain(&pki.alice)).unwrap();
}

#[test]
fn a_missing_crl_refuses_when_hard_and_passes_when_soft() {
    let pki = Pki::new();
    let chain = pki.chain(&pki.alice);
    for (crl, missing) in
        [(pki.root.crl(&[]), "the CRL of CN=Intermediate"), (pki.intermediate.crl(&[]), "the CRL of CN=Root")]
    {
        assert_refused(verify(&pki.verifier(vec![crl.clone()], HARD), &chain), Refusal::RevocationUnknown, missing);
        verify(&pki.verifier(vec![crl], SOFT), &chain).unwrap();
    }
    verify(&pki.verifier(vec![pki.intermediate.crl(&[])], HARD_LEAF), &chain).unwrap();
}

#[test]
fn a_stale_or_early_crl_is_unknown_but_what_it_lists_stays_revoked() {
    let pki = Pki::new();
    let crls = vec![pki.root.crl(&[]), pki.intermediate.crl_between(&[&pki.bob], 2024, 2026)];
    let verifier = pki.verifier(crls.clone(), HARD);
    verify_at(&verifier, &pki.chain(&pki.alice), year(2025)).unwrap();
    let (alice, bob) = (pki.chain(&pki.alice), pki.chain(&pki.bob));
    assert_refused(verify_at(&verifier, &alice, year(2027)), Refusal::RevocationUnknown, "renewal at 2026-01-01");
    assert_refused(verify_at(&verifier, &alice, year(2023)), Refusal::RevocationUnknown, "not valid before 2024-01-01");
    assert_refused(verify_at(&verifier, &bob, year(2027)), Refusal::Revoked, "CN=bob");
    let soft = pki.verifier(crls, SOFT);
    verify_at(&soft, &alice, year(2027)).unwrap();
    assert_refused(verify_at(&soft, &bob, year(2027)), Refusal::Revoked, "CN=bob");
}

#[test]
fn a_crl_is_stale_from_the_second_after_its_next_update() {
    let pki = Pki::new();
    let verifier = pki.verifier(vec![pki.root.crl(&[]), pki.intermediate.crl_between(&[], 2024, 2026)], HARD);
    let alice = pki.chain(&pki.alice);
    let after = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(year(2026).as_secs() + seconds));
    verify_at(&verifier, &alice, after(0)).unwrap();
    for seconds in [1, 3600, 86_399] {
        assert_refused(verify_at(&verifier, &alice, after(seconds)), Refusal::RevocationUnknown, "renewal at");
    }
}

#[test]
fn of_two_crls_the_one_in_date_answers() {
    let pki = Pki::new();
    let crls =
        vec![pki.root.crl(&[]), pki.intermediate.crl_between(&[], 2021, 2022), pki.intermediate.crl(&[&pki.bob])];
    let verifier = pki.verifier(crls, HARD);
    verify(&verifier, &pki.chain(&pki.alice)).unwrap();
    assert_refused(verify(&verifier, &pki.chain(&pki.bob)), Refusal::Revoked, "CN=bob");
}

#[test]
fn a_crl_of_an_unknown_issuer_signed_with_another_key_does_not_count() {
    let pki = Pki::new();
    let impostor = Entity::root("Intermediate");
    let verifier = pki.verifier(vec![pki.root.crl(&[]), impostor.crl(&[&pki.alice])], HARD);
    let result = verify(&verifier, &pki.chain(&pki.alice));
    assert_refused(result, Refusal::RevocationUnknown, "signed with another key");
}

#[test]
fn a_crl_that_the_trust_store_disproves_is_not_taken() {
    let (root, impostor) = (Entity::root("Root"), Entity::root("Root"));
    assert_not_taken(&root.cert, impostor.crl(&[]), "does not verify with the key of CN=Root");
    let mut params = ca("Root");
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let root = Entity::self_signed(params);
    // rcgen refuses to sign a CRL for such a CA, so the same key signs it under other parameters.
    assert_not_taken(&root.cert, root.with_params(ca("Root")).crl(&[]), "lacks cRLSign");
}

#[test]
fn a_crl_of_an_intermediate_that_may_not_sign_crls_does_not_count() {
    let root = Entity::root("Root");
    let mut params = ca("Intermediate");
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let intermediate = root.issue(params);
    let alice = intermediate.issue(leaf("alice"));
    let crls = vec![root.crl(&[]), intermediate.with_params(ca("Intermediate")).crl(&[])];
    let result = verify(&with(&[&root.cert], crls, HARD), &[&alice.cert, &intermediate.cert]);
    assert_refused(result, Refusal::RevocationUnknown, "lacks cRLSign");
}

#[test]
fn either_of_two_cas_with_one_name_may_sign_the_crl() {
    let (first, second) = (Entity::root("Root"), Entity::root("Root"));
    let (alice, bob) = (first.issue(leaf("alice")), second.issue(leaf("bob")));
    let verifier = with(&[&first.cert, &second.cert], vec![second.crl(&[&bob])], HARD);
    assert_refused(verify(&verifier, &[&bob.cert]), Refusal::Revoked, "CN=bob");
    assert_refused(verify(&verifier, &[&alice.cert]), Refusal::RevocationUnknown, "another key");
}

#[test]
fn a_version_1_crl_is_taken() {
    let openssl = openssl_ca();
    let crl = openssl.crl(false, "", &["1234"]);
    let verifier = with(&[&openssl.cert("ca")], vec![crl], HARD);
    let info = verifier.crls().next().unwrap();
    assert_eq!((info.number.as_deref(), info.entries, info.issuer.as_str()), (None, 1, "CN=ca,O=Example"));
    // openssl.issue gives serial number 0x1234, and version 1 when there are no extensions.
    for options in ["", "-extfile v3.cnf"] {
        let alice = openssl.issue("alice", "-algorithm EC -pkeyopt ec_paramgen_curve:P-256", options);
        assert_refused(verify(&verifier, &[&alice]), Refusal::Revoked, "CN=alice");
    }
}

#[test]
fn a_version_2_crl_with_and_without_a_number_is_taken() {
    let openssl = openssl_ca();
    let numbered = openssl.crl(true, "authorityKeyIdentifier=keyid", &[]);
    let verifier = with(&[&openssl.cert("ca")], vec![numbered], HARD);
    assert_eq!(verifier.crls().next().unwrap().number.as_deref(), Some("9"));
    // As EasyRSA and cfssl make them.
    let bare = openssl.crl(false, "authorityKeyIdentifier=keyid", &["1234"]);
    let verifier = with(&[&openssl.cert("ca")], vec![bare], HARD);
    assert_eq!(verifier.crls().next().unwrap().number, None);
    let alice = openssl.issue("alice", "-algorithm EC -pkeyopt ec_paramgen_curve:P-256", "");
    assert_refused(verify(&verifier, &[&alice]), Refusal::Revoked, "CN=alice");
    let unreadable = openssl.crl(false, "2.5.29.20=DER:05:00", &[]);
    assert_not_taken(&openssl.cert("ca"), unreadable, "its CRL number can't be parsed");
}

/// An issuingDistributionPoint with a name relative to the issuer's, which some libraries can't read.
const RELATIVE: &str = "issuingDistributionPoint=critical,@p\n[name]\nCN=part 1\n[p]\nrelativename=name\n";

#[test]
fn a_scope_beside_a_relative_name_counts() {
    let openssl = openssl_ca();
    for (flag, words) in [("indirectCRL=TRUE", "indirect CRL"), ("onlysomereasons=keyCompromise", "onlySomeReasons")] {
        assert_not_taken(&openssl.cert("ca"), openssl.crl(true, &format!("{RELATIVE}{flag}"), &[]), words);
    }
    let alice = |extensions: &str| {
        openssl.write("point.cnf", extensions);
        openssl.issue("alice", "-algorithm EC -pkeyopt ec_paramgen_curve:P-256", "-extfile point.cnf")
    };
    let nowhere = alice("basicConstraints=CA:FALSE\n");
    let there = alice("crlDistributionPoints=p\n[name]\nCN=PART 1\n[p]\nrelativename=name\n");
    let by_its_whole_name =
        alice("crlDistributionPoints=p\n[name]\nO=Example\nCN=ca\n2.CN=part 1\n[p]\nfullname=dirName:name\n");
    let elsewhere = alice("crlDistributionPoints=p\n[name]\nCN=part 2\n[p]\nrelativename=name\n");
    for (flag, covered) in [("", true), ("onlyuser=TRUE", true), ("onlyCA=TRUE", false)] {
        let verifier = |serials: &[&str]| {
            with(&[&openssl.cert("ca")], vec![openssl.crl(true, &format!("{RELATIVE}{flag}"), serials)], HARD)
        };
        let nobody = verifier(&[]);
        for (certificate, names_it) in
            [(&nowhere, false), (&elsewhere, false), (&there, true), (&by_its_whole_name, true)]
        {
            let verdict = verify(&nobody, &[certificate]);
            if names_it && covered {
                verdict.unwrap();
            } else {
                assert_refused(verdict, Refusal::RevocationUnknown, "CN=ca");
            }
            assert_refused(verify(&verifier(&["1234"]), &[certificate]), Refusal::Revoked, "CN=alice");
        }
    }
}

#[test]
fn a_crl_of_users_or_of_cas_counts_for_these_alone() {
    let openssl = openssl_ca();
    openssl.write("ca.cnf", "basicConstraints=CA:TRUE\n");
    let issue = |name, extensions| openssl.issue(name, "-algorithm EC -pkeyopt ec_paramgen_curve:P-256", extensions);
    let (user, authority) = (issue("alice", "-extfile v3.cnf"), issue("authority", "-extfile ca.cnf"));
    for (flag, covered, other, words) in [
        ("onlyuser", &user, &authority, "covers no CAs (onlyContainsUserCerts)"),
        ("onlyCA", &authority, &user, "covers CAs only (onlyContainsCACerts)"),
    ] {
        let scope = format!("issuingDistributionPoint=critical,@p\n[p]\n{flag}=TRUE");
        for options in [HARD, HARD_LEAF] {
            let verifier =
                |serials: &[&str]| with(&[&openssl.cert("ca")], vec![openssl.crl(true, &scope, serials)], options);
            verify(&verifier(&[]), &[covered]).unwrap();
            assert_refused(verify(&verifier(&[]), &[other]), Refusal::RevocationUnknown, words);
            assert_refused(verify(&verifier(&["1234"]), &[covered]), Refusal::Revoked, "was revoked");
        }
        let complete = vec![openssl.crl(true, &scope, &[]), openssl.crl(true, "", &[])];
        verify(&with(&[&openssl.cert("ca")], complete, HARD), &[other]).unwrap();
    }
}

#[test]
fn crls_that_do_not_tell_everything_are_not_taken() {
    let openssl = openssl_ca();
    for (extension, words) in [
        ("2.5.29.27=critical,DER:02:01:01", "delta CRL"),
        ("2.5.29.27=DER:02:01:01", "delta CRL"),
        ("issuingDistributionPoint=critical,@p\n[p]\nindirectCRL=TRUE", "indirect CRL"),
        ("issuingDistributionPoint=critical,@p\n[p]\nonlysomereasons=keyCompromise", "onlySomeReasons"),
        ("issuingDistributionPoint=critical,@p\n[p]\nonlyAA=TRUE", "onlyContainsAttributeCerts"),
        ("2.5.29.28=DER:05:00", "can't be parsed"),
        ("2.5.29.20=critical,DER:02:01:05", "critical extension 2.5.29.20"),
        ("1.2.3.4=critical,DER:05:00", "critical extension 1.2.3.4"),
        ("2.5.29.28=critical,DER:05:00", "can't be parsed"),
    ] {
        let crl = openssl.crl(true, extension, &[]);
        assert_not_taken(&openssl.cert("ca"), crl, words);
    }
    assert_not_taken(&openssl.cert("ca"), b"-----BEGIN X509 CRL-----".to_vec(), "not a DER CRL");
}

#[test]
fn every_bad_crl_is_named_by_its_position() {
    let root = Entity::root("Root");
    let crls = vec![vec![0], root.crl(&[]), vec![1]];
    let problems = ClientVerifier::new(&trust(&[&root.cert]), crls, HARD).unwrap_err();
    let indices: Vec<_> = problems
        .iter()
        .map(|problem| match problem {
            VerifierError::Crl { index, error: CrlError::Malformed(_) } => *index,
            other => panic!("{other}"),
        })
        .collect();
    assert_eq!(indices, [0, 2]);
    assert!(problems[1].to_string().starts_with("CRL 3: "), "{}", problems[1]);
}

#[test]
fn a_partitioned_crl_covers_the_certificates_that_point_to_it() {
    let openssl = openssl_ca();
    let crl =
        openssl.crl(true, "issuingDistributionPoint=critical,@p\n[p]\nfullname=URI:http://crl.example/1", &["77"]);
    let verifier = with(&[&openssl.cert("ca")], vec![crl], HARD);
    let issue = |point: &str| {
        openssl.write("point.cnf", &format!("crlDistributionPoints=URI:http://crl.example/{point}\n"));
        openssl.issue("alice", "-algorithm EC -pkeyopt ec_paramgen_curve:P-256", "-extfile point.cnf")
    };
    verify(&verifier, &[&issue("1")]).unwrap();
    let both = "the certificate names http://crl.example/2, the CRL is that of http://crl.example/1";
    assert_refused(verify(&verifier, &[&issue("2")]), Refusal::RevocationUnknown, both);
    let mut params = leaf("alice");
    params.crl_distribution_points = vec![CrlDistributionPoint { uris: vec!["http://crl.example/1".to_owned()] }];
    let elsewhere = Entity::root("Other").issue(params);
    assert_refused(verify(&verifier, &[&elsewhere.cert]), Refusal::UnknownCa, "CN=Other");
}

#[test]
fn a_pinned_leaf_can_be_revoked_whether_or_not_its_issuer_is_known() {
    let pki = Pki::new();
    let (alice, bob) = (&pki.alice.cert, &pki.bob.cert);
    let crl = pki.intermediate.crl(&[&pki.bob]);
    for options in [SOFT, HARD] {
        let verifier = with(&[alice, bob], vec![crl.clone()], options);
        verify(&verifier, &[alice]).unwrap();
        verify(&verifier, &pki.chain(&pki.alice)).unwrap();
        // Leaving the issuer out is the client's choice, and must not help it.
        assert_refused(verify(&verifier, &[bob]), Refusal::Revoked, "CN=bob");
        assert_refused(verify(&verifier, &pki.chain(&pki.bob)), Refusal::Revoked, "CN=bob");
    }
    let verifier = with(&[alice, &pki.root.cert, &pki.intermediate.cert], vec![pki.root.crl(&[])], HARD);
    assert_refused(verify(&verifier, &[alice]), Refusal::RevocationUnknown, "CRL of CN=Intermediate");
}

#[test]
fn a_self_signed_pin_needs_no_crl() {
    let root = Entity::root("Root");
    let alice = Entity::self_signed(leaf("alice"));
    let verifier = with(&[&root.cert, &alice.cert], vec![root.crl(&[])], HARD);
    verify(&verifier, &[&alice.cert]).unwrap();
}

#[test]
fn a_large_crl_is_taken() {
    let openssl = openssl_ca();
    let serials: Vec<_> = (0x100_000..0x104_e20).map(|serial: u32| format!("{serial:X}")).collect();
    let crl = openssl.crl(true, "", &serials.iter().map(String::as_str).chain(["1234"]).collect::<Vec<_>>());
    let verifier = with(&[&openssl.cert("ca")], vec![crl], HARD);
    assert_eq!(verifier.crls().next().unwrap().entries, 20_001);
    let alice = openssl.issue("alice", "-algorithm EC -pkeyopt ec_paramgen_curve:P-256", "");
    assert_refused(verify(&verifier, &[&alice]), Refusal::Revoked, "CN=alice");
}

fn openssl_ca() -> Openssl {
    let openssl = Openssl::new();
    openssl.run("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -keyout ca.key -subj /O=Example/CN=ca -days 60 -out ca.crt");
    openssl.write("v3.cnf", "basicConstraints=CA:FALSE\n");
    openssl
}

#[test]
fn a_hundred_thousand_entries_cost_a_handshake_no_more_than_one() {
    let root = Entity::root("Root");
    let (alice, bob) = (root.issue(leaf("alice")), root.issue(leaf("bob")));
    let load = |others: u64| {
        let others = (0..others).map(|n| SerialNumber::from((1 << 40) + n));
        with(
            &[&root.cert],
            vec![root.crl_of(others.chain([bob.params.serial_number.clone().unwrap()]).collect())],
            HARD,
        )
    };
    let (small, large) = (load(0), load(100_000));
    assert_eq!(large.crls().next().unwrap().entries, 100_001);
    assert_refused(verify(&large, &[&bob.cert]), Refusal::Revoked, "CN=bob");
    let took = |verifier: &ClientVerifier| {
        let rounds = (0..5).map(|_| {
            let begun = std::time::Instant::now();
            (0..40).for_each(|_| drop(verify(verifier, &[&alice.cert]).unwrap()));
            begun.elapsed()
        });
        rounds.min().unwrap()
    };
    let (one, many) = (took(&small), took(&large));
    // To parse or to hash the list again would take hundreds of times as long.
    assert!(many < one * 5, "{one:?} with one entry, {many:?} with 100,001");
}
