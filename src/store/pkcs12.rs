//! PKCS#12 (RFC 7292) in DER and BER: what protects a store, and what its bags mean.

mod bags;
mod mac;

use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

use self::bags::{Bag, Content};
use self::mac::Mac;
use super::TrustedCertificate;
use super::advice::Advice;
use super::ber;
use super::certificate;
use super::der::{CONTEXT_0, Elements, INTEGER, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE};
use super::encryption::{self, Budget, Failure, Password};
use super::fault::StoreFault;
use crate::secret::Secret;

/// How to get a store that is read here from one that isn't.
pub(super) fn rewrite() -> String {
    format!("Write it anew with {} and {}", Advice::Pkcs12ToPem, Advice::PemToPkcs12)
}

/// The one private key, and all certificates. The key is opened by its own password, where that is given and fits,
/// else by the store's.
pub(super) fn key_entry(
    data: &[u8],
    password: Option<&Secret>,
    key_password: Option<&Secret>,
) -> Result<(PrivateKeyDer<'static>, Vec<CertificateDer<'static>>), StoreFault> {
    let (archive, mut opener) = open(data, password.or(key_password))?;
    let bag = match archive.keys().collect::<Vec<_>>().as_slice() {
        [] => return Err(StoreFault::NoKey),
        [bag] => *bag,
        several => {
            let alias = |name: &Option<String>| name.clone().unwrap_or_else(|| "unnamed".into());
            return Err(StoreFault::SeveralKeys(several.iter().map(|bag| alias(&bag.name)).collect()));
        }
    };
    let by_its_own = match key_password {
        Some(_) => opener.key(bag, &Password::new(text(key_password)?)).ok(),
        None => None,
    };
    let key = match by_its_own {
        Some(key) => key,
        None => opener.open_key(bag)?,
    };
    Ok((PrivateKeyDer::Pkcs8(key.to_vec().into()), archive.certificates()?))
}

/// The certificates to trust: those with Java's mark and the keys' own ones; in a store with neither keys nor marks,
/// as `openssl pkcs12 -export -nokeys` writes it, all. (Java finds such a store empty, but nobody means that.)
pub(super) fn trusted(data: &[u8], password: Option<&Secret>) -> Result<Vec<TrustedCertificate>, StoreFault> {
    let (archive, mut opener) = open(data, password)?;
    // Where there is no MAC, a key may be all that tells a wrong password.
    if let Some(key) = archive.keys().next().filter(|_| !opener.vouched) {
        opener.open_key(key)?;
    }
    let unmarked = archive.keys().next().is_none() && !archive.bags.iter().any(|bag| bag.trusted);
    let belongs_to_key = |bag: &Bag| bag.key_id.is_some() && archive.keys().any(|key| key.key_id == bag.key_id);
    let chosen = archive.bags.iter().filter(|bag| unmarked || bag.trusted || belongs_to_key(bag));
    chosen
        .filter_map(|bag| Some((bag, certificate_of(bag)?)))
        .map(|(bag, certificate)| Ok(TrustedCertificate { alias: bag.name.clone(), certificate: certificate? }))
        .collect()
}

/// The bags of all safes.
struct Archive {
    bags: Vec<Bag>,
}

impl Archive {
    fn keys(&self) -> impl Iterator<Item = &Bag> {
        self.bags.iter().filter(|bag| matches!(bag.content, Content::Key(_) | Content::Shrouded { .. }))
    }

    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, StoreFault> {
        self.bags.iter().filter_map(certificate_of).collect()
    }
}

fn certificate_of(bag: &Bag) -> Option<Result<CertificateDer<'static>, StoreFault>> {
    match &bag.content {
        Content::Certificate(der) => {
            let place = format!("\"{}\"", bag.name.as_deref().unwrap_or("unnamed"));
            Some(certificate::checked(der.clone(), &place))
        }
        Content::OtherCertificate => {
            Some(Err(StoreFault::Unsupported("it holds a certificate that is no X.509 certificate".into())))
        }
        Content::Key(_) | Content::Shrouded { .. } | Content::Other => None,
    }
}

/// What opens the parts of a store, and what is known of it.
struct Opener<'a> {
    password: Password<'a>,
    budget: Budget,
    /// Whether a password was given at all.
    given: bool,
    /// Whether something has vouched for the password: the MAC.
    vouched: bool,
}

/// The password as text; no password is the empty password.
fn text(password: Option<&Secret>) -> Result<&str, StoreFault> {
    str::from_utf8(password.map_or(&[], Secret::expose))
        .ok()
        // Outside the basic plane OpenSSL and Java disagree on what a PKCS#12 password is.
        .filter(|text| text.chars().all(|c| u32::from(c) < 0xffff))
        .ok_or(StoreFault::PasswordText("UTF-8 without characters such as emoji"))
}

/// Checks the integrity of a store, if it has a MAC, and opens all of it but the keys.
fn open<'a>(data: &[u8], password: Option<&'a Secret>) -> Result<(Archive, Opener<'a>), StoreFault> {
    let mut opener = Opener {
        password: Password::new(text(password)?),
        budget: Budget::new(),
        given: password.is_some(),
        vouched: false,
    };
    let der = ber::to_der(data)
        .ok_or_else(|| StoreFault::Malformed("its PKCS#12 outline is cut short, or isn't whole DER or BER".into()))?;
    let mut store = Elements::of(&der).enter(SEQUENCE).ok_or_else(damaged)?;
    if store.expect(INTEGER) != Some(&[3]) {
        return Err(StoreFault::Malformed("it has another version than 3, the only one of PKCS#12".into()));
    }
    let content = store.enter(SEQUENCE).ok_or_else(damaged)?;
    let content = match part(content).ok_or_else(damaged)? {
        Part::Data(content) => content,
        Part::Encrypted { .. } | Part::Other => return Err(public_key()),
    };
    if !store.is_empty() {
        let mac = store.enter(SEQUENCE).and_then(Mac::read).ok_or_else(damaged)?;
        opener.check(&mac, content)?;
    }
    let mut bags = Vec::new();
    let safes = ber::to_der(content).ok_or_else(damaged)?;
    let mut safes = Elements::of(&safes).enter(SEQUENCE).ok_or_else(damaged)?;
    while !safes.is_empty() {
        bags.extend(opener.safe(safes.enter(SEQUENCE).ok_or_else(damaged)?)?);
    }
    Ok((Archive { bags }, opener))
}

impl Opener<'_> {
    fn check(&mut self, mac: &Mac<'_>, content: &[u8]) -> Result<(), StoreFault> {
        match mac.check(content, &mut self.password, &mut self.budget) {
            Ok(true) => self.vouched = true,
            Ok(false) => return Err(self.wrong_password()),
            Err(Failure::Unknown(what)) => {
                return Err(StoreFault::Unsupported(format!(
                    "it is protected by {what}, which isn't read here. Write it anew with {}, which doesn't check \
                     the MAC but runs on OpenSSL 3.0 (from 3.4 on leave out -nomacver if the MAC is a PBMAC1), and {}",
                    Advice::Pkcs12ToPemUnchecked,
                    Advice::PemToPkcs12
                )));
            }
            Err(failure) => return Err(self.fault(failure)),
        }
        Ok(())
    }

    /// The bags of one safe.
    fn safe(&mut self, safe: Elements<'_>) -> Result<Vec<Bag>, StoreFault> {
        let plain = match part(safe).ok_or_else(damaged)? {
            Part::Data(content) => Zeroizing::new(content.to_vec()),
            Part::Encrypted { algorithm, encrypted } => {
                encryption::decrypt(algorithm, &encrypted, &self.password, &mut self.budget)
                    .map_err(|failure| self.fault(failure))?
            }
            Part::Other => return Err(public_key()),
        };
        let bags = ber::to_der(&plain).and_then(|der| bags::read(&der));
        // What was decrypted by a wrong password looks so, where no MAC has vouched for it.
        bags.ok_or_else(|| if self.vouched { damaged() } else { self.wrong_password() })
    }

    /// A key by the store's own password.
    fn open_key(&mut self, bag: &Bag) -> Result<Zeroizing<Vec<u8>>, StoreFault> {
        let password = Password { utf8: self.password.utf8, utf16: self.password.utf16.clone() };
        self.key(bag, &password).map_err(|failure| match failure {
            Failure::Undecipherable if self.vouched => StoreFault::WrongKeyPassword,
            failure => self.fault(failure),
        })
    }

    fn key(&mut self, bag: &Bag, password: &Password<'_>) -> Result<Zeroizing<Vec<u8>>, Failure> {
        match &bag.content {
            Content::Key(key) => Ok(key.clone()),
            Content::Shrouded { algorithm, encrypted } => {
                let key = encryption::decrypt(algorithm, encrypted, password, &mut self.budget)?;
                // Padding alone lets one wrong password in 256 through.
                let mut whole = Elements::of(&key);
                let number = whole.enter(SEQUENCE).and_then(|mut info| info.expect(INTEGER));
                if number.is_none() || !whole.is_empty() {
                    return Err(Failure::Undecipherable);
                }
                Ok(key)
            }
            Content::Certificate(_) | Content::OtherCertificate | Content::Other => Err(Failure::Damaged),
        }
    }

    fn fault(&self, failure: Failure) -> StoreFault {
        match failure {
            Failure::Undecipherable if self.vouched => {
                StoreFault::Malformed("its certificates are encrypted by another password than the store's".into())
            }
            Failure::Undecipherable => self.wrong_password(),
            Failure::Unknown(what) => StoreFault::Unsupported(format!(
                "it is encrypted by {what}, which isn't read here. {}, or let the tool that wrote it choose AES-CBC",
                rewrite()
            )),
            Failure::TooMuchWork(what) => {
                StoreFault::Unsupported(format!("it asks for an unreasonable amount of work: {what}"))
            }
            Failure::Damaged => damaged(),
        }
    }

    fn wrong_password(&self) -> StoreFault {
        if self.given { StoreFault::WrongPassword } else { StoreFault::PasswordNeeded }
    }
}

fn damaged() -> StoreFault {
    StoreFault::Malformed("its PKCS#12 outline or parameters can't be parsed".into())
}

fn public_key() -> StoreFault {
    StoreFault::Unsupported(
        "it is protected by a public key, not by a password: export it anew, with a password".into(),
    )
}

/// A ContentInfo.
enum Part<'a> {
    Data(&'a [u8]),
    /// By a password: the value of the AlgorithmIdentifier, and the rest.
    Encrypted {
        algorithm: &'a [u8],
        encrypted: Zeroizing<Vec<u8>>,
    },
    /// Signed, or encrypted for a public key.
    Other,
}

fn part(mut info: Elements<'_>) -> Option<Part<'_>> {
    let kind = info.expect(OBJECT_IDENTIFIER)?;
    let mut content = info.enter(CONTEXT_0)?;
    if kind == DATA {
        return content.expect(OCTET_STRING).map(Part::Data);
    }
    if kind != ENCRYPTED_DATA {
        return Some(Part::Other);
    }
    let mut data = content.enter(SEQUENCE)?;
    data.expect(INTEGER)?;
    let mut encrypted = data.enter(SEQUENCE)?;
    encrypted.expect(OBJECT_IDENTIFIER)?;
    let algorithm = encrypted.expect(SEQUENCE)?;
    // Implicitly tagged: in one piece, or in several that are tagged as what they are.
    let encrypted = match encrypted.next()? {
        (CONTEXT_0_PRIMITIVE, whole) => Zeroizing::new(whole.to_vec()),
        (CONTEXT_0, pieces) => {
            let (mut joined, mut pieces) = (Zeroizing::new(Vec::with_capacity(pieces.len())), Elements::of(pieces));
            while !pieces.is_empty() {
                joined.extend_from_slice(pieces.expect(OCTET_STRING)?);
            }
            joined
        }
        _ => return None,
    };
    Some(Part::Encrypted { algorithm, encrypted })
}

const CONTEXT_0_PRIMITIVE: u8 = 0x80;
/// 1.2.840.113549.1.7.1
const DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01];
/// 1.2.840.113549.1.7.6
const ENCRYPTED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x06];
