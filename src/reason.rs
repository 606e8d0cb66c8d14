//! Why a client was refused and why a connection ended: closed lists, one word each.
//!
//! The word is the same wherever it shows: the metric's label, the access record's `reason`, the output of
//! `zoogate explain`, and the tests. Words are public interface: see `docs/operations.md`.

use std::fmt;

/// Declares a closed list: the enum, its words, and the list of all of them.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident => $word:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$vmeta])* #[doc = concat!("\n\nWord: `", $word, "`.")] $variant,)+
        }

        impl $name {
            /// Every value, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word that stands for this value in labels, logs and output.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words! {
    /// Why a client was not let in, before any byte of it reached ZooKeeper.
    Refusal {
        /// The client sent no certificate.
        NoCertificate => "no_certificate",
        /// No path from the client's certificate to a certificate of the trust store.
        UnknownCa => "unknown_ca",
        /// A certificate of the path is past its notAfter.
        Expired => "expired",
        /// A certificate of the path is before its notBefore.
        NotYetValid => "not_yet_valid",
        /// A certificate of the path is on its issuer's CRL.
        Revoked => "revoked",
        /// CRLs are configured, but none in date covers a certificate of the path.
        RevocationUnknown => "revocation_unknown",
        /// The key usage or extended key usage of the client's certificate forbids TLS client authentication.
        BadUsage => "bad_usage",
        /// An issuer of the path may not issue certificates: not a CA, no keyCertSign, or its path length is exceeded.
        BadCa => "bad_ca",
        /// A name of the path is outside its issuer's name constraints.
        NameConstraints => "name_constraints",
        /// A critical extension, or a policy, that this verifier does not implement.
        UnsupportedExtension => "unsupported_extension",
        /// A signature of the path or of the handshake does not verify.
        BadSignature => "bad_signature",
        /// A key or signature algorithm that is too weak or not supported (RSA below 2048 bits, SHA-1, DSA).
        WeakKey => "weak_key",
        /// A certificate or handshake message that can't be parsed.
        Malformed => "malformed",
        /// The client's certificates are more, or larger, or take more work, than a limit allows.
        ChainTooLarge => "chain_too_large",
        /// No TLS version in common.
        NoCommonVersion => "no_common_version",
        /// No cipher suite, group or signature scheme in common.
        NoCommonCipher => "no_common_cipher",
        /// The client refused the handshake with a TLS alert; usually it does not trust the server's certificate.
        PeerAlert => "peer_alert",
        /// The client spoke plaintext to the TLS port.
        Plaintext => "plaintext",
        /// A header of the PROXY protocol came from a peer that is not on `listen.proxy_protocol.from`, or none, or none
        /// that can be read, from one that is.
        ProxyHeader => "proxy_header",
        /// The client asks for a server name (SNI) that is no host name.
        ServerName => "server_name",
        /// All places of `limits.handshakes` were taken, or the half of them that one source may have.
        TooManyHandshakes => "too_many_handshakes",
        /// All places of `limits.connections` were taken.
        TooManyConnections => "too_many_connections",
        /// The handshake was not finished in time.
        Timeout => "timeout",
        /// The client went away during the handshake.
        Reset => "reset",
        /// The certificate has no name where `identity.from` looks for one, or no rule of `identity.mapping` makes one.
        NoIdentity => "no_identity",
        /// The certificate has more than one name where `identity.from` looks for one, or a rule that ignores case would
        /// take its name for another's.
        AmbiguousIdentity => "ambiguous_identity",
        /// The identity is on `identity.deny`, or not on `identity.allow`.
        Denied => "denied",
        /// The handshake failed inside TLS for a reason that has no word of its own.
        Protocol => "protocol",
    }
}

words! {
    /// How a connection ended, for connections that got past the handshake and admission.
    Ending {
        /// The client closed its session and the server confirmed it.
        SessionClosed => "session_closed",
        /// The client closed the connection.
        ClientClosed => "client_closed",
        /// The client's connection was reset or broke.
        ClientReset => "client_reset",
        /// ZooKeeper closed the connection: expiry, a moved session, a restart.
        UpstreamClosed => "upstream_closed",
        /// ZooKeeper's connection was reset or broke.
        UpstreamReset => "upstream_reset",
        /// A four-letter word was answered.
        FourLetterWord => "four_letter_word",
        /// A four-letter word that is not on the allow-list was refused.
        FourLetterWordRefused => "four_letter_word_refused",
        /// The client closed without a ConnectRequest.
        NoRequest => "no_request",
        /// The client's ConnectRequest is not one: its length, version or password length is wrong.
        BadConnectRequest => "bad_connect_request",
        /// The client's ConnectRequest was not complete in time.
        OpenTimeout => "open_timeout",
        /// ZooKeeper could not be connected to.
        UpstreamUnreachable => "upstream_unreachable",
        /// ZooKeeper did not answer the ConnectRequest, or an injected packet, in time.
        UpstreamTimeout => "upstream_timeout",
        /// ZooKeeper answered the ConnectRequest with something that is not a ConnectResponse.
        UpstreamMalformed => "upstream_malformed",
        /// ZooKeeper is read-only, without a quorum, and opens no session; its answer was passed on.
        UpstreamReadOnly => "upstream_read_only",
        /// ZooKeeper refused the session by closing the connection.
        UpstreamRefused => "upstream_refused",
        /// ZooKeeper answered that the session has expired; the answer was passed on.
        SessionExpired => "session_expired",
        /// The client may not resume the session: its identity did not open it, or its password is none that
        /// zoogate gave out. It was told that the session has expired, and ZooKeeper was told nothing.
        SessionRefused => "session_refused",
        /// ZooKeeper refused the injected credential (error -115).
        AuthFailed => "auth_failed",
        /// The client sent a frame longer than `limits.frame`.
        FrameTooLarge => "frame_too_large",
        /// The client sent a frame with a negative length, or one too short for a request header.
        MalformedFrame => "malformed_frame",
        /// The client sent an opcode that no client may send (-10 createSession, 20 deleteContainer).
        ForbiddenOpcode => "forbidden_opcode",
        /// The client sent a request with the xid -1, which servers use for watch events.
        ReservedXid => "reserved_xid",
        /// The client sent a digest credential whose user is reserved for injected identities (`x509/…`).
        ReservedUser => "reserved_user",
        /// The client sent a credential of scheme `x509`, and `client_auth.x509` refuses those.
        ClientAuthRefused => "client_auth_refused",
        /// Closed between requests because a certificate of the client's path has expired.
        CertificateExpired => "certificate_expired",
        /// Closed between requests because a certificate of the client's path was revoked, or its revocation can't
        /// be known any more.
        CertificateRevoked => "certificate_revoked",
        /// Closed between requests because the trust store has no path to the client's certificate any more.
        NoLongerTrusted => "no_longer_trusted",
        /// Closed between requests because the rules of `identity` make the client somebody else, or nobody.
        NoLongerAdmitted => "no_longer_admitted",
        /// Closed between requests because `identity.secret_file` has changed: the client comes back with its session, and
        /// is given what it lacked.
        SecretRotated => "secret_rotated",
        /// Closed between requests because zoogate is stopping.
        Drained => "drained",
        /// Cut because zoogate is stopping and the grace period is over.
        Forced => "forced",
        /// The connection's task ended without a result; a defect.
        Aborted => "aborted",
    }
}

/// Why a connection ended: refused before the session, or ended later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// The client was not let in.
    Refused(Refusal),
    /// The client closed the TCP connection without sending anything.
    Probe,
    /// The connection got past admission and ended.
    Ended(Ending),
}

impl CloseReason {
    /// The word that stands for this value in labels, logs and output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Refused(refusal) => refusal.as_str(),
            Self::Probe => "probe",
            Self::Ended(ending) => ending.as_str(),
        }
    }

    /// Every value: refusals, then the probe, then endings.
    pub fn all() -> impl Iterator<Item = Self> {
        let refusals = Refusal::ALL.iter().copied().map(Self::Refused);
        let endings = Ending::ALL.iter().copied().map(Self::Ended);
        refusals.chain([Self::Probe]).chain(endings)
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn words_are_distinct_and_snake_case() {
        let mut seen = HashSet::new();
        for reason in CloseReason::all() {
            let word = reason.as_str();
            assert!(seen.insert(word), "{word} stands for two reasons");
            assert!(word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'), "{word}");
        }
    }
}
