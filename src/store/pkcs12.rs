//! PKCS#12 (RFC 7292), read by `p12-keystore`; here is decided what its bags mean.

use p12_keystore::Pkcs12Archive;
use p12_keystore::error::Error;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::TrustedCertificate;
use super::certificate;
use super::der::{Elements, SEQUENCE};
use super::fault::StoreFault;
use crate::secret::Secret;

/// How to get a store that is read here from one that isn't.
pub(super) const REWRITE: &str = "Write it anew with `openssl pkcs12 -in OLD.p12 -nodes -out ALL.pem` and \
                                  `openssl pkcs12 -export -in ALL.pem -out NEW.p12`";

/// The one private key, and all certificates.
pub(super) fn key_entry(
    data: &[u8],
    password: Option<&Secret>,
) -> Result<(PrivateKeyDer<'static>, Vec<CertificateDer<'static>>), StoreFault> {
    let archive = open(data, password)?;
    let key = match archive.keys.as_slice() {
        [] => return Err(StoreFault::NoKey),
        [bag] => PrivateKeyDer::Pkcs8(bag.key.as_der().to_vec().into()),
        several => {
            let alias = |name: &Option<String>| name.clone().unwrap_or_else(|| "unnamed".into());
            return Err(StoreFault::SeveralKeys(several.iter().map(|bag| alias(&bag.friendly_name)).collect()));
        }
    };
    let certificates =
        archive.certs.iter().map(|bag| checked(&bag.friendly_name, bag.cert.as_der())).collect::<Result<_, _>>()?;
    Ok((key, certificates))
}

/// The certificates to trust: those with Java's mark and the keys' own ones; in a store with neither keys nor marks,
/// as `openssl pkcs12 -export -nokeys` writes it, all. (Java finds such a store empty, but nobody means that.)
pub(super) fn trusted(data: &[u8], password: Option<&Secret>) -> Result<Vec<TrustedCertificate>, StoreFault> {
    let archive = open(data, password)?;
    let unmarked = archive.keys.is_empty() && !archive.certs.iter().any(|bag| bag.trusted);
    let belongs_to_key = |id: &Option<Vec<u8>>| {
        let mut key_ids = archive.keys.iter().filter_map(|key| key.local_key_id.as_ref());
        id.as_deref().is_some_and(|id| key_ids.any(|key_id| key_id.as_ref() == id))
    };
    archive
        .certs
        .iter()
        .filter(|bag| unmarked || bag.trusted || belongs_to_key(&bag.local_key_id))
        .map(|bag| {
            let certificate = checked(&bag.friendly_name, bag.cert.as_der())?;
            Ok(TrustedCertificate { alias: bag.friendly_name.clone(), certificate })
        })
        .collect()
}

fn checked(name: &Option<String>, der: &[u8]) -> Result<CertificateDer<'static>, StoreFault> {
    certificate::checked(der.to_vec(), &format!("\"{}\"", name.as_deref().unwrap_or("unnamed")))
}

/// Opens a store; no password is the empty password.
fn open(data: &[u8], password: Option<&Secret>) -> Result<Pkcs12Archive, StoreFault> {
    let given = password.is_some();
    let password = str::from_utf8(password.map_or(&[], Secret::expose))
        .ok()
        // Outside the basic plane OpenSSL and Java disagree on what a PKCS#12 password is.
        .filter(|text| text.chars().all(|c| u32::from(c) < 0xffff))
        .ok_or(StoreFault::PasswordText("UTF-8 without characters such as emoji"))?;
    let outline = Outline::of(data).ok_or_else(|| StoreFault::Malformed("its PKCS#12 outline is cut short".into()))?;
    let password_fault = || if given { StoreFault::WrongPassword } else { StoreFault::PasswordNeeded };
    Pkcs12Archive::from_pkcs12(data, password).map_err(|error| match error {
        Error::MacError(_) => password_fault(),
        // Nothing vouched for the password yet, so undecipherable content most likely means that it is wrong.
        error if is_garble(&error) && outline.encrypted && !outline.has_mac => password_fault(),
        Error::UnpadError | Error::Pkcs5Error(_) => StoreFault::Unsupported(
            "its key has another password than the store: copy it to a store with one password for both, by \
             `keytool -importkeystore -srckeypass … -destkeypass …`"
                .into(),
        ),
        Error::UnsupportedEncryptionScheme | Error::UnsupportedMacAlgorithm => StoreFault::Unsupported(format!(
            "it is encrypted or signed by an algorithm that isn't read here. {REWRITE}"
        )),
        Error::UnsupportedContentType => {
            StoreFault::Unsupported(format!("it is protected by a public key, not by a password. {REWRITE}"))
        }
        other => StoreFault::Malformed(format!("PKCS#12: {other}")),
    })
}

fn is_garble(error: &Error) -> bool {
    matches!(
        error,
        Error::UnpadError | Error::Pkcs5Error(_) | Error::DerError(_) | Error::X509Error(_) | Error::InvalidPrivateKey
    )
}

/// What shows without a password.
struct Outline {
    has_mac: bool,
    encrypted: bool,
}

impl Outline {
    fn of(data: &[u8]) -> Option<Self> {
        let mut pfx = Elements::of(data).enter(SEQUENCE)?;
        let _version = pfx.next()?;
        let content = pfx.expect(SEQUENCE)?;
        let holds = |identifier: &[u8]| content.windows(identifier.len()).any(|window| window == identifier);
        Some(Self { has_mac: !pfx.is_empty(), encrypted: holds(ENCRYPTED_DATA) || holds(SHROUDED_KEY_BAG) })
    }
}

/// 1.2.840.113549.1.7.6
const ENCRYPTED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x06];
/// 1.2.840.113549.1.12.10.1.2
const SHROUDED_KEY_BAG: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x0c, 0x0a, 0x01, 0x02];
