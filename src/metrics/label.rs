//! Label values: closed enums, and one child of a family per value.

use std::fmt;
use std::marker::PhantomData;

use crate::reason::{CloseReason, Refusal};
use crate::zk::opcode::Opcode;

/// A label whose values are known before the first scrape.
pub(super) trait Label: Copy + 'static {
    /// Every value, in the order of `index`.
    fn all() -> impl Iterator<Item = Self>;
    /// The value as it stands in the label.
    fn word(self) -> &'static str;
    /// The value's position in `all`.
    fn index(self) -> usize;
}

/// Makes a `Label` of a field-less enum with `ALL` and `as_str`.
macro_rules! label {
    ($name:ident) => {
        // `index` is a cast, so that a request pays no search. An enum with discriminants of its own, or with an
        // `ALL` in another order, must not compile: it would count under another value's name.
        const _: () = {
            let mut position = 0;
            while position < $name::ALL.len() {
                assert!($name::ALL[position] as usize == position);
                position += 1;
            }
        };

        impl Label for $name {
            fn all() -> impl Iterator<Item = Self> {
                Self::ALL.iter().copied()
            }

            fn word(self) -> &'static str {
                self.as_str()
            }

            fn index(self) -> usize {
                self as usize
            }
        }
    };
}

/// Declares a closed list of label values.
macro_rules! labels {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident => $word:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$vmeta])* #[doc = concat!("\n\nWord: `", $word, "`.")] $variant,)+
        }

        impl $name {
            /// Every value.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word that stands for this value in labels and output.
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

        label!($name);
    };
}

labels! {
    /// How far a live connection has come.
    ConnectionState {
        /// Accepted; TLS is not finished.
        Handshaking => "handshaking",
        /// Authenticated; the session is being opened.
        Opening => "opening",
        /// The session is open and frames are relayed.
        Established => "established",
        /// To be closed at the next moment without an outstanding request.
        Draining => "draining",
    }
}

labels! {
    /// Why `accept` failed.
    AcceptError {
        /// The process or the system is out of descriptors or memory (EMFILE, ENFILE, ENOBUFS, ENOMEM).
        Descriptors => "descriptors",
        /// The peer was gone before it was accepted, or its network failed.
        Peer => "peer",
        /// Anything else.
        Other => "other",
    }
}

labels! {
    /// At which side of zoogate bytes pass.
    Peer {
        /// The client, inside TLS.
        Client => "client",
        /// ZooKeeper.
        Upstream => "upstream",
    }
}

labels! {
    /// Which way bytes pass, as zoogate sees it.
    Direction {
        /// Read from the peer.
        Received => "received",
        /// Written to the peer.
        Sent => "sent",
    }
}

labels! {
    /// What a connection that is not TLS turned out to be.
    ProbeKind {
        /// Closed without a byte: a TCP health check.
        Empty => "empty",
        /// The ClientHello of SSL 3.0: HAProxy's `ssl-hello-chk`.
        Ssl3 => "ssl3",
        /// A four-letter word in plaintext.
        FourLetterWord => "four_letter_word",
        /// A ZooKeeper client without TLS.
        Zookeeper => "zookeeper",
        /// An HTTP request.
        Http => "http",
        /// Bytes of no known protocol.
        Other => "other",
    }
}

labels! {
    /// The TLS version that a handshake agreed on.
    TlsVersion {
        /// TLS 1.2.
        Tls12 => "1.2",
        /// TLS 1.3.
        Tls13 => "1.3",
        /// The handshake ended before a version was agreed on.
        Unknown => "unknown",
    }
}

impl TlsVersion {
    /// The version of the usual spelling, `TLSv1.2` or `TLSv1.3`; anything else is `Unknown`.
    pub fn of(name: &str) -> Self {
        match name {
            "TLSv1.2" => Self::Tls12,
            "TLSv1.3" => Self::Tls13,
            _ => Self::Unknown,
        }
    }
}

labels! {
    /// What came of a handshake.
    HandshakeResult {
        /// The client is authenticated.
        Ok => "ok",
        /// The client was refused.
        Refused => "refused",
    }
}

labels! {
    /// What came of an injected auth packet.
    InjectionResult {
        /// Written to ZooKeeper.
        Sent => "sent",
        /// ZooKeeper accepted it.
        Accepted => "accepted",
        /// ZooKeeper refused it (error -115).
        Refused => "refused",
    }
}

labels! {
    /// What `identity.mapping_shadow` would make of a client, beside what `identity.mapping` makes of it.
    ShadowResult {
        /// The same identity, or none either way.
        Same => "same",
        /// Another identity.
        Different => "different",
        /// None, or one that may not come in, where it is let in now.
        Refused => "refused",
    }
}

labels! {
    /// What came of a client's ConnectRequest.
    SessionOpening {
        /// A new session.
        New => "new",
        /// A session that existed before.
        Resumed => "resumed",
        /// ZooKeeper answered that the session has expired.
        Expired => "expired",
        /// ZooKeeper closed the connection instead of answering.
        Refused => "refused",
    }
}

labels! {
    /// Why a client may not resume a session.
    SessionRefusal {
        /// The session is live here, and another identity's.
        OtherIdentity => "other_identity",
        /// The password is the one that anybody can compute, or that ZooKeeper gave out before the gate was there.
        Unsealed => "unsealed",
        /// The password is none that zoogate gave to this identity for this session.
        WrongPassword => "wrong_password",
    }
}

labels! {
    /// What came of a four-letter word inside TLS.
    FourLetterWordResult {
        /// On the allow-list; ZooKeeper's answer was passed on.
        Allowed => "allowed",
        /// Not on zoogate's allow-list; ZooKeeper was not asked.
        RefusedByGate => "refused_by_gate",
        /// On zoogate's allow-list, and not on ZooKeeper's own; its refusal was passed on.
        RefusedByZookeeper => "refused_by_zookeeper",
    }
}

labels! {
    /// What ZooKeeper said, or failed to say, when it was last probed.
    UpstreamState {
        /// Not probed yet.
        Unknown => "unknown",
        /// Serves, and leads the ensemble.
        Leader => "leader",
        /// Serves, and follows the leader.
        Follower => "follower",
        /// Serves without a vote.
        Observer => "observer",
        /// Serves alone.
        Standalone => "standalone",
        /// Serves, and does not tell as what.
        Serving => "serving",
        /// Cut off from its ensemble; serves reads to clients that allow it, and no others.
        ReadOnly => "read_only",
        /// Reachable, but serves no sessions.
        NotServing => "not_serving",
        /// Can't be connected to, or does not answer.
        Unreachable => "unreachable",
    }
}

impl UpstreamState {
    /// Whether ZooKeeper opens sessions for any client. A read-only server does not.
    pub fn serves(self) -> bool {
        match self {
            Self::Leader | Self::Follower | Self::Observer | Self::Standalone | Self::Serving => true,
            Self::Unknown | Self::ReadOnly | Self::NotServing | Self::Unreachable => false,
        }
    }
}

labels! {
    /// A kind of file that a running zoogate reads again.
    #[derive(PartialOrd, Ord)]
    Material {
        /// The server's certificate and key, and their passwords.
        KeyStore => "key_store",
        /// The CAs of clients, and their store's password.
        TrustStore => "trust_store",
        /// Revocation lists.
        Crls => "crls",
        /// The secret.
        Secret => "secret",
        /// The configuration itself.
        Config => "config",
    }
}

labels! {
    /// Within which time a client certificate ends.
    ExpiryWindow {
        /// An hour.
        Hour => "1h",
        /// A day.
        Day => "1d",
        /// A week.
        Week => "7d",
        /// Four weeks.
        FourWeeks => "28d",
    }
}

labels! {
    /// What came of a change.
    ReloadResult {
        /// It is in use.
        Ok => "ok",
        /// It can't be used; what was loaded before stays.
        Failed => "failed",
    }
}

labels! {
    /// Why live connections were judged again.
    RevalidationTrigger {
        /// Something was reloaded.
        Reload => "reload",
        /// A certificate's time has come.
        Expiry => "expiry",
    }
}

labels! {
    /// What came of judging live connections again.
    RevalidationResult {
        /// They go on.
        Kept => "kept",
        /// They are closed.
        Closed => "closed",
        /// They would be closed, if that were enforced.
        Observed => "observed",
    }
}

labels! {
    /// Of what a generation is counted.
    GenerationOf {
        /// What was found on the disk.
        Disk => "disk",
        /// What is in use.
        Loaded => "loaded",
    }
}

labels! {
    /// What a loaded certificate is for.
    CertificateRole {
        /// zoogate's own certificate.
        Server => "server",
        /// A certificate that is sent along with it.
        Intermediate => "intermediate",
        /// A certificate of the trust store.
        TrustAnchor => "trust_anchor",
        /// A certificate of `tls.pinned_certificates`.
        Pinned => "pinned_certificate",
    }
}

label!(Refusal);
label!(Opcode);

impl Label for CloseReason {
    fn all() -> impl Iterator<Item = Self> {
        CloseReason::all()
    }

    fn word(self) -> &'static str {
        self.as_str()
    }

    fn index(self) -> usize {
        match self {
            Self::Refused(refusal) => refusal as usize,
            Self::Probe => Refusal::ALL.len(),
            Self::Ended(ending) => Refusal::ALL.len() + 1 + ending as usize,
        }
    }
}

/// One child per value of a label, resolved once.
pub(super) struct Children<L, T> {
    children: Vec<T>,
    label: PhantomData<fn(L)>,
}

impl<L: Label, T> Children<L, T> {
    pub(super) fn new(child: impl Fn(&'static str) -> prometheus::Result<T>) -> prometheus::Result<Self> {
        let children = L::all().map(|value| child(value.word())).collect::<prometheus::Result<_>>()?;
        Ok(Self { children, label: PhantomData })
    }

    pub(super) fn of(&self, value: L) -> &T {
        &self.children[value.index()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_close_reason_finds_its_own_child() {
        let children = Children::<CloseReason, &str>::new(Ok).unwrap();
        for reason in CloseReason::all() {
            assert_eq!(*children.of(reason), reason.as_str());
        }
    }

    #[test]
    fn tls_versions_are_told_by_their_usual_spelling() {
        assert_eq!(TlsVersion::of("TLSv1.2"), TlsVersion::Tls12);
        assert_eq!(TlsVersion::of("TLSv1.3"), TlsVersion::Tls13);
        assert_eq!(TlsVersion::of("SSLv3"), TlsVersion::Unknown);
    }
}
