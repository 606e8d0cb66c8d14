//! Opening a session: what goes where, and in which order.

use std::net::IpAddr;

use zoogate::credential::Credential;
use zoogate::identity::Identity;
use zoogate::secret::Secret;

use crate::support::End;
use crate::support::client::Client;
use crate::support::pki::{PKI, SECRETS};
use crate::support::proxy::Proxy;
use crate::support::setup::Setup;
use crate::support::upstream::{Injected, Server, Upstream};
use crate::support::wire::{self, SESSION, TIMEOUT, connect_request, connect_response, hello, op, welcome};

/// The credential of `name` that a secret makes, as ZooKeeper gets it.
fn credential(name: &str, secret: &str) -> String {
    let identity = Identity::new(format!("CN={name}")).unwrap();
    let credential = Credential::derive(&Secret::new(secret.as_bytes().to_vec()), &identity);
    String::from_utf8(credential.auth_data().expose().to_vec()).unwrap()
}

#[tokio::test]
async fn the_identity_is_injected_before_every_pipelined_byte_and_nothing_is_lost() {
    let upstream = Upstream::start().await;
    let proxy = Proxy::start(&upstream).await;
    let mut client = Client::connect(proxy.address, &PKI.alice).await;

    // As Java does over TLS: the ConnectRequest, its own auth (twice) and requests, all in one write.
    let theirs = [
        wire::auth(-4, "digest", "app:password"),
        wire::auth(-4, "digest", "app:password"),
        wire::request(1, op::CREATE, b"/a"),
        wire::request(2, op::GET_DATA, &[b'x'; 100_000]),
        wire::request(3, op::GET_DATA, b"/b"),
    ];
    client.send(&[hello(), theirs.concat()].concat()).await;
    client.welcome().await;
    let xids: Vec<_> = client.frames(5).await.iter().map(|reply| wire::xid(reply)).collect();
    assert_eq!(xids, [-4, -4, 1, 2, 3]);
    client.hang_up().await;

    upstream.finish().await;
    let seen = upstream.only();
    assert_eq!(seen.request, hello());
    let frames = wire::frames(&seen.bytes);
    assert_eq!(frames[1..], theirs);
    let injected = Injected::parse(&frames[0]);
    assert_eq!((injected.scheme.as_str(), injected.data), ("digest", credential("alice", SECRETS[0])));
    assert!(injected.xid < 0 && ![-1, -2, -4, -8].contains(&injected.xid), "{}", injected.xid);
    proxy.finish(&["client_closed"]).await;
}

#[tokio::test]
async fn each_of_several_secrets_is_injected_in_the_order_of_the_file() {
    let upstream = Upstream::start().await;
    let proxy = Proxy::with(Setup::new(&upstream).two_secrets()).await;
    let mut client = Client::connect(proxy.address, &PKI.bob).await;
    client.send(&[hello(), wire::request(1, op::GET_DATA, b"/a")].concat()).await;
    client.welcome().await;
    assert_eq!(wire::xid(&client.frame().await), 1);
    client.hang_up().await;

    upstream.finish().await;
    let frames = wire::frames(&upstream.only().bytes);
    let injected: Vec<_> = frames[..2].iter().map(|frame| Injected::parse(frame).data).collect();
    assert_eq!(injected, SECRETS.map(|secret| credential("bob", secret)));
    assert_eq!(frames[2..], [wire::request(1, op::GET_DATA, b"/a")]);
    let metrics = proxy.admin.metrics().await;
    assert_eq!(metrics.of("zoogate_auth_injections_total{result=\"accepted\"}"), 2.0);
    proxy.finish(&["client_closed"]).await;
}

#[tokio::test]
async fn nothing_is_injected_where_the_configuration_says_none() {
    let upstream = Upstream::start().await;
    let setup = Setup::new(&upstream).set("identity.inject", "none");
    let proxy = Proxy::with(setup).await;
    let mut client = Client::open(proxy.address).await;
    client.ask(1, op::GET_DATA, b"/a").await;
    // Nobody's identity is at stake, so nobody's name is reserved.
    let auth = wire::auth(-4, "digest", "x509/CN=bob:guess");
    client.send(&auth).await;
    assert_eq!(wire::xid(&client.frame().await), -4);
    client.hang_up().await;
    upstream.finish().await;
    assert_eq!(upstream.only().bytes, [wire::request(1, op::GET_DATA, b"/a"), auth].concat());
    proxy.finish(&["client_closed"]).await;
}

#[tokio::test]
async fn requests_and_responses_of_both_lengths_pass_as_they_are() {
    for (asked, answered) in [(44, 36), (45, 37)] {
        let upstream = Upstream::start().await;
        let proxy = Proxy::with(Setup::new(&upstream).set("session.binding", "off")).await;
        let mut client = Client::connect(proxy.address, &PKI.alice).await;
        client.send(&connect_request(asked)).await;
        assert_eq!(client.frame().await, connect_response(answered, TIMEOUT, SESSION));
        client.ask(1, op::GET_DATA, b"/a").await;
        client.hang_up().await;
        upstream.finish().await;
        assert_eq!(upstream.only().request, connect_request(asked));
        proxy.finish(&["client_closed"]).await;
    }
}

#[tokio::test]
async fn nothing_but_the_password_differs_where_sessions_are_bound() {
    for (asked, answered) in [(44, 36), (45, 37)] {
        let upstream = Upstream::start().await;
        let proxy = Proxy::start(&upstream).await;
        let mut client = Client::connect(proxy.address, &PKI.alice).await;
        client.send(&connect_request(asked)).await;
        let expected = connect_response(answered, TIMEOUT, SESSION);
        assert_eq!(wire::unsealed(client.frame().await), wire::unsealed(expected));
        client.hang_up().await;
        upstream.finish().await;
        assert_eq!(upstream.only().request, connect_request(asked));
        proxy.finish(&["client_closed"]).await;
    }
}

#[tokio::test]
async fn answers_in_single_bytes_are_put_together() {
    let upstream = Upstream::scripted(|mut server: Server| async move {
        server.connect_request().await;
        server.dribble(&welcome()).await;
        let xid = server.injected().await.xid;
        server.dribble(&[wire::reply(xid, 0, b""), wire::reply(1, 0, b"data")].concat()).await;
        server.stall().await;
    })
    .await;
    let proxy = Proxy::start(&upstream).await;
    let mut client = Client::connect(proxy.address, &PKI.alice).await;
    client.send(&[hello(), wire::request(1, op::GET_DATA, b"/a")].concat()).await;
    client.welcome().await;
    assert_eq!(client.frame().await, wire::reply(1, 0, b"data"));
    client.hang_up().await;
    upstream.finish().await;
    proxy.finish(&["client_closed"]).await;
}

#[tokio::test]
async fn a_request_in_single_bytes_is_put_together() {
    let upstream = Upstream::start().await;
    let proxy = Proxy::start(&upstream).await;
    let mut client = Client::connect(proxy.address, &PKI.alice).await;
    for byte in [hello(), wire::request(1, op::GET_DATA, b"/a")].concat() {
        client.send(&[byte]).await;
    }
    client.welcome().await;
    assert_eq!(client.frame().await, wire::reply(1, 0, b"/a"));
    client.hang_up().await;
    upstream.finish().await;
    proxy.finish(&["client_closed"]).await;
}

#[tokio::test]
async fn response_injected_replies_and_the_clients_own_may_come_in_one_segment() {
    // A server can't know the xids before it has them; those of the first connection are those of the second.
    let xids = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let known = std::sync::Arc::clone(&xids);
    let upstream = Upstream::scripted(move |mut server: Server| {
        let known = std::sync::Arc::clone(&known);
        async move {
            server.connect_request().await;
            let replies = known.lock().unwrap().iter().flat_map(|xid| wire::reply(*xid, 0, b"")).collect::<Vec<_>>();
            let first = replies.is_empty();
            server.send(&[welcome(), replies, wire::notification("/early")].concat()).await;
            for _ in 0..2 {
                let xid = server.injected().await.xid;
                known.lock().unwrap().push(xid);
                if first {
                    server.send(&wire::reply(xid, 0, b"")).await;
                }
            }
            server.go_on().await;
        }
    })
    .await;
    let proxy = Proxy::with(Setup::new(&upstream).two_secrets()).await;
    for _ in 0..2 {
        let mut client = Client::open(proxy.address).await;
        assert_eq!(client.frame().await, wire::notification("/early"));
        client.ask(1, op::GET_DATA, b"/a").await;
        client.hang_up().await;
        upstream.finish().await;
    }
    assert_eq!(xids.lock().unwrap().len(), 4);
    proxy.finish(&["client_closed"; 2]).await;
}

#[tokio::test]
async fn an_expired_session_is_told_gently_and_gets_no_credential() {
    let expired = connect_response(37, 0, 0);
    let answer = expired.clone();
    let upstream = Upstream::scripted(move |mut server: Server| {
        let answer = answer.clone();
        async move {
            server.connect_request().await;
            server.send(&answer).await;
            server.fin().await;
        }
    })
    .await;
    let proxy = Proxy::with(Setup::new(&upstream).set("session.binding", "off")).await;
    let mut client = Client::connect(proxy.address, &PKI.alice).await;
    // More than sockets take while nobody reads: a close with unread bytes would reset the connection.
    let pipelined = wire::request(1, op::GET_DATA, &[b'x'; 200_000]);
    client.send(&[wire::resume(42, [7; 16]), pipelined].concat()).await;
    assert_eq!(client.frame().await, expired);
    // A reset would be here by then.
    assert_eq!(proxy.admin.reasons().await, ["session_expired"]);
    client.goodbye().await;
    upstream.finish().await;
    let seen = upstream.only();
    assert_eq!((seen.bytes, seen.end), (vec![], Some(End::Cut)));
    let metrics = proxy.admin.metrics().await;
    assert_eq!(metrics.of("zoogate_session_openings_total{result=\"expired\"}"), 1.0);
    assert_eq!(metrics.of("zoogate_auth_injections_total{result=\"sent\"}"), 0.0);
    proxy.finish(&["session_expired"]).await;
}

#[tokio::test]
async fn a_session_comes_back_to_its_owner_with_zookeepers_own_password() {
    let upstream = Upstream::start().await;
    let proxy = Proxy::start(&upstream).await;
    let mut client = Client::connect(proxy.address, &PKI.alice).await;
    client.send(&hello()).await;
    let sealed = client.welcome().await;
    client.hang_up().await;
    upstream.finish().await;

    let mut client = Client::connect(proxy.address, &PKI.alice).await;
    client.send(&wire::resume(SESSION, sealed)).await;
    assert_eq!(client.welcome().await, sealed);
    client.ask(1, op::GET_DATA, b"/a").await;
    client.hang_up().await;
    upstream.finish().await;
    let seen = &upstream.seen()[1];
    assert_eq!(seen.request, wire::resume(SESSION, wire::stock_password(SESSION)));
    // Credentials are a connection's, not a session's.
    assert_eq!(Injected::parse(&wire::frames(&seen.bytes)[0]).data, credential("alice", SECRETS[0]));
    assert_eq!(proxy.admin.reasons().await, ["client_closed"; 2]);
    let record = &proxy.records()[1];
    assert_eq!((&record["identity"], &record["resumed"]), (&"CN=alice".into(), &true.into()));
    assert_eq!(record["session"], format!("{SESSION:#x}"));
    assert_eq!((&record["session_timeout_ms"], &record["requests"]), (&TIMEOUT.into(), &1.into()));
    proxy.finish(&["client_closed"; 2]).await;
}

/// As ClickHouse Keeper does, which resumes none.
#[tokio::test]
async fn a_session_that_the_server_gives_in_place_of_another_is_not_told_as_resumed() {
    let upstream = Upstream::scripted(|mut server: Server| async move {
        server.connect_request().await;
        server.send(&welcome()).await;
        server.fin().await;
    })
    .await;
    let proxy = Proxy::with(Setup::new(&upstream).set("session.binding", "off")).await;
    let mut client = Client::connect(proxy.address, &PKI.alice).await;
    client.send(&wire::resume(SESSION + 1, [7; 16])).await;
    client.frame().await;
    client.goodbye().await;
    upstream.finish().await;
    assert_eq!(proxy.admin.reasons().await, ["upstream_closed"]);
    assert_eq!(proxy.records()[0]["resumed"], false);
    assert_eq!(proxy.admin.metrics().await.of("zoogate_session_openings_total{result=\"new\"}"), 1.0);
    proxy.finish(&["upstream_closed"]).await;
}

#[tokio::test]
async fn a_stranger_is_told_that_the_session_has_expired_and_zookeeper_hears_nothing() {
    let upstream = Upstream::start().await;
    let proxy = Proxy::start(&upstream).await;
    let mut owner = Client::connect(proxy.address, &PKI.alice).await;
    owner.send(&hello()).await;
    let sealed = owner.welcome().await;
    // The owner's own password, the one that anybody can compute, and none that was ever given.
    for password in [sealed, wire::stock_password(SESSION), [7; 16]] {
        let mut stranger = Client::connect(proxy.address, &PKI.bob).await;
        let pipelined = wire::request(1, op::CLOSE_SESSION, b"");
        stranger.send(&[wire::resume(SESSION, password), pipelined].concat()).await;
        assert_eq!(stranger.frame().await, connect_response(37, 0, 0));
        stranger.goodbye().await;
    }
    assert_eq!(upstream.seen().len(), 1, "ZooKeeper closes the owner's connection on the mere attempt");
    owner.ask(1, op::GET_DATA, b"/a").await;
    owner.hang_up().await;
    upstream.finish().await;
    proxy.finish(&["client_closed", "session_refused", "session_refused", "session_refused"]).await;
}

#[tokio::test]
async fn zookeeper_sees_each_client_at_a_loopback_address_of_its_own() {
    let upstream = Upstream::start().await;
    let proxy = Proxy::start(&upstream).await;
    for source in ["127.0.0.1:0", "127.0.0.9:0", "127.0.0.1:0"] {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(source.parse().unwrap()).unwrap();
        let tcp = socket.connect(proxy.address).await.unwrap();
        let mut client = Client::over(tcp, Some(&PKI.alice)).await.unwrap();
        client.send(&hello()).await;
        client.frame().await;
        client.hang_up().await;
        upstream.finish().await;
    }
    let sources: Vec<IpAddr> = upstream.seen().iter().map(|seen| seen.source).collect();
    assert!(sources[0] == sources[2] && sources[0] != sources[1], "{sources:?}");
    proxy.finish(&["client_closed"; 3]).await;
}
