//! The server's own key and certificate.

use std::sync::Arc;

use rcgen::{ExtendedKeyUsagePurpose, KeyPair, date_time_ymd};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{PrivateKeyDer, UnixTime};
use zoogate::store::KeyStore;
use zoogate::tls::material::{CertificateRole, MaterialError, TlsMaterial, TlsOptions};

use crate::pki::{Entity, Openssl, ca, leaf, verifier};

fn load(key_store: KeyStore) -> Result<TlsMaterial, MaterialError> {
    let root = Entity::root("Clients");
    TlsMaterial::new(key_store, Arc::new(verifier(&[&root.cert])), TlsOptions::default(), UnixTime::now())
}

#[test]
fn what_is_loaded_is_told() {
    let mut params = leaf("zk1");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let root = Entity::root("Root");
    let intermediate = root.issue(ca("Intermediate"));
    let server = intermediate.issue(params);
    let material = load(server.key_store(&[&intermediate])).unwrap();
    let told: Vec<_> =
        material.certificates().iter().map(|it| (it.role, it.common_name.as_str(), it.issuer.as_str())).collect();
    assert_eq!(
        told,
        [
            (CertificateRole::Server, "zk1", "CN=Intermediate,O=Example"),
            (CertificateRole::Intermediate, "Intermediate", "CN=Root,O=Example"),
            (CertificateRole::TrustAnchor, "Clients", "CN=Clients,O=Example"),
        ]
    );
    assert_eq!(material.certificates()[0].not_after, date_time_ymd(2040, 1, 1).unix_timestamp());
    assert_eq!(material.certificates()[2].alias.as_deref(), Some("entry0"));
    assert_eq!(material.warnings(), &[] as &[String]);
}

#[test]
fn a_server_certificate_out_of_its_dates_is_refused() {
    let mut params = leaf("zk1");
    params.not_after = date_time_ymd(2021, 1, 1);
    let error = load(Entity::self_signed(params).key_store(&[])).unwrap_err();
    assert!(matches!(error, MaterialError::Expired { .. }), "{error}");
    assert!(error.to_string().contains("CN=zk1,O=Example expired at 2021-01-01T00:00:00Z"), "{error}");
    let mut params = leaf("zk1");
    params.not_before = date_time_ymd(2039, 1, 1);
    let error = load(Entity::self_signed(params).key_store(&[])).unwrap_err();
    assert!(matches!(error, MaterialError::NotYetValid { .. }), "{error}");
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let server = Entity::self_signed(leaf("zk1"));
    let mut key_store = server.key_store(&[]);
    key_store.key = PrivateKeyDer::try_from(KeyPair::generate().unwrap().serialize_der()).unwrap();
    let error = load(key_store).unwrap_err();
    assert!(matches!(error, MaterialError::KeyMismatch { .. }), "{error:?}");
}

#[test]
fn a_key_of_another_kind_is_refused() {
    let mut key_store = Entity::self_signed(leaf("zk1")).key_store(&[]);
    key_store.key =
        PrivateKeyDer::try_from(KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap().serialize_der()).unwrap();
    let error = load(key_store).unwrap_err();
    assert!(matches!(error, MaterialError::KeyMismatch { .. }), "{error:?}");
}

#[test]
fn an_empty_chain_and_junk_are_refused() {
    let key_store =
        |chain| KeyStore { chain, key: PrivateKeyDer::try_from(KeyPair::generate().unwrap().serialize_der()).unwrap() };
    assert_eq!(load(key_store(vec![])).unwrap_err(), MaterialError::NoCertificate);
    let error = load(key_store(vec![vec![1, 2, 3].into()])).unwrap_err();
    assert!(matches!(error, MaterialError::Certificate { position: 1, .. }), "{error}");
}

#[test]
fn certificates_that_tls_can_not_use_are_named() {
    let openssl = Openssl::new();
    openssl.run("req -x509 -newkey rsa:1024 -noenc -keyout weak.key -subj /CN=weak -days 30 -out weak.crt");
    openssl.run("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out old.key");
    openssl.run("req -new -key old.key -subj /CN=old -out old.csr");
    openssl.run("x509 -req -in old.csr -signkey old.key -days 30 -out old.crt");
    let key_store = |name: &str| KeyStore {
        chain: vec![openssl.cert(name)],
        key: PrivateKeyDer::from_pem_file(openssl.path(&format!("{name}.key"))).unwrap(),
    };
    let error = load(key_store("weak")).unwrap_err();
    assert!(error.to_string().contains("RSA key of 1024 bits"), "{error}");
    let error = load(key_store("old")).unwrap_err();
    assert!(matches!(error, MaterialError::OldVersion { version: 1, .. }), "{error}");
}

#[test]
fn what_clients_will_stumble_over_is_a_warning() {
    let root = Entity::root("Root");
    let mut params = ca("Intermediate");
    params.not_after = date_time_ymd(2021, 1, 1);
    let intermediate = root.issue(params);
    let mut params = leaf("zk1");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let server = root.issue(params);
    let material = load(server.key_store(&[&intermediate])).unwrap();
    let warnings = material.warnings().join("\n");
    for words in ["lacks serverAuth", "out of order", "CN=Intermediate,O=Example (serial"] {
        assert!(warnings.contains(words), "{words} is not in {warnings}");
    }
}
