//! Sockets that the service manager holds and passes by name, so that a restart refuses nobody.

use std::env;
use std::io;
use std::net::TcpListener;

use listenfd::ListenFd;
use socket2::SockRef;

/// The listening sockets that were passed and are not in use yet.
#[derive(Debug, Default)]
pub struct PassedSockets(Vec<(String, TcpListener)>);

/// The sockets that were passed are not those that the configuration wants.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// No socket has the name that a key wants.
    #[error(
        "{key}: no socket named `{name}` was passed, {}; a unit zoogate.socket with `FileDescriptorName={name}` passes one",
        among(.passed)
    )]
    Missing {
        /// The configuration's key.
        key: &'static str,
        /// The name that it wants.
        name: String,
        /// The names that there are.
        passed: Vec<String>,
    },
    /// A key takes one socket, and there are more of that name.
    #[error("{key}: {count} sockets named `{name}` were passed, and only one can be used here")]
    Several {
        /// The configuration's key.
        key: &'static str,
        /// The name that it wants.
        name: String,
        /// How many there are.
        count: usize,
    },
    /// Nobody wants a socket that was passed: its connections would wait for ever.
    #[error(
        "a socket named `{0}` was passed, and no key of the configuration names it: write `listen.address: fd:{0}` or \
         `admin.address: fd:{0}`, or disable the socket unit"
    )]
    Unused(String),
    /// It is no listening TCP socket.
    #[error(
        "the socket named `{name}` is not a listening TCP socket ({error}): its unit needs `ListenStream=` with a port, \
         and no `Accept=yes`"
    )]
    Kind {
        /// Its name.
        name: String,
        /// What it is.
        error: io::Error,
    },
    /// `LISTEN_FDS` and `LISTEN_FDNAMES` contradict each other.
    #[error("{count} sockets were passed with {names} names (LISTEN_FDS, LISTEN_FDNAMES)")]
    Names {
        /// How many sockets there are.
        count: usize,
        /// How many names there are.
        names: usize,
    },
}

fn among(names: &[String]) -> String {
    match names {
        [] => "nor any other".to_owned(),
        names => format!("only `{}`", names.join("`, `")),
    }
}

impl PassedSockets {
    /// Takes the sockets that were passed to this process. A second call finds none.
    ///
    /// # Errors
    /// If one is not a listening TCP socket.
    pub fn from_environment() -> Result<Self, SocketError> {
        let mut passed = ListenFd::from_env();
        let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
        let count = passed.len();
        let names: Vec<&str> = match names.as_str() {
            // What sd_listen_fds_with_names(3) calls them.
            "" => vec!["unknown"; count],
            names => names.split(':').collect(),
        };
        if count > 0 && names.len() != count {
            return Err(SocketError::Names { count, names: names.len() });
        }
        let mut sockets = Vec::with_capacity(count);
        for (index, name) in names.into_iter().take(count).enumerate() {
            let taken =
                passed.take_tcp_listener(index).and_then(|socket| listening(socket.ok_or(io::ErrorKind::NotFound)?));
            match taken {
                Ok(socket) => sockets.push((name.to_owned(), socket)),
                Err(error) => return Err(SocketError::Kind { name: name.to_owned(), error }),
            }
        }
        Ok(Self(sockets))
    }

    /// Takes every socket of a name.
    ///
    /// # Errors
    /// If there is none.
    pub fn take(&mut self, key: &'static str, name: &str) -> Result<Vec<TcpListener>, SocketError> {
        let taken: Vec<_> = self.0.extract_if(.., |(own, _)| own == name).map(|(_, socket)| socket).collect();
        if taken.is_empty() {
            let passed = self.0.iter().map(|(name, _)| name.clone()).collect();
            return Err(SocketError::Missing { key, name: name.to_owned(), passed });
        }
        Ok(taken)
    }

    /// Takes the one socket of a name.
    ///
    /// # Errors
    /// If there is none, or more than one.
    pub fn take_one(&mut self, key: &'static str, name: &str) -> Result<TcpListener, SocketError> {
        let mut taken = self.take(key, name)?;
        match (taken.pop(), taken.len()) {
            (Some(socket), 0) => Ok(socket),
            (_, others) => Err(SocketError::Several { key, name: name.to_owned(), count: others + 1 }),
        }
    }

    /// Makes sure that every socket was taken.
    ///
    /// # Errors
    /// If one was not.
    pub fn finish(self) -> Result<(), SocketError> {
        match self.0.into_iter().next() {
            Some((name, _)) => Err(SocketError::Unused(name)),
            None => Ok(()),
        }
    }
}

/// Sets the socket's mode; it may have been left blocking.
fn listening(socket: TcpListener) -> io::Result<TcpListener> {
    if !SockRef::from(&socket).is_listener()? {
        return Err(io::Error::other("it is a connection"));
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}
