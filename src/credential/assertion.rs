//! What is injected where ZooKeeper has zoogate's provider: a statement that one session is an identity's.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use crate::identity::Identity;
use crate::secret::Secret;

/// The scheme of assertions.
pub const ASSERTION_SCHEME: &str = "x509";

/// What the MAC begins with, so that the secret's other uses can't produce one.
const PURPOSE: &[u8] = b"zoogate x509 v1\0";

/// The data of the auth packet that `GateAuthenticationProvider` accepts on this session's connection and on no
/// other: `zoogate1:IDENTITY:SUPER:MAC`, with `super` or nothing, and both others in base64url without padding. The
/// MAC is HMAC-SHA256(secret, "zoogate x509 v1" ‖ 0 ‖ session id ‖ 1 if super, else 0 ‖ identity).
pub fn assertion(secret: &Secret, identity: &Identity, superuser: bool, session_id: i64) -> Secret {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose());
    let mut mac = hmac::Context::with_key(&key);
    mac.update(PURPOSE);
    mac.update(&session_id.to_be_bytes());
    mac.update(&[superuser.into()]);
    mac.update(identity.as_str().as_bytes());
    let name = BASE64_URL_SAFE_NO_PAD.encode(identity.as_str());
    let mark = if superuser { "super" } else { "" };
    Secret::new(format!("zoogate1:{name}:{mark}:{}", BASE64_URL_SAFE_NO_PAD.encode(mac.sign())).into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed by the provider's own tests in another language.
    #[test]
    fn assertions_are_those_that_the_provider_accepts() {
        let secret = Secret::new(b"0123456789abcdef0123456789abcdef".to_vec());
        for (session_id, name, superuser, expected) in [
            (
                0x0100_0000_0000_002a,
                "CN=alice,O=Acme",
                false,
                "zoogate1:Q049YWxpY2UsTz1BY21l::_HV3ALPGiNbVXrJ7BVVIOyqlIe0HpLJABz1vCKbIQ90",
            ),
            (
                0xff00_0000_0000_002a_u64 as i64,
                "CN=Zoë",
                true,
                "zoogate1:Q049Wm_Dqw:super:uRfyNQssRyF13zFnJz5vkffPMB4nfkmftFsNlPuLMi0",
            ),
        ] {
            let identity = Identity::new(name.to_owned()).unwrap();
            let assertion = assertion(&secret, &identity, superuser, session_id);
            assert_eq!(String::from_utf8_lossy(assertion.expose()), expected);
        }
    }
}
