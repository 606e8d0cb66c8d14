//! The least that a relay can be: the same TLS, the same opening of a session, then bytes both ways unseen. It
//! knows no identity, injects nothing, counts nothing, logs nothing and has no deadlines.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{self, cipher_suite};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

#[derive(clap::Args)]
pub(crate) struct BareArguments {
    #[arg(long)]
    listen: SocketAddr,
    #[arg(long)]
    upstream: SocketAddr,
    #[arg(long)]
    directory: PathBuf,
    /// Of each of a connection's two buffers, in KiB.
    #[arg(long)]
    buffer: usize,
    /// Threads; as many as there are CPUs if it is not given.
    #[arg(long)]
    workers: Option<usize>,
}

pub(crate) fn run(arguments: &BareArguments) -> anyhow::Result<()> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if let Some(workers) = arguments.workers {
        builder.worker_threads(workers);
    }
    let runtime = builder.enable_all().build()?;
    runtime.block_on(async {
        let acceptor = TlsAcceptor::from(Arc::new(server_config(&arguments.directory)?));
        let listener = TcpListener::bind(arguments.listen).await?;
        let (upstream, buffer) = (arguments.upstream, arguments.buffer * 1024);
        // On the worker, as zoogate does it: the main thread would have to be woken for each connection.
        tokio::spawn(async move {
            loop {
                let Ok((tcp, _)) = listener.accept().await else { continue };
                // How a connection ends is of no interest here.
                tokio::spawn(serve(acceptor.clone(), tcp, upstream, buffer));
            }
        })
        .await?;
        Ok(())
    })
}

async fn serve(acceptor: TlsAcceptor, tcp: TcpStream, upstream: SocketAddr, buffer: usize) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    let mut client = Box::pin(acceptor.accept(tcp)).await?;
    let request = frame(&mut client).await?;
    let mut upstream = TcpStream::connect(upstream).await?;
    upstream.set_nodelay(true)?;
    upstream.write_all(&request).await?;
    let response = frame(&mut upstream).await?;
    client.write_all(&response).await?;
    client.flush().await?;
    let copy = tokio::io::copy_bidirectional_with_sizes(&mut client, &mut upstream, buffer, buffer);
    Box::pin(copy).await.map(|_| ())
}

/// One frame, its length included.
async fn frame(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let mut frame = vec![0; 4];
    stream.read_exact(&mut frame).await?;
    let length = u32::from_be_bytes([frame[0], frame[1], frame[2], frame[3]]) as usize;
    if length > 1024 {
        return Err(io::ErrorKind::InvalidData.into());
    }
    frame.resize(4 + length, 0);
    stream.read_exact(&mut frame[4..]).await?;
    Ok(frame)
}

/// What zoogate chooses too: AES-128 first, no resumption.
fn server_config(directory: &std::path::Path) -> anyhow::Result<ServerConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(directory.join("ca.pem"))? {
        roots.add(certificate?)?;
    }
    let mut provider: CryptoProvider = aws_lc_rs::default_provider();
    provider.cipher_suites.retain(|suite| suite.suite() != cipher_suite::TLS13_AES_128_GCM_SHA256.suite());
    provider.cipher_suites.insert(0, cipher_suite::TLS13_AES_128_GCM_SHA256);
    let provider = Arc::new(provider);
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build()?;
    let chain = CertificateDer::pem_file_iter(directory.join("server.pem"))?.collect::<Result<_, _>>()?;
    let key = PrivateKeyDer::from_pem_file(directory.join("server.key"))?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)?;
    config.ignore_client_order = true;
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(config)
}
