//! Exit codes, all in one place. They are public interface: see `docs/operations.md`.

use std::process::ExitCode;

/// The list that `--help` ends with.
pub(super) const EXIT_CODES: &str = "\
Exit codes:
  0   all is well; for `explain`: the client would be admitted
  1   no: the certificate is not one that is let in (`explain`, `identity`), the gate is not
      ready (`probe`), ZooKeeper is not closed (`wait-upstream-closed`)
  64  the command line is wrong
  65  an input file can't be read as what it should be
  69  ZooKeeper does not answer (`check --upstream`)
  70  an internal failure, or no way to listen
  78  the configuration, or a file that it names, is wrong";

/// What the caller learns from the process' end. Numbers are those of `sysexits.h` where it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// All is well; the client would be admitted.
    Ok = 0,
    /// The client would be refused, or the certificate has no identity; the gate that was asked is not ready; what
    /// was waited for did not come.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_lists_every_code() {
        use Exit::*;
        for exit in [Ok, Refused, Usage, UnreadableInput, UpstreamUnavailable, Internal, Configuration] {
            assert!(EXIT_CODES.contains(&format!("\n  {:<4}", exit as u8)), "{exit:?}");
        }
    }
}
