//! What a client's certificates may cost. Everything here is looked at before a certificate is parsed and before any
//! signature is checked, and costs a few steps per element at most.
//!
//! The numbers are generous for certificates that people issue, and keep the work on a stranger's behalf below the
//! work of an ordinary handshake: see `docs/security.md`.

use rustls_pki_types::CertificateDer;

use super::der;
use super::verifier::VerifyError;
use crate::reason::Refusal;

/// Most certificates that a client may send, its own included. Java's clients and servers take 10 and 8 by default
/// (`jdk.tls.maxCertificateChainLength`).
pub const MAX_CHAIN: usize = 10;
/// Most bytes of one certificate. One signed by and for the largest post-quantum keys has 7.5 KiB.
pub const MAX_CERTIFICATE: usize = 16 * 1024;
/// Most bytes of all certificates together: what Java takes as a handshake message (`jdk.tls.maxHandshakeMessageSize`).
pub const MAX_CHAIN_BYTES: usize = 32 * 1024;
/// Most extensions of one certificate. Common ones have a dozen.
pub const MAX_EXTENSIONS: usize = 64;
/// Most relative distinguished names of a subject or an issuer, and most attributes of it. Common ones have less than
/// ten.
pub const MAX_NAME_PARTS: usize = 64;
/// Most bytes of a subject or an issuer: twice an identity's.
pub const MAX_NAME: usize = 2 * crate::identity::MAX_IDENTITY;
/// Most DER elements of all certificates together, those inside of extensions included. A common certificate has less
/// than 200.
pub const MAX_ELEMENTS: usize = 2048;

/// Most bytes of certificates besides those of the accepted path and its CA of the trust store. rustls keeps what a
/// client sent for as long as the connection lives.
pub const MAX_BESIDE: usize = 4 * 1024;

/// As [`check_size`] and [`check_shape`].
pub(crate) fn check(chain: &[CertificateDer<'_>]) -> Result<(), VerifyError> {
    check_size(chain)?;
    check_shape(chain)
}

/// Refuses an accepted chain with too much beside its path, given as positions. One copy of the `anchor` is not counted:
/// many clients send their root too.
pub(crate) fn check_beside(chain: &[CertificateDer<'_>], path: &[usize], anchor: &[u8]) -> Result<(), VerifyError> {
    let beside = chain.iter().enumerate().filter(|(position, _)| !path.contains(position)).map(|(_, it)| it);
    let bytes: usize = beside.clone().map(|certificate| certificate.len()).sum();
    let root = beside.clone().find(|certificate| ***certificate == *anchor).map_or(0, |root| root.len());
    let bytes = bytes - root;
    if bytes <= MAX_BESIDE {
        return Ok(());
    }
    Err(over(format!(
        "send the certificate and its issuers only: the client sent {bytes} bytes of other certificates, and at most \
         {MAX_BESIDE} are taken"
    )))
}

/// Refuses too many certificates, and too many bytes of them.
fn check_size(chain: &[CertificateDer<'_>]) -> Result<(), VerifyError> {
    if chain.len() > MAX_CHAIN {
        return Err(over(format!("the client sent {} certificates; at most {MAX_CHAIN} are looked at", chain.len())));
    }
    for (position, certificate) in (1..).zip(chain) {
        if certificate.len() > MAX_CERTIFICATE {
            let bytes = certificate.len();
            return Err(over(format!("certificate {position} has {bytes} bytes; at most {MAX_CERTIFICATE} are taken")));
        }
    }
    let bytes: usize = chain.iter().map(|certificate| certificate.len()).sum();
    if bytes > MAX_CHAIN_BYTES {
        return Err(over(format!("the client's certificates have {bytes} bytes; at most {MAX_CHAIN_BYTES} are taken")));
    }
    Ok(())
}

/// Refuses certificates of more parts than anybody needs. What is no DER is left to the parser.
fn check_shape(chain: &[CertificateDer<'_>]) -> Result<(), VerifyError> {
    let mut elements = 0;
    for (position, certificate) in (1..).zip(chain) {
        elements += der::count(certificate, MAX_ELEMENTS);
        if elements > MAX_ELEMENTS {
            return Err(over(format!(
                "the client's certificates have more than {MAX_ELEMENTS} elements of DER, up to certificate {position}"
            )));
        }
        if let Some(what) = excess(certificate) {
            return Err(over(format!("certificate {position} has {what}")));
        }
    }
    Ok(())
}

fn excess(certificate: &[u8]) -> Option<String> {
    let outline = der::outline(certificate)?;
    for (name, which) in [(outline.issuer, "issuer"), (outline.subject, "subject")] {
        if name.len() > MAX_NAME {
            return Some(format!("{} bytes in its {which}; at most {MAX_NAME} are taken", name.len()));
        }
        let parts = der::children(name).map(|rdn| der::children(rdn.contents).count().max(1)).sum::<usize>();
        if parts > MAX_NAME_PARTS {
            return Some(format!("{parts} attributes in its {which}; at most {MAX_NAME_PARTS} are taken"));
        }
    }
    let extensions = der::children(outline.extensions).count();
    (extensions > MAX_EXTENSIONS).then(|| format!("{extensions} extensions; at most {MAX_EXTENSIONS} are taken"))
}

/// A refusal for a limit of this page.
pub(crate) fn over(detail: String) -> VerifyError {
    VerifyError::new(Refusal::ChainTooLarge, detail)
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, CustomExtension, DnType, DnValue, Issuer, KeyPair, SanType};

    use super::*;

    type Der = CertificateDer<'static>;

    fn der(params: &CertificateParams) -> Der {
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    fn check(chain: &[Der]) -> Result<(), String> {
        super::check(chain).map_err(|error| {
            assert_eq!(error.refusal, Refusal::ChainTooLarge);
            error.detail
        })
    }

    fn extensions(number: usize, bytes: usize) -> Der {
        let mut params = CertificateParams::default();
        let extensions = (0..number as u64).map(|n| CustomExtension::from_oid_content(&[1, 2, 3, n], vec![5; bytes]));
        params.custom_extensions = extensions.collect();
        der(&params)
    }

    #[test]
    fn each_limit_is_met_on_both_sides() {
        let refused = |chain: &[Der], words: &str| {
            let detail = check(chain).unwrap_err();
            assert!(detail.contains(words), "{detail}");
        };
        let small = extensions(0, 0);
        check(&vec![small.clone(); MAX_CHAIN]).unwrap();
        refused(&vec![small.clone(); MAX_CHAIN + 1], "sent 11 certificates; at most 10");

        let bytes = |bytes: usize| Der::from(vec![0xff; bytes]);
        check(&[small.clone(), bytes(MAX_CERTIFICATE)]).unwrap();
        refused(&[small.clone(), bytes(MAX_CERTIFICATE + 1)], "certificate 2 has 16385 bytes; at most 16384");
        check(&[bytes(MAX_CERTIFICATE), bytes(MAX_CHAIN_BYTES - MAX_CERTIFICATE)]).unwrap();
        refused(&[bytes(MAX_CERTIFICATE), bytes(MAX_CERTIFICATE), bytes(1)], "have 32769 bytes; at most 32768");

        check(&[extensions(MAX_EXTENSIONS, 1)]).unwrap();
        refused(&[small, extensions(MAX_EXTENSIONS + 1, 1)], "certificate 2 has 65 extensions; at most 64");
    }

    #[test]
    fn long_names_and_many_names_are_refused() {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "x".repeat(MAX_NAME));
        let key = KeyPair::generate().unwrap();
        let by = CertificateParams::default();
        let issuer = Issuer::from_params(&by, &key);
        let long = params.signed_by(&key, &issuer).unwrap().der().clone();
        let detail = check(&[long]).unwrap_err();
        assert!(detail.contains("bytes in its subject; at most 8192"), "{detail}");

        let names = |number: u64| {
            let mut params = CertificateParams::default();
            params.distinguished_name = rcgen::DistinguishedName::new();
            for n in 0..number {
                let kind = DnType::CustomDnType(vec![1, 2, 3, n]);
                params.distinguished_name.push(kind, DnValue::Utf8String("x".to_owned()));
            }
            der(&params)
        };
        check(&[names(64)]).unwrap();
        let detail = check(&[names(65)]).unwrap_err();
        assert!(detail.contains("65 attributes in its issuer; at most 64"), "{detail}");

        let mut params = CertificateParams::default();
        params.subject_alt_names = (0..900).map(|n| SanType::Rfc822Name(format!("{n}").try_into().unwrap())).collect();
        let many = der(&params);
        check(&[many.clone(), many.clone()]).unwrap();
        let detail = check(&[many.clone(), many.clone(), many]).unwrap_err();
        assert!(detail.contains("more than 2048 elements of DER, up to certificate 3"), "{detail}");
    }

    #[test]
    fn what_lies_beside_the_path_is_weighed() {
        let bytes = |byte: u8, bytes: usize| Der::from(vec![byte; bytes]);
        let (leaf, issuer, root) = (bytes(1, 1_000), bytes(2, 9_000), bytes(3, 9_000));
        let chain = |beside: usize| [leaf.clone(), bytes(4, beside), issuer.clone(), root.clone()];
        check_beside(&chain(MAX_BESIDE), &[0, 2], &root).unwrap();
        let error = check_beside(&chain(MAX_BESIDE + 1), &[0, 2], &root).unwrap_err();
        assert_eq!(error.refusal, Refusal::ChainTooLarge);
        assert!(error.detail.contains("sent 4097 bytes of other certificates, and at most 4096"), "{error}");
        check_beside(&chain(0), &[0, 2], &leaf).unwrap_err();
        let twice = [leaf.clone(), root.clone(), root.clone()];
        let error = check_beside(&twice, &[0], &root).unwrap_err();
        assert!(error.detail.contains("sent 9000 bytes"), "the root once: {error}");
    }

    #[test]
    fn bytes_that_are_no_certificate_are_left_to_the_parser() {
        check(&[Der::from(vec![0x30, 3, 1, 2, 3]), Der::from(vec![]), Der::from(vec![0xff; 100])]).unwrap();
    }
}
