//! What a hostile chain costs, in signature checks.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls_pki_types::{CertificateDer, UnixTime};

use super::*;
use crate::reason::Refusal;
use crate::store::{TrustStore, TrustedCertificate};
use crate::tls::revocation::{Moment, RevocationOptions};
use crate::tls::verifier::{ClientVerifier, VerifiedChain};

type Der = CertificateDer<'static>;

struct Entity {
    params: CertificateParams,
    key: KeyPair,
    der: Der,
}

fn named(name: &str, ca: bool) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = if ca { IsCa::Ca(BasicConstraints::Unconstrained) } else { IsCa::NoCa };
    params
}

impl Entity {
    fn root(params: CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
        let der = params.self_signed(&key).unwrap().der().clone();
        Self { params, key, der }
    }

    fn issue(&self, params: CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
        let der = params.signed_by(&key, &Issuer::from_params(&self.params, &self.key)).unwrap().der().clone();
        Self { params, key, der }
    }
}

/// The verdict, and how many signatures were checked for it.
fn cost(trusted: &[&Entity], chain: &[&Entity]) -> (Result<VerifiedChain, VerifyError>, usize) {
    let certificates = trusted.iter().map(|it| TrustedCertificate { alias: None, certificate: it.der.clone() });
    let store = TrustStore { certificates: certificates.collect() };
    let verifier = ClientVerifier::new(&store, Vec::new(), RevocationOptions::default()).unwrap();
    let signatures = Signatures::limited(trusted.len() - 1);
    let chain: Vec<_> = chain.iter().map(|it| it.der.clone()).collect();
    let moment = Moment { now: UnixTime::now(), overdue_crls: false };
    let verdict = verifier.verify_on(&chain, moment, &signatures);
    (verdict, signatures.done())
}

fn with<'e>(leaf: &'e Entity, others: &'e [Entity]) -> Vec<&'e Entity> {
    std::iter::once(leaf).chain(others).collect()
}

#[test]
fn an_honest_chain_is_checked_once_in_all_searches() {
    let root = Entity::root(named("Root", true));
    let mut chain = vec![root.issue(named("CA 0", true))];
    for depth in 1..6 {
        chain.push(chain[depth - 1].issue(named(&format!("CA {depth}"), true)));
    }
    let alice = chain[5].issue(named("alice", false));
    let (verdict, checks) = cost(&[&root], &with(&alice, &chain));
    assert!(verdict.is_ok(), "{verdict:?}");
    assert_eq!(checks, 7);
    // One that webpki won't take, so that our own search runs too.
    let odd = chain[5].issue(named("alice", true));
    let (verdict, checks) = cost(&[&root], &with(&odd, &chain));
    assert!(verdict.is_ok(), "{verdict:?}");
    assert_eq!(checks, 7);
}

#[test]
fn issuers_without_a_link_to_the_trust_store_cost_no_check() {
    let (root, fake) = (Entity::root(named("Root", true)), Entity::root(named("Fake", true)));
    let fakes: Vec<_> = (0..9).map(|_| fake.issue(named("Fake", true))).collect();
    let mallory = fake.issue(named("mallory", false));
    let (verdict, checks) = cost(&[&root], &with(&mallory, &fakes));
    assert_eq!(verdict.unwrap_err().refusal, Refusal::UnknownCa);
    assert_eq!(checks, 0);
}

/// Their keys are never used: the trust store's CA has not signed them.
#[test]
fn issuers_that_only_claim_to_be_of_a_trusted_ca_are_checked_with_its_key_and_few_times() {
    let (root, other) = (Entity::root(named("Root", true)), Entity::root(named("Root", true)));
    let between: Vec<_> = (0..9).map(|_| other.issue(named("Between", true))).collect();
    let mallory = between[0].issue(named("mallory", false));
    let (verdict, checks) = cost(&[&root], &with(&mallory, &between[..3]));
    assert_eq!(verdict.unwrap_err().refusal, Refusal::BadSignature);
    assert_eq!(checks, 3, "one for each, and none for mallory");
    let (verdict, checks) = cost(&[&root], &with(&mallory, &between));
    assert!(checks <= MAX_FAILURES, "{checks}");
    assert!(verdict.is_err());
}

#[test]
fn the_account_is_one_for_all_searches_and_its_end_is_named() {
    let (root, other) = (Entity::root(named("Root", true)), Entity::root(named("Root", true)));
    let fakes: Vec<_> = (0..9).map(|_| other.issue(named("Root", true))).collect();
    let mallory = other.issue(named("mallory", false));
    let (verdict, checks) = cost(&[&root], &with(&mallory, &fakes));
    let error = verdict.unwrap_err();
    assert!(checks <= MAX_FAILURES, "{checks}: {error}");
    let signatures = Signatures::with(5, 2);
    let algorithms = signatures.algorithms();
    let p256 =
        algorithms.iter().find(|it| it.public_key_alg_id() == webpki::aws_lc_rs::ECDSA_P256_SHA256.public_key_alg_id());
    let bad = |message: &[u8]| p256.unwrap().verify_signature(b"no key", message, b"no signature").is_err();
    assert!(bad(b"1") && bad(b"1") && bad(b"2") && signatures.exhausted().is_none());
    assert!(bad(b"3"));
    let error = signatures.exhausted().unwrap();
    assert_eq!((error.refusal, signatures.done()), (Refusal::ChainTooLarge, 2));
    assert!(error.detail.contains("4 that fail"), "{error}");
}

#[test]
fn of_many_cas_of_one_name_the_one_whose_key_is_named_is_tried_first() {
    let cas: Vec<_> = (0..30).map(|_| Entity::root(named("CA", true))).collect();
    let mut params = named("alice", false);
    params.use_authority_key_identifier_extension = true;
    let alice = cas[29].issue(params);
    let (verdict, checks) = cost(&cas.iter().collect::<Vec<_>>(), &[&alice]);
    assert!(verdict.is_ok(), "{verdict:?}");
    assert_eq!(checks, 1);
}

#[test]
fn cas_of_one_name_are_all_tried_where_no_key_is_named() {
    let cas: Vec<_> = (0..30).map(|_| Entity::root(named("CA", true))).collect();
    let alice = cas[29].issue(named("alice", false));
    let (verdict, checks) = cost(&cas.iter().collect::<Vec<_>>(), &[&alice]);
    assert!(verdict.is_ok(), "{verdict:?}");
    assert_eq!(checks, 30);
}
