//! The MAC of a PKCS#12 store: the old one (RFC 7292, appendix B.4) and PBMAC1 (RFC 9579).

use std::num::NonZeroU32;

use aws_lc_rs::{hmac as lc_hmac, pbkdf2};
use hmac::{Hmac, KeyInit, Mac as _};
use pkcs12::kdf::{Pkcs12KeyType, derive_key};
use sha1::Sha1;
use sha2::{Sha224, Sha256, Sha384, Sha512, Sha512_224, Sha512_256};
use zeroize::Zeroizing;

use crate::store::algorithm::{self, dotted};
use crate::store::der::{Elements, INTEGER, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE};
use crate::store::encryption::{Budget, Failure, Password};

/// `MacData`, not looked into further.
pub(super) struct Mac<'a> {
    algorithm: String,
    parameters: Elements<'a>,
    digest: &'a [u8],
    salt: &'a [u8],
    iterations: u32,
}

impl<'a> Mac<'a> {
    pub(super) fn read(mut data: Elements<'a>) -> Option<Self> {
        let mut info = data.enter(SEQUENCE)?;
        let mut parameters = info.enter(SEQUENCE)?;
        let algorithm = parameters.expect(OBJECT_IDENTIFIER).map(dotted)?;
        let (digest, salt) = (info.expect(OCTET_STRING)?, data.expect(OCTET_STRING)?);
        let iterations = if data.is_empty() { 1 } else { data.number()? };
        Some(Self { algorithm, parameters, digest, salt, iterations })
    }

    /// Whether the password opens the store. Of the forms of a password only the one that does is kept.
    pub(super) fn check(
        &self,
        content: &[u8],
        password: &mut Password<'_>,
        budget: &mut Budget,
    ) -> Result<bool, Failure> {
        if self.algorithm == algorithm::PBMAC1 {
            return pbmac1(self.parameters, (content, self.digest), password, budget);
        }
        let matches = match self.algorithm.as_str() {
            "1.3.14.3.2.26" => matches::<Sha1>,
            "2.16.840.1.101.3.4.2.4" => matches::<Sha224>,
            "2.16.840.1.101.3.4.2.1" => matches::<Sha256>,
            "2.16.840.1.101.3.4.2.2" => matches::<Sha384>,
            "2.16.840.1.101.3.4.2.3" => matches::<Sha512>,
            "2.16.840.1.101.3.4.2.5" => matches::<Sha512_224>,
            "2.16.840.1.101.3.4.2.6" => matches::<Sha512_256>,
            other => return Err(Failure::Unknown(format!("a MAC by {}", algorithm::name(other)))),
        };
        let iterations = i32::try_from(self.iterations).ok().filter(|count| *count > 0).ok_or(Failure::Damaged)?;
        for index in 0..password.utf16.len() {
            budget.take(self.iterations)?;
            if matches(&password.utf16[index], self, iterations, content) {
                password.utf16 = vec![password.utf16.swap_remove(index)];
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn matches<D>(password: &[u8], mac: &Mac<'_>, iterations: i32, content: &[u8]) -> bool
where
    D: hmac::EagerHash + sha2::Digest + hmac::digest::FixedOutputReset + hmac::digest::block_api::BlockSizeUser,
{
    let length = <D as sha2::Digest>::output_size();
    let key = Zeroizing::new(derive_key::<D>(password, mac.salt, Pkcs12KeyType::Mac, iterations, length));
    let Ok(keyed) = Hmac::<D>::new_from_slice(&key) else { return false };
    keyed.chain_update(content).verify_slice(mac.digest).is_ok()
}

/// Shorter keys, and none at all, are forbidden (RFC 9579, §4); longer ones nobody writes.
const KEY_LENGTHS: std::ops::RangeInclusive<u32> = 20..=64;

fn pbmac1(
    mut parameters: Elements<'_>,
    (content, digest): (&[u8], &[u8]),
    password: &Password<'_>,
    budget: &mut Budget,
) -> Result<bool, Failure> {
    let mut parameters = parameters.enter(SEQUENCE).ok_or(Failure::Damaged)?;
    let mut derivation = parameters.enter(SEQUENCE).ok_or(Failure::Damaged)?;
    let scheme = parameters.enter(SEQUENCE).and_then(identifier).ok_or(Failure::Damaged)?;
    let unknown = |what: &str| Failure::Unknown(format!("PBMAC1 with {}", algorithm::name(what)));
    let mac = match scheme.as_str() {
        "1.2.840.113549.2.7" => lc_hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        "1.2.840.113549.2.8" => lc_hmac::HMAC_SHA224,
        "1.2.840.113549.2.9" => lc_hmac::HMAC_SHA256,
        "1.2.840.113549.2.10" => lc_hmac::HMAC_SHA384,
        "1.2.840.113549.2.11" => lc_hmac::HMAC_SHA512,
        other => return Err(unknown(other)),
    };
    let name = derivation.expect(OBJECT_IDENTIFIER).map(dotted).ok_or(Failure::Damaged)?;
    if name != algorithm::PBKDF2 {
        return Err(unknown(&name));
    }
    let mut derivation = derivation.enter(SEQUENCE).ok_or(Failure::Damaged)?;
    let salt = derivation.expect(OCTET_STRING).ok_or(Failure::Damaged)?;
    let iterations = derivation.number().and_then(NonZeroU32::new).ok_or(Failure::Damaged)?;
    let length = derivation.at(INTEGER).then(|| derivation.number()).flatten();
    let length = length.filter(|length| KEY_LENGTHS.contains(length)).ok_or(Failure::Damaged)?;
    let function = match derivation.enter(SEQUENCE) {
        Some(function) => identifier(function).ok_or(Failure::Damaged)?,
        // The default.
        None => "1.2.840.113549.2.7".into(),
    };
    let function = match function.as_str() {
        "1.2.840.113549.2.7" => pbkdf2::PBKDF2_HMAC_SHA1,
        "1.2.840.113549.2.9" => pbkdf2::PBKDF2_HMAC_SHA256,
        "1.2.840.113549.2.10" => pbkdf2::PBKDF2_HMAC_SHA384,
        "1.2.840.113549.2.11" => pbkdf2::PBKDF2_HMAC_SHA512,
        other => return Err(Failure::Unknown(format!("PBMAC1 with PBKDF2 by {}", algorithm::name(other)))),
    };
    budget.take(iterations.get())?;
    let mut key = Zeroizing::new(vec![0; length as usize]);
    pbkdf2::derive(function, iterations, salt, password.utf8, &mut key);
    Ok(lc_hmac::verify(&lc_hmac::Key::new(mac, &key), content, digest).is_ok())
}

fn identifier(mut algorithm: Elements<'_>) -> Option<String> {
    algorithm.expect(OBJECT_IDENTIFIER).map(dotted)
}
