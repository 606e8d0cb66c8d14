//! Key and trust stores as OpenSSL and keytool make them, each made anew and compared with its source.
#![allow(clippy::unwrap_used, reason = "a failure of a test's own preparations is a failure of the test")]

#[path = "stores/advice.rs"]
mod advice;
#[path = "stores/faults.rs"]
mod faults;
#[path = "stores/formats.rs"]
mod formats;
#[path = "stores/keys.rs"]
mod keys;
#[path = "stores/layout.rs"]
mod layout;
#[path = "stores/mutations.rs"]
mod mutations;
#[path = "stores/small.rs"]
mod small;
#[path = "stores/trust.rs"]
mod trust;
#[path = "stores/workshop.rs"]
mod workshop;
