//! Binds a session to the identity that opened it.
//!
//! ZooKeeper's session password is a public function of the session's id, and ids are readable in every
//! ephemeral znode: any client may take over or close another's session. The client is therefore given a
//! sealed password, which only its own identity can present again, at any server whose gate has the secret.
//! Nothing is stored.

use aws_lc_rs::constant_time;
use aws_lc_rs::hmac;

use crate::credential::IdentitySecrets;
use crate::identity::Identity;
use crate::zk::record::PASSWORD_LENGTH;
use crate::zk::session_password::{KEEPER_PASSWORD, stock_password};

/// What the seal's MAC begins with, so that the secret's other uses can't produce a seal.
const PURPOSE: &[u8] = b"zoogate session v1\0";

/// A session's password, as ZooKeeper or as the client has it.
pub type Password = [u8; PASSWORD_LENGTH];

/// The password for the client: the real one ⊕ HMAC-SHA256(secret, "zoogate session v1" ‖ 0 ‖ id ‖ identity)[..16].
pub fn seal(secrets: &IdentitySecrets, identity: &Identity, session_id: i64, real: Password) -> Password {
    xor(real, mask(secrets.first().expose(), identity, session_id))
}

/// What a client's sealed password turns out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsealed {
    /// A password that servers are known to give to this session; the client is its owner.
    Known(Password),
    /// No such password. If the server's passwords follow another function, this is what it gave to the session's
    /// owner; else the client is not the owner.
    Other(Password),
}

/// Whether a server is known to give this password to the session.
pub fn is_known(session_id: i64, password: Password) -> bool {
    // Both are compared always, so that the time tells nothing.
    let same = |known: Password| constant_time::verify_slices_are_equal(&password, &known).is_ok();
    same(stock_password(session_id)) | same(KEEPER_PASSWORD)
}

/// Opens a sealed password. Each secret is tried, so that sessions outlive a rotation.
pub fn unseal(secrets: &IdentitySecrets, identity: &Identity, session_id: i64, sealed: Password) -> Unsealed {
    let mut opened = secrets.iter().map(|secret| xor(sealed, mask(secret.expose(), identity, session_id)));
    match opened.find(|real| is_known(session_id, *real)) {
        Some(real) => Unsealed::Known(real),
        None => Unsealed::Other(xor(sealed, mask(secrets.first().expose(), identity, session_id))),
    }
}

fn mask(secret: &[u8], identity: &Identity, session_id: i64) -> Password {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let mut mac = hmac::Context::with_key(&key);
    mac.update(PURPOSE);
    mac.update(&session_id.to_be_bytes());
    mac.update(identity.as_str().as_bytes());
    let mut mask = [0; PASSWORD_LENGTH];
    mask.copy_from_slice(&mac.sign().as_ref()[..PASSWORD_LENGTH]);
    mask
}

fn xor(mut password: Password, mask: Password) -> Password {
    password.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
    password
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "an-old-secret-of-thirty-two-bytes-or-more";
    const NEW: &str = "a-new-secret-of-thirty-two-bytes-or-more!";

    fn secrets(lines: &[&str]) -> IdentitySecrets {
        IdentitySecrets::parse(lines.join("\n").as_bytes()).unwrap()
    }

    fn identity(name: &str) -> Identity {
        Identity::new(name.to_owned()).unwrap()
    }

    #[test]
    fn only_the_owner_opens_the_seal() {
        let (secrets, alice, bob) = (secrets(&[NEW]), identity("CN=alice"), identity("CN=bob"));
        let real = stock_password(77);
        let sealed = seal(&secrets, &alice, 77, real);
        assert_ne!(sealed, real);
        assert_eq!(unseal(&secrets, &alice, 77, sealed), Unsealed::Known(real));
        assert!(matches!(unseal(&secrets, &bob, 77, sealed), Unsealed::Other(_)));
        assert!(matches!(unseal(&secrets, &alice, 78, sealed), Unsealed::Other(_)));
        assert!(matches!(unseal(&secrets, &bob, 77, real), Unsealed::Other(_)), "the public function's password");
    }

    #[test]
    fn a_seal_tells_nothing_of_the_seals_of_the_same_owners_other_sessions() {
        let (secrets, alice) = (secrets(&[NEW]), identity("CN=alice"));
        let mask = xor(seal(&secrets, &alice, 77, stock_password(77)), stock_password(77));
        let guess = xor(stock_password(78), mask);
        assert!(matches!(unseal(&secrets, &alice, 78, guess), Unsealed::Other(_)));
    }

    #[test]
    fn every_bit_of_a_seal_counts() {
        let (secrets, alice) = (secrets(&[NEW]), identity("CN=alice"));
        let sealed = seal(&secrets, &alice, 77, stock_password(77));
        for bit in 0..8 * PASSWORD_LENGTH {
            let mut other = sealed;
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(unseal(&secrets, &alice, 77, other), Unsealed::Other(_)), "bit {bit}");
        }
    }

    #[test]
    fn a_seal_outlives_the_rotation_of_its_secret() {
        let alice = identity("CN=alice");
        let real = stock_password(-5);
        let sealed = seal(&secrets(&[OLD]), &alice, -5, real);
        assert_eq!(unseal(&secrets(&[NEW, OLD]), &alice, -5, sealed), Unsealed::Known(real));
        assert!(matches!(unseal(&secrets(&[NEW]), &alice, -5, sealed), Unsealed::Other(_)));
    }

    #[test]
    fn keepers_password_is_known_for_its_owner_only() {
        let (secrets, alice, bob) = (secrets(&[NEW, OLD]), identity("CN=alice"), identity("CN=bob"));
        for sealed_with in [NEW, OLD] {
            let sealed = seal(&self::secrets(&[sealed_with]), &alice, 9, KEEPER_PASSWORD);
            assert_eq!(unseal(&secrets, &alice, 9, sealed), Unsealed::Known(KEEPER_PASSWORD));
            assert!(matches!(unseal(&secrets, &bob, 9, sealed), Unsealed::Other(_)));
            assert!(matches!(unseal(&secrets, &alice, 10, sealed), Unsealed::Other(_)));
        }
    }

    #[test]
    fn passwords_of_another_function_come_back_as_they_were() {
        let (secrets, alice) = (secrets(&[NEW]), identity("CN=alice"));
        let real = [7; 16];
        assert_eq!(unseal(&secrets, &alice, 9, seal(&secrets, &alice, 9, real)), Unsealed::Other(real));
    }
}
