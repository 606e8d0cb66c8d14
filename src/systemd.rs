//! What a service manager gives a program, and what it wants to hear: sockets by name (`sd_listen_fds_with_names(3)`),
//! notifications (`sd_notify(3)`), the watchdog (`sd_watchdog_enabled(3)`).

mod notify;
mod sockets;

pub use notify::{Notifier, Watchdog};
pub use sockets::{PassedSockets, SocketError};

/// What the service manager gives this process; nothing by default.
#[derive(Debug, Default)]
pub struct ServiceManager {
    /// Sockets that it holds.
    pub sockets: PassedSockets,
    /// Where it hears how it goes.
    pub notifier: Notifier,
    /// When it wants to hear that it goes on.
    pub watchdog: Option<Watchdog>,
}

impl ServiceManager {
    /// Reads the environment, and removes from it what names sockets: call it once, before there are threads.
    ///
    /// # Errors
    /// If a socket is not what it should be.
    pub fn from_environment() -> Result<Self, SocketError> {
        Ok(Self {
            sockets: PassedSockets::from_environment()?,
            notifier: Notifier::from_environment(),
            watchdog: Watchdog::from_environment(),
        })
    }
}
