//! zoogate in process, between a client of frames and a fake ZooKeeper that follows a script.
#![allow(clippy::unwrap_used, reason = "a failure of a test's own preparations is a failure of the test")]

mod support;

mod authority;
mod descriptors;
mod faults;
mod handshake;
mod hostile;
mod layering;
mod limits;
mod logs;
mod ownership;
mod proxied;
mod relay;
mod reload;
mod session;
mod shutdown;
mod status;
mod systemd;
mod words;
