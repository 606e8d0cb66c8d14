//! TLS on the client's side: who is let through the handshake, and what is known of whom was not.
//!
//! [`greet`] and [`accept`] take an accepted TCP connection to an [`Authenticated`] one. They judge clients by a
//! [`verifier::ClientVerifier`] and speak with a [`material::TlsMaterial`]; both are built once per reload and
//! never change. Nothing else in the project calls rustls.

pub mod limits;
pub mod material;
pub mod remembered;
pub mod revocation;
pub mod verifier;

mod certificate;
mod client_hello;
mod connection;
mod der;
mod distribution_point;
mod error;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod general_name;
mod name;
mod name_constraints;
mod path;
mod plaintext;
mod signatures;
mod socket;
mod trusted;
mod verdict;
mod vouched;
mod weak;
mod webpki_terms;

use std::sync::Arc;
use std::time::Duration;

use rustls::CipherSuite;
use rustls_pki_types::CertificateDer;
use tokio::io::AsyncWriteExt;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

pub use self::error::HandshakeError;
pub use self::plaintext::PlaintextKind;
pub use self::socket::ClientSocket;
pub use crate::rfc3339::utc as date;

pub use self::plaintext::close_gently;

use self::client_hello::{MOST_BYTES, Progress};
use self::connection::ConnectionVerifier;
use self::material::TlsMaterial;
use self::verifier::VerifiedChain;

/// `decode_error` (RFC 8446 §6): a length was incorrect.
const DECODE_ERROR: u8 = 50;
const PROTOCOL_VERSION: u8 = 70;

/// The client's side of a connection, inside TLS.
pub type ClientStream = TlsStream<ClientSocket>;

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
    /// The cipher suite, by IANA's name.
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

/// Reads a ClientHello, and nothing of it but its length. `held` is called with the number of bytes that are held so far.
/// Returns when the first of them came.
///
/// A client that speaks plaintext is not answered when it is a four-letter word, a ZooKeeper client or HTTP; other
/// bytes get a TLS alert.
///
/// # Errors
/// See [`HandshakeError`]; a refused client should be [closed gently](close_gently). At the deadline the connection is
/// left as it is.
pub async fn greet(
    socket: &mut ClientSocket,
    deadline: Instant,
    held: impl FnMut(usize),
) -> Result<Instant, HandshakeFailed> {
    let mut started = None;
    match timeout_at(deadline, read_client_hello(socket, &mut started, held)).await {
        Ok(Ok(started)) => Ok(started),
        Ok(Err(error)) => Err(HandshakeFailed { error, elapsed: started.map(|started| started.elapsed()) }),
        Err(_) => {
            let elapsed = started.map(|started| started.elapsed());
            Err(HandshakeFailed { error: HandshakeError::Timeout, elapsed })
        }
    }
}

async fn read_client_hello(
    socket: &mut ClientSocket,
    started: &mut Option<Instant>,
    mut held: impl FnMut(usize),
) -> Result<Instant, HandshakeError> {
    // Bytes may have come behind a header of the PROXY protocol.
    if socket.ahead().is_empty() && !matches!(socket.read_ahead(MOST_BYTES).await, Ok(1..)) {
        return Err(HandshakeError::Probe);
    }
    held(socket.ahead().len());
    if socket.ahead().first() != Some(&plaintext::HANDSHAKE) {
        return Err(plaintext::refuse(socket).await);
    }
    let begun = *started.insert(Instant::now());
    loop {
        match client_hello::progress(socket.ahead()) {
            Progress::Whole if client_hello::is_of_ssl3(socket.ahead()) => {
                // The probe takes any alert for a sign of life.
                let _ = socket.write_all(&[0x15, 3, 0, 0, 2, plaintext::FATAL, PROTOCOL_VERSION]).await;
                *started = None;
                return Err(HandshakeError::Ssl3);
            }
            Progress::Whole => return Ok(begun),
            Progress::TooLong => {
                let _ = socket.write_all(&[0x15, 3, 3, 0, 2, plaintext::FATAL, DECODE_ERROR]).await;
                return Err(HandshakeError::LongClientHello);
            }
            Progress::Unfinished => match socket.read_ahead(MOST_BYTES).await {
                Ok(1..) => held(socket.ahead().len()),
                _ => return Err(HandshakeError::Reset),
            },
        }
    }
}

/// Completes a handshake with a required client certificate, once [`greet`] has read its ClientHello. `places` are those of
/// admitted clients: when there is none, a client gets an alert instead of silence.
///
/// # Errors
/// See [`HandshakeError`]. The alert is on its way to the client on return; at the deadline the connection is dropped as it
/// is.
pub async fn accept(
    socket: ClientSocket,
    (material, places): (&TlsMaterial, &Arc<Semaphore>),
    (started, deadline): (Instant, Instant),
) -> Result<Authenticated, HandshakeFailed> {
    match timeout_at(deadline, Box::pin(accept_boxed(socket, (material, places), started))).await {
        Ok(Ok(authenticated)) => Ok(*authenticated),
        Ok(Err(error)) => Err(HandshakeFailed { error, elapsed: Some(started.elapsed()) }),
        Err(_) => Err(HandshakeFailed { error: HandshakeError::Timeout, elapsed: Some(started.elapsed()) }),
    }
}

/// The handshake itself. Callers box it: rustls' connection is over a kilobyte, and a connection's task would
/// hold room for it for ever.
async fn accept_boxed(
    mut socket: ClientSocket,
    (material, places): (&TlsMaterial, &Arc<Semaphore>),
    started: Instant,
) -> Result<Box<Authenticated>, HandshakeError> {
    socket.begin_handshake();
    let verifier = material.connection_verifier(Arc::clone(places));
    let config =
        material.server_config(Arc::clone(&verifier)).map_err(|error| HandshakeError::Protocol(error.to_string()))?;
    match TlsAcceptor::from(Arc::new(config)).accept(socket).into_fallible().await {
        Ok(mut stream) => {
            stream.get_mut().0.end_handshake();
            authenticated(stream, &verifier, started).map(Box::new)
        }
        Err((error, socket)) => {
            close_gently(socket).await;
            Err(match verifier.take_outcome() {
                Some(Err(refused)) => HandshakeError::Refused(Box::new(refused)),
                Some(Ok(_)) | None => HandshakeError::from_io(&error),
            })
        }
    }
}

fn authenticated(
    stream: ClientStream,
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
    let cipher = session.negotiated_cipher_suite().map_or("", |suite| iana_name(suite.suite()));
    Ok(Authenticated { chain: verified.kept(chain), verified, elapsed: started.elapsed(), version, cipher, stream })
}

/// IANA's name of a cipher suite. rustls' names of those of TLS 1.3 begin with `TLS13_` instead of `TLS_`.
fn iana_name(suite: CipherSuite) -> &'static str {
    match suite {
        CipherSuite::TLS13_AES_128_GCM_SHA256 => "TLS_AES_128_GCM_SHA256",
        CipherSuite::TLS13_AES_256_GCM_SHA384 => "TLS_AES_256_GCM_SHA384",
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => "TLS_CHACHA20_POLY1305_SHA256",
        other => other.as_str().unwrap_or_default(),
    }
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

    /// Thousands of connections wait in the first of them; rustls' connection alone has 1,168 bytes.
    #[test]
    fn the_futures_of_a_handshake_are_small() {
        fn waiting<F: Future>(_: impl FnOnce(&'static mut ClientSocket, Instant, fn(usize)) -> F) -> usize {
            size_of::<F>()
        }
        fn shaking<F: Future>(
            _: impl FnOnce(ClientSocket, (&'static TlsMaterial, &'static Arc<Semaphore>), (Instant, Instant)) -> F,
        ) -> usize {
            size_of::<F>()
        }
        let sizes = (waiting(greet), shaking(accept));
        assert!(sizes.0 <= 640 && sizes.1 <= 704, "{sizes:?} bytes");
    }
}
