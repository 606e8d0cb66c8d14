//! TLS on the client's side: chains that are accepted and refused, and handshakes with real clients.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod algorithms;
mod handshake;
mod material;
mod names;
mod pki;
mod remembered;
mod revocation;
mod verify;
