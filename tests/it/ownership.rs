//! Sessions bound to their owners, before a server whose passwords are not ZooKeeper's (as ClickHouse Keeper's).

use crate::support::client::Client;
use crate::support::pki::{PKI, Who};
use crate::support::proxy::Proxy;
use crate::support::upstream::{Server, Upstream};
use crate::support::wire::{SESSION, TIMEOUT, connect_response, hello, password, resume, stock_password, unsealed};

/// The password that this server gives, in place of the public function of the id.
const FOREIGN: [u8; 16] = [9; 16];

fn expired() -> Vec<u8> {
    connect_response(37, 0, 0)
}

/// A server that checks the password itself, as each does in the end.
async fn checking(mut server: Server) {
    let request = server.connect_request().await;
    let is_new = request[20..28] == [0; 8];
    if is_new || request == resume(SESSION, FOREIGN) {
        let mut response = connect_response(37, TIMEOUT, SESSION);
        response[24..40].copy_from_slice(&FOREIGN);
        server.send(&response).await;
        server.go_on().await;
    } else {
        server.send(&expired()).await;
        server.fin().await;
    }
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
    let upstream = Upstream::scripted(checking).await;
    let proxy = Proxy::start(&upstream).await;
    let (client, given) = answer(&proxy, &PKI.alice, &hello()).await;
    assert_eq!(unsealed(given.clone()), unsealed(connect_response(37, TIMEOUT, SESSION)));
    assert_ne!(password(&given), FOREIGN, "the client's is sealed here too");
    client.hang_up().await;

    let (client, again) = answer(&proxy, &PKI.alice, &resume(SESSION, password(&given))).await;
    assert_eq!(again, given, "the session is the same, and so is its seal");
    client.hang_up().await;
    assert_eq!(upstream.seen()[1].request, resume(SESSION, FOREIGN), "the server was given its own password");
    upstream.finish().await;
    proxy.finish(&["client_closed"; 2]).await;
}

#[tokio::test]
async fn a_stranger_is_left_to_a_server_that_has_passwords_of_its_own() {
    let upstream = Upstream::scripted(checking).await;
    let proxy = Proxy::start(&upstream).await;
    let (client, given) = answer(&proxy, &PKI.alice, &hello()).await;
    client.hang_up().await;

    // Bob has what alice was given; what the server is given is neither that nor its own.
    let (bob, refused) = answer(&proxy, &PKI.bob, &resume(SESSION, password(&given))).await;
    assert_eq!(refused, expired());
    bob.goodbye().await;
    let asked = upstream.seen()[1].request.clone();
    assert!(asked != resume(SESSION, FOREIGN) && asked != resume(SESSION, password(&given)));

    // What anybody can compute is nobody's password here, and is not even asked for.
    let (bob, refused) = answer(&proxy, &PKI.bob, &resume(SESSION, stock_password(SESSION))).await;
    assert_eq!(refused, expired());
    bob.goodbye().await;
    upstream.finish().await;
    assert_eq!(upstream.seen().len(), 2);
    proxy.finish(&["client_closed", "session_expired", "session_refused"]).await;
}

#[tokio::test]
async fn until_a_server_has_given_a_password_it_is_taken_for_zookeeper() {
    let upstream = Upstream::scripted(checking).await;
    let proxy = Proxy::start(&upstream).await;
    let (client, given) = answer(&proxy, &PKI.alice, &hello()).await;
    client.hang_up().await;
    upstream.finish().await;
    proxy.finish(&["client_closed"]).await;

    // A new start, and the first to come back.
    let proxy = Proxy::start(&upstream).await;
    let back = resume(SESSION, password(&given));
    let (alice, refused) = answer(&proxy, &PKI.alice, &back).await;
    assert_eq!(refused, expired());
    alice.goodbye().await;
    assert_eq!(upstream.seen().len(), 1, "the server was not asked");

    // From the first session on, it is known.
    let (client, _) = answer(&proxy, &PKI.bob, &hello()).await;
    client.hang_up().await;
    let (client, again) = answer(&proxy, &PKI.alice, &back).await;
    assert_eq!(again, given);
    client.hang_up().await;
    upstream.finish().await;
    proxy.finish(&["session_refused", "client_closed", "client_closed"]).await;
}
