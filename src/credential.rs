//! What is injected for an identity: a ZooKeeper `digest` credential that only a holder of the secret can make.
//!
//! Every identity is a user, and no list of users exists: the password is a MAC of the identity. ZooKeeper keeps no
//! passwords either; it hashes what it is given and compares the result with ACLs.

use std::fmt;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};

use crate::identity::Identity;
use crate::secret::Secret;

mod assertion;
mod digest_algorithm;
mod secrets;

pub use assertion::{ASSERTION_SCHEME, assertion};
pub use digest_algorithm::{DigestAlgorithm, UnknownDigestAlgorithm};
pub use secrets::{IdentitySecrets, MAX_SECRETS, MIN_SECRET, SecretsError, generate};

/// What every injected user begins with. No client may send a credential of such a user.
pub const USER_PREFIX: &str = "x509/";

/// What the password's MAC begins with, so that the secret's other uses can't produce a password.
const PURPOSE: &[u8] = b"zoogate digest v1\0";

/// A credential of ZooKeeper's `digest` scheme. `Debug` and `Display` show the user, never the password.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    user: String,
    password: Secret,
}

impl Credential {
    /// The scheme to send [`auth_data`](Self::auth_data) with, and to put before [`acl_id`](Self::acl_id).
    pub const SCHEME: &str = "digest";

    /// Makes an identity's credential: the user is `x509/` and the identity, percent-encoded; the password is
    /// base64url(HMAC-SHA256(secret, "zoogate digest v1" ‖ 0 ‖ identity)) without padding.
    ///
    /// Both are ASCII: servers decode the data in their platform's charset, whichever that is.
    pub fn derive(secret: &Secret, identity: &Identity) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose());
        let mut mac = hmac::Context::with_key(&key);
        mac.update(PURPOSE);
        mac.update(identity.as_str().as_bytes());
        let password = BASE64_URL_SAFE_NO_PAD.encode(mac.sign());
        Self { user: encode_user(identity), password: Secret::new(password.into_bytes()) }
    }

    /// The user: what remains readable in ACLs even where a server masks the hash.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The data of the auth packet, `user:password`.
    pub fn auth_data(&self) -> Secret {
        let password = self.password.expose();
        // Exactly as much as is needed: growing would leave a copy of the password behind.
        let mut data = Vec::with_capacity(self.user.len() + 1 + password.len());
        data.extend_from_slice(self.user.as_bytes());
        data.push(b':');
        data.extend_from_slice(password);
        Secret::new(data)
    }

    /// The id that a server hashing with `algorithm` gives this credential, as it stands in ACLs:
    /// `user:base64(hash(user:password))`.
    pub fn acl_id(&self, algorithm: DigestAlgorithm) -> String {
        let hash = algorithm.hash(self.auth_data().expose());
        format!("{}:{}", self.user, BASE64_STANDARD.encode(hash))
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").field("user", &self.user).finish_non_exhaustive()
    }
}

impl fmt::Display for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.user)
    }
}

/// The identity that a user stands for; nothing unless the user is exactly what [`Credential::derive`] makes.
pub fn decode_user(user: &str) -> Option<Identity> {
    let mut rest = user.strip_prefix(USER_PREFIX)?.as_bytes();
    let mut name = Vec::with_capacity(rest.len());
    while let [byte, after @ ..] = rest {
        rest = match (byte, after) {
            (b'%', [high, low, after @ ..]) => {
                let byte = hex_digit(*high)? << 4 | hex_digit(*low)?;
                if stands_for_itself(byte) {
                    return None;
                }
                name.push(byte);
                after
            }
            (&byte, after) if stands_for_itself(byte) => {
                name.push(byte);
                after
            }
            _ => return None,
        };
    }
    Identity::new(String::from_utf8(name).ok()?).ok()
}

/// A token for `zkCli.sh setAcl`, XML and shells: without comma, colon, blank or quote.
fn encode_user(identity: &Identity) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let name = identity.as_str();
    let mut user = String::with_capacity(USER_PREFIX.len() + name.len());
    user.push_str(USER_PREFIX);
    for byte in name.bytes() {
        if stands_for_itself(byte) {
            user.push(char::from(byte));
        } else {
            let digit = |nibble: u8| char::from(HEX[usize::from(nibble)]);
            user.extend(['%', digit(byte >> 4), digit(byte & 0x0f)]);
        }
    }
    user
}

fn stands_for_itself(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~=/@+".contains(&byte)
}

/// An upper-case hexadecimal digit.
fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
