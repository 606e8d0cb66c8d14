//! Password-based encryption: PBES2 (RFC 8018), and what PKCS#12 had before it (RFC 7292, appendix B).

use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockCipherDecrypt, BlockModeDecrypt, KeyInit, KeyIvInit};
use des::{TdesEde2, TdesEde3};
use pkcs8::pkcs5::AlgorithmIdentifierRef;
use pkcs8::pkcs5::pbes2::{EncryptionScheme, Kdf, Parameters};
use pkcs12::kdf::{Pkcs12KeyType, derive_key};
use rc2::Rc2;
use sha1::Sha1;
use zeroize::Zeroizing;

use super::algorithm::{self, dotted};
use super::der::{Elements, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE};

/// Why something can't be decrypted.
#[derive(Debug)]
pub(super) enum Failure {
    /// An algorithm that isn't known here, by its name.
    Unknown(String),
    /// The work that it asks for, in iterations or bytes.
    TooMuchWork(String),
    /// Parameters that no writer makes.
    Damaged,
    /// The key is not that of the password, or the data is damaged.
    Undecipherable,
}

/// A password in the forms that derivations want.
pub(super) struct Password<'a> {
    /// For PBKDF2 and scrypt.
    pub(super) utf8: &'a [u8],
    /// For PKCS#12's own derivation: as UTF-16 with a NUL behind. Several forms where writers disagree.
    pub(super) utf16: Vec<Zeroizing<Vec<u8>>>,
}

impl<'a> Password<'a> {
    /// No password at all is the empty one.
    pub(super) fn new(text: &'a str) -> Self {
        let mut utf16 = Zeroizing::new(Vec::with_capacity(2 * text.len() + 2));
        utf16.extend(text.encode_utf16().chain([0]).flat_map(u16::to_be_bytes));
        let mut forms = vec![utf16];
        if text.is_empty() {
            // OpenSSL and Windows tell no password from an empty one, and know both as "".
            forms.push(Zeroizing::new(Vec::new()));
        }
        Self { utf8: text.as_bytes(), utf16: forms }
    }
}

/// The work that one file may ask for, so that a damaged number doesn't become hours.
#[derive(Debug)]
pub(super) struct Budget {
    iterations: u32,
}

impl Budget {
    /// A hundred times what OpenSSL and Java write; some seconds of work.
    pub(super) const ITERATIONS: u32 = 10_000_000;

    pub(super) fn new() -> Self {
        Self { iterations: Self::ITERATIONS }
    }

    pub(super) fn take(&mut self, iterations: u32) -> Result<(), Failure> {
        match self.iterations.checked_sub(iterations) {
            Some(left) => self.iterations = left,
            None => {
                return Err(Failure::TooMuchWork(format!(
                    "{iterations} iterations to derive a key, of at most {} for a whole file",
                    Self::ITERATIONS
                )));
            }
        }
        Ok(())
    }
}

/// Decrypts what is encrypted by an algorithm, of which this is the value of its AlgorithmIdentifier.
pub(super) fn decrypt(
    algorithm: &[u8],
    encrypted: &[u8],
    password: &Password<'_>,
    budget: &mut Budget,
) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let mut algorithm = Elements::of(algorithm);
    let identifier = algorithm.expect(OBJECT_IDENTIFIER).map(dotted).ok_or(Failure::Damaged)?;
    match identifier.as_str() {
        algorithm::PBES2 => {
            let parameters = pbes2(algorithm.enter(SEQUENCE).ok_or(Failure::Damaged)?)?;
            budget.charge(&parameters.kdf)?;
            match parameters.decrypt(password.utf8, encrypted) {
                Ok(plain) => Ok(Zeroizing::new(plain)),
                // For a wrong password, and for a length that is no number of blocks.
                Err(pkcs8::pkcs5::Error::DecryptFailed) => Err(Failure::Undecipherable),
                Err(_) => Err(Failure::Damaged),
            }
        }
        "1.2.840.113549.1.12.1.3" => pkcs12::<TdesEde3>(algorithm, 24, (encrypted, password, budget)),
        "1.2.840.113549.1.12.1.4" => pkcs12::<TdesEde2>(algorithm, 16, (encrypted, password, budget)),
        "1.2.840.113549.1.12.1.5" => pkcs12::<Rc2>(algorithm, 16, (encrypted, password, budget)),
        "1.2.840.113549.1.12.1.6" => pkcs12::<Rc2>(algorithm, 5, (encrypted, password, budget)),
        _ => Err(Failure::Unknown(algorithm::name(&identifier))),
    }
}

/// The parameters of PBES2, with a name for what isn't known.
fn pbes2(mut parameters: Elements<'_>) -> Result<Parameters, Failure> {
    let derivation = parameters.raw(SEQUENCE).ok_or(Failure::Damaged)?;
    let mut scheme = parameters.enter(SEQUENCE).ok_or(Failure::Damaged)?;
    let identifier = scheme.expect(OBJECT_IDENTIFIER).map(dotted).ok_or(Failure::Damaged)?;
    let mut vector = || scheme.expect(OCTET_STRING).ok_or(Failure::Damaged);
    let of_length = |_| Failure::Damaged;
    let encryption = match identifier.as_str() {
        "2.16.840.1.101.3.4.1.2" => EncryptionScheme::Aes128Cbc { iv: vector()?.try_into().map_err(of_length)? },
        "2.16.840.1.101.3.4.1.22" => EncryptionScheme::Aes192Cbc { iv: vector()?.try_into().map_err(of_length)? },
        "2.16.840.1.101.3.4.1.42" => EncryptionScheme::Aes256Cbc { iv: vector()?.try_into().map_err(of_length)? },
        "1.2.840.113549.3.7" => EncryptionScheme::DesEde3Cbc { iv: vector()?.try_into().map_err(of_length)? },
        "2.16.840.1.101.3.4.1.6" => EncryptionScheme::Aes128Gcm { nonce: nonce(scheme)? },
        "2.16.840.1.101.3.4.1.46" => EncryptionScheme::Aes256Gcm { nonce: nonce(scheme)? },
        _ => return Err(Failure::Unknown(format!("PBES2 with {}", algorithm::name(&identifier)))),
    };
    Ok(Parameters { kdf: kdf(derivation)?, encryption })
}

/// The nonce of `GCMParameters` (RFC 5084, §3.2), where it and the tag have the usual lengths.
fn nonce(mut scheme: Elements<'_>) -> Result<[u8; 12], Failure> {
    let mut parameters = scheme.enter(SEQUENCE).ok_or(Failure::Damaged)?;
    let nonce = parameters.expect(OCTET_STRING).ok_or(Failure::Damaged)?;
    let tag = if parameters.is_empty() { 12 } else { parameters.number().ok_or(Failure::Damaged)? };
    let odd = || Failure::Unknown(format!("AES-GCM with a nonce of {} bytes and a tag of {tag}", nonce.len()));
    nonce.try_into().ok().filter(|_| tag == 16).ok_or_else(odd)
}

fn kdf(derivation: &[u8]) -> Result<Kdf, Failure> {
    let identifier = Elements::of(derivation)
        .enter(SEQUENCE)
        .and_then(|mut algorithm| algorithm.expect(OBJECT_IDENTIFIER))
        .map(dotted)
        .ok_or(Failure::Damaged)?;
    let parsed = AlgorithmIdentifierRef::try_from(derivation).map(Kdf::try_from);
    match parsed {
        Ok(Ok(kdf)) => Ok(kdf),
        _ => Err(Failure::Unknown(format!("{} with parameters that aren't known", algorithm::name(&identifier)))),
    }
}

/// Sixteen times what OpenSSL writes.
const MOST_SCRYPT_MEMORY: u64 = 256 << 20;
const MOST_SCRYPT_LANES: u16 = 16;

impl Budget {
    fn charge(&mut self, kdf: &Kdf) -> Result<(), Failure> {
        match kdf {
            Kdf::Pbkdf2(pbkdf2) => self.take(pbkdf2.iteration_count),
            Kdf::Scrypt(scrypt) => {
                let memory = u128::from(scrypt.cost_parameter) * u128::from(scrypt.block_size) * 128;
                if memory > u128::from(MOST_SCRYPT_MEMORY) || scrypt.parallelization > MOST_SCRYPT_LANES {
                    let asked = format!("{} MiB of memory for scrypt, {} times", memory >> 20, scrypt.parallelization);
                    return Err(Failure::TooMuchWork(asked));
                }
                // A megabyte of scrypt takes about as long as ten thousand iterations.
                let iterations = (memory >> 20) as u32 * 10_000 / 16 * u32::from(scrypt.parallelization);
                self.take(iterations)
            }
            _ => Err(Failure::Unknown("a derivation of keys that isn't known".into())),
        }
    }
}

/// What is decrypted, by which password, and the work that is left.
type Task<'a, 'b> = (&'a [u8], &'a Password<'b>, &'a mut Budget);

/// PKCS#12's own encryption: key and initial vector come from SHA-1 over salt and password.
fn pkcs12<C: BlockCipherDecrypt + KeyInit>(
    mut algorithm: Elements<'_>,
    key_length: usize,
    (encrypted, password, budget): Task<'_, '_>,
) -> Result<Zeroizing<Vec<u8>>, Failure>
where
    cbc::Decryptor<C>: KeyIvInit,
{
    let mut parameters = algorithm.enter(SEQUENCE).ok_or(Failure::Damaged)?;
    let salt = parameters.expect(OCTET_STRING).ok_or(Failure::Damaged)?;
    let iterations = parameters.number().filter(|count| *count > 0).ok_or(Failure::Damaged)?;
    for form in &password.utf16 {
        budget.take(iterations)?;
        let derive = |what, length| {
            Zeroizing::new(derive_key::<Sha1>(form, salt, what, iterations.try_into().unwrap_or(i32::MAX), length))
        };
        let (key, vector) = (derive(Pkcs12KeyType::EncryptionKey, key_length), derive(Pkcs12KeyType::Iv, 8));
        let cipher = cbc::Decryptor::<C>::new_from_slices(&key, &vector).map_err(|_| Failure::Damaged)?;
        // Padding alone lets one wrong password in 256 through; what it holds is always a sequence.
        let plain = cipher.decrypt_padded_vec::<Pkcs7>(encrypted).map(Zeroizing::new);
        if let Some(plain) = plain.ok().filter(|plain| plain.first() == Some(&SEQUENCE)) {
            return Ok(plain);
        }
    }
    Err(Failure::Undecipherable)
}
