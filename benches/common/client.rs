//! ZooKeeper clients over mutual TLS, as cheap as they can be.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use anyhow::ensure;
use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair, KeyUsagePurpose};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs::{self, kx_group};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::sign::{CertifiedKey, SigningKey, SingleCertAndKey};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub(crate) const GET_DATA: i32 = 4;
pub(crate) const PING: i32 = 11;

/// What the upstream's reply to a read of 100 bytes is long, its length included.
pub(crate) const REPLY_OF_100: usize = 4 + 16 + 4 + 100 + 68;

/// Makes sessions.
#[derive(Clone)]
pub(crate) struct Clients {
    config: Arc<ClientConfig>,
    newcomers: Arc<Newcomers>,
}

/// Issues a certificate of its own to each client.
struct Newcomers {
    issuer: Issuer<'static, KeyPair>,
    key: KeyPair,
    signing: Arc<dyn SigningKey>,
}

/// One client: its certificate and where it comes from.
#[derive(Clone)]
pub(crate) struct Client {
    config: Arc<ClientConfig>,
    source: Option<Ipv4Addr>,
}

/// What a client asks for: a new session, or the one that it had.
#[derive(Clone, Copy)]
pub(crate) struct Wanted {
    /// Of the session, in milliseconds.
    pub(crate) timeout: u32,
    /// Zero for a new session.
    pub(crate) id: u64,
    pub(crate) password: [u8; 16],
}

/// What it got.
pub(crate) struct Granted {
    /// Zero if the session has expired.
    pub(crate) timeout: u32,
    pub(crate) id: u64,
    pub(crate) password: [u8; 16],
}

/// An open session.
pub(crate) struct Session {
    stream: TlsStream<TcpStream>,
}

impl Clients {
    /// Clients offer what Java's do, X25519 as the first group; every relay then does the same work.
    pub(crate) fn load(directory: &Path, post_quantum: bool) -> anyhow::Result<Self> {
        let mut provider = aws_lc_rs::default_provider();
        if !post_quantum {
            provider.kx_groups = vec![kx_group::X25519, kx_group::SECP256R1, kx_group::SECP384R1];
        }
        let provider = Arc::new(provider);
        let chain = CertificateDer::pem_file_iter(directory.join("client.pem"))?.collect::<Result<_, _>>()?;
        let key = PrivateKeyDer::from_pem_file(directory.join("client.key"))?;
        let server = CertificateDer::from_pem_file(directory.join("server.pem"))?;
        let verifier = KnownServer { certificate: server, provider: Arc::clone(&provider) };
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_auth_cert(chain, key.clone_key())?;
        config.resumption = Resumption::disabled();
        let newcomers = Newcomers {
            issuer: Issuer::new(named("CA"), KeyPair::from_pem(&fs::read_to_string(directory.join("ca.key"))?)?),
            key: KeyPair::try_from(&key)?,
            signing: provider.key_provider.load_private_key(key)?,
        };
        Ok(Self { config: Arc::new(config), newcomers: Arc::new(newcomers) })
    }

    /// A full handshake and a new session, of a client that always has the same certificate.
    pub(crate) async fn open(&self, relay: SocketAddr) -> anyhow::Result<Session> {
        self.usual().open(relay).await
    }

    /// The same, of a client whose certificate nobody has seen before.
    pub(crate) async fn open_new(&self, relay: SocketAddr) -> anyhow::Result<Session> {
        self.newcomer("client")?.open(relay).await
    }

    /// The client that always has the same certificate.
    pub(crate) fn usual(&self) -> Client {
        Client { config: Arc::clone(&self.config), source: None }
    }

    /// A client with a certificate of its own.
    pub(crate) fn newcomer(&self, name: &str) -> anyhow::Result<Client> {
        Ok(self.presenting(vec![self.issue(name)?]))
    }

    /// A client that presents these certificates, whatever they are. The first has the clients' key.
    pub(crate) fn presenting(&self, chain: Vec<CertificateDer<'static>>) -> Client {
        let certified = CertifiedKey::new(chain, Arc::clone(&self.newcomers.signing));
        let mut config = ClientConfig::clone(&self.config);
        config.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(certified));
        Client { config: Arc::new(config), source: None }
    }

    /// A client's certificate as the CA issues it.
    pub(crate) fn issue(&self, name: &str) -> anyhow::Result<CertificateDer<'static>> {
        let Newcomers { issuer, key, .. } = &*self.newcomers;
        Ok(named(name).signed_by(key, issuer)?.into())
    }

    /// The key that all clients have.
    pub(crate) fn key(&self) -> &KeyPair {
        &self.newcomers.key
    }

    /// A ClientHello, in its record.
    pub(crate) fn hello(&self) -> anyhow::Result<Vec<u8>> {
        let name = ServerName::try_from("localhost")?;
        let mut hello = Vec::new();
        rustls::ClientConnection::new(Arc::clone(&self.config), name)?.write_tls(&mut hello)?;
        Ok(hello)
    }
}

impl Client {
    /// The same client at another address of this machine.
    pub(crate) fn from(self, source: Ipv4Addr) -> Self {
        Self { source: Some(source), ..self }
    }

    /// The same client, which offers to resume the TLS sessions that it had.
    pub(crate) fn resuming(self) -> Self {
        let mut config = ClientConfig::clone(&self.config);
        config.resumption = Resumption::in_memory_sessions(2);
        Self { config: Arc::new(config), ..self }
    }

    /// A handshake and a new session.
    pub(crate) async fn open(&self, relay: SocketAddr) -> anyhow::Result<Session> {
        let (session, _) = self.session(relay, Wanted { timeout: 30_000, id: 0, password: [0; 16] }).await?;
        Ok(session)
    }

    /// A handshake, and what the relay answers to this ConnectRequest.
    pub(crate) async fn session(&self, relay: SocketAddr, wanted: Wanted) -> anyhow::Result<(Session, Granted)> {
        let mut stream = self.handshake(relay).await?;
        let suite = stream.get_ref().1.negotiated_cipher_suite().map(|suite| suite.suite());
        ensure!(suite == Some(rustls::CipherSuite::TLS13_AES_128_GCM_SHA256), "negotiated {suite:?}");
        stream.write_all(&connect_request(wanted)).await?;
        stream.flush().await?;
        let mut session = Session { stream };
        let mut response = [0; 64];
        let length = session.reply(&mut response).await?;
        ensure!(length == 41, "a ConnectResponse of {length} bytes");
        let id = u64::from_be_bytes(response[12..20].try_into()?);
        let granted = Granted { timeout: int(&response, 8) as u32, id, password: response[24..40].try_into()? };
        Ok((session, granted))
    }

    /// A handshake alone.
    pub(crate) async fn handshake(&self, relay: SocketAddr) -> anyhow::Result<TlsStream<TcpStream>> {
        let tcp = connect(self.source, relay).await?;
        let name = ServerName::try_from("localhost")?;
        Ok(TlsConnector::from(Arc::clone(&self.config)).connect(name, tcp).await?)
    }
}

/// A TCP connection from one of this machine's addresses.
pub(crate) async fn connect(source: Option<Ipv4Addr>, relay: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    if let Some(source) = source {
        socket.bind((source, 0).into())?;
    }
    let tcp = socket.connect(relay).await?;
    tcp.set_nodelay(true)?;
    Ok(tcp)
}

/// As the script has openssl name them; the serial number is random.
pub(crate) fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "Benchmark");
    params.distinguished_name.push(DnType::CommonName, name);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params
}

/// Knows the server by its certificate's bytes: no path is looked for, so that the load costs little. The signature
/// over the handshake is verified.
#[derive(Debug)]
struct KnownServer {
    certificate: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for KnownServer {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if *leaf == self.certificate {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::UnknownIssuer.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, leaf, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, leaf, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

impl Session {
    /// Reads `bytes` bytes of data.
    pub(crate) async fn read(&mut self, bytes: usize, buffer: &mut [u8]) -> anyhow::Result<()> {
        self.stream.write_all(&get_data(bytes)).await?;
        self.stream.flush().await?;
        let reply = self.reply(buffer).await?;
        ensure!(reply == 4 + 16 + 4 + bytes + 68, "a reply of {reply} bytes");
        Ok(())
    }

    /// Sends bytes of the protocol.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    /// Takes in whatever comes next; 0 at the end. May be dropped while it waits.
    pub(crate) async fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buffer).await
    }

    /// Says goodbye and waits until the relay has.
    pub(crate) async fn close(mut self) -> io::Result<()> {
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
pub(crate) fn int(bytes: &[u8], at: usize) -> i32 {
    i32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn connect_request(wanted: Wanted) -> [u8; 49] {
    let mut request = [0; 49];
    request[3] = 45;
    request[16..20].copy_from_slice(&wanted.timeout.to_be_bytes());
    request[20..28].copy_from_slice(&wanted.id.to_be_bytes());
    request[31] = 16;
    request[32..48].copy_from_slice(&wanted.password);
    request
}

/// As clients send them when they are idle.
pub(crate) fn ping() -> [u8; 12] {
    let mut ping = [0; 12];
    ping[3] = 8;
    ping[4..8].copy_from_slice(&(-2_i32).to_be_bytes());
    ping[8..].copy_from_slice(&PING.to_be_bytes());
    ping
}

pub(crate) fn get_data(bytes: usize) -> Vec<u8> {
    let path = format!("/{bytes}");
    let length = 8 + 4 + path.len() + 1;
    let ints = [length as i32, 1, GET_DATA, path.len() as i32];
    let mut request: Vec<u8> = ints.iter().flat_map(|int| int.to_be_bytes()).collect();
    request.extend_from_slice(path.as_bytes());
    request.push(0);
    request
}
