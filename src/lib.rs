//! zoogate stands at the gate of a ZooKeeper server: it checks a client's certificate, stamps the session
//! with the certificate's identity, and lets the client in.
//!
//! ```text
//!  files ── config ── store ── tls::material ── Snapshot ──watch──┐
//!                                                                  ▼ one Arc per connection
//!  listener ──── tls ─────── admission ─────── session ──────── relay ────── ConnectionRecord
//!  TcpStream     Authenticated Authorized      Open             Outcome        ├─ metrics
//!  + permit      (verified chain) (identity)   (ids injected)   (frames)       └─ access log
//! ```
//!
//! The slow path (top) only ever replaces a value; the fast path (bottom) only ever reads it. Modules are
//! listed in layers; a module imports from lower layers only, and `tests/it/layering.rs` checks that.

// Layer 0: pure values, no I/O, no logs.
pub mod credential;
pub mod identity;
pub mod policy;
pub mod reason;
pub mod rfc3339;
pub mod seal;
pub mod secret;
pub mod translate;
pub mod zk;

// Layer 1: capabilities.
pub mod config;
pub mod metrics;
pub mod shutdown;
pub mod store;
pub mod systemd;
pub mod telemetry;
pub mod tls;

// Layer 2: what a connection is judged by.
pub mod reload;
pub mod snapshot;

// Layer 3: the data path.
pub mod proxy;

// Layer 4: the edge.
pub mod admin;
pub mod app;
pub mod cli;

// Layer 5: what must hold of all these, for fuzzing and property tests.
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
