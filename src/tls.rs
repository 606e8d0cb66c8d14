//! TLS on the client's side: who is let through the handshake, and what is known of whom was not.
//!
//! [`handshake`] takes an accepted TCP connection to an [`Authenticated`] one. It judges clients by a
//! [`verifier::ClientVerifier`] and speaks with a [`material::TlsMaterial`]; both are built once per reload and
//! never change. Nothing else in the project calls rustls.

pub mod limits;
pub mod material;
pub mod remembered;
pub mod revocation;
pub mod verifier;

mod certificate;
mod connection;
mod der;
mod error;
mod name;
mod path;
mod plaintext;
mod signatures;
mod vouched;
mod webpki_terms;

use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::CertificateDer;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

pub use self::error::HandshakeError;
pub use self::plaintext::PlaintextKind;
pub use crate::rfc3339::utc as date;

use self::connection::ConnectionVerifier;
use self::material::TlsMaterial;
use self::plaintext::{close_gently, expect_client_hello};
use self::verifier::VerifiedChain;

/// The client's side of a connection, inside TLS.
pub type ClientStream = TlsStream<TcpStream>;

/// A connection whose client is known.
pub struct Authenticated {
    /// The connection. Application bytes may already sit in it: poll it, not the socket below.
    pub stream: ClientStream,
    /// The certificates of the accepted path, leaf first; the trust store's is not among them.
    pub chain: Vec<CertificateDer<'static>>,
    /// What the verifier found.
    pub verified: VerifiedChain,
    /// From the first byte of the ClientHello to the end of the handshake.
    pub elapsed: Duration,
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: &'static str,
    /// The cipher suite, as rustls names it.
    pub cipher: &'static str,
}

/// A handshake that failed, and when.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct HandshakeFailed {
    /// Why.
    pub error: HandshakeError,
    /// From the first byte of the ClientHello; `None` if none came.
    pub elapsed: Option<Duration>,
}

/// Waits for a ClientHello and completes the handshake with a required client certificate.
///
/// A client that speaks plaintext is not answered when it is a four-letter word, a ZooKeeper client or HTTP; other
/// bytes get a TLS alert. When the handshake fails, the alert is on its way to the client on return.
///
/// # Errors
/// See [`HandshakeError`]. At the deadline the connection is dropped as it is.
pub async fn handshake(
    mut tcp: TcpStream,
    material: &Arc<TlsMaterial>,
    deadline: Instant,
) -> Result<Authenticated, HandshakeFailed> {
    if let Err(error) = expect_client_hello(&mut tcp, deadline).await {
        if matches!(error, HandshakeError::Plaintext(_)) {
            close_gently(tcp).await;
        }
        return Err(HandshakeFailed { error, elapsed: None });
    }
    let started = Instant::now();
    match timeout_at(deadline, Box::pin(accept(tcp, material, started))).await {
        Ok(Ok(authenticated)) => Ok(*authenticated),
        Ok(Err(error)) => Err(HandshakeFailed { error, elapsed: Some(started.elapsed()) }),
        Err(_) => Err(HandshakeFailed { error: HandshakeError::Timeout, elapsed: Some(started.elapsed()) }),
    }
}

/// The handshake itself. Callers box it: rustls' connection is over a kilobyte, and a connection's task would
/// hold room for it for ever.
async fn accept(
    tcp: TcpStream,
    material: &Arc<TlsMaterial>,
    started: Instant,
) -> Result<Box<Authenticated>, HandshakeError> {
    let verifier = material.connection_verifier();
    let config =
        material.server_config(Arc::clone(&verifier)).map_err(|error| HandshakeError::Protocol(error.to_string()))?;
    match TlsAcceptor::from(Arc::new(config)).accept(tcp).into_fallible().await {
        Ok(stream) => authenticated(stream, &verifier, started).map(Box::new),
        Err((error, tcp)) => {
            close_gently(tcp).await;
            Err(match verifier.take_outcome() {
                Some(Err(refused)) => HandshakeError::Refused(Box::new(refused)),
                Some(Ok(_)) | None => HandshakeError::from_io(&error),
            })
        }
    }
}

fn authenticated(
    stream: TlsStream<TcpStream>,
    verifier: &ConnectionVerifier,
    started: Instant,
) -> Result<Authenticated, HandshakeError> {
    let (_, session) = stream.get_ref();
    let (Some(Ok(verified)), Some(chain)) = (verifier.take_outcome(), session.peer_certificates()) else {
        // rustls can't finish without the verifier's consent; should it, nobody is let in.
        return Err(HandshakeError::NoCertificate);
    };
    let version = match session.protocol_version() {
        Some(rustls::ProtocolVersion::TLSv1_3) => "TLSv1.3",
        Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2",
        _ => return Err(HandshakeError::NoCommonVersion),
    };
    let cipher = session.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str()).unwrap_or_default();
    Ok(Authenticated { chain: verified.kept(chain), verified, elapsed: started.elapsed(), version, cipher, stream })
}

/// Lower-case hex, as serial numbers and fingerprints are shown.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let nibbles = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
    nibbles.map(|nibble| DIGITS[usize::from(nibble)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The connection's task holds this future beside its own state; rustls' connection alone has 1,168 bytes.
    #[test]
    fn the_handshake_future_is_small() {
        fn size<F: Future>(_: impl FnOnce(TcpStream, &'static Arc<TlsMaterial>, Instant) -> F) -> usize {
            size_of::<F>()
        }
        let size = size(handshake);
        assert!(size <= 704, "{size} bytes");
    }
}
