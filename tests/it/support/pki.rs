//! A CA, a server and clients, made once per run.

use std::path::Path;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType, date_time_ymd,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// The serial number of alice's certificate.
const ALICE: [u8; 3] = [0x0a, 0x11, 0xce];

/// Everyone's certificates.
pub(crate) static PKI: LazyLock<Pki> = LazyLock::new(Pki::new);

/// The secrets of a rotation: the first is for new ACLs.
pub(crate) const SECRETS: [&str; 2] = ["first-secret-0123456789-0123456789", "second-secret-0123456789-0123456789"];

pub(crate) struct Pki {
    issuer: Ca,
    ca: String,
    /// The CA that the server doesn't know.
    pub(crate) other_ca: String,
    server: Who,
    pub(crate) alice: Who,
    pub(crate) bob: Who,
    /// Trusted once, expired since.
    pub(crate) expired: Who,
    /// Certified by a CA that the server doesn't know.
    pub(crate) stranger: Who,
    /// Has two names of the kind that identities are taken from.
    pub(crate) two_names: Who,
}

/// A certificate and its key.
pub(crate) struct Who {
    pub(crate) certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
    pem: String,
}

impl Who {
    /// The certificate alone.
    pub(crate) fn certificate_pem(&self) -> String {
        const END: &str = "-----END CERTIFICATE-----\n";
        let begin = self.pem.find("-----BEGIN CERTIFICATE").unwrap();
        let end = self.pem.find(END).unwrap() + END.len();
        self.pem[begin..end].to_owned()
    }

    pub(crate) fn key(&self) -> PrivateKeyDer<'static> {
        self.key.clone_key()
    }
}

type Ca = CertifiedIssuer<'static, KeyPair>;

impl Pki {
    fn new() -> Self {
        let (ca, other) = (ca("ca"), ca("other ca"));
        let mut server = params("localhost");
        server.subject_alt_names = vec![SanType::DnsName("localhost".try_into().unwrap())];
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let mut expired = params("expired");
        expired.not_after = date_time_ymd(2001, 1, 1);
        let mut alice = params("alice");
        alice.serial_number = Some(ALICE.to_vec().into());
        let mut two_names = params("two names");
        let uri = |name: &str| SanType::URI(format!("spiffe://example/{name}").try_into().unwrap());
        two_names.subject_alt_names = vec![uri("one"), uri("two")];
        Self {
            server: certify(server, &ca),
            alice: certify(alice, &ca),
            bob: certify(params("bob"), &ca),
            expired: certify(expired, &ca),
            stranger: certify(params("stranger"), &other),
            two_names: certify(two_names, &ca),
            ca: ca.pem(),
            other_ca: other.pem(),
            issuer: ca,
        }
    }

    /// A certificate that expires after so long.
    pub(crate) fn short_lived(&self, life: Duration) -> Who {
        let mut params = params("short-lived");
        params.not_after = (SystemTime::now() + life).into();
        certify(params, &self.issuer)
    }

    /// A certificate of somebody with this name.
    pub(crate) fn named(&self, name: &str) -> Who {
        certify(params(name), &self.issuer)
    }

    /// A certificate that is valid after so long.
    pub(crate) fn valid_from(&self, delay: Duration) -> Who {
        let mut params = params("early");
        params.not_before = (SystemTime::now() + delay).into();
        certify(params, &self.issuer)
    }

    /// The CA's list of revoked certificates: nobody, or alice.
    pub(crate) fn crl(&self, number: u64, alice: bool) -> String {
        let revoked = RevokedCertParams {
            serial_number: ALICE.to_vec().into(),
            revocation_time: date_time_ymd(2020, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(2090, 1, 1),
            crl_number: number.into(),
            issuing_distribution_point: None,
            revoked_certs: alice.then_some(revoked).into_iter().collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).unwrap().pem().unwrap()
    }

    /// A server's certificate and key that nobody has seen yet.
    pub(crate) fn renewed_server(&self) -> String {
        let mut params = params("renewed");
        params.subject_alt_names = vec![SanType::DnsName("localhost".try_into().unwrap())];
        certify(params, &self.issuer).pem
    }

    /// Writes what a server needs: `server.pem`, `trust.pem` and `secret`.
    pub(crate) fn write_to(&self, directory: &Path, secrets: &[&str]) {
        let write = |name: &str, text: &str| std::fs::write(directory.join(name), text).unwrap();
        write("server.pem", &self.server.pem);
        write("trust.pem", &self.ca);
        write("secret", &secrets.join("\n"));
    }

    /// The CA, for clients to know the server by.
    pub(crate) fn roots(&self) -> rustls::RootCertStore {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(rustls_pki_types::pem::PemObject::from_pem_slice(self.ca.as_bytes()).unwrap()).unwrap();
        roots
    }
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2000, 1, 1);
    params.not_after = date_time_ymd(2090, 1, 1);
    params
}

fn ca(name: &str) -> Ca {
    let mut params = params(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn certify(params: CertificateParams, ca: &Ca) -> Who {
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, ca).unwrap();
    Who {
        pem: format!("{}{}", certificate.pem(), key.serialize_pem()),
        certificate: certificate.der().clone(),
        key: PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
    }
}
