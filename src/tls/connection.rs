//! The judgement of one connection: asked by rustls during the handshake, remembered for the record.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, PeerMisbehaved, SignatureScheme};
use rustls_pki_types::{CertificateDer, SubjectPublicKeyInfoDer, UnixTime};
use tokio::sync::Semaphore;

use super::der;
use super::remembered::RememberingVerifier;
use super::verifier::{VerifiedChain, VerifyError};
use crate::reason::Refusal;

/// What the operator of a gate without a free place can do.
const TOO_MANY_CONNECTIONS: &str =
    "all places of `limits.connections` are taken: raise it, or have clients close what they don't use";

/// Verifies one client and keeps the outcome, which rustls' own error can't carry.
pub(crate) struct ConnectionVerifier {
    shared: Arc<RememberingVerifier>,
    algorithms: WebPkiSupportedAlgorithms,
    /// The places of admitted clients.
    places: Arc<Semaphore>,
    outcome: Mutex<Option<Result<VerifiedChain, VerifyError>>>,
}

impl ConnectionVerifier {
    pub(crate) fn new(
        shared: Arc<RememberingVerifier>,
        algorithms: WebPkiSupportedAlgorithms,
        places: Arc<Semaphore>,
    ) -> Self {
        Self { shared, algorithms, places, outcome: Mutex::new(None) }
    }

    /// The outcome; `None` when the handshake did not get as far as the client's certificate.
    pub(crate) fn take_outcome(&self) -> Option<Result<VerifiedChain, VerifyError>> {
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl ClientCertVerifier for ConnectionVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.shared.verifier().hints()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let chain: Vec<CertificateDer<'_>> =
            std::iter::once(end_entity).chain(intermediates).map(|der| CertificateDer::from(der.as_ref())).collect();
        // A place is taken when the handshake is over. This is the last moment in which the client can be sent an alert.
        let outcome = self.shared.verify(&chain, now).and_then(|verified| match self.places.available_permits() {
            0 => Err(VerifyError::new(Refusal::TooManyConnections, TOO_MANY_CONNECTIONS.to_owned())),
            _ => Ok(verified),
        });
        let answer = match &outcome {
            Ok(_) => Ok(ClientCertVerified::assertion()),
            Err(error) => Err(rustls::Error::InvalidCertificate(alert_for(error.refusal))),
        };
        *self.outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
        answer
    }

    /// By the bare key, because rustls' own function does not take version 1 certificates.
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = self.algorithms.mapping.iter().find(|(scheme, _)| *scheme == dss.scheme);
        let Some((_, algorithms)) = algorithms.filter(|(scheme, _)| in_tls12(*scheme)) else {
            return Err(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into());
        };
        let key = public_key(cert)?;
        let key = webpki::RawPublicKeyEntity::try_from(&key).map_err(|_| CertificateError::BadEncoding)?;
        let valid =
            algorithms.iter().any(|algorithm| key.verify_signature(*algorithm, message, dss.signature()).is_ok());
        if valid { Ok(HandshakeSignatureValid::assertion()) } else { Err(CertificateError::BadSignature.into()) }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature_with_raw_key(message, &public_key(cert)?, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl fmt::Debug for ConnectionVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionVerifier").finish_non_exhaustive()
    }
}

fn public_key<'a>(certificate: &'a CertificateDer<'_>) -> Result<SubjectPublicKeyInfoDer<'a>, rustls::Error> {
    let key = der::subject_public_key(certificate).ok_or(CertificateError::BadEncoding)?;
    Ok(SubjectPublicKeyInfoDer::from(key))
}

/// ML-DSA is for TLS 1.3 only.
fn in_tls12(scheme: SignatureScheme) -> bool {
    !matches!(scheme, SignatureScheme::ML_DSA_44 | SignatureScheme::ML_DSA_65 | SignatureScheme::ML_DSA_87)
}

/// The error from which rustls derives the alert that tells the client most.
fn alert_for(refusal: Refusal) -> CertificateError {
    match refusal {
        Refusal::Expired => CertificateError::Expired,
        Refusal::NotYetValid => CertificateError::NotValidYet,
        Refusal::Revoked => CertificateError::Revoked,
        Refusal::UnknownCa => CertificateError::UnknownIssuer,
        Refusal::RevocationUnknown => CertificateError::UnknownRevocationStatus,
        // Sent as access_denied.
        Refusal::TooManyConnections => CertificateError::ApplicationVerificationFailure,
        // Both are sent as unsupported_certificate.
        Refusal::BadUsage | Refusal::WeakKey => CertificateError::InvalidPurpose,
        Refusal::UnsupportedExtension => CertificateError::UnhandledCriticalExtension,
        Refusal::NoCertificate
        | Refusal::BadCa
        | Refusal::NameConstraints
        | Refusal::BadSignature
        | Refusal::Malformed
        | Refusal::ChainTooLarge
        | Refusal::NoCommonVersion
        | Refusal::NoCommonCipher
        | Refusal::PeerAlert
        | Refusal::Plaintext
        | Refusal::ProxyHeader
        | Refusal::ServerName
        | Refusal::TooManyHandshakes
        | Refusal::Timeout
        | Refusal::Reset
        | Refusal::NoIdentity
        | Refusal::AmbiguousIdentity
        | Refusal::Denied
        | Refusal::Protocol => CertificateError::BadEncoding,
    }
}
