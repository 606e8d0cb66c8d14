//! The sockets that clients and administrators come to: opened here, or passed by the service manager.

use std::io;
use std::net::{self, SocketAddr};

use tokio::net::TcpListener;

use super::StartError;
use crate::admin::Admin;
use crate::config::{self, ListenAddress};
use crate::proxy;
use crate::systemd::PassedSockets;

/// The sockets of `listen.address`.
pub(super) fn bind_listeners(
    listen: &config::Listen,
    sockets: &mut PassedSockets,
) -> Result<Vec<TcpListener>, StartError> {
    const KEY: &str = "listen.address";
    let mut listeners = Vec::new();
    for address in &listen.addresses {
        match address {
            ListenAddress::Socket(address) => {
                let bound = proxy::listen(*address, listen.backlog);
                listeners.push(bound.map_err(|error| StartError::Bind { key: KEY, address: *address, error })?);
            }
            ListenAddress::Passed(name) => {
                for socket in sockets.take(KEY, name)? {
                    listeners.push(adopt(KEY, socket, TcpListener::from_std)?);
                }
            }
        }
    }
    Ok(listeners)
}

/// The socket of `admin.address`.
pub(super) fn bind_admin(address: &ListenAddress, sockets: &mut PassedSockets) -> Result<Admin, StartError> {
    const KEY: &str = "admin.address";
    match address {
        ListenAddress::Socket(address) => {
            Admin::bind(*address).map_err(|error| StartError::Bind { key: KEY, address: *address, error })
        }
        ListenAddress::Passed(name) => adopt(KEY, sockets.take_one(KEY, name)?, Admin::adopt),
    }
}

/// Puts a socket that was passed into use.
fn adopt<T>(
    key: &'static str,
    socket: net::TcpListener,
    into: impl FnOnce(net::TcpListener) -> io::Result<T>,
) -> Result<T, StartError> {
    let address = socket.local_addr();
    let bind = |error| StartError::Bind { key, address: SocketAddr::from(([0; 4], 0)), error };
    let address = address.map_err(bind)?;
    into(socket).map_err(|error| StartError::Bind { key, address, error })
}

/// The port that clients know, where the configuration does not say.
pub(super) fn own_port(listeners: &[TcpListener]) -> u16 {
    listeners.first().and_then(|listener| listener.local_addr().ok()).map_or(0, |own| own.port())
}
