//! ZooKeeper clients over mutual TLS, as cheap as they can be.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::ensure;
use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair, KeyUsagePurpose};
use rustls::crypto::aws_lc_rs::{self, kx_group};
use rustls::sign::{CertifiedKey, SigningKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub(super) const GET_DATA: i32 = 4;

/// Makes sessions.
#[derive(Clone)]
pub(super) struct Clients {
    config: Arc<ClientConfig>,
    newcomers: Arc<Newcomers>,
}

/// Issues a certificate of its own to each client.
struct Newcomers {
    issuer: Issuer<'static, KeyPair>,
    key: KeyPair,
    signing: Arc<dyn SigningKey>,
}

/// An open session.
pub(super) struct Session {
    stream: TlsStream<TcpStream>,
}

impl Clients {
    /// Clients offer what Java's do, X25519 as the first group; every relay then does the same work.
    pub(super) fn load(directory: &Path, post_quantum: bool) -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(directory.join("ca.pem"))? {
            roots.add(certificate?)?;
        }
        let mut provider = aws_lc_rs::default_provider();
        if !post_quantum {
            provider.kx_groups = vec![kx_group::X25519, kx_group::SECP256R1, kx_group::SECP384R1];
        }
        let provider = Arc::new(provider);
        let chain = CertificateDer::pem_file_iter(directory.join("client.pem"))?.collect::<Result<_, _>>()?;
        let key = PrivateKeyDer::from_pem_file(directory.join("client.key"))?;
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key.clone_key())?;
        config.resumption = rustls::client::Resumption::disabled();
        let newcomers = Newcomers {
            issuer: Issuer::new(named("CA"), KeyPair::from_pem(&fs::read_to_string(directory.join("ca.key"))?)?),
            key: KeyPair::try_from(&key)?,
            signing: provider.key_provider.load_private_key(key)?,
        };
        Ok(Self { config: Arc::new(config), newcomers: Arc::new(newcomers) })
    }

    /// A full handshake and a new session, of a client that always has the same certificate.
    pub(super) async fn open(&self, relay: SocketAddr) -> anyhow::Result<Session> {
        open(relay, Arc::clone(&self.config)).await
    }

    /// The same, of a client whose certificate nobody has seen before.
    pub(super) async fn open_new(&self, relay: SocketAddr) -> anyhow::Result<Session> {
        let Newcomers { issuer, key, signing } = &*self.newcomers;
        let certificate = named("client").signed_by(key, issuer)?;
        let certified = CertifiedKey::new(vec![certificate.der().clone()], Arc::clone(signing));
        let mut config = ClientConfig::clone(&self.config);
        config.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(certified));
        open(relay, Arc::new(config)).await
    }
}

/// As the script has openssl name them; the serial number is random.
fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "Benchmark");
    params.distinguished_name.push(DnType::CommonName, name);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params
}

async fn open(relay: SocketAddr, config: Arc<ClientConfig>) -> anyhow::Result<Session> {
    let tcp = TcpStream::connect(relay).await?;
    tcp.set_nodelay(true)?;
    let name = ServerName::try_from("localhost")?;
    let mut stream = TlsConnector::from(config).connect(name, tcp).await?;
    let suite = stream.get_ref().1.negotiated_cipher_suite().map(|suite| suite.suite());
    ensure!(suite == Some(rustls::CipherSuite::TLS13_AES_128_GCM_SHA256), "negotiated {suite:?}");
    stream.write_all(&connect_request()).await?;
    stream.flush().await?;
    let mut session = Session { stream };
    let response = session.reply(&mut [0; 64]).await?;
    ensure!(response == 41, "a ConnectResponse of {response} bytes");
    Ok(session)
}

impl Session {
    /// Reads `bytes` bytes of data.
    pub(super) async fn read(&mut self, bytes: usize, buffer: &mut [u8]) -> anyhow::Result<()> {
        self.stream.write_all(&get_data(bytes)).await?;
        self.stream.flush().await?;
        let reply = self.reply(buffer).await?;
        ensure!(reply == 4 + 16 + 4 + bytes + 68, "a reply of {reply} bytes");
        Ok(())
    }

    /// Says goodbye and waits until the relay has.
    pub(super) async fn close(mut self) -> io::Result<()> {
        self.stream.shutdown().await?;
        match self.stream.read(&mut [0; 64]).await {
            Ok(_) => Ok(()),
            // HAProxy may cut what is closed already.
            Err(error) if matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset) => {
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Takes one frame in; says how long it was, its length included.
    async fn reply(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut length = 0;
        let mut whole = None;
        while whole.is_none_or(|whole| length < whole) {
            let read = match whole {
                None => self.stream.read(&mut buffer[length..]).await?,
                Some(_) => self.stream.read(buffer).await?,
            };
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            length += read;
            if whole.is_none() && length >= 4 {
                whole = Some(4 + int(buffer, 0) as usize);
            }
        }
        Ok(length)
    }
}

/// The i32 at an offset; the caller knows that it is there.
pub(super) fn int(bytes: &[u8], at: usize) -> i32 {
    i32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn connect_request() -> [u8; 49] {
    let mut request = [0; 49];
    request[3] = 45;
    request[16..20].copy_from_slice(&30_000_u32.to_be_bytes());
    request[31] = 16;
    request
}

fn get_data(bytes: usize) -> Vec<u8> {
    let path = format!("/{bytes}");
    let length = 8 + 4 + path.len() + 1;
    let ints = [length as i32, 1, GET_DATA, path.len() as i32];
    let mut request: Vec<u8> = ints.iter().flat_map(|int| int.to_be_bytes()).collect();
    request.extend_from_slice(path.as_bytes());
    request.push(0);
    request
}
