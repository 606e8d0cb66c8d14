//! Handshakes over loopback with `openssl s_client`, rustls and clients that speak something else.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{ExtendedKeyUsagePurpose, SanType, date_time_ymd};
use rustls_pki_types::{PrivateKeyDer, UnixTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use zoogate::reason::Refusal;
use zoogate::store::KeyStore;
use zoogate::tls::material::{TlsMaterial, TlsOptions, TlsVersions};
use zoogate::tls::revocation::RevocationOptions;
use zoogate::tls::verifier::{ClientVerifier, VerifiedChain};
use zoogate::tls::{Authenticated, ClientSocket, HandshakeError, PlaintextKind, accept, close_gently, greet};

use crate::pki::{Entity, Openssl, ca, leaf, trust};

const PATIENCE: Duration = Duration::from_secs(20);

/// What the server knows of a client that it let in.
#[derive(Debug)]
struct Client {
    verified: VerifiedChain,
    chain: usize,
    elapsed: Duration,
    version: &'static str,
    cipher: &'static str,
    /// The first application bytes.
    said: Vec<u8>,
}

type Outcome = Result<Client, HandshakeError>;

struct Server {
    port: u16,
    outcome: JoinHandle<Outcome>,
}

/// Serves one connection: reads once, answers `pong`, closes.
async fn serve(material: TlsMaterial, limit: Duration) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let material = Arc::new(material);
    let outcome = tokio::spawn(async move {
        let (tcp, _) = listener.accept().await.unwrap();
        let mut client = handshake(tcp, &material, Instant::now() + limit).await?;
        let mut said = vec![0; 64];
        let count = client.stream.read(&mut said).await.unwrap();
        said.truncate(count);
        client.stream.write_all(b"pong\n").await.unwrap();
        client.stream.shutdown().await.unwrap();
        let (verified, elapsed, version, cipher) = (client.verified, client.elapsed, client.version, client.cipher);
        Ok(Client { verified, chain: client.chain.len(), elapsed, version, cipher, said })
    });
    Server { port, outcome }
}

/// Both stages of a handshake.
async fn handshake(tcp: TcpStream, material: &TlsMaterial, deadline: Instant) -> Result<Authenticated, HandshakeError> {
    let mut socket = ClientSocket::new(tcp);
    let started = match greet(&mut socket, deadline, |_held| {}).await {
        Ok(started) => started,
        Err(failed) => {
            close_gently(socket).await;
            return Err(failed.error);
        }
    };
    let places = Arc::new(Semaphore::new(1));
    accept(socket, (material, &places), (started, deadline)).await.map_err(|failed| failed.error)
}

impl Server {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(("127.0.0.1", self.port)).await.unwrap()
    }

    async fn outcome(self) -> Outcome {
        timeout(PATIENCE, self.outcome).await.expect("the server never finished").unwrap()
    }
}

/// A CA, the server's certificate by it, and a directory for openssl with `ca.crt`.
struct Pki {
    root: Entity,
    server: Entity,
    openssl: Openssl,
}

impl Pki {
    fn new() -> Self {
        let root = Entity::root("Root");
        let mut params = leaf("zk1");
        params.subject_alt_names = vec![SanType::DnsName("localhost".to_owned().try_into().unwrap())];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let server = root.issue(params);
        let openssl = Openssl::new();
        root.write(openssl.dir.path(), "ca");
        Self { root, server, openssl }
    }

    /// A client by the CA, written as `client.crt` and `client.key`.
    fn client(&self, params: rcgen::CertificateParams) -> Entity {
        let client = self.root.issue(params);
        client.write(self.openssl.dir.path(), "client");
        client
    }

    fn material(&self, crls: Vec<Vec<u8>>, versions: TlsVersions) -> TlsMaterial {
        let verifier = ClientVerifier::new(&trust(&[&self.root.cert]), crls, RevocationOptions::default()).unwrap();
        TlsMaterial::new(self.server.key_store(&[]), Arc::new(verifier), TlsOptions { versions }, UnixTime::now())
            .unwrap()
    }

    async fn serve(&self) -> Server {
        serve(self.material(Vec::new(), TlsVersions::default()), PATIENCE).await
    }

    /// Runs `openssl s_client` to its end; returns what it printed.
    async fn s_client(&self, port: u16, arguments: &str) -> String {
        let mut child = tokio::process::Command::new("openssl")
            .args(["s_client", "-connect", &format!("127.0.0.1:{port}"), "-CAfile", "ca.crt"])
            .args(arguments.split_whitespace())
            .current_dir(self.openssl.dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(b"ping\n").await.unwrap();
        // Standard input stays open: at its end s_client would leave before it has read an alert.
        let output = timeout(PATIENCE, child.wait_with_output()).await.expect("s_client never ended").unwrap();
        drop(stdin);
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    }
}

const CLIENT: &str = "-cert client.crt -key client.key";

#[tokio::test]
async fn a_client_is_let_in_with_tls_1_2_and_1_3() {
    let pki = Pki::new();
    pki.client(leaf("alice"));
    for (flag, version, cipher) in [
        ("-tls1_3", "TLSv1.3", "TLS_AES_128_GCM_SHA256"),
        ("-tls1_2", "TLSv1.2", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"),
    ] {
        let server = pki.serve().await;
        let said = pki.s_client(server.port, &format!("{flag} {CLIENT}")).await;
        let client = server.outcome().await.unwrap();
        assert_eq!((client.version, client.cipher), (version, cipher));
        assert_eq!(client.said, b"ping\n");
        // s_client sends the CA that it finds in -CAfile behind its own certificate. Only the path is kept.
        assert_eq!(client.chain, 1);
        assert_eq!(client.verified.anchor.subject, "CN=Root,O=Example");
        assert!(client.elapsed > Duration::ZERO);
        assert!(said.contains("pong"), "{said}");
    }
}

#[tokio::test]
async fn our_order_of_cipher_suites_counts() {
    let pki = Pki::new();
    pki.client(leaf("alice"));
    for (order, cipher) in [
        (
            "-tls1_3 -ciphersuites TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256",
            "TLS_AES_128_GCM_SHA256",
        ),
        ("-tls1_3 -ciphersuites TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384", "TLS_AES_256_GCM_SHA384"),
        (
            "-tls1_2 -cipher ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256",
            "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        ),
    ] {
        let server = pki.serve().await;
        pki.s_client(server.port, &format!("{order} {CLIENT}")).await;
        assert_eq!(server.outcome().await.unwrap().cipher, cipher);
    }
}

#[tokio::test]
async fn each_refusal_is_told_to_the_client_by_its_alert() {
    let pki = Pki::new();
    let stranger = Entity::root("Stranger");
    let mut expired = leaf("late");
    expired.not_after = date_time_ymd(2021, 1, 1);
    let mut early = leaf("early");
    early.not_before = date_time_ymd(2039, 1, 1);
    let mut for_servers = leaf("zk2");
    for_servers.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let revoked = pki.root.issue(leaf("bob"));
    let not_a_ca = pki.root.issue(leaf("carol"));
    for (client, refusal, alert) in [
        (pki.root.issue(expired), Refusal::Expired, 45),
        (pki.root.issue(early), Refusal::NotYetValid, 45),
        (pki.root.issue(for_servers), Refusal::BadUsage, 43),
        (stranger.issue(leaf("mallory")), Refusal::UnknownCa, 48),
        (Entity::root("Root").issue(leaf("mallory")), Refusal::BadSignature, 42),
        (not_a_ca.issue(leaf("mallory")), Refusal::UnknownCa, 48),
        (revoked, Refusal::Revoked, 44),
    ] {
        client.write(pki.openssl.dir.path(), "client");
        for flag in ["-tls1_3", "-tls1_2"] {
            let crl = pki.root.crl(&[&Entity {
                params: leaf("bob"),
                key: rcgen::KeyPair::generate().unwrap(),
                cert: client.cert.clone(),
            }]);
            let server = serve(pki.material(vec![crl], TlsVersions::default()), PATIENCE).await;
            let said = pki.s_client(server.port, &format!("{flag} {CLIENT}")).await;
            let error = server.outcome().await.unwrap_err();
            assert_eq!(error.refusal(), Some(refusal), "{error}");
            assert!(said.contains(&format!("SSL alert number {alert}")), "{flag} {refusal}: {said}");
            let HandshakeError::Refused(refused) = &error else { panic!("{error:?}") };
            assert!(refused.subject.as_deref().is_some_and(|subject| subject.starts_with("CN=")), "{refused:?}");
            assert!(refused.serial.is_some());
        }
    }
}

#[tokio::test]
async fn a_client_without_a_certificate_is_told_so() {
    let pki = Pki::new();
    for (flag, alert) in [("-tls1_3", 116), ("-tls1_2", 116)] {
        let server = pki.serve().await;
        let said = pki.s_client(server.port, flag).await;
        assert_eq!(server.outcome().await.unwrap_err(), HandshakeError::NoCertificate);
        assert!(said.contains(&format!("SSL alert number {alert}")), "{flag}: {said}");
    }
}

#[tokio::test]
async fn version_1_and_ca_clients_can_sign_the_handshake() {
    let pki = Pki::new();
    pki.openssl.issue("old", "-algorithm RSA -pkeyopt rsa_keygen_bits:2048", "");
    let mut params = ca("alice");
    params.key_usages = Vec::new();
    pki.root.issue(params).write(pki.openssl.dir.path(), "caclient");
    for name in ["old", "caclient"] {
        for flag in ["-tls1_3", "-tls1_2"] {
            let server = pki.serve().await;
            pki.s_client(server.port, &format!("{flag} -cert {name}.crt -key {name}.key")).await;
            let client = server.outcome().await;
            assert!(client.is_ok(), "{name} {flag}: {client:?}");
        }
    }
}

#[tokio::test]
async fn every_kind_of_client_key_can_sign_the_handshake() {
    let pki = Pki::new();
    for genpkey in [
        "-algorithm RSA -pkeyopt rsa_keygen_bits:2048",
        "-algorithm EC -pkeyopt ec_paramgen_curve:P-256",
        "-algorithm EC -pkeyopt ec_paramgen_curve:P-384",
        "-algorithm EC -pkeyopt ec_paramgen_curve:P-521",
        "-algorithm ED25519",
    ] {
        pki.openssl.write("v3.cnf", "basicConstraints=CA:FALSE\n");
        pki.openssl.issue("client", genpkey, "-extfile v3.cnf");
        for flag in ["-tls1_3", "-tls1_2"] {
            let server = pki.serve().await;
            pki.s_client(server.port, &format!("{flag} {CLIENT}")).await;
            let client = server.outcome().await;
            assert!(client.is_ok(), "{genpkey} {flag}: {client:?}");
        }
    }
}

#[tokio::test]
async fn a_certificate_without_its_key_is_a_bad_signature() {
    let pki = Pki::new();
    let victim = pki.root.issue(leaf("admin"));
    let mallory = rcgen::KeyPair::generate().unwrap();
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let server = pki.serve().await;
        let mut identity = victim.key_store(&[]);
        identity.key = PrivateKeyDer::try_from(mallory.serialize_der()).unwrap();
        let result = rustls_client(&pki, &server, identity, version).await;
        assert_eq!(server.outcome().await.unwrap_err(), HandshakeError::BadSignature);
        assert!(result.is_err());
    }
    // The same client with the right key is let in, so it is the key that made the difference.
    let server = pki.serve().await;
    rustls_client(&pki, &server, victim.key_store(&[]), &rustls::version::TLS13).await.unwrap();
    server.outcome().await.unwrap();
}

#[tokio::test]
async fn bytes_sent_with_the_end_of_the_handshake_are_not_lost() {
    let pki = Pki::new();
    let alice = pki.root.issue(leaf("alice"));
    let server = pki.serve().await;
    // The client writes as soon as its own side is done, in one flight with its certificate.
    let reply = rustls_client(&pki, &server, alice.key_store(&[]), &rustls::version::TLS13).await.unwrap();
    assert_eq!(reply, b"pong\n");
    assert_eq!(server.outcome().await.unwrap().said, b"ping\n");
}

#[tokio::test]
async fn an_alert_arrives_although_the_client_has_sent_more() {
    let pki = Pki::new();
    let mallory = Entity::root("Stranger").issue(leaf("mallory"));
    let server = pki.serve().await;
    let error = rustls_client(&pki, &server, mallory.key_store(&[]), &rustls::version::TLS13).await.unwrap_err();
    assert!(error.to_string().contains("UnknownCA"), "{error}");
}

#[tokio::test]
async fn a_malformed_handshake_is_answered_by_an_alert_although_more_was_sent() {
    let pki = Pki::new();
    let server = pki.serve().await;
    let mut tcp = server.connect().await;
    // A finished ClientHello that is none, and far more than rustls reads before it says so.
    let mut bytes = b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00".to_vec();
    bytes.resize(100_000, 0);
    tcp.write_all(&bytes).await.unwrap();
    tcp.shutdown().await.unwrap();
    assert_eq!(server.outcome().await.unwrap_err().refusal(), Some(Refusal::Malformed));
    let mut got = Vec::new();
    // Had the server closed with bytes unread, this would be a reset.
    timeout(PATIENCE, tcp.read_to_end(&mut got)).await.expect("not closed").unwrap();
    assert_eq!(got.first(), Some(&0x15), "{got:02x?}");
}

#[tokio::test]
async fn no_session_is_resumed() {
    let pki = Pki::new();
    pki.client(leaf("alice"));
    for flag in ["-tls1_3", "-tls1_2"] {
        let server = pki.serve().await;
        let said = pki.s_client(server.port, &format!("{flag} {CLIENT} -sess_out session.pem")).await;
        server.outcome().await.unwrap();
        assert!(!said.contains("TLS session ticket:"), "{said}");
        assert!(!said.contains("Post-Handshake New Session Ticket"), "{said}");
        // What TLS 1.2 has without a ticket, a session id, is not given either.
        let id = said.lines().find_map(|line| line.trim().strip_prefix("Session-ID:")).unwrap_or_default().trim();
        assert_eq!(id, "", "{said}");
    }
}

#[tokio::test]
async fn versions_and_ciphers_that_are_not_spoken_are_told_apart() {
    let pki = Pki::new();
    pki.client(leaf("alice"));
    for (versions, arguments, refusal) in [
        (TlsVersions::default(), "-tls1_1 -cipher DEFAULT@SECLEVEL=0", Refusal::NoCommonVersion),
        (TlsVersions::Tls13, "-tls1_2", Refusal::NoCommonVersion),
        (TlsVersions::Tls12, "-tls1_3", Refusal::NoCommonVersion),
        (TlsVersions::default(), "-tls1_2 -cipher AES128-SHA", Refusal::NoCommonCipher),
        (TlsVersions::default(), "-tls1_2 -cipher ECDHE-RSA-AES128-GCM-SHA256", Refusal::NoCommonCipher),
        (TlsVersions::default(), "-tls1_3 -curves X448", Refusal::NoCommonCipher),
    ] {
        let server = serve(pki.material(Vec::new(), versions), PATIENCE).await;
        let said = pki.s_client(server.port, &format!("{arguments} {CLIENT}")).await;
        let error = server.outcome().await.unwrap_err();
        assert_eq!(error.refusal(), Some(refusal), "{arguments}: {error:?}");
        assert!(said.contains("SSL alert number"), "{arguments}: {said}");
    }
    for (versions, arguments) in [(TlsVersions::Tls13, "-tls1_3"), (TlsVersions::Tls12, "-tls1_2")] {
        let server = serve(pki.material(Vec::new(), versions), PATIENCE).await;
        pki.s_client(server.port, &format!("{arguments} {CLIENT}")).await;
        server.outcome().await.unwrap();
    }
}

#[tokio::test]
async fn a_client_that_distrusts_the_server_is_a_peer_alert() {
    let pki = Pki::new();
    pki.client(leaf("alice"));
    Entity::root("Stranger").write(pki.openssl.dir.path(), "ca");
    for flag in ["-tls1_3", "-tls1_2"] {
        let server = pki.serve().await;
        pki.s_client(server.port, &format!("{flag} {CLIENT} -verify_return_error")).await;
        let error = server.outcome().await.unwrap_err();
        assert_eq!(error.refusal(), Some(Refusal::PeerAlert), "{error:?}");
        assert!(error.to_string().contains("unknown_ca"), "{error}");
    }
}

#[tokio::test]
async fn a_slow_handshake_ends_at_its_deadline() {
    let pki = Pki::new();
    for begin in [&b""[..], b"\x16", b"\x16\x03\x01\x02\x00\x01"] {
        let server = serve(pki.material(Vec::new(), TlsVersions::default()), Duration::from_millis(300)).await;
        let mut tcp = server.connect().await;
        tcp.write_all(begin).await.unwrap();
        let started = Instant::now();
        assert_eq!(server.outcome().await.unwrap_err(), HandshakeError::Timeout, "{begin:?}");
        assert!(started.elapsed() < Duration::from_secs(10));
        drop(tcp);
    }
}

#[tokio::test]
async fn the_handshake_is_timed_from_its_first_byte() {
    let pki = Pki::new();
    let alice = pki.root.issue(leaf("alice"));
    let server = pki.serve().await;
    let tcp = server.connect().await;
    let idle = Duration::from_secs(2);
    sleep(idle).await;
    let connector = connector(&pki, alice.key_store(&[]), &rustls::version::TLS13);
    let mut stream = connector.connect("localhost".try_into().unwrap(), tcp).await.unwrap();
    stream.write_all(b"ping\n").await.unwrap();
    let client = server.outcome().await.unwrap();
    assert!(client.elapsed < idle, "{:?}", client.elapsed);
}

#[tokio::test]
async fn a_client_hello_in_single_bytes_is_understood() {
    let pki = Pki::new();
    let alice = pki.root.issue(leaf("alice"));
    let server = pki.serve().await;
    let mut proxied = server.connect().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let pump = tokio::spawn(async move {
        let (mut tcp, _) = listener.accept().await.unwrap();
        proxied.set_nodelay(true).unwrap();
        for _ in 0..100 {
            let byte = tcp.read_u8().await.unwrap();
            proxied.write_all(&[byte]).await.unwrap();
            sleep(Duration::from_millis(1)).await;
        }
        let _ = tokio::io::copy_bidirectional(&mut tcp, &mut proxied).await;
    });
    let through = Server { port, outcome: server.outcome };
    rustls_client(&pki, &through, alice.key_store(&[]), &rustls::version::TLS13).await.unwrap();
    through.outcome().await.unwrap();
    pump.abort();
}

#[tokio::test]
async fn an_empty_connection_is_a_probe() {
    let pki = Pki::new();
    for reset in [false, true] {
        let server = pki.serve().await;
        let tcp = server.connect().await;
        if reset {
            socket2::SockRef::from(&tcp).set_linger(Some(Duration::ZERO)).unwrap();
        }
        drop(tcp);
        let error = server.outcome().await.unwrap_err();
        assert_eq!((error.refusal(), &error), (None, &HandshakeError::Probe));
    }
}

#[tokio::test]
async fn plaintext_is_told_by_kind_and_only_the_unknown_is_answered() {
    let pki = Pki::new();
    let mut connect_request = vec![0, 0, 0, 45];
    connect_request.resize(49, 0);
    for (bytes, kind, answer) in [
        (&b"ruok"[..], PlaintextKind::FourLetterWord, &b""[..]),
        (b"srvr\n", PlaintextKind::FourLetterWord, b""),
        (&connect_request, PlaintextKind::Zookeeper, b""),
        (b"GET /metrics HTTP/1.1\r\nHost: zk\r\n\r\n", PlaintextKind::Http, b""),
        (b"SSH-2.0-OpenSSH_9.2\r\n", PlaintextKind::Other, b"\x15\x03\x01\x00\x02\x02\x0a"),
        (b"hi\n", PlaintextKind::Other, b"\x15\x03\x01\x00\x02\x02\x0a"),
    ] {
        let server = pki.serve().await;
        let mut tcp = server.connect().await;
        tcp.write_all(bytes).await.unwrap();
        let mut got = Vec::new();
        // A reset instead of an end would be an error here.
        timeout(PATIENCE, tcp.read_to_end(&mut got)).await.expect("not closed").unwrap();
        assert_eq!(got, answer, "{bytes:?}");
        drop(tcp);
        let error = server.outcome().await.unwrap_err();
        assert_eq!(error, HandshakeError::Plaintext(kind));
        assert_eq!(error.refusal(), Some(Refusal::Plaintext));
    }
}

#[tokio::test]
async fn plaintext_in_pieces_is_told_by_all_of_them() {
    let pki = Pki::new();
    let server = pki.serve().await;
    let mut tcp = server.connect().await;
    tcp.set_nodelay(true).unwrap();
    tcp.write_all(b"ru").await.unwrap();
    sleep(Duration::from_millis(30)).await;
    tcp.write_all(b"ok").await.unwrap();
    assert_eq!(server.outcome().await.unwrap_err(), HandshakeError::Plaintext(PlaintextKind::FourLetterWord));
}

#[tokio::test]
async fn a_broken_handshake_is_told_from_a_client_that_left() {
    let pki = Pki::new();
    for (bytes, refusal) in [
        (&b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00"[..], Refusal::Malformed),
        (b"\x16garbage that is no TLS at all", Refusal::Malformed),
        (b"\x16\x03\x01\x02\x00\x01\x00", Refusal::Reset),
    ] {
        let server = pki.serve().await;
        let mut tcp = server.connect().await;
        tcp.write_all(bytes).await.unwrap();
        tcp.shutdown().await.unwrap();
        let error = server.outcome().await.unwrap_err();
        assert_eq!(error.refusal(), Some(refusal), "{bytes:?}: {error:?}");
    }
}

#[tokio::test]
async fn the_client_is_told_which_cas_are_trusted() {
    let pki = Pki::new();
    pki.client(leaf("alice"));
    let server = pki.serve().await;
    let said = pki.s_client(server.port, &format!("-tls1_2 {CLIENT}")).await;
    assert!(said.contains("Acceptable client certificate CA names"), "{said}");
    assert!(said.contains("O = Example, CN = Root"), "{said}");
}

fn connector(
    pki: &Pki,
    identity: KeyStore,
    version: &'static rustls::SupportedProtocolVersion,
) -> tokio_rustls::TlsConnector {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let key = provider.key_provider.load_private_key(identity.key).unwrap();
    let certified = Arc::new(rustls::sign::CertifiedKey::new(identity.chain, key));
    let mut roots = rustls::RootCertStore::empty();
    roots.add(pki.root.cert.clone()).unwrap();
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_client_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(certified)));
    Arc::new(config).into()
}

/// Says `ping` at once and returns the answer.
async fn rustls_client(
    pki: &Pki,
    server: &Server,
    identity: KeyStore,
    version: &'static rustls::SupportedProtocolVersion,
) -> std::io::Result<Vec<u8>> {
    let connector = connector(pki, identity, version);
    let tcp = server.connect().await;
    let mut stream = connector.connect("localhost".try_into().unwrap(), tcp).await?;
    stream.write_all(b"ping\n").await?;
    let mut reply = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut reply)).await.expect("no end")?;
    Ok(reply)
}
