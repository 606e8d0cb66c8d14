//! Exit codes, all in one place. They are public interface: see `docs/operations.md`.

use std::process::ExitCode;

/// What the caller learns from the process' end. Numbers are those of `sysexits.h` where it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// All is well; the client would be admitted.
    Ok = 0,
    /// The client would be refused, or the certificate has no identity.
    Refused = 1,
    /// The command line is wrong.
    Usage = 64,
    /// An input file can't be read as what it should be.
    UnreadableInput = 65,
    /// ZooKeeper does not answer.
    UpstreamUnavailable = 69,
    /// An internal failure, or no way to listen.
    Internal = 70,
    /// The configuration, or a file that it names, is wrong.
    Configuration = 78,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
