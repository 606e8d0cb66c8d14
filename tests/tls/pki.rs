//! Certificates and CRLs for the tests: by rcgen where it can, by openssl for what it can't.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName, DnType, IsCa, Issuer,
    KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber, SigningKey, date_time_ymd,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, UnixTime};
use zoogate::reason::Refusal;
use zoogate::store::{KeyStore, TrustStore, TrustedCertificate};
use zoogate::tls::revocation::RevocationOptions;
use zoogate::tls::verifier::{ClientVerifier, VerifiedChain, VerifyError};

pub(crate) type Der = CertificateDer<'static>;

/// A certificate with its key; a CA or a leaf.
pub(crate) struct Entity {
    pub(crate) cert: Der,
    pub(crate) key: KeyPair,
    pub(crate) params: CertificateParams,
}

impl Entity {
    /// A self-signed CA.
    pub(crate) fn root(cn: &str) -> Self {
        Self::self_signed(ca(cn))
    }

    pub(crate) fn self_signed(params: CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
        let cert = params.self_signed(&key).unwrap().der().clone();
        Self { cert, key, params }
    }

    pub(crate) fn issue(&self, params: CertificateParams) -> Self {
        self.issue_for(params, KeyPair::generate().unwrap())
    }

    pub(crate) fn issue_for(&self, params: CertificateParams, key: KeyPair) -> Self {
        let issuer = Issuer::from_params(&self.params, &self.key);
        let cert = params.signed_by(&key, &issuer).unwrap().der().clone();
        Self { cert, key, params }
    }

    /// The same key under another name or with other extensions.
    pub(crate) fn with_params(&self, params: CertificateParams) -> Self {
        let key = KeyPair::from_pem(&self.key.serialize_pem()).unwrap();
        Self { cert: self.cert.clone(), key, params }
    }

    pub(crate) fn key_store(&self, intermediates: &[&Entity]) -> KeyStore {
        let chain =
            std::iter::once(self).chain(intermediates.iter().copied()).map(|entity| entity.cert.clone()).collect();
        KeyStore { chain, key: PrivateKeyDer::try_from(self.key.serialize_der()).unwrap() }
    }

    /// Writes `NAME.crt` and `NAME.key` for openssl.
    pub(crate) fn write(&self, dir: &Path, name: &str) {
        fs::write(dir.join(format!("{name}.crt")), pem("CERTIFICATE", &self.cert)).unwrap();
        fs::write(dir.join(format!("{name}.key")), self.key.serialize_pem()).unwrap();
    }

    /// A certificate or CRL of this CA with other bytes in the only place where it has these, signed again.
    pub(crate) fn altered(&self, der: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
        let (header, _) = lengths(der);
        let (message, rest) = der[header..].split_at(lengths(&der[header..]).1);
        let places: Vec<_> = (0..message.len()).filter(|&at| message[at..].starts_with(from)).collect();
        let [place] = places[..] else { panic!("{from:x?} is at {places:?}") };
        assert_eq!(from.len(), to.len(), "the lengths around it stay");
        let message = [&message[..place], to, &message[place + from.len()..]].concat();
        let signature = self.key.sign(&message).unwrap();
        let signature = [&[0x03, signature.len() as u8 + 1, 0][..], &signature].concat();
        let body = [&message, &rest[..lengths(rest).1], &signature].concat();
        let [high, low] = (body.len() as u16).to_be_bytes();
        let header = if high == 0 { vec![0x30, 0x81, low] } else { vec![0x30, 0x82, high, low] };
        [header, body].concat()
    }

    /// A CRL valid for all times that the tests use, listing these serial numbers.
    pub(crate) fn crl(&self, revoked: &[&Entity]) -> Vec<u8> {
        self.crl_between(revoked, 2021, 2039)
    }

    /// A CRL valid from 1 January to 1 January.
    pub(crate) fn crl_between(&self, revoked: &[&Entity], from: i32, to: i32) -> Vec<u8> {
        let serials = revoked.iter().map(|entity| entity.params.serial_number.clone().unwrap()).collect();
        self.crl_of_between(serials, from, to)
    }

    /// A CRL valid for all times that the tests use.
    pub(crate) fn crl_of(&self, serials: Vec<SerialNumber>) -> Vec<u8> {
        self.crl_of_between(serials, 2021, 2039)
    }

    fn crl_of_between(&self, serials: Vec<SerialNumber>, from: i32, to: i32) -> Vec<u8> {
        let revoked_certs = serials
            .into_iter()
            .map(|serial_number| RevokedCertParams {
                serial_number,
                revocation_time: date_time_ymd(2021, 1, 1),
                reason_code: None,
                invalidity_date: None,
            })
            .collect();
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(from, 1, 1),
            next_update: date_time_ymd(to, 1, 1),
            crl_number: SerialNumber::from(7),
            issuing_distribution_point: None,
            revoked_certs,
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&Issuer::from_params(&self.params, &self.key)).unwrap().der().to_vec()
    }
}

/// A leaf's parameters: valid 2020 to 2040, no usages.
pub(crate) fn leaf(cn: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = name(cn);
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2040, 1, 1);
    params.serial_number =
        Some(SerialNumber::from(cn.bytes().fold(1, |sum: u64, byte| sum.wrapping_mul(31) + u64::from(byte)) >> 8));
    params
}

/// A CA's parameters.
pub(crate) fn ca(cn: &str) -> CertificateParams {
    let mut params = leaf(cn);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

pub(crate) fn name(cn: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, "Example");
    name.push(DnType::CommonName, cn);
    name
}

pub(crate) fn trust(certificates: &[&Der]) -> TrustStore {
    let certificates = certificates.iter().enumerate().map(|(index, certificate)| TrustedCertificate {
        alias: Some(format!("entry{index}")),
        certificate: (*certificate).clone(),
    });
    TrustStore { certificates: certificates.collect() }
}

pub(crate) fn verifier(trusted: &[&Der]) -> ClientVerifier {
    ClientVerifier::new(&trust(trusted), Vec::new(), RevocationOptions::default()).unwrap()
}

/// 1 January of a year.
pub(crate) fn year(year: i32) -> UnixTime {
    let seconds = u64::try_from(date_time_ymd(year, 1, 1).unix_timestamp()).unwrap();
    UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds))
}

pub(crate) fn verify_at(
    verifier: &ClientVerifier,
    chain: &[&Der],
    now: UnixTime,
) -> Result<VerifiedChain, VerifyError> {
    let chain: Vec<_> = chain.iter().map(|certificate| (*certificate).clone()).collect();
    verifier.verify(&chain, now)
}

/// Verifies as of today.
pub(crate) fn verify(verifier: &ClientVerifier, chain: &[&Der]) -> Result<VerifiedChain, VerifyError> {
    verify_at(verifier, chain, UnixTime::now())
}

/// Asserts a refusal, and that its words contain `words`.
#[track_caller]
pub(crate) fn assert_refused(result: Result<VerifiedChain, VerifyError>, refusal: Refusal, words: &str) {
    let error = result.expect_err("accepted");
    assert_eq!(error.refusal, refusal, "{error}");
    assert!(error.detail.contains(words), "{error:?} does not contain {words:?}");
}

/// A directory that openssl works in.
pub(crate) struct Openssl {
    pub(crate) dir: tempfile::TempDir,
}

impl Openssl {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// Runs `openssl` with blank-separated arguments.
    #[track_caller]
    pub(crate) fn run(&self, arguments: &str) {
        let output =
            Command::new("openssl").args(arguments.split_whitespace()).current_dir(self.dir.path()).output().unwrap();
        assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    }

    pub(crate) fn cert(&self, name: &str) -> Der {
        Der::from_pem_file(self.path(&format!("{name}.crt"))).unwrap()
    }

    /// `NAME.key` by `genpkey` options and `NAME.crt`, signed by `ca.crt`, with `x509` options.
    pub(crate) fn issue(&self, name: &str, genpkey: &str, x509: &str) -> Der {
        self.run(&format!("genpkey {genpkey} -out {name}.key"));
        self.issue_by("ca", name, x509)
    }

    /// `NAME.crt` for `NAME.key`, or for a new RSA key, signed by `CA.crt` with `CA.key`.
    pub(crate) fn issue_by(&self, ca: &str, name: &str, x509: &str) -> Der {
        if !self.path(&format!("{name}.key")).exists() {
            self.run(&format!("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out {name}.key"));
        }
        self.run(&format!("req -new -key {name}.key -subj /O=Example/CN={name} -out {name}.csr"));
        let by = format!("-CA {ca}.crt -CAkey {ca}.key -set_serial 4660 -days 30");
        self.run(&format!("x509 -req -in {name}.csr {by} -out {name}.crt {x509}"));
        self.cert(name)
    }

    /// A CRL of `ca.crt` by `openssl ca -gencrl`: with these CRL extensions, and a number or not.
    pub(crate) fn crl(&self, numbered: bool, extensions: &str, revoked_serials: &[&str]) -> Vec<u8> {
        let index: String = revoked_serials
            .iter()
            .map(|serial| format!("R\t400101000000Z\t210101000000Z\t{serial}\tunknown\t/CN=x\n"))
            .collect();
        self.write("index.txt", &index);
        self.write("crlnumber", "09\n");
        let number = if numbered { "crlnumber = crlnumber\n" } else { "" };
        let section = if extensions.is_empty() { "" } else { "crl_extensions = ext\n" };
        let config = format!(
            "[ca]\ndefault_ca = d\n[d]\ndatabase = index.txt\ndefault_md = sha256\ndefault_crl_days = 30\n{number}{section}[ext]\n{extensions}\n"
        );
        self.write("crl.cnf", &config);
        self.run("ca -config crl.cnf -gencrl -cert ca.crt -keyfile ca.key -out crl.pem");
        CertificateRevocationListDer::from_pem_file(self.path("crl.pem")).unwrap().to_vec()
    }
}

/// The lengths of an element's header, and of all of it.
fn lengths(der: &[u8]) -> (usize, usize) {
    let (header, content) = match der[1] {
        0x81 => (3, usize::from(der[2])),
        0x82 => (4, usize::from(u16::from_be_bytes([der[2], der[3]]))),
        short => (2, usize::from(short)),
    };
    (header, header + content)
}

fn pem(label: &str, der: &[u8]) -> String {
    use base64::Engine;
    let body = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<_> = body.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}
