//! Bundles of certificates and revocation lists in PKCS#7 (RFC 2315) or CMS (RFC 5652), as Windows exports them
//! (`.p7b`): a signed message without a signature.

use super::ber;
use super::der::{CONTEXT_0, Elements, INTEGER, OBJECT_IDENTIFIER, SEQUENCE, SET};
use super::fault::StoreFault;

/// What a bundle holds, in its order.
pub(super) struct Bundle {
    /// In DER, not parsed.
    pub(super) certificates: Vec<Vec<u8>>,
    /// In DER, not parsed.
    pub(super) crls: Vec<Vec<u8>>,
}

/// Reads a message of the type signedData, in DER or BER. Its signatures, if it has any, aren't looked at: whoever
/// puts a file in place vouches for it.
pub(super) fn bundle(data: &[u8]) -> Result<Bundle, StoreFault> {
    let damaged = || StoreFault::Malformed("its PKCS#7 bundle is cut short, or isn't whole DER or BER".into());
    let der = ber::to_der(data).ok_or_else(damaged)?;
    read(&der).ok_or_else(damaged)
}

fn read(der: &[u8]) -> Option<Bundle> {
    let mut message = Elements::of(der).enter(SEQUENCE)?;
    message.expect(OBJECT_IDENTIFIER)?;
    let mut signed = message.enter(CONTEXT_0)?.enter(SEQUENCE)?;
    signed.expect(INTEGER)?;
    signed.expect(SET)?;
    signed.expect(SEQUENCE)?;
    let mut list = |tag| if signed.at(tag) { sequences(signed.enter(tag)?) } else { Some(Vec::new()) };
    let bundle = Bundle { certificates: list(CONTEXT_0)?, crls: list(CONTEXT_1)? };
    signed.expect(SET)?;
    Some(bundle)
}

/// What is no sequence is an attribute certificate or another format: nothing that could be left out in silence.
fn sequences(mut elements: Elements<'_>) -> Option<Vec<Vec<u8>>> {
    let mut found = Vec::new();
    while !elements.is_empty() {
        found.push(elements.raw(SEQUENCE)?.to_vec());
    }
    Some(found)
}

/// `[1]`, constructed.
const CONTEXT_1: u8 = 0xa1;
