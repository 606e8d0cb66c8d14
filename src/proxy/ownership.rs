//! Whose a session is. Clients are given sealed passwords; a resume is put to ZooKeeper only if the seal opens.
//!
//! ZooKeeper closes the owner's connection *before* it checks the password of whoever resumes a session
//! (`ZooKeeperServer.processConnectRequest`), so a stranger's attempt must not reach it at all.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::metrics::SessionRefusal;
use crate::seal::{Password, Unsealed, is_known, seal, unseal};
use crate::snapshot::Grant;
use crate::zk::record::{ConnectRequest, ConnectResponse};
use crate::zk::session_password::stock_password;

/// What is known of ZooKeeper's passwords.
#[derive(Debug, Default)]
pub(crate) struct Passwords {
    /// Whether the last session's password was none that servers are known to give. Such passwords can't be
    /// checked here, so the server is left to decide.
    foreign: AtomicBool,
}

impl Passwords {
    /// The request as ZooKeeper must see it. A client that was called otherwise when it opened the session is its
    /// owner too.
    ///
    /// # Errors
    /// If the session is not this client's.
    pub(crate) fn claim(&self, grant: &Grant, request: &ConnectRequest) -> Result<ConnectRequest, SessionRefusal> {
        let id = request.session_id();
        let Some(secrets) = grant.binding().filter(|_| id != 0) else { return Ok(request.clone()) };
        // Servers, and this gate, give out passwords of 16 bytes only, so another length is nobody's. A server says
        // "expired" then too, but closes the owner's connection first.
        let sealed = Password::try_from(request.password()).map_err(|_| SessionRefusal::WrongPassword)?;
        let mut opened = grant.names().iter().map(|name| unseal(secrets, name, id, sealed));
        let first = opened.next();
        match first.into_iter().chain(opened).find(|opened| matches!(opened, Unsealed::Known(_))).or(first) {
            Some(Unsealed::Known(real)) => Ok(request.clone().with_password(real)),
            _ if sealed == stock_password(id) => Err(SessionRefusal::Unsealed),
            Some(Unsealed::Other(real)) if self.foreign.load(Ordering::Relaxed) => {
                Ok(request.clone().with_password(real))
            }
            Some(Unsealed::Other(_)) | None => Err(SessionRefusal::WrongPassword),
        }
    }

    /// The answer as the client may see it.
    pub(crate) fn give(&self, grant: &Grant, response: ConnectResponse) -> ConnectResponse {
        let (Some(secrets), Some(name)) = (grant.binding(), grant.names().first()) else { return response };
        let (id, real) = (response.session_id(), response.password());
        self.foreign.store(!is_known(id, real), Ordering::Relaxed);
        response.with_password(seal(secrets, name, id, real))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zk::session_password::KEEPER_PASSWORD;

    const ID: i64 = 0x1000_0000_0007;

    fn grant(names: &[&str]) -> Grant {
        Grant::bound(names, b"a-secret-of-thirty-two-bytes-or-more")
    }

    fn request(id: i64, password: [u8; 16]) -> ConnectRequest {
        ConnectRequest::parse(crate::zk::record::connect_request(id, password, 4000)[4..].to_vec()).unwrap()
    }

    fn response(id: i64, password: [u8; 16]) -> ConnectResponse {
        let body = [&[0; 4][..], &4000_i32.to_be_bytes(), &id.to_be_bytes(), &16_i32.to_be_bytes(), &password].concat();
        ConnectResponse::parse(body).unwrap()
    }

    fn claim(passwords: &Passwords, name: &str, password: [u8; 16]) -> Result<[u8; 16], SessionRefusal> {
        passwords.claim(&grant(&[name]), &request(ID, password)).map(|request| request.password().try_into().unwrap())
    }

    #[test]
    fn a_session_comes_back_to_its_owner_only() {
        let (passwords, real) = (Passwords::default(), stock_password(ID));
        let sealed = passwords.give(&grant(&["alice"]), response(ID, real)).password();
        assert_eq!(claim(&passwords, "alice", sealed), Ok(real));
        assert_eq!(claim(&passwords, "bob", sealed), Err(SessionRefusal::WrongPassword));
        assert_eq!(claim(&passwords, "bob", real), Err(SessionRefusal::Unsealed));
        assert_eq!(claim(&passwords, "alice", real), Err(SessionRefusal::Unsealed));
        assert_eq!(claim(&passwords, "alice", [0; 16]), Err(SessionRefusal::WrongPassword));
    }

    /// The gate may have been started after the session was opened, with other secrets first.
    #[test]
    fn keepers_sessions_are_bound_too_and_nothing_must_be_learnt_for_that() {
        let old = Grant::bound(&["alice"], b"an-old-secret-of-thirty-two-bytes-or-more");
        let sealed = Passwords::default().give(&old, response(ID, KEEPER_PASSWORD)).password();
        let secrets = b"a-new-secret-of-thirty-two-bytes-or-more\nan-old-secret-of-thirty-two-bytes-or-more";
        let claim = |names: &[&str], passwords: &Passwords| {
            passwords
                .claim(&Grant::bound(names, secrets), &request(ID, sealed))
                .map(|request| request.password().to_vec())
        };
        let passwords = Passwords::default();
        assert_eq!(claim(&["alice"], &passwords), Ok(KEEPER_PASSWORD.to_vec()));
        assert_eq!(claim(&["renamed", "alice"], &passwords), Ok(KEEPER_PASSWORD.to_vec()));
        passwords.give(&old, response(ID, KEEPER_PASSWORD));
        assert_eq!(claim(&["bob"], &passwords), Err(SessionRefusal::WrongPassword));
    }

    /// Servers whose number is 128 or more give out negative ids.
    #[test]
    fn sessions_of_negative_ids_are_bound_too() {
        for id in [-1, i64::MIN, i64::MIN + 1] {
            let claimed = Passwords::default().claim(&grant(&["bob"]), &request(id, stock_password(id)));
            assert_eq!(claimed, Err(SessionRefusal::Unsealed), "{id:#x}");
        }
    }

    #[test]
    fn a_server_that_is_zookeeper_again_is_no_longer_trusted_to_decide() {
        let (passwords, alice) = (Passwords::default(), grant(&["alice"]));
        passwords.give(&alice, response(ID, [5; 16]));
        passwords.give(&alice, response(ID, stock_password(ID)));
        assert_eq!(claim(&passwords, "bob", [0; 16]), Err(SessionRefusal::WrongPassword));
    }

    /// A password that begins or ends as the owner's does opens nothing, also where the server decides itself.
    #[test]
    fn a_password_of_another_length_is_nobodys() {
        let (passwords, alice) = (Passwords::default(), grant(&["alice"]));
        for real in [stock_password(ID), [5; 16]] {
            let sealed = passwords.give(&alice, response(ID, real)).password();
            assert_eq!(claim(&passwords, "alice", sealed), Ok(real));
            for odd in [vec![], sealed[..1].to_vec(), sealed[..15].to_vec(), [&sealed[..], &[0]].concat()] {
                let head = [&[0; 16][..], &ID.to_be_bytes(), &(odd.len() as u32).to_be_bytes()].concat();
                let request = ConnectRequest::parse([head, odd].concat()).unwrap();
                assert_eq!(passwords.claim(&alice, &request), Err(SessionRefusal::WrongPassword));
                let unbound = passwords.claim(&Grant::unbound(&["alice"]), &request);
                assert_eq!(unbound, Ok(request), "the server decides, and sees what came");
            }
        }
    }

    #[test]
    fn new_sessions_are_nobodys_yet() {
        let request = request(0, [0; 16]);
        assert_eq!(Passwords::default().claim(&grant(&["alice"]), &request), Ok(request));
    }

    #[test]
    fn a_session_stays_with_its_owner_when_the_owner_gets_another_name() {
        let (passwords, real) = (Passwords::default(), stock_password(ID));
        let sealed = passwords.give(&grant(&["CN=alice"]), response(ID, real)).password();
        let renamed = passwords.claim(&grant(&["alice", "CN=alice"]), &request(ID, sealed));
        assert_eq!(renamed.map(|request| request.password().to_vec()), Ok(real.to_vec()));
        assert_eq!(claim(&passwords, "alice", sealed), Err(SessionRefusal::WrongPassword));
    }

    #[test]
    fn nothing_is_sealed_where_sessions_are_not_bound() {
        let (passwords, grant) = (Passwords::default(), Grant::unbound(&["alice"]));
        let real = stock_password(ID);
        assert_eq!(passwords.give(&grant, response(ID, real)).password(), real);
        assert_eq!(passwords.claim(&grant, &request(ID, real)), Ok(request(ID, real)));
    }

    #[test]
    fn a_server_with_passwords_of_its_own_decides_itself() {
        let (passwords, real) = (Passwords::default(), [5; 16]);
        let sealed = passwords.give(&grant(&["alice"]), response(ID, real)).password();
        assert_ne!(sealed, real);
        assert_eq!(claim(&passwords, "alice", sealed), Ok(real));
        let strangers = claim(&passwords, "bob", sealed).unwrap();
        assert_ne!(strangers, real, "the server will refuse it");
    }
}
