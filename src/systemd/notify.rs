//! Notifications: what the service manager is told of the program's state.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tracing::{debug, warn};

/// The most bytes of a status: systemd ignores messages of 4096 bytes.
const LONGEST_STATUS: usize = 1000;

/// Tells the service manager how it goes; tells nobody where there is none.
///
/// The socket is connected once: whoever has to say that descriptors have run out can't open one for that.
#[derive(Debug, Default)]
pub struct Notifier(Option<UnixDatagram>);

impl Notifier {
    /// Speaks to the socket of `NOTIFY_SOCKET`. One that can't be had is a warning: to serve is what matters.
    pub fn from_environment() -> Self {
        let Some(path) = env::var_os("NOTIFY_SOCKET").filter(|path| !path.is_empty()) else { return Self(None) };
        match connect(&path) {
            Ok(socket) => Self(Some(socket)),
            Err(error) => {
                warn!(%error, socket = %path.display(), "NOTIFY_SOCKET can't be connected to: the service manager hears nothing");
                Self(None)
            }
        }
    }

    /// Whether somebody listens.
    pub fn is_heard(&self) -> bool {
        self.0.is_some()
    }

    /// It serves; also that a reload is over.
    pub fn ready(&self) {
        self.send("READY=1");
    }

    /// A reload has begun. [`Notifier::ready`] must follow.
    pub fn reloading(&self) {
        // systemd from version 253 on wants to know whether this answers its own signal or came before it.
        let now = clock_gettime(ClockId::Monotonic);
        let microseconds = now.tv_sec * 1_000_000 + now.tv_nsec / 1000;
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={microseconds}"));
    }

    /// It has begun to stop.
    pub fn stopping(&self, status: &str) {
        self.send(&format!("STOPPING=1\nSTATUS={}", line(status)));
    }

    /// How it goes, for `systemctl status`.
    pub fn status(&self, status: &str) {
        self.send(&format!("STATUS={}", line(status)));
    }

    /// It is alive.
    pub fn alive(&self) {
        self.send("WATCHDOG=1");
    }

    fn send(&self, message: &str) {
        if let Some(socket) = &self.0
            && let Err(error) = socket.send(message.as_bytes())
        {
            debug!(%error, "the service manager can't be told");
        }
    }
}

fn connect(path: &OsStr) -> io::Result<UnixDatagram> {
    let address = match path.as_bytes() {
        // A name in the abstract namespace.
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(path)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    // A service manager that doesn't read must not hold up those who speak.
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// A text as one line that is not too long. A line break would begin another message.
fn line(text: &str) -> String {
    let mut line = text.replace(|c: char| c.is_control(), " ");
    if let Some(end) =
        (0..=LONGEST_STATUS).rev().find(|end| line.is_char_boundary(*end)).filter(|_| line.len() > LONGEST_STATUS)
    {
        line.truncate(end);
        line.push('…');
    }
    line
}

/// The service manager restarts a program from which it has not heard for some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watchdog {
    /// How long it waits.
    pub patience: Duration,
}

impl Watchdog {
    /// The watchdog of this process, if there is one.
    pub fn from_environment() -> Option<Self> {
        let number = |name| env::var(name).ok().map(|text| text.parse::<u64>().ok());
        // Without the variable, whoever has the interval is meant.
        if number("WATCHDOG_PID").is_some_and(|pid| pid != Some(process::id().into())) {
            return None;
        }
        let patience = Duration::from_micros(number("WATCHDOG_USEC")??);
        (!patience.is_zero()).then_some(Self { patience })
    }

    /// How often to speak: twice may get lost in a busy machine.
    pub fn interval(self) -> Duration {
        self.patience / 3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_one_short_line() {
        assert_eq!(line("serving; a\nREADY=1\r\n"), "serving; a READY=1  ");
        let long = line(&"ö".repeat(1000));
        assert!(long.len() <= LONGEST_STATUS + '…'.len_utf8() && long.ends_with("ö…"), "{}", long.len());
    }

    #[test]
    fn nobody_is_told_where_nobody_listens() {
        let silent = Notifier::default();
        assert!(!silent.is_heard());
        silent.ready();
    }

    #[test]
    fn a_name_in_the_abstract_namespace_is_heard() {
        let name = format!("zoogate-test-{}", process::id());
        let ear = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        Notifier(Some(connect(OsStr::new(&format!("@{name}"))).unwrap())).alive();
        let mut heard = [0; 64];
        let length = ear.recv(&mut heard).unwrap();
        assert_eq!(&heard[..length], b"WATCHDOG=1");
    }

    #[test]
    fn whoever_does_not_read_holds_nobody_up() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let _ear = UnixDatagram::bind(&path).unwrap();
        let notifier = Notifier(Some(connect(path.as_os_str()).unwrap()));
        for _ in 0..10_000 {
            notifier.alive();
        }
    }
}
