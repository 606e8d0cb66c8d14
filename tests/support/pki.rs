//! A certification authority for tests. Certificates are written by hand, so that subjects can be hostile.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use tempfile::TempDir;

use super::der;
use super::run;

/// The password of every key store and trust store made here.
pub const STORE_PASSWORD: &str = "store-password";

const CLIENT_AUTH: &str = "1.3.6.1.5.5.7.3.2";
const SERVER_AUTH: &str = "1.3.6.1.5.5.7.3.1";

/// Seconds since 1970.
pub fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64
}

/// What a certificate is to say.
#[derive(Clone, Debug)]
pub struct Profile {
    /// DER of the subject's name.
    pub subject: Vec<u8>,
    /// Not before and not after, in seconds since 1970.
    pub valid: (i64, i64),
    /// May issue certificates.
    pub ca: bool,
    /// The extended key usage's OID, if any.
    pub usage: Option<&'static str>,
    /// GeneralNames of the subject alternative name, each a whole TLV; none = no such extension.
    pub alternative_names: Vec<Vec<u8>>,
    /// Whether that extension is marked critical, as it must be beside an empty subject.
    pub critical_names: bool,
    /// 0 for a version 1 certificate (without extensions), 2 for version 3.
    pub version: u64,
}

impl Profile {
    fn new(subject: Vec<u8>, usage: Option<&'static str>) -> Self {
        let valid = (now() - 3_600, now() + 30 * 86_400);
        Self { subject, valid, ca: false, usage, alternative_names: Vec::new(), critical_names: false, version: 2 }
    }

    /// A client with the given name (DER).
    pub fn client(subject: Vec<u8>) -> Self {
        Self::new(subject, Some(CLIENT_AUTH))
    }

    /// A server on `localhost` and 127.0.0.1.
    pub fn server() -> Self {
        let mut profile = Self::new(der::person("localhost"), Some(SERVER_AUTH));
        profile.alternative_names = vec![der::tlv(0x82, b"localhost"), der::tlv(0x87, &[127, 0, 0, 1])];
        profile
    }

    /// An authority with the given common name.
    pub fn authority(common_name: &str) -> Self {
        let mut profile = Self::new(der::person(common_name), None);
        profile.ca = true;
        profile
    }

    fn extensions(&self) -> Vec<u8> {
        let mut extensions = Vec::new();
        if self.ca {
            let always = der::tlv(0x01, &[0xff]);
            extensions.push(extension("2.5.29.19", true, &der::sequence(&[always])));
            // keyCertSign and cRLSign
            extensions.push(extension("2.5.29.15", true, &der::tlv(0x03, &[1, 0x06])));
        }
        if let Some(usage) = self.usage {
            extensions.push(extension("2.5.29.37", false, &der::sequence(&[der::oid(usage)])));
        }
        if !self.alternative_names.is_empty() {
            extensions.push(extension("2.5.29.17", self.critical_names, &der::sequence(&self.alternative_names)));
        }
        der::sequence(&extensions)
    }
}

fn extension(kind: &str, critical: bool, value: &[u8]) -> Vec<u8> {
    let critical = if critical { der::tlv(0x01, &[0xff]) } else { Vec::new() };
    der::sequence(&[der::oid(kind), critical, der::octet_string(value)])
}

/// A certificate with its key.
#[derive(Debug)]
pub struct Certified {
    /// The certificate.
    pub der: Vec<u8>,
    /// Its key, PKCS#8.
    pub key: Vec<u8>,
    subject: Vec<u8>,
}

impl Certified {
    /// A certificate that signs itself.
    pub fn self_signed(profile: &Profile) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        Self::make(profile, &pair, &profile.subject, &pair)
    }

    /// A certificate that this one issues, with a key of its own.
    pub fn issue(&self, profile: &Profile) -> Self {
        let issuer = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &self.key).unwrap();
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        Self::make(profile, &pair, &self.subject, &issuer)
    }

    fn make(profile: &Profile, pair: &EcdsaKeyPair, issuer_name: &[u8], issuer: &EcdsaKeyPair) -> Self {
        static SERIAL: AtomicU64 = AtomicU64::new(0x1001);
        let ecdsa_with_sha256 = der::sequence(&[der::oid("1.2.840.10045.4.3.2")]);
        let p256 = der::sequence(&[der::oid("1.2.840.10045.2.1"), der::oid("1.2.840.10045.3.1.7")]);
        let mut fields = vec![
            der::integer(SERIAL.fetch_add(1, Ordering::Relaxed)),
            ecdsa_with_sha256.clone(),
            issuer_name.to_vec(),
            der::sequence(&[der::time(profile.valid.0), der::time(profile.valid.1)]),
            profile.subject.clone(),
            der::sequence(&[p256, der::bit_string(pair.public_key().as_ref())]),
        ];
        if profile.version > 0 {
            fields.insert(0, der::tlv(0xa0, &der::integer(profile.version)));
            fields.push(der::tlv(0xa3, &profile.extensions()));
        }
        let to_be_signed = der::sequence(&fields);
        let signature = issuer.sign(&SystemRandom::new(), &to_be_signed).unwrap();
        let certificate = der::sequence(&[to_be_signed, ecdsa_with_sha256, der::bit_string(signature.as_ref())]);
        Self { der: certificate, key: pair.to_pkcs8v1().unwrap().as_ref().to_vec(), subject: profile.subject.clone() }
    }

    /// The certificate as PEM.
    pub fn pem(&self) -> String {
        pem("CERTIFICATE", &self.der)
    }

    /// The key as PEM, PKCS#8.
    pub fn key_pem(&self) -> String {
        pem("PRIVATE KEY", &self.key)
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(der);
    let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// A CA, a server on localhost and two clients, alice and bob, with their files in a directory of their own.
///
/// Files of NAME in `ca`, `server`, `alice`, `bob` and whoever is added: `NAME.crt` and `NAME.key` (PEM), `NAME.pem`
/// (key and certificate in one file).
#[derive(Debug)]
pub struct Pki {
    dir: TempDir,
    /// The authority that issued all others.
    pub ca: Certified,
    /// `CN=alice,O=Acme,C=US`
    pub alice: Certified,
    /// `CN=bob,O=Acme,C=US`
    pub bob: Certified,
}

impl Pki {
    /// Makes them all.
    pub fn new() -> Self {
        let dir = TempDir::with_prefix("zoogate-pki-").unwrap();
        let ca = Certified::self_signed(&Profile::authority("Test CA"));
        let alice = ca.issue(&Profile::client(der::person("alice")));
        let bob = ca.issue(&Profile::client(der::person("bob")));
        let pki = Self { dir, ca, alice, bob };
        for (name, certified) in
            [("ca", &pki.ca), ("server", &pki.ca.issue(&Profile::server())), ("alice", &pki.alice), ("bob", &pki.bob)]
        {
            pki.save(name, certified);
        }
        pki
    }

    /// Writes the files of one more certificate, and returns the path of `NAME.crt`.
    pub fn save(&self, name: &str, certified: &Certified) -> PathBuf {
        fs::write(self.path(&format!("{name}.key")), certified.key_pem()).unwrap();
        fs::write(self.path(&format!("{name}.pem")), certified.key_pem() + &certified.pem()).unwrap();
        let certificate = self.path(&format!("{name}.crt"));
        fs::write(&certificate, certified.pem()).unwrap();
        certificate
    }

    /// The path of a file in the directory.
    pub fn path(&self, file: &str) -> PathBuf {
        self.dir.path().join(file)
    }

    /// The directory itself.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Makes `NAME.jks`, a Java key store of NAME's key and chain, by openssl and keytool.
    pub fn java_key_store(&self, name: &str) -> PathBuf {
        let (pkcs12, jks) = (self.path(&format!("{name}.p12")), self.path(&format!("{name}.jks")));
        let password = format!("pass:{STORE_PASSWORD}");
        run(Command::new("openssl")
            .args(["pkcs12", "-export", "-name", name, "-passout", &password, "-in"])
            .arg(self.path(&format!("{name}.crt")))
            .arg("-inkey")
            .arg(self.path(&format!("{name}.key")))
            .arg("-certfile")
            .arg(self.path("ca.crt"))
            .arg("-out")
            .arg(&pkcs12));
        run(Command::new("keytool")
            .args(["-importkeystore", "-noprompt", "-srcstoretype", "PKCS12", "-deststoretype", "JKS"])
            .args(["-srcstorepass", STORE_PASSWORD, "-deststorepass", STORE_PASSWORD, "-srckeystore"])
            .arg(&pkcs12)
            .arg("-destkeystore")
            .arg(&jks));
        jks
    }

    /// Makes `trust.jks`, a Java trust store of the CA, by keytool.
    pub fn java_trust_store(&self) -> PathBuf {
        let jks = self.path("trust.jks");
        run(Command::new("keytool")
            .args(["-importcert", "-noprompt", "-alias", "ca", "-storetype", "JKS"])
            .args(["-storepass", STORE_PASSWORD, "-file"])
            .arg(self.path("ca.crt"))
            .arg("-keystore")
            .arg(&jks));
        jks
    }
}
