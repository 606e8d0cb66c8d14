//! Verbs and exit codes: what a person types, and what a script learns from the answer.

mod acl_ids;
mod args;
mod check;
mod drain;
mod exit;
mod explain;
mod files;
mod identity;
mod probe;
mod run;
mod secret;
mod text;
mod time;
mod wait;

use std::{
    ffi::OsString,
    io::{self, Write},
    process::ExitCode,
};

use clap::{CommandFactory, Parser, Subcommand};

pub use args::{CheckArgs, ConfigArgs, DrainArgs, ExplainArgs, IdentityArgs, NamingArgs, Output, ProbeArgs, WaitArgs};
pub use exit::Exit;

use crate::metrics::REVISION;

/// The command line.
#[derive(Debug, Parser)]
#[command(
    name = "zoogate",
    version,
    about = "Mutual TLS in front of a ZooKeeper server, with the certificate's identity in the session",
    after_help = exit::EXIT_CODES,
    disable_help_subcommand = true,
    arg_required_else_help = true
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Stand in front of a ZooKeeper server until stopped
    #[command(after_help = "\
Example:
  zoogate run --config /etc/zoogate/zoogate.yaml

SIGTERM and SIGINT stop it gracefully, as `shutdown.delay` and `shutdown.grace` say;
a second one stops it at once.
Logs go to standard output. RUST_LOG wins over `log.level`.")]
    Run(ConfigArgs),

    /// Say everything that is wrong with a configuration, and exit
    #[command(after_help = "\
Examples:
  zoogate check --config /etc/zoogate/zoogate.yaml
  zoogate check --config zoogate.yaml --upstream
  zoogate check --zoo-cfg zoo.cfg --jvm-flags java.env > zoogate.yaml

Loads all that `run` would load: keys, stores, CRLs, secrets. Problems go to standard
error, one a line, as `FILE:LINE: KEY: what is wrong`, and the exit code is 78.
What works but will surprise someone goes there as `warning: …`, and the exit code is 0.

--upstream opens no session. It tells ZooKeeper's version and mode, and warns where
clients can pass by the gate or share one limit of connections. It sees the sockets of
its own machine only, and can't see `skipACL`: ZooKeeper tells nobody of it.
Exits 69 if ZooKeeper does not answer.

--zoo-cfg is the way here from a server's own TLS, or from plaintext. It prints the YAML
for the same port, stores, identities and limits. Comments in it say what to do first,
what to change in zoo.cfg, and what there is no key for; this last also goes to standard
error. Passwords are not printed: the YAML names files, and comments say how to fill them.
The server is not asked, and no store is opened. Where clientPort stands in a dynamic
configuration, that file is read too, from its place or beside zoo.cfg.
Exits 65 if a file can't be read, or is no zoo.cfg.")]
    Check(CheckArgs),

    /// Say whether a client would be let in, as whom, until when; or why not
    #[command(after_help = "\
Examples:
  zoogate explain client.pem --config /etc/zoogate/zoogate.yaml
  zoogate explain client.pem --trust-store ca.pem --at 2027-01-01T00:00:00Z
  zoogate explain client.pem --trust-store ca.pem --crl ca.crl --output json

CHAIN is what the client sends: its certificate, then intermediates; PEM or DER.
Its key is not needed, and nor is the server's.

With `identity.mapping` it says which rule made the identity, with lists which of them
lets the client in or keeps it out, and with `identity.mapping_shadow` what those rules
would change.

The JSON object has the keys `verdict` (`admitted` or `refused`), `reason` (null when
admitted), `detail`, `identity`, `acl_ids` (`x509`, `digest`: ids without their scheme),
`not_after` (RFC 3339), `rule` (the text of the mapping rule that matched, else null) and
`shadow` (null without such rules; else `result`, which is `same`, `different` or
`refused`, and `identity`, `reason` and `detail`). Of a refused client, `identity`, both
ids and `not_after` are null; without a secret, `digest` is.

Exits 0 if it would be admitted, 1 if refused, 65 if a file that the command line names
can't be read, 78 if the configuration, or a file that it names, is wrong.")]
    Explain(ExplainArgs),

    /// Print the ACL ids of a certificate, as `zkCli.sh setAcl` takes them
    #[command(after_help = "\
Examples:
  zoogate identity client.pem --secret-file /etc/zoogate/secret
  zoogate identity client.pem --config /etc/zoogate/zoogate.yaml
  zoogate identity --batch --from san_uri < certificates.txt

Prints one id a line. The first is that of the injected credential, if there is a secret:
  digest:x509/CN=alice%2CO=Acme:3XqMYmGbSVIzOGvtX4DdIPmUhXA=
Append the permissions, and it is what setAcl takes:
  setAcl /path digest:x509/CN=alice%2CO=Acme:3XqMYmGbSVIzOGvtX4DdIPmUhXA=:cdrwa
With several secrets it is of the first one, which is for new ACLs. The line that begins
with `x509:` is the id that native ZooKeeper gives the certificate, wherever --from
looks; with `inject: x509` or `acl.translate: on` it is the gate's, the identity.
zkCli.sh takes it only if it has no comma.

--batch reads certificates from standard input, base64 of DER, one a line, and prints one
JSON object for each line, with the keys `identity`, `acl_ids` (`x509`, `digest`: ids without
their scheme), `reason` and `detail`. Where the certificate has no identity, `identity` is
null and `reason` says why. An empty subject is native ZooKeeper's empty id: `identity` is
empty, and `detail` says that the gate refuses it.

The certificate is not verified here; see `zoogate explain`.
Exits 1 if the one certificate has no identity, 65 if a file, or some line, can't be read.")]
    Identity(IdentityArgs),

    /// Ask a running gate whether it is ready, or alive
    #[command(after_help = "\
Examples:
  zoogate probe
  zoogate probe --live --admin 127.0.0.1:9281
  zoogate probe --ready --config /etc/zoogate/zoogate.yaml --timeout 2s

For places that take a command instead of an HTTP request: an exec probe of Kubernetes
where the admin address is on loopback, HEALTHCHECK of a container, a script. It needs
nothing but this program.

Prints one line: `ready` (`live`), or why not, in the words of /readyz, such as
`not ready: upstream_unreachable`. Use --live to decide on a restart, --ready to decide on
traffic. Where the address is 0.0.0.0 or [::], it asks on loopback. Of the configuration,
it wants the running gate's; give Kubernetes a timeoutSeconds above --timeout, or the
reason is lost.

Exits 0 if ready (alive), 1 if not or if nobody answers in time, 78 if the configuration
is wrong or has `admin.address: none`.")]
    Probe(ProbeArgs),

    /// Wait until ZooKeeper takes no more connections, to let the gate stop after it
    #[command(after_help = "\
Examples:
  zoogate wait-upstream-closed
  zoogate wait-upstream-closed --config /etc/zoogate/zoogate.yaml --timeout 20s

Ends when ZooKeeper's port refuses connections. It sends no signal and changes nothing.

For the preStop hook of a gate that is an ordinary container in ZooKeeper's pod. There,
both are told to stop at the same moment. With this hook the gate serves for as long as
ZooKeeper does, so that no client is shut out from a server that still answers, and every
answer that the server has given is delivered. Then the gate gets its SIGTERM, with
nothing left to drain. What the hook takes is taken from terminationGracePeriodSeconds:
keep --timeout plus `shutdown.delay` plus 4 s below that.

Better, where it can be had: the gate drains first, client by client, while ZooKeeper still
answers. So leave this hook out where a preStop hook of ZooKeeper's own holds it up for
`shutdown.delay` plus `shutdown.grace`, or until the gate's port is closed. A native sidecar
(restartPolicy: Always) does not need it: it gets its SIGTERM after ZooKeeper's end.

Exits 0 when connections are refused, 1 if they still are not when the time is over, 78 if
the configuration is wrong.")]
    WaitUpstreamClosed(WaitArgs),

    /// Tell a running gate to send its clients away, and to stop
    #[command(after_help = "\
Examples:
  zoogate drain
  zoogate drain --pid 1

Sends SIGTERM to the gate that runs here, the only one among all processes that it can see,
and returns at once; what happens then is told
by `shutdown.delay` and `shutdown.grace`. It is a stop signal like any other: a second
one cuts what is left.

For the preStop hook of a native sidecar of Kubernetes, in an image without a shell: the
gate begins to drain when the pod begins to end, and gets its own SIGTERM after ZooKeeper's
end, which ends what is left.

Exits 0 if a gate was told, 1 if none runs here or several do.")]
    Drain(DrainArgs),

    /// Print a new random secret for `identity.secret_file`
    #[command(after_help = "\
Example:
  zoogate secret | install -o zoogate -m 0400 /dev/stdin /etc/zoogate/secret

Only the user that zoogate runs as, here zoogate, may read it. Give the same file to every zoogate of the ensemble.")]
    Secret,

    /// Print the version, and the revision that it was built from
    #[command(after_help = "Example:\n  zoogate version")]
    Version,
}

/// Runs the program.
pub fn main() -> ExitCode {
    run_with(std::env::args_os()).into()
}

/// The command line's grammar, for man pages and completions.
pub fn grammar() -> clap::Command {
    Cli::command()
}

fn run_with(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Ok };
            // Nobody is left to tell that standard output is closed.
            let _ = error.print();
            return exit;
        }
    };
    match cli.command {
        Command::Run(args) => run::run(&args),
        Command::Check(args) => check::check(&args),
        Command::Explain(args) => explain::explain(&args),
        Command::Identity(args) => identity::identity(&args),
        Command::Probe(args) => probe::probe(&args),
        Command::WaitUpstreamClosed(args) => wait::wait_upstream_closed(&args),
        Command::Drain(args) => drain::drain(&args),
        Command::Secret => secret::secret(),
        Command::Version => print(&format!("zoogate {} (revision {REVISION})", env!("CARGO_PKG_VERSION")), Exit::Ok),
    }
}

/// Prints a line to standard output and passes the exit code on, unless the line can't be written to a reader who is there.
fn print(line: &str, exit: Exit) -> Exit {
    let mut out = io::stdout().lock();
    match writeln!(out, "{line}").and_then(|()| out.flush()) {
        Ok(()) => exit,
        // Whoever read it has enough of it.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => exit,
        Err(_) => Exit::Internal,
    }
}

/// Says on standard error why the verb ends like this.
fn complain(message: &dyn std::fmt::Display, exit: Exit) -> Exit {
    // Nobody is left to tell that standard error is closed.
    let _ = writeln!(io::stderr().lock(), "{message}");
    exit
}

/// Tells what works but will surprise someone.
fn warn(warnings: &[String]) {
    for warning in warnings {
        complain(&format!("warning: {warning}"), Exit::Ok);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split(' '))
    }

    #[test]
    fn the_grammar_is_consistent() {
        grammar().debug_assert();
    }

    #[test]
    fn explain_wants_a_configuration_or_a_trust_store_and_not_both() {
        assert!(parse("zoogate explain c.pem").is_err());
        assert!(parse("zoogate explain c.pem --config z.yaml").is_ok());
        assert!(parse("zoogate explain c.pem --trust-store ca.pem --crl a --crl b --from san_dns").is_ok());
        assert!(parse("zoogate explain c.pem --config z.yaml --trust-store ca.pem").is_err());
        assert!(parse("zoogate explain c.pem --config z.yaml --from san_dns").is_err());
        assert!(parse("zoogate explain c.pem --config z.yaml --crl a").is_err());
    }

    #[test]
    fn check_wants_a_configuration_or_a_zoo_cfg_and_not_both() {
        assert!(parse("zoogate check").is_err());
        assert!(parse("zoogate check --config z.yaml --upstream").is_ok());
        assert!(parse("zoogate check --zoo-cfg zoo.cfg --jvm-flags java.env").is_ok());
        assert!(parse("zoogate check --zoo-cfg zoo.cfg --config z.yaml").is_err());
        assert!(parse("zoogate check --zoo-cfg zoo.cfg --upstream").is_err());
        assert!(parse("zoogate check --config z.yaml --jvm-flags java.env").is_err());
    }

    #[test]
    fn identity_wants_a_certificate_or_a_batch_and_not_both() {
        assert!(parse("zoogate identity").is_err());
        assert!(parse("zoogate identity c.pem").is_ok());
        assert!(parse("zoogate identity --batch --from common_name").is_ok());
        assert!(parse("zoogate identity c.pem --batch").is_err());
    }

    #[test]
    fn probe_asks_one_question_of_one_address() {
        assert!(parse("zoogate probe").is_ok());
        assert!(parse("zoogate probe --live --admin [::1]:9281 --timeout 500ms").is_ok());
        assert!(parse("zoogate probe --live --ready").is_err());
        assert!(parse("zoogate probe --config z.yaml --admin 127.0.0.1:9281").is_err());
        assert!(parse("zoogate probe --timeout 0s").is_err());
        assert!(parse("zoogate wait-upstream-closed --config z.yaml --upstream zoo:2181").is_err());
    }

    #[test]
    fn every_verb_teaches_with_an_example() {
        for mut verb in grammar().get_subcommands().cloned() {
            let help = verb.render_long_help().to_string();
            let example = format!("zoogate {}", verb.get_name());
            let taught = help.split("Example").nth(1).is_some_and(|examples| examples.contains(&example));
            assert!(taught, "{help}");
        }
    }
}
