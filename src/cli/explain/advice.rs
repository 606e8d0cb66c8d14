//! What an operator can do about each reason of a refusal.

use crate::identity::Identity;
use crate::policy::Denial;
use crate::reason::Refusal;

/// A sentence of advice. Without a wildcard, so that a new reason can't be forgotten here.
pub(super) fn advice(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::NoCertificate => "configure the client's key store: its certificate and key",
        Refusal::UnknownCa => {
            "add the CA that issued it to the trust store; if an intermediate is missing, let the client send it"
        }
        Refusal::Expired => "renew the expired certificate; if it is in date, check this machine's clock",
        Refusal::NotYetValid => "wait until the certificate is valid, or check this machine's clock and the issuer's",
        Refusal::Revoked => "issue the client a new certificate with a new key; this one has been withdrawn",
        Refusal::RevocationUnknown => {
            "fetch a current CRL of the issuer into `tls.crls`; `tls.revocation_policy: soft` admits without one"
        }
        Refusal::BadUsage => "issue it for TLS clients: keyUsage digitalSignature, extendedKeyUsage clientAuth",
        Refusal::BadCa => "have the certificate issued by a CA that may: CA:TRUE, keyCertSign, pathlen long enough",
        Refusal::NameConstraints => "have it issued by a CA whose name constraints permit its names",
        Refusal::UnsupportedExtension => "issue it without that critical extension, or with it not critical",
        Refusal::BadSignature => "check that the chain is complete and undamaged; a CA's key may have been replaced",
        Refusal::WeakKey => {
            "issue it anew: RSA of 2048 to 8192 bits, P-256, P-384, P-521 or Ed25519, signed with SHA-256, SHA-384 or \
             SHA-512; RSASSA-PSS with a salt as long as the hash"
        }
        Refusal::Malformed => {
            "issue it anew with another tool; if it should be fine, look at it with `openssl x509 -in CERTIFICATE.pem -noout -text`"
        }
        Refusal::ChainTooLarge => "let the client send its certificate and the issuers of it, and nothing else",
        Refusal::NoCommonVersion => "let the client speak TLS 1.2 or 1.3",
        Refusal::NoCommonCipher => "let the client offer an ECDHE suite with AES-GCM or ChaCha20-Poly1305",
        Refusal::PeerAlert => "give the client the CA of the server's certificate, and the name that it dials",
        Refusal::Plaintext => "switch TLS on in the client",
        Refusal::ProxyHeader => {
            "list the load balancer in `listen.proxy_protocol.from`, and have it send the PROXY protocol; nobody else may"
        }
        Refusal::ServerName => "let the client dial a host name of letters, digits, hyphens and dots, or an address",
        Refusal::TooManyHandshakes => {
            "find out from the log which source opens connections without finishing them; see `limits.handshakes`"
        }
        Refusal::TooManyConnections => "raise `limits.connections`, or have clients close connections they don't use",
        Refusal::Timeout => "look for a slow network or a client that hangs; see `limits.handshake_timeout`",
        Refusal::Reset => "see the client's log: it gave up during the handshake",
        Refusal::NoIdentity => {
            "issue it with a name where `identity.from` looks and a rule of `identity.mapping` matches, or change those"
        }
        Refusal::AmbiguousIdentity => {
            "issue it with exactly one name where `identity.from` looks for it, in ASCII where a mapping rule ignores case"
        }
        Refusal::Denied => "nothing, if that is meant; else change `identity.allow` or `identity.deny`",
        Refusal::Protocol => "see the gate's log; the client's TLS library may be at fault",
    }
}

/// Advice on an identity that a list keeps out.
pub(super) fn on_denial(identity: &Identity, denial: &Denial) -> String {
    match denial {
        Denial::Listed { glob, .. } => format!("nothing, if that is meant; else take `{glob}` off `identity.deny`"),
        Denial::Unlisted => format!("nothing, if that is meant; else put `{identity}` on `identity.allow`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_advice_of_its_own() {
        let mut seen = std::collections::HashSet::new();
        for refusal in Refusal::ALL {
            assert!(seen.insert(advice(*refusal)), "{refusal}");
        }
    }
}
