//! How webpki is asked, and what its answers come to.

use rustls_pki_types::{Der, TrustAnchor};

use crate::reason::Refusal;

/// The extendedKeyUsage of a path of a TLS client: absent, or with clientAuth or anyExtendedKeyUsage, as the JDK
/// takes it. webpki's own `KeyUsage::client_auth()` does not know anyExtendedKeyUsage.
pub(crate) struct ClientPurpose;

impl webpki::ExtendedKeyUsageValidator for ClientPurpose {
    fn validate(&self, purposes: webpki::KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        let any: &[usize] = &[2, 5, 29, 37, 0];
        let present =
            purposes.map(|purpose| Ok(purpose?.to_decoded_oid())).collect::<Result<Vec<_>, webpki::Error>>()?;
        if present.is_empty() || present.iter().any(|oid| oid == webpki::KeyUsage::CLIENT_AUTH_REPR || oid == any) {
            return Ok(());
        }
        let required = webpki::KeyUsage::client_auth();
        Err(webpki::Error::RequiredEkuNotFoundContext(webpki::RequiredEkuNotFoundContext { required, present }))
    }
}

/// Whether our own search may accept what webpki refused for this reason. webpki tells one reason of many when
/// several paths fail, so the reasons for which a single path fails are all here; those that speak of encodings
/// are not, because there the search has no opinion of its own.
pub(crate) fn ours_to_judge(error: &webpki::Error) -> bool {
    use webpki::Error as E;
    matches!(
        error,
        E::UnsupportedCertVersion
            | E::CaUsedAsEndEntity
            | E::UnknownIssuer
            | E::PathLenConstraintViolated
            | E::EndEntityUsedAsCa
            | E::CertExpired { .. }
            | E::CertNotValidYet { .. }
            | E::InvalidSignatureForPublicKey
            | E::RequiredEkuNotFoundContext(_)
            // The search knows a spelling of algorithms more.
            | E::UnsupportedSignatureAlgorithmContext(_)
            // webpki compares fewer forms of names than our own check, and reads constraints no more strictly.
            | E::NameConstraintViolation
            | E::MalformedNameConstraint
            | E::InvalidNetworkMaskConstraint
            | E::MaximumNameConstraintComparisonsExceeded
            // From our own check of a path.
            | E::CertDistrusted
    )
}

/// The word for a refusal by webpki where our own search has no better one.
pub(crate) fn refusal_of(error: &webpki::Error) -> Refusal {
    use webpki::Error as E;
    match error {
        E::CertExpired { .. } => Refusal::Expired,
        E::CertNotValidYet { .. } => Refusal::NotYetValid,
        E::UnknownIssuer => Refusal::UnknownCa,
        E::CertRevoked | E::CertDistrusted => Refusal::Revoked,
        E::EmptyEkuExtension | E::RequiredEkuNotFoundContext(_) => Refusal::BadUsage,
        E::CaUsedAsEndEntity | E::EndEntityUsedAsCa | E::PathLenConstraintViolated | E::MaximumPathDepthExceeded => {
            Refusal::BadCa
        }
        E::NameConstraintViolation
        | E::MalformedNameConstraint
        | E::InvalidNetworkMaskConstraint
        | E::MaximumNameConstraintComparisonsExceeded => Refusal::NameConstraints,
        E::UnsupportedCriticalExtension | E::UnsupportedNameType => Refusal::UnsupportedExtension,
        E::InvalidSignatureForPublicKey => Refusal::BadSignature,
        E::UnsupportedSignatureAlgorithmContext(_) | E::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => {
            Refusal::WeakKey
        }
        // The rest are ways of being badly encoded; webpki may add to them.
        _ => Refusal::Malformed,
    }
}

/// The same anchor, without a copy of its bytes.
pub(crate) fn borrowed<'a>(anchor: &'a TrustAnchor<'static>) -> TrustAnchor<'a> {
    TrustAnchor {
        subject: Der::from(anchor.subject.as_ref()),
        subject_public_key_info: Der::from(anchor.subject_public_key_info.as_ref()),
        name_constraints: anchor.name_constraints.as_ref().map(|der| Der::from(der.as_ref())),
    }
}
