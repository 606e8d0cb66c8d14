//! How JKS and JCEKS seal private keys. Both are weak by today's measure; they are only ever opened here.

use des::TdesEde3;
use des::cipher::BlockModeDecrypt;
use des::cipher::KeyIvInit;
use des::cipher::block_padding::Pkcs7;
use md5::Md5;
use sha1::{Digest, Sha1};
use zeroize::Zeroizing;

use crate::secret::Secret;
use crate::store::der::{Elements, INTEGER, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE};
use crate::store::fault::StoreFault;

/// A password as Java's `char[]`.
pub(super) struct Password(Zeroizing<Vec<u8>>);

impl Password {
    pub(super) fn new(secret: &Secret) -> Result<Self, StoreFault> {
        let text = str::from_utf8(secret.expose()).map_err(|_| StoreFault::PasswordText("UTF-8"))?;
        let mut utf16 = Zeroizing::new(Vec::with_capacity(2 * text.len()));
        utf16.extend(text.encode_utf16().flat_map(u16::to_be_bytes));
        Ok(Self(utf16))
    }

    /// Each character in two bytes.
    pub(super) fn utf16(&self) -> &[u8] {
        &self.0
    }

    /// Each character in seven bits, which is all that Java's password-based ciphers accept.
    fn ascii(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.0.chunks_exact(2).map(|unit| unit[1] & 0x7f).collect())
    }
}

/// Opens an `EncryptedPrivateKeyInfo` of either kind; returns PKCS#8.
pub(super) fn unseal(sealed: &[u8], password: &Password) -> Result<Zeroizing<Vec<u8>>, StoreFault> {
    let damaged = || StoreFault::Malformed("its sealed private key can't be parsed".into());
    let mut info = Elements::of(sealed).enter(SEQUENCE).ok_or_else(damaged)?;
    let mut algorithm = info.enter(SEQUENCE).ok_or_else(damaged)?;
    let identifier = algorithm.expect(OBJECT_IDENTIFIER).ok_or_else(damaged)?;
    let encrypted = info.expect(OCTET_STRING).ok_or_else(damaged)?;
    match identifier {
        JKS_PROTECTOR => jks(encrypted, password),
        PBE_WITH_MD5_AND_TRIPLE_DES => {
            let mut parameters = algorithm.enter(SEQUENCE).ok_or_else(damaged)?;
            let salt = parameters.expect(OCTET_STRING).and_then(|salt| salt.try_into().ok()).ok_or_else(damaged)?;
            let iterations = parameters.expect(INTEGER).and_then(small).ok_or_else(damaged)?;
            jceks(encrypted, password, salt, iterations)
        }
        _ => Err(StoreFault::Unsupported("its private key is sealed by an unknown algorithm".into())),
    }
}

/// 1.3.6.1.4.1.42.2.17.1.1
const JKS_PROTECTOR: &[u8] = &[0x2b, 0x06, 0x01, 0x04, 0x01, 0x2a, 0x02, 0x11, 0x01, 0x01];
/// 1.3.6.1.4.1.42.2.19.1
const PBE_WITH_MD5_AND_TRIPLE_DES: &[u8] = &[0x2b, 0x06, 0x01, 0x04, 0x01, 0x2a, 0x02, 0x13, 0x01];
/// As in Java; its default is 200,000.
const MOST_ITERATIONS: u32 = 5_000_000;
const SHA1_LENGTH: usize = 20;

/// A number of at most four octets within bounds.
fn small(integer: &[u8]) -> Option<u32> {
    if integer.is_empty() || integer.len() > 4 {
        return None;
    }
    let value = integer.iter().fold(0, |value, octet| value << 8 | u32::from(*octet));
    (1..=MOST_ITERATIONS).contains(&value).then_some(value)
}

/// `sun.security.provider.KeyProtector`: salt, then the key XORed with a chain of SHA-1 over password and the last
/// digest, then SHA-1 over password and key.
fn jks(encrypted: &[u8], password: &Password) -> Result<Zeroizing<Vec<u8>>, StoreFault> {
    let cut_short = || StoreFault::Malformed("its sealed private key is cut short".into());
    let (salt, rest) = encrypted.split_at_checked(SHA1_LENGTH).ok_or_else(cut_short)?;
    let end = rest.len().checked_sub(SHA1_LENGTH).ok_or_else(cut_short)?;
    let (encrypted, check) = rest.split_at(end);
    let mut key = Zeroizing::new(Vec::with_capacity(encrypted.len()));
    let mut digest = Sha1::new().chain_update(password.utf16()).chain_update(salt).finalize();
    for block in encrypted.chunks(SHA1_LENGTH) {
        key.extend(block.iter().zip(&digest).map(|(octet, mask)| octet ^ mask));
        digest = Sha1::new().chain_update(password.utf16()).chain_update(digest).finalize();
    }
    let expected = Sha1::new().chain_update(password.utf16()).chain_update(&*key).finalize();
    if expected[..] != *check {
        return Err(StoreFault::WrongKeyPassword);
    }
    Ok(key)
}

/// `com.sun.crypto.provider.PBEWithMD5AndTripleDESCipher`: triple DES whose key and initial vector come from MD5
/// over each half of the salt and the password, many times.
fn jceks(
    encrypted: &[u8],
    password: &Password,
    salt: [u8; 8],
    iterations: u32,
) -> Result<Zeroizing<Vec<u8>>, StoreFault> {
    let password = password.ascii();
    let mut material = Zeroizing::new([0u8; 32]);
    for (half, out) in salt_halves(salt).iter().zip(material.chunks_exact_mut(16)) {
        let mut digest = Md5::new().chain_update(half).chain_update(&*password).finalize();
        for _ in 1..iterations {
            digest = Md5::new().chain_update(digest).chain_update(&*password).finalize();
        }
        out.copy_from_slice(&digest);
    }
    let (key, vector) = material.split_at(24);
    let cipher = cbc::Decryptor::<TdesEde3>::new_from_slices(key, vector)
        .map_err(|_| StoreFault::Malformed("its sealed private key has an impossible cipher key".into()))?;
    let key =
        cipher.decrypt_padded_vec::<Pkcs7>(encrypted).map(Zeroizing::new).map_err(|_| StoreFault::WrongKeyPassword)?;
    // Padding alone lets one wrong password in 256 through.
    let mut whole = Elements::of(&key);
    if whole.enter(SEQUENCE).and_then(|mut info| info.expect(INTEGER)).is_none() || !whole.is_empty() {
        return Err(StoreFault::WrongKeyPassword);
    }
    Ok(key)
}

/// Equal halves would make two equal DES keys, so Java reverses the first one then.
fn salt_halves(salt: [u8; 8]) -> [[u8; 4]; 2] {
    let [a, b, c, d, rest @ ..] = salt;
    if [a, b, c, d] == rest { [[d, c, b, a], rest] } else { [[a, b, c, d], rest] }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ciphertexts by OpenJDK 17's `PBEWithMD5AndTripleDES`, three iterations. Keytool never makes a salt of two
    /// equal halves, so no store made at test time shows what Java does with one.
    #[test]
    fn triple_des_keys_are_derived_as_java_does_it_even_from_a_salt_of_equal_halves() {
        let password = Password::new(&Secret::new(b"changeit".to_vec())).unwrap();
        for (salt, encrypted) in [
            ([1, 2, 3, 4, 5, 6, 7, 8], [0x3c, 0x19, 0x11, 0x31, 0x4c, 0x66, 0xc3, 0xc0]),
            ([1, 2, 3, 4, 1, 2, 3, 4], [0x3e, 0xe9, 0xe9, 0xa6, 0x26, 0x5a, 0x04, 0x79]),
        ] {
            assert_eq!(*jceks(&encrypted, &password, salt, 3).unwrap(), [0x30, 3, 2, 1, 5]);
            assert!(matches!(jceks(&encrypted, &password, salt, 4), Err(StoreFault::WrongKeyPassword)));
        }
    }

    #[test]
    fn an_iteration_count_that_java_would_refuse_is_refused() {
        assert_eq!(small(&[3, 0x0d, 0x40]), Some(200_000));
        assert_eq!(small(&[0x4c, 0x4b, 0x40]), Some(MOST_ITERATIONS));
        for odd in [&[][..], &[0], &[0x4c, 0x4b, 0x41], &[0x7f, 0xff, 0xff, 0xff], &[0xff; 4], &[0; 5]] {
            assert_eq!(small(odd), None, "{odd:?}");
        }
    }

    #[test]
    fn a_sealed_key_too_short_for_salt_and_check_is_damaged() {
        let password = Password::new(&Secret::new(b"changeit".to_vec())).unwrap();
        for length in 0..40 {
            assert!(matches!(jks(&vec![0; length], &password), Err(StoreFault::Malformed(_))));
        }
    }
}
