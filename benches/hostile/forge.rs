//! What attackers send: certificates that cost much, ClientHellos that are too long or never end, requests.

use anyhow::ensure;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, IsCa, Issuer, KeyUsagePurpose, PKCS_RSA_SHA256,
    PublicKeyData, SignatureAlgorithm, SigningKey,
};
use rustls_pki_types::CertificateDer;

use crate::common::client::{Clients, named};

/// A record of TLS carries no more.
const RECORD: usize = 16 * 1024;
const RECORD_HEADER: usize = 5;

/// A self-signed certificate with so many extensions, each with a type of its own: 5,800 are 58 KB, nearly what a
/// Certificate message of rustls may be (64 KiB).
pub(super) fn many_extensions(clients: &Clients, count: u64) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let mut params = named("many");
    params.custom_extensions =
        (0..count).map(|n| CustomExtension::from_oid_content(&[2, 5, 29, 1000 + n], Vec::new())).collect();
    Ok(vec![params.self_signed(clients.key())?.into()])
}

/// A self-signed certificate as anybody makes it.
pub(super) fn unknown(clients: &Clients) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    Ok(vec![named("stranger").self_signed(clients.key())?.into()])
}

/// A leaf, and CAs of one name that might each have issued it and each other. Their keys have 8192 bits and the largest
/// exponent that is taken, and their signatures are as long and verify by none.
pub(super) fn false_issuers(clients: &Clients, count: u8) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let issuer = Issuer::new(authority(), Nobody::new(0));
    let mut chain = vec![named("big").signed_by(clients.key(), &issuer)?.into()];
    for seed in 0..count {
        chain.push(authority().signed_by(&Nobody::new(seed), &issuer)?.into());
    }
    Ok(chain)
}

fn authority() -> CertificateParams {
    let mut params = named("false CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.extended_key_usages = Vec::new();
    params
}

/// A good certificate, and behind it certificates that lead nowhere: 58 KB in four.
pub(super) fn junk_behind(clients: &Clients) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let mut params = named("junk");
    // An OCTET STRING of 14,500 bytes.
    let mut content = vec![0x04, 0x82, 0x38, 0xa4];
    content.resize(4 + 14_500, 0);
    params.custom_extensions = vec![CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99999, 1], content)];
    let junk: CertificateDer<'static> = params.self_signed(clients.key())?.into();
    let mut chain = vec![clients.issue("junk carrier")?];
    chain.resize(5, junk);
    Ok(chain)
}

/// A key of RSA with 8192 bits of which nobody knows the factors.
struct Nobody {
    public: Vec<u8>,
}

impl Nobody {
    fn new(seed: u8) -> Self {
        let mut state = u64::from(seed) + 1;
        let mut modulus: Vec<u8> = (0..128).flat_map(|_| random(&mut state).to_be_bytes()).collect();
        // All its bits, and odd.
        modulus[0] |= 0x80;
        modulus[1023] |= 1;
        // SEQUENCE { INTEGER of 1025 bytes, INTEGER 2^33 - 1 }.
        let mut public = vec![0x30, 0x82, 0x04, 0x0c, 0x02, 0x82, 0x04, 0x01, 0];
        public.extend_from_slice(&modulus);
        public.extend_from_slice(&[0x02, 0x05, 0x01, 0xff, 0xff, 0xff, 0xff]);
        Self { public }
    }
}

impl PublicKeyData for Nobody {
    fn der_bytes(&self) -> &[u8] {
        &self.public
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_RSA_SHA256
    }
}

impl SigningKey for Nobody {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let mut state = message.len() as u64;
        Ok(std::iter::once(0x11).chain((0..1023).map(|_| random(&mut state) as u8)).collect())
    }
}

/// splitmix64.
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut random = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    random = (random ^ (random >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    random ^ (random >> 31)
}

/// A ClientHello with a padding extension of so many bytes, in as many records as it takes.
pub(super) fn padded_hello(clients: &Clients, padding: u16) -> anyhow::Result<Vec<u8>> {
    let hello = clients.hello()?;
    let mut message = hello[RECORD_HEADER..].to_vec();
    // Header, version, random; then session id, cipher suites, compression methods.
    let mut at = 4 + 2 + 32;
    at += 1 + usize::from(message[at]);
    at += 2 + usize::from(u16::from_be_bytes([message[at], message[at + 1]]));
    at += 1 + usize::from(message[at]);
    let extensions = u16::from_be_bytes([message[at], message[at + 1]]);
    ensure!(usize::from(extensions) == message.len() - at - 2, "a ClientHello of another shape");
    message[at..at + 2].copy_from_slice(&(extensions + 4 + padding).to_be_bytes());
    message.extend_from_slice(&21_u16.to_be_bytes());
    message.extend_from_slice(&padding.to_be_bytes());
    message.resize(message.len() + usize::from(padding), 0);
    let length = (message.len() - 4) as u32;
    message[1..4].copy_from_slice(&length.to_be_bytes()[1..]);
    Ok(message.chunks(RECORD).flat_map(|part| record(&hello[..3], part)).collect())
}

fn record(kind_and_version: &[u8], part: &[u8]) -> Vec<u8> {
    [kind_and_version, &(part.len() as u16).to_be_bytes(), part].concat()
}

/// So many reads of 100 bytes under this xid.
pub(super) fn reads(xid: i32, count: usize) -> Vec<u8> {
    let mut read = crate::common::client::get_data(100);
    read[4..8].copy_from_slice(&xid.to_be_bytes());
    read.repeat(count)
}

/// A setACL of so many entries with the shortest names.
pub(super) fn set_acl(entries: u32) -> Vec<u8> {
    const SET_ACL: u32 = 7;
    let mut body: Vec<u8> = [1, SET_ACL, 2].iter().flat_map(|int| int.to_be_bytes()).collect();
    body.extend_from_slice(b"/a");
    body.extend_from_slice(&entries.to_be_bytes());
    for entry in 0..entries {
        body.extend_from_slice(&31_u32.to_be_bytes());
        body.extend_from_slice(&4_u32.to_be_bytes());
        body.extend_from_slice(b"x509");
        body.extend_from_slice(&4_u32.to_be_bytes());
        body.extend_from_slice(&[b'C', b'N', b'=', b'a' + (entry % 26) as u8]);
    }
    body.extend_from_slice(&(-1_i32).to_be_bytes());
    [&(body.len() as u32).to_be_bytes()[..], &body].concat()
}
