//! Sessions bound to their owners, before a server whose passwords are not ZooKeeper's (as ClickHouse Keeper's).

use zoogate::zk::session_password::stock_password;

use crate::support::End;
use crate::support::client::Client;
use crate::support::pki::{PKI, Who};
use crate::support::proxy::Proxy;
use crate::support::setup::Setup;
use crate::support::upstream::{Server, Upstream};
use crate::support::wire::{SESSION, TIMEOUT, connect_request, connect_response, hello};

/// The password that this server gives, in place of the public function of the id.
const FOREIGN: [u8; 16] = [9; 16];

/// Where a ConnectRequest or a ConnectResponse has its password, in its frame.
const IN_REQUEST: std::ops::Range<usize> = 32..48;
const IN_RESPONSE: std::ops::Range<usize> = 24..40;

fn resume(password: &[u8]) -> Vec<u8> {
    let mut request = connect_request(45, SESSION);
    request[IN_REQUEST].copy_from_slice(password);
    request
}

/// A server that checks the password itself, as each does in the end.
async fn checking(mut server: Server) {
    let request = server.connect_request().await;
    let is_new = request[20..28] == [0; 8];
    if is_new || request[IN_REQUEST] == FOREIGN {
        server.send(&connect_response(37, TIMEOUT, SESSION)).await;
        server.go_on().await;
    } else {
        server.send(&connect_response(37, 0, 0)).await;
        server.fin().await;
    }
}

async fn foreign() -> (Upstream, Proxy) {
    let upstream = Upstream::scripted(checking).await;
    let proxy = Proxy::with(Setup::new(&upstream).set("session.binding", "on")).await;
    (upstream, proxy)
}

/// Sends a ConnectRequest, and returns the client and the answer.
async fn answer(proxy: &Proxy, who: &Who, request: &[u8]) -> (Client, Vec<u8>) {
    let mut client = Client::connect(proxy.address, who).await;
    client.send(request).await;
    let answer = client.frame().await;
    (client, answer)
}

#[tokio::test]
async fn passwords_that_are_not_zookeepers_are_noticed_and_go_back_unsealed() {
    let (upstream, proxy) = foreign().await;
    let (client, given) = answer(&proxy, &PKI.alice, &hello()).await;
    assert_eq!(given[..24], connect_response(37, TIMEOUT, SESSION)[..24]);
    assert_ne!(given[IN_RESPONSE], FOREIGN, "the client's is sealed here too");
    client.hang_up().await;

    let (client, again) = answer(&proxy, &PKI.alice, &resume(&given[IN_RESPONSE])).await;
    assert_eq!(again, given, "the session is the same, and so is its seal");
    client.hang_up().await;
    assert_eq!(upstream.seen()[1].request, resume(&FOREIGN), "the server was given its own password");
    upstream.finish().await;
    proxy.finish(&["client_closed"; 2]).await;
}

#[tokio::test]
async fn a_stranger_is_left_to_a_server_that_has_passwords_of_its_own() {
    let (upstream, proxy) = foreign().await;
    let (client, given) = answer(&proxy, &PKI.alice, &hello()).await;
    client.hang_up().await;

    // Bob has what alice was given; what the server is given is neither that nor its own.
    let (mut bob, refused) = answer(&proxy, &PKI.bob, &resume(&given[IN_RESPONSE])).await;
    assert_eq!(refused, connect_response(37, 0, 0));
    assert_eq!(bob.rest().await, (vec![], End::Goodbye));
    let asked = upstream.seen()[1].request[IN_REQUEST].to_vec();
    assert!(asked != FOREIGN && asked != given[IN_RESPONSE], "{asked:?}");

    // What anybody can compute is nobody's password here, and is not even asked for.
    let (mut bob, refused) = answer(&proxy, &PKI.bob, &resume(&stock_password(SESSION))).await;
    assert_eq!(refused, connect_response(37, 0, 0));
    assert_eq!(bob.rest().await, (vec![], End::Goodbye));
    upstream.finish().await;
    assert_eq!(upstream.seen().len(), 2);
    proxy.finish(&["client_closed", "session_expired", "session_refused"]).await;
}

#[tokio::test]
async fn until_a_server_has_given_a_password_it_is_taken_for_zookeeper() {
    let (upstream, proxy) = foreign().await;
    let (client, given) = answer(&proxy, &PKI.alice, &hello()).await;
    client.hang_up().await;
    upstream.finish().await;
    proxy.finish(&["client_closed"]).await;

    // A new start, and the first to come back.
    let proxy = Proxy::with(Setup::new(&upstream).set("session.binding", "on")).await;
    let (mut alice, refused) = answer(&proxy, &PKI.alice, &resume(&given[IN_RESPONSE])).await;
    assert_eq!(refused, connect_response(37, 0, 0));
    assert_eq!(alice.rest().await, (vec![], End::Goodbye));
    assert_eq!(upstream.seen().len(), 1, "the server was not asked");

    // From the first session on, it is known.
    let (client, _) = answer(&proxy, &PKI.bob, &hello()).await;
    client.hang_up().await;
    let (client, again) = answer(&proxy, &PKI.alice, &resume(&given[IN_RESPONSE])).await;
    assert_eq!(again, given);
    client.hang_up().await;
    upstream.finish().await;
    proxy.finish(&["session_refused", "client_closed", "client_closed"]).await;
}

#[tokio::test]
async fn an_answer_in_zookeepers_place_is_as_long_as_the_request_deserves() {
    for (asked, answered) in [(44, 36), (45, 37)] {
        let (upstream, proxy) = foreign().await;
        let mut client = Client::connect(proxy.address, &PKI.alice).await;
        client.send(&connect_request(asked, SESSION)).await;
        assert_eq!(client.frame().await, connect_response(answered, 0, 0));
        client.goodbye().await;
        assert!(upstream.seen().is_empty());
        let metrics = proxy.admin.metrics().await;
        assert_eq!(metrics.of("zoogate_sessions_refused_total{reason=\"wrong_password\"}"), 1.0);
        proxy.finish(&["session_refused"]).await;
    }
}
