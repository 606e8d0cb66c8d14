//! One X.509 certificate of any version, as far as verification looks at it.

use std::collections::HashSet;
use std::ops::Range;

use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm, SubjectPublicKeyInfoDer};
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::{FromDer, X509Certificate, X509Extension};

use super::der;
use super::distribution_point::{PointName, points_of_certificate};
use super::name;
use super::signatures::Signatures;
use super::verifier::VerifyError;
use super::weak::{weak_key, weak_signature};
use crate::reason::Refusal;

/// The OID 2.5.29.31.
const CRL_DISTRIBUTION_POINTS: &[u8] = b"\x55\x1d\x1f";
/// The OID 2.5.29.30.
const NAME_CONSTRAINTS: &[u8] = b"\x55\x1d\x1e";
/// The OID 2.5.29.17.
const SUBJECT_ALT_NAME: &[u8] = b"\x55\x1d\x11";

const KEY_CERT_SIGN: u16 = 1 << 5;
const CRL_SIGN: u16 = 1 << 6;
const DIGITAL_SIGNATURE: u16 = 1;

/// A parsed certificate.
pub(crate) struct Certificate<'a> {
    der: CertificateDer<'a>,
    serial: Range<usize>,
    issuer: Range<usize>,
    subject: Range<usize>,
    public_key: Range<usize>,
    /// Unix seconds.
    pub(crate) not_before: i64,
    /// Unix seconds.
    pub(crate) not_after: i64,
    /// 1, 2 or 3.
    pub(crate) version: u32,
    pub(crate) extensions: Extensions,
    /// Why the key can't be used, if it can't.
    weak_key: Option<String>,
}

/// The extensions that verification looks at.
#[derive(Default)]
pub(crate) struct Extensions {
    pub(crate) ca: bool,
    pub(crate) path_len: Option<u32>,
    key_usage: Option<u16>,
    extended_key_usage: Option<Purposes>,
    /// Where the value of the nameConstraints lies.
    name_constraints: Option<Range<usize>>,
    pub(crate) policy_constraints: bool,
    /// OID of the first critical extension that is not implemented.
    pub(crate) unknown_critical: Option<String>,
    /// The names of its CRL distribution points; none if they can't be read.
    pub(crate) crl_points: Vec<PointName>,
    /// The keyIdentifier of the authorityKeyIdentifier.
    issuer_key_id: Option<Box<[u8]>>,
    /// Where the value of the subjectAltName lies, which leaves have.
    alternative_names: Option<Range<usize>>,
    key_id: Option<Box<[u8]>>,
}

struct Purposes {
    client: bool,
    server: bool,
    any: bool,
}

impl<'a> Certificate<'a> {
    /// Parses one certificate; the error says what is wrong with it.
    pub(crate) fn parse(certificate: CertificateDer<'a>) -> Result<Self, String> {
        let der = certificate.as_ref();
        der::signed(der).ok_or("it is not a DER certificate")?;
        let (_, parsed) = X509Certificate::from_der(der).map_err(|error| format!("it can't be parsed: {error}"))?;
        let tbs = &parsed.tbs_certificate;
        if tbs.signature != parsed.signature_algorithm {
            return Err("it names two different signature algorithms".to_owned());
        }
        if tbs.version.0 > 2 {
            return Err(format!("it is of the unknown X.509 version {}", tbs.version.0.saturating_add(1)));
        }
        let public_key = der::subject_public_key(der).ok_or("its public key can't be parsed")?;
        Ok(Self {
            serial: range_in(der, parsed.raw_serial())?,
            issuer: range_in(der, tbs.issuer.as_raw())?,
            subject: range_in(der, tbs.subject.as_raw())?,
            public_key: range_in(der, public_key)?,
            not_before: tbs.validity.not_before.timestamp(),
            not_after: tbs.validity.not_after.timestamp(),
            version: tbs.version.0.saturating_add(1),
            extensions: Extensions::read(&parsed, der)?,
            weak_key: weak_key(&parsed),
            der: certificate,
        })
    }

    pub(crate) fn der(&self) -> &[u8] {
        &self.der
    }

    /// Contents of the serial number's INTEGER.
    pub(crate) fn serial(&self) -> &[u8] {
        &self.der[self.serial.clone()]
    }

    /// DER of the issuer's name.
    pub(crate) fn issuer(&self) -> &[u8] {
        &self.der[self.issuer.clone()]
    }

    /// DER of the subject's name.
    pub(crate) fn subject(&self) -> &[u8] {
        &self.der[self.subject.clone()]
    }

    /// DER of the SubjectPublicKeyInfo.
    pub(crate) fn public_key(&self) -> &[u8] {
        &self.der[self.public_key.clone()]
    }

    /// The value of the nameConstraints.
    pub(crate) fn name_constraints(&self) -> Option<&[u8]> {
        self.extensions.name_constraints.clone().map(|range| &self.der[range])
    }

    /// The value of the subjectAltName.
    pub(crate) fn alternative_names(&self) -> Option<&[u8]> {
        self.extensions.alternative_names.clone().map(|range| &self.der[range])
    }

    /// Subject and serial, as messages name a certificate.
    pub(crate) fn label(&self) -> String {
        format!("{} (serial {})", name::text(self.subject()), super::hex(self.serial()))
    }

    pub(crate) fn is_self_issued(&self) -> bool {
        self.issuer() == self.subject() || name::canonical(self.issuer()) == name::canonical(self.subject())
    }

    /// Refuses a certificate outside its validity (RFC 5280 §6.1.3 (a)(2)); `now` is in Unix seconds.
    pub(crate) fn check_validity(&self, now: i64) -> Result<(), VerifyError> {
        if now > self.not_after {
            let detail = format!("{} expired at {}: renew it", self.label(), super::date(self.not_after));
            return Err(VerifyError::new(Refusal::Expired, detail));
        }
        if now < self.not_before {
            let detail =
                format!("{} is not valid before {}: compare the clocks", self.label(), super::date(self.not_before));
            return Err(VerifyError::new(Refusal::NotYetValid, detail));
        }
        Ok(())
    }

    /// Refuses a leaf whose key usages forbid TLS client authentication (RFC 5280 §4.2.1.3, §4.2.1.12).
    pub(crate) fn check_client_usage(&self) -> Result<(), VerifyError> {
        let refuse = |what: &str| Err(VerifyError::new(Refusal::BadUsage, format!("{} {what}", self.label())));
        if self.extensions.extended_key_usage.as_ref().is_some_and(|purposes| !purposes.client && !purposes.any) {
            return refuse("has an extendedKeyUsage without clientAuth: issue it for TLS clients");
        }
        if self.extensions.key_usage.is_some_and(|usage| usage & DIGITAL_SIGNATURE == 0) {
            return refuse("has a keyUsage without digitalSignature: issue it for TLS clients");
        }
        Ok(())
    }

    /// Whether its extendedKeyUsage lets it be a TLS server's.
    pub(crate) fn allows_server(&self) -> bool {
        self.extensions.extended_key_usage.as_ref().is_none_or(|purposes| purposes.server || purposes.any)
    }

    /// Whether its extendedKeyUsage, when it has one, spans certificates of TLS clients.
    pub(crate) fn spans_clients(&self) -> bool {
        self.extensions.extended_key_usage.as_ref().is_none_or(|purposes| purposes.client || purposes.any)
    }

    /// Whether its keyUsage, when it has one, allows it to sign certificates.
    pub(crate) fn may_sign_certificates(&self) -> bool {
        self.extensions.key_usage.is_none_or(|usage| usage & KEY_CERT_SIGN != 0)
    }

    /// Whether its keyUsage, when it has one, allows it to sign CRLs.
    pub(crate) fn may_sign_crls(&self) -> bool {
        self.extensions.key_usage.is_none_or(|usage| usage & CRL_SIGN != 0)
    }

    /// Whether it may stand at the end of a path: the rules of the JDK for trust anchors. Versions before 3
    /// can't say that they are a CA; only self-issued ones count.
    pub(crate) fn may_anchor(&self) -> bool {
        if self.version < 3 {
            return self.issuer() == self.subject();
        }
        self.extensions.ca && self.may_sign_certificates()
    }

    /// Whether it names this issuer's key by its identifier. Only a hint at whom to try first.
    pub(crate) fn names_key_of(&self, issuer: &Certificate<'_>) -> bool {
        self.extensions.issuer_key_id.is_some() && self.extensions.issuer_key_id == issuer.extensions.key_id
    }

    /// Whether a CA's certificate reads like that of a client: what it may be used for, or what it is called.
    pub(crate) fn looks_like_client(&self) -> bool {
        let only_signs = |usage: u16| usage & !(KEY_CERT_SIGN | CRL_SIGN) == 0;
        let says_client = self.extensions.extended_key_usage.as_ref().is_some_and(|purposes| purposes.client);
        let signs_only = self.extensions.key_usage.is_some_and(only_signs);
        self.is_self_issued()
            && (says_client
                || self.extensions.alternative_names.is_some()
                || (!signs_only && !name::reads_like_ca(self.subject())))
    }

    /// Verifies this certificate's signature with the issuer's SubjectPublicKeyInfo.
    pub(crate) fn check_signature(&self, issuer: &Certificate<'_>, signatures: &Signatures) -> Result<(), VerifyError> {
        let signed = der::signed(&self.der);
        if let Some(weak) = signed.as_ref().and_then(|signed| weak_signature(signed.algorithm)) {
            let detail = format!("{} is signed with {weak}: issue it again with SHA-256", self.label());
            return Err(VerifyError::new(Refusal::WeakKey, detail));
        }
        issuer.check_key()?;
        match signed.map_or(Signature::Bad, |signed| verify_signed(&signed, issuer.public_key(), signatures)) {
            Signature::Good => Ok(()),
            Signature::Unsupported => {
                let detail = format!("{} is signed with an algorithm that is not supported", self.label());
                Err(VerifyError::new(Refusal::WeakKey, detail))
            }
            Signature::Bad => {
                let issuer = name::text(issuer.subject());
                let detail = format!(
                    "the signature of {} does not verify with the key of {issuer}: the CA may have a new key under its old name",
                    self.label()
                );
                Err(VerifyError::new(Refusal::BadSignature, detail))
            }
        }
    }

    /// Refuses keys that are too short or of an unsupported kind.
    pub(crate) fn check_key(&self) -> Result<(), VerifyError> {
        match &self.weak_key {
            None => Ok(()),
            Some(what) => Err(VerifyError::new(Refusal::WeakKey, format!("{} has {what}", self.label()))),
        }
    }
}

impl Extensions {
    fn read(certificate: &X509Certificate<'_>, der: &[u8]) -> Result<Self, String> {
        let mut read = Self::default();
        let mut seen = HashSet::new();
        for extension in certificate.extensions() {
            if !seen.insert(extension.oid.as_bytes()) {
                return Err(format!("it has the extension {} twice", extension.oid.to_id_string()));
            }
            match extension.oid.as_bytes() {
                NAME_CONSTRAINTS => read.name_constraints = Some(range_in(der, extension.value)?),
                // Its names are read by those who need them, whatever a library makes of it.
                SUBJECT_ALT_NAME => read.alternative_names = Some(range_in(der, extension.value)?),
                _ => {}
            }
            read.add(extension, certificate.issuer().as_raw())?;
        }
        Ok(read)
    }

    fn add(&mut self, extension: &X509Extension<'_>, issuer: &[u8]) -> Result<(), String> {
        if extension.oid.as_bytes() == CRL_DISTRIBUTION_POINTS {
            self.crl_points = points_of_certificate(extension.value, issuer).unwrap_or_default();
            return Ok(());
        }
        // Spelt only where it is needed: that costs more than to parse most extensions.
        let oid = || extension.oid.to_id_string();
        match extension.parsed_extension() {
            ParsedExtension::BasicConstraints(constraints) => {
                self.ca = constraints.ca;
                self.path_len = constraints.path_len_constraint;
            }
            ParsedExtension::KeyUsage(usage) => self.key_usage = Some(usage.flags),
            ParsedExtension::ExtendedKeyUsage(usage) => {
                let purposes = Purposes { client: usage.client_auth, server: usage.server_auth, any: usage.any };
                self.extended_key_usage = Some(purposes);
            }
            ParsedExtension::NameConstraints(_) | ParsedExtension::SubjectAlternativeName(_) => {}
            ParsedExtension::PolicyConstraints(_) | ParsedExtension::InhibitAnyPolicy(_) => {
                self.policy_constraints = true
            }
            ParsedExtension::AuthorityKeyIdentifier(id) => {
                self.issuer_key_id = id.key_identifier.as_ref().map(|id| id.0.into());
            }
            ParsedExtension::SubjectKeyIdentifier(id) => self.key_id = Some(id.0.into()),
            // A usage that can't be read must not count as absent.
            ParsedExtension::ParseError { .. }
                if matches!(
                    oid().as_str(),
                    "2.5.29.15" | "2.5.29.19" | "2.5.29.30" | "2.5.29.36" | "2.5.29.37" | "2.5.29.54"
                ) =>
            {
                return Err(format!("its extension {} can't be parsed", oid()));
            }
            _ if extension.critical => {
                self.unknown_critical.get_or_insert_with(oid);
            }
            _ => {}
        }
        Ok(())
    }
}

/// What verifying a signature gave.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Signature {
    Good,
    Bad,
    /// No implemented algorithm fits the signature and the key.
    Unsupported,
}

/// Verifies a certificate's or a CRL's signature with a SubjectPublicKeyInfo, on this account.
pub(crate) fn verify_signed(signed: &der::Signed<'_>, public_key: &[u8], signatures: &Signatures) -> Signature {
    let key = SubjectPublicKeyInfoDer::from(public_key);
    let Ok(key) = webpki::RawPublicKeyEntity::try_from(&key) else {
        return Signature::Unsupported;
    };
    let algorithms = signatures.algorithms();
    let wanted = without_null(signed.algorithm);
    for algorithm in algorithms.iter().filter(|known| known.signature_alg_id().as_ref() == wanted) {
        match key.verify_signature(algorithm, signed.message, signed.signature) {
            Ok(()) => return Signature::Good,
            Err(webpki::Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_)) => {}
            Err(_) => return Signature::Bad,
        }
    }
    Signature::Unsupported
}

/// ECDSA with SHA-2 has no parameters (RFC 5758 §3.2). Some tools write NULL all the same, keytool before JDK 16 among
/// them, and the JDK and OpenSSL take it.
fn without_null(algorithm: &[u8]) -> &[u8] {
    const ECDSA_WITH_SHA2: &[u8] = b"\x06\x08\x2a\x86\x48\xce\x3d\x04\x03";
    match algorithm.strip_suffix(b"\x05\x00") {
        Some(bare) if bare.starts_with(ECDSA_WITH_SHA2) && bare.len() == ECDSA_WITH_SHA2.len() + 1 => bare,
        _ => algorithm,
    }
}

/// Every signature algorithm that certificates and CRLs may be signed with.
pub(crate) fn algorithms() -> &'static [&'static dyn SignatureVerificationAlgorithm] {
    webpki::ALL_VERIFICATION_ALGS
}

/// Where `part`, a slice of `whole`, lies in it.
fn range_in(whole: &[u8], part: &[u8]) -> Result<Range<usize>, String> {
    let start = (part.as_ptr() as usize).checked_sub(whole.as_ptr() as usize);
    let range = start.and_then(|start| Some(start..start.checked_add(part.len())?));
    range.filter(|range| range.end <= whole.len()).ok_or_else(|| "its fields can't be found".to_owned())
}
