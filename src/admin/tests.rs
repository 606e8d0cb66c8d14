use std::sync::Mutex;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::metrics::{Metrics, UpstreamState};

use super::status::{
    CertificateStatus, ClientCertificateStatus, ConnectionCounts, CrlStatus, IdentityStatus, MaterialStatus, NotReady,
    RefusalStatus, ReloadProblem, ReloadStatus, Status, StatusQuery, Timestamp, UpstreamStatus,
};
use super::*;

/// An admin server on loopback, and the strings that steer what it says.
struct Server {
    address: SocketAddr,
    not_ready: Arc<Mutex<Vec<NotReady>>>,
    asked: Arc<Mutex<Vec<StatusQuery>>>,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

pub(super) const HOSTILE: &str = "CN=\"</script>\\\n\u{1b}[31m,O=é";

fn start() -> Server {
    start_with(LIMITS)
}

fn start_with(limits: Limits) -> Server {
    let mut admin = Admin::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    admin.limits = limits;
    let address = admin.local_addr();
    let (not_ready, asked) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
    let registry = Registry::new();
    Metrics::new(&registry).unwrap();
    let view = AdminView {
        registry,
        status: {
            let asked = asked.clone();
            Arc::new(move |query| {
                asked.lock().unwrap().push(query);
                sample()
            })
        },
        readiness: {
            let not_ready = not_ready.clone();
            Arc::new(move || not_ready.lock().unwrap().clone())
        },
        hosts: Hosts::new(vec!["zk1.example.com".to_owned()]),
    };
    let shutdown = CancellationToken::new();
    let task = tokio::spawn(admin.serve(Arc::new(view), shutdown.clone()));
    Server { address, not_ready, asked, shutdown, task }
}

/// A status of 60 identities, whatever was asked for.
pub(super) fn sample() -> Status {
    let identity = |n: u64| IdentityStatus {
        identity: if n == 0 { HOSTILE.to_owned() } else { format!("CN=app{n}") },
        names: vec![format!("CN=app{n}")],
        names_total: 1,
        connections: 100 - n,
        sessions: 99 - n,
        requests: 7,
        not_after: Timestamp(1_800_000_000),
        tls_versions: vec!["TLSv1.2", "TLSv1.3"],
    };
    Status {
        version: "1.2.3",
        revision: "abc",
        started: Timestamp(1_700_000_000),
        uptime_seconds: 60,
        listeners: vec!["127.0.0.1:2281".parse().unwrap(), "[::1]:2281".parse().unwrap()],
        upstream: UpstreamStatus {
            address: "127.0.0.1:2181".into(),
            state: "leader",
            version: Some("3.9.5".into()),
            last_probe: None,
            last_credential: Some("accepted"),
        },
        certificates: vec![CertificateStatus {
            role: "server",
            subject: "CN=zk1".into(),
            subject_cn: "zk1".into(),
            issuer: "CN=ca".into(),
            issuer_cn: "ca".into(),
            alias: None,
            serial: "0a".into(),
            not_before: Timestamp(0),
            not_after: Timestamp(1_900_000_000),
        }],
        certificates_total: 1,
        crls: vec![sample_crl()],
        crls_total: 1,
        reload: sample_reload(),
        client_certificates_total: 60,
        client_certificates: (0..60).map(client_certificate).collect(),
        refusals: (0..60).map(refusal).collect(),
        connections: ConnectionCounts { handshaking: 1, opening: 2, established: 3, draining: 4 },
        identities: 60,
        merged_identities: 0,
        connections_by_identity: (0..60).map(identity).collect(),
    }
}

fn client_certificate(n: u64) -> ClientCertificateStatus {
    ClientCertificateStatus {
        identity: format!("CN=app{n}"),
        serial: format!("{n:x}"),
        sha256_prefix: "0123456789abcdef".into(),
        not_after: Timestamp(1_800_000_000),
        connections: 1,
    }
}

fn refusal(n: u64) -> RefusalStatus {
    RefusalStatus {
        time: Timestamp(1_700_000_000),
        times: n,
        peer: "192.0.2.1:1234".parse().unwrap(),
        reason: "expired",
        detail: None,
        subject: Some(HOSTILE.to_owned()),
        serial: None,
        identity: None,
    }
}

fn sample_crl() -> CrlStatus {
    CrlStatus {
        issuer: "CN=ca".into(),
        issuer_cn: "ca".into(),
        file: "/etc/zoogate/ca.crl".into(),
        number: Some("7".into()),
        this_update: Timestamp(1_700_000_000),
        next_update: None,
        entries: 3,
        required: true,
    }
}

/// A reload that has failed for good.
fn sample_reload() -> ReloadStatus {
    ReloadStatus {
        last: Timestamp(1_700_000_000),
        result: "failed",
        problem: Some(ReloadProblem {
            since: Timestamp(1_700_000_000),
            pending: false,
            materials: vec!["crls"],
            messages: vec!["tls.crls: it can't be parsed".into()],
        }),
        needs_restart: vec!["limits"],
        materials: vec![MaterialStatus {
            material: "crls",
            loaded: Timestamp(1_600_000_000),
            disk_generation: 2,
            loaded_generation: 1,
            current: false,
        }],
    }
}

impl Server {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends bytes and returns all that comes back until the server closes.
    async fn raw(&self, request: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect().await;
        // The server may answer and close before it has read everything.
        let _ = stream.write_all(request.as_ref()).await;
        read_all(&mut stream).await
    }

    async fn request(&self, method: &str, path: &str) -> Answer {
        let text = self.raw(format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")).await;
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
    }

    async fn get(&self, path: &str) -> Answer {
        self.request("GET", path).await
    }

    async fn json(&self, path: &str) -> serde_json::Value {
        let answer = self.get(path).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        serde_json::from_str(&answer.body).unwrap()
    }
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

async fn read_all(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn a_taken_port_fails_at_bind() {
    let first = Admin::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    assert_ne!(first.local_addr().port(), 0);
    let second = Admin::bind(first.local_addr());
    assert_eq!(second.err().map(|error| error.kind()), Some(io::ErrorKind::AddrInUse));
}

#[tokio::test]
async fn metrics_are_prometheus_text() {
    let server = start();
    let answer = server.get("/metrics").await;
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("content-type: text/plain; version=0.0.4"), "{}", answer.head);
    assert!(answer.body.contains("\nzoogate_connections_accepted_total 0\n"));
}

#[tokio::test]
async fn liveness_is_always_ok() {
    let server = start();
    *server.not_ready.lock().unwrap() = vec![NotReady::Draining];
    let answer = server.get("/livez").await;
    assert_eq!((answer.status, &*answer.body), (200, "ok\n"));
}

#[tokio::test]
async fn readiness_lists_each_reason_on_its_line() {
    let server = start();
    let ready = server.get("/readyz").await;
    assert_eq!((ready.status, &*ready.body), (200, "ready\n"));
    *server.not_ready.lock().unwrap() = vec![NotReady::Draining, NotReady::Upstream(UpstreamState::NotServing)];
    let not_ready = server.get("/readyz").await;
    assert_eq!((not_ready.status, &*not_ready.body), (503, "draining\nupstream_not_serving\n"));
    assert_eq!(server.request("HEAD", "/readyz").await.status, 503);
}

#[tokio::test]
async fn pages_are_served_under_names_that_no_stranger_can_own() {
    let server = start();
    let ask = async |path: &str, host: &str| {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let answer = read_all(&mut stream).await;
        let status: u16 = answer.split(' ').nth(1).unwrap().parse().unwrap();
        (status, answer)
    };
    for path in ["/", "/status", "/metrics", "/status?limit=1"] {
        for host in ["localhost", "127.0.0.1:9281", "zk1.example.com:9281"] {
            assert_eq!(ask(path, host).await.0, 200, "{path} {host}");
        }
        let (status, answer) = ask(path, "rebound.example:9281").await;
        assert_eq!(status, 421, "{path}");
        assert!(answer.contains("`admin: { hosts: ['rebound.example'] }`"), "{answer}");
        assert!(!answer.contains("CN="), "{answer}");
        assert_eq!(ask(path, "<script>").await.0, 400, "{path}");
    }
    for path in ["/livez", "/readyz"] {
        assert_eq!(ask(path, "balancer.example").await.0, 200, "{path}");
    }
    assert!(server.asked.lock().unwrap().len() < 12, "nothing is gathered for a stranger");
}

#[tokio::test]
async fn head_has_the_headers_of_get_and_no_body() {
    let server = start();
    for path in ["/", "/livez", "/readyz", "/status"] {
        let (get, head) = (server.get(path).await, server.request("HEAD", path).await);
        assert_eq!(head.status, 200);
        assert_eq!(head.body, "", "{path}");
        let length = format!("content-length: {}", get.body.len());
        assert!(get.head.contains(&length) && head.head.contains(&length), "{path}: {}", head.head);
    }
}

#[tokio::test]
async fn other_methods_are_refused_with_those_allowed() {
    let server = start();
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "BREW"] {
        let answer = server.request(method, "/status").await;
        assert_eq!(answer.status, 405, "{method}");
        assert!(answer.head.contains("allow: get, head"), "{}", answer.head);
    }
    assert!(server.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn other_paths_are_not_found_and_the_answer_lists_those_there_are() {
    let server = start();
    for path in ["/metrics/", "//status", "/status/../metrics", "/STATUS", "/%6detrics", "/favicon.ico"] {
        let answer = server.get(path).await;
        assert_eq!(answer.status, 404, "{path}");
        for known in ["/metrics", "/livez", "/readyz", "/status"] {
            assert!(answer.body.contains(known));
        }
    }
    assert_eq!(server.get("/").await.status, 200);
}

fn crls_as_documented() -> serde_json::Value {
    serde_json::json!([{
        "issuer": "CN=ca",
        "issuer_cn": "ca",
        "file": "/etc/zoogate/ca.crl",
        "number": "7",
        "this_update": "2023-11-14T22:13:20Z",
        "next_update": null,
        "entries": 3,
        "required": true,
    }])
}

fn reload_as_documented() -> serde_json::Value {
    serde_json::json!({
        "last": "2023-11-14T22:13:20Z",
        "result": "failed",
        "problem": {
            "since": "2023-11-14T22:13:20Z",
            "pending": false,
            "materials": ["crls"],
            "messages": ["tls.crls: it can't be parsed"],
        },
        "needs_restart": ["limits"],
        "materials": [{
            "material": "crls",
            "loaded": "2020-09-13T12:26:40Z",
            "disk_generation": 2,
            "loaded_generation": 1,
            "current": false,
        }],
    })
}

fn refusals_as_documented() -> serde_json::Value {
    serde_json::json!([{
        "time": "2023-11-14T22:13:20Z",
        "times": 0,
        "peer": "192.0.2.1:1234",
        "reason": "expired",
        "detail": null,
        "subject": HOSTILE,
        "serial": null,
        "identity": null,
    }])
}

#[tokio::test]
async fn the_status_has_the_documented_shape() {
    let server = start();
    *server.not_ready.lock().unwrap() = vec![NotReady::Upstream(UpstreamState::Unreachable)];
    let answer = server.get("/status?limit=1").await;
    assert!(answer.head.contains("content-type: application/json"), "{}", answer.head);
    assert!(answer.head.contains("x-content-type-options: nosniff"), "{}", answer.head);
    let status: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    let expected = serde_json::json!({
        "ready": false,
        "not_ready": ["upstream_unreachable"],
        "version": "1.2.3",
        "revision": "abc",
        "started": "2023-11-14T22:13:20Z",
        "uptime_seconds": 60,
        "listeners": ["127.0.0.1:2281", "[::1]:2281"],
        "upstream": {"address": "127.0.0.1:2181", "state": "leader", "version": "3.9.5", "last_probe": null,
            "last_credential": "accepted"},
        "certificates": [{
            "role": "server",
            "subject": "CN=zk1",
            "subject_cn": "zk1",
            "issuer": "CN=ca",
            "issuer_cn": "ca",
            "alias": null,
            "serial": "0a",
            "not_before": "1970-01-01T00:00:00Z",
            "not_after": "2030-03-17T17:46:40Z",
        }],
        "certificates_total": 1,
        "crls": crls_as_documented(),
        "crls_total": 1,
        "reload": reload_as_documented(),
        "connections": {"handshaking": 1, "opening": 2, "established": 3, "draining": 4},
        "client_certificates_total": 60,
        "client_certificates": [{
            "identity": "CN=app0",
            "serial": "0",
            "sha256_prefix": "0123456789abcdef",
            "not_after": "2027-01-15T08:00:00Z",
            "connections": 1,
        }],
        "refusals": refusals_as_documented(),
        "identities": 60,
        "merged_identities": 0,
        "connections_by_identity": [{
            "identity": HOSTILE,
            "names": ["CN=app0"],
            "names_total": 1,
            "connections": 100,
            "sessions": 99,
            "requests": 7,
            "not_after": "2027-01-15T08:00:00Z",
            "tls_versions": ["TLSv1.2", "TLSv1.3"],
        }],
    });
    assert_eq!(status, expected);
}

#[tokio::test]
async fn control_characters_of_an_identity_are_escaped() {
    let server = start();
    let body = server.get("/status?limit=1").await.body;
    assert!(body.contains(r#""CN=\"</script>\\\n\u001b[31m,O=é""#), "{body}");
    assert!(!body.contains('\u{1b}'));
}

#[tokio::test]
async fn the_status_lists_no_more_of_anything_than_the_limit() {
    let server = start();
    for (path, listed) in [("/status", 50), ("/status?limit=0", 0), ("/status?limit=7", 7), ("/status?limit=1000", 60)]
    {
        let status = server.json(path).await;
        for list in ["connections_by_identity", "client_certificates", "refusals"] {
            assert_eq!(status[list].as_array().unwrap().len(), listed, "{path}: {list}");
        }
        assert_eq!(status["identities"], 60);
    }
    let limits: Vec<_> = server.asked.lock().unwrap().iter().map(|query| query.limit).collect();
    assert_eq!(limits, [50, 0, 7, 1000]);
}

#[tokio::test]
async fn a_bad_limit_is_refused_with_what_is_allowed() {
    let server = start();
    for query in ["limit=1001", "limit=-1", "limit=ten", "limit", "limit=5&limit=6", "sort=up"] {
        let answer = server.get(&format!("/status?{query}")).await;
        assert_eq!(answer.status, 400, "{query}");
        assert!(answer.body.contains("from 0 to 1000"), "{}", answer.body);
    }
    assert!(server.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_huge_header_is_refused() {
    let server = start();
    let long = format!("GET /livez HTTP/1.1\r\nHost: localhost\r\nx: {}\r\n\r\n", "a".repeat(40_000));
    assert!(server.raw(long).await.starts_with("HTTP/1.1 431 "));
    let many = format!("GET /livez HTTP/1.1\r\nHost: localhost\r\n{}\r\n", "x: a\r\n".repeat(100));
    assert!(server.raw(many).await.starts_with("HTTP/1.1 431 "));
    assert_eq!(server.get("/livez").await.status, 200);
}

#[tokio::test]
async fn bytes_that_are_not_http_are_refused() {
    let server = start();
    for bytes in [&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], b"ruok\n\n", b"\0\0\0\x2c\0\0\0\0\r\n\r\n"] {
        let answer = server.raw(bytes).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400 "), "{answer:?}");
    }
    assert_eq!(server.get("/livez").await.status, 200);
}

#[tokio::test]
async fn one_request_is_answered_per_connection() {
    let server = start();
    let twice = "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(2);
    let answer = server.raw(twice).await;
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    assert!(answer.to_ascii_lowercase().contains("connection: close"));
}

fn brief() -> Limits {
    Limits { header: Duration::from_millis(200), exchange: Duration::from_millis(600), ..LIMITS }
}

#[tokio::test]
async fn a_client_that_trickles_its_header_is_cut() {
    let server = start_with(brief());
    let mut stream = server.connect().await;
    let begun = Instant::now();
    // One byte at a time, each well before the deadline.
    for byte in b"GET /livez HTTP/1.1\r\nx: ".iter().chain([b'a'; 200].iter()) {
        if stream.write_all(&[*byte]).await.is_err() {
            break;
        }
        sleep(Duration::from_millis(20)).await;
    }
    assert!(!read_all(&mut stream).await.contains("200 OK"));
    assert!(begun.elapsed() < Duration::from_secs(3), "held for {:?}", begun.elapsed());
}

#[tokio::test]
async fn a_silent_client_is_cut() {
    let server = start_with(brief());
    let mut stream = server.connect().await;
    let begun = Instant::now();
    assert!(!read_all(&mut stream).await.contains("200 OK"));
    assert!(begun.elapsed() < Duration::from_secs(3), "held for {:?}", begun.elapsed());
}

#[tokio::test]
async fn a_client_that_never_reads_its_answer_is_cut() {
    let pages = Arc::new(Pages::new(Arc::new(AdminView {
        registry: Registry::new(),
        status: Arc::new(|_query| {
            let mut status = sample();
            // More than socket buffers take.
            status.upstream.address = "x".repeat(64 << 20);
            status
        }),
        readiness: Arc::new(Vec::new),
        hosts: Hosts::default(),
    })));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (accepted, _) = listener.accept().await.unwrap();
    client.write_all(b"GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let stopping = GracefulShutdown::new();
    let served = exchange(accepted, pages, stopping.watcher(), brief());
    timeout(Duration::from_secs(5), served).await.expect("cut long before");
}

#[tokio::test]
async fn clients_that_sit_on_every_place_lose_the_oldest_to_a_newcomer() {
    let server = start_with(Limits { connections: 4, ..LIMITS });
    let mut idle = Vec::new();
    for _ in 0..4 {
        idle.push(server.connect().await);
    }
    for round in 1..=3 {
        let answer = timeout(Duration::from_secs(2), server.get("/livez")).await.expect("answered at once");
        assert_eq!(answer.status, 200, "round {round}");
    }
    // The newcomers took one place, one after the other; who came last kept its own.
    let mut byte = [0];
    let first = timeout(Duration::from_secs(2), idle[0].read(&mut byte)).await.expect("the oldest was cut");
    assert!(matches!(first, Ok(0) | Err(_)));
    assert!(timeout(Duration::from_millis(100), idle[3].read(&mut byte)).await.is_err(), "the newest was cut");
}

#[tokio::test]
async fn a_status_that_panics_is_an_error_page_and_no_more() {
    let mut admin = Admin::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    admin.limits = LIMITS;
    let address = admin.local_addr();
    let view = AdminView {
        registry: Registry::new(),
        status: Arc::new(|_query| panic!("meant to fail")),
        readiness: Arc::new(Vec::new),
        hosts: Hosts::default(),
    };
    let shutdown = CancellationToken::new();
    let task = tokio::spawn(admin.serve(Arc::new(view), shutdown.clone()));
    let server = Server { address, not_ready: Arc::default(), asked: Arc::default(), shutdown, task };
    let answer = server.get("/status").await;
    assert_eq!(answer.status, 500);
    assert!(!answer.body.contains("meant to fail"));
    assert_eq!(server.get("/livez").await.status, 200);
}

#[tokio::test]
async fn stopping_closes_idle_connections_and_the_port() {
    let server = start();
    let mut idle = server.connect().await;
    assert_eq!(server.get("/livez").await.status, 200);
    server.shutdown.cancel();
    timeout(Duration::from_secs(1), server.task).await.expect("ends before the grace is over").unwrap();
    assert_eq!(read_all(&mut idle).await, "");
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn stopping_waits_for_an_answer_that_has_begun_but_not_for_a_stalled_client() {
    let server = start_with(Limits { stop: Duration::from_millis(500), ..LIMITS });
    let mut begun = server.connect().await;
    begun.write_all(b"GET /livez HTTP/1.1\r\n").await.unwrap();
    let mut stalled = server.connect().await;
    stalled.write_all(b"GET /livez HTTP/1.1\r\n").await.unwrap();
    // Answered after the two above were accepted, and so they were read from.
    assert_eq!(server.get("/livez").await.status, 200);
    server.shutdown.cancel();
    sleep(Duration::from_millis(50)).await;
    begun.write_all(b"Host: localhost\r\n\r\n").await.unwrap();
    assert!(read_all(&mut begun).await.starts_with("HTTP/1.1 200 OK"));
    timeout(Duration::from_secs(2), server.task).await.expect("ends when the grace is over").unwrap();
    assert_eq!(read_all(&mut stalled).await, "");
}

#[tokio::test]
async fn costly_pages_are_made_one_at_a_time_even_for_clients_that_are_gone() {
    let (now, most) = (Arc::new(Mutex::new(0)), Arc::new(Mutex::new(0)));
    let pages = Arc::new(Pages::new(Arc::new(AdminView {
        registry: Registry::new(),
        status: {
            let most = most.clone();
            Arc::new(move |_query| {
                *now.lock().unwrap() += 1;
                let running = *now.lock().unwrap();
                let mut most = most.lock().unwrap();
                *most = running.max(*most);
                drop(most);
                std::thread::sleep(Duration::from_millis(30));
                *now.lock().unwrap() -= 1;
                sample()
            })
        },
        readiness: Arc::new(Vec::new),
        hosts: Hosts::default(),
    })));
    let request = || hyper::Request::builder().uri("/status").header("host", "localhost").body(()).unwrap();
    for _ in 0..10 {
        let (pages, request) = (pages.clone(), request());
        let asked = tokio::spawn(async move { pages.answer(&request).await });
        sleep(Duration::from_millis(5)).await;
        asked.abort();
    }
    assert_eq!(pages.answer(&request()).await.status(), 200);
    assert_eq!(*most.lock().unwrap(), 1);
}

#[tokio::test]
async fn the_page_for_people_is_html_whatever_the_client_accepts() {
    let server = start();
    let answers = [
        server.raw("GET / HTTP/1.1\r\nHost: localhost\r\naccept: application/json\r\n\r\n").await,
        server.raw("GET / HTTP/1.1\r\nHost: localhost\r\naccept: text/html\r\n\r\n").await,
        server.raw("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await,
    ];
    for answer in answers {
        let head = answer.to_ascii_lowercase();
        assert!(head.starts_with("http/1.1 200 ok"), "{head}");
        assert!(head.contains("content-type: text/html; charset=utf-8"), "{head}");
        assert!(head.contains("cache-control: no-store") && head.contains("referrer-policy: no-referrer"), "{head}");
        assert!(answer.ends_with("</html>\n") || answer.ends_with("</html>"));
    }
}

#[tokio::test]
async fn the_page_may_run_nothing_and_fetch_nothing_but_its_own_style() {
    let server = start();
    let answer = server.get("/").await;
    let style = answer.body.split("<style>").nth(1).unwrap().split("</style>").next().unwrap();
    let hash = base64::Engine::encode(
        &base64::prelude::BASE64_STANDARD,
        aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, style.as_bytes()),
    );
    let policy = answer.head.lines().find_map(|line| line.strip_prefix("content-security-policy: ")).unwrap();
    let expected = format!(
        "default-src 'none'; style-src 'sha256-{}'; img-src data:; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'",
        hash.to_ascii_lowercase()
    );
    assert_eq!(policy, expected);
    let body = answer.body.replace("xmlns='http://www.w3.org/2000/svg'", "");
    assert!(![" style=", "://", "src=", "@import", "url("].iter().any(|foreign| body.contains(foreign)));
}

#[tokio::test]
async fn the_page_refuses_other_methods_and_queries_that_it_does_not_know() {
    let server = start();
    assert_eq!(server.request("POST", "/").await.status, 405);
    let answer = server.get("/?limit=all").await;
    assert_eq!(answer.status, 400);
    assert!(answer.body.contains("limit, a number from 0 to 1000, and pause"), "{}", answer.body);
    assert!(server.asked.lock().unwrap().is_empty());
}
