//! Options of the verbs.

use std::{
    net::SocketAddr,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use clap::{Args, ValueEnum};

use super::time;
use crate::{credential::DigestAlgorithm, identity::Source};

/// The one option of `run`.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// The configuration, YAML
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
}

/// Options of `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The configuration, YAML
    #[arg(long, value_name = "FILE", required_unless_present = "zoo_cfg", conflicts_with = "zoo_cfg")]
    pub config: Option<PathBuf>,

    /// Also ask ZooKeeper for its version, its mode, and what in its settings defeats the gate
    #[arg(long, conflicts_with = "zoo_cfg")]
    pub upstream: bool,

    /// Print the configuration that stands for this server's own settings, a zoo.cfg
    #[arg(long, value_name = "FILE")]
    pub zoo_cfg: Option<PathBuf>,

    /// A file with the server's Java options, such as java.env; its -Dzookeeper.… stand behind zoo.cfg
    #[arg(long, value_name = "FILE", requires = "zoo_cfg", conflicts_with = "config")]
    pub jvm_flags: Option<PathBuf>,
}

/// Options of `explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The client's certificate and intermediates, PEM or DER
    pub chain: PathBuf,

    /// Judge by this configuration
    #[arg(long, value_name = "FILE", required_unless_present = "trust_store", conflicts_with = "trust_store")]
    pub config: Option<PathBuf>,

    /// Judge by this trust store instead: PEM, PKCS#12 or JKS
    #[arg(long, value_name = "PATH")]
    pub trust_store: Option<PathBuf>,

    /// The trust store's password
    #[arg(long, value_name = "FILE", requires = "trust_store", conflicts_with = "config")]
    pub trust_store_password_file: Option<PathBuf>,

    /// A CRL, PEM or DER; may be given more than once
    #[arg(long = "crl", value_name = "FILE", requires = "trust_store", conflicts_with = "config")]
    pub crls: Vec<PathBuf>,

    /// Where the identity is read from
    #[command(flatten)]
    pub naming: NamingArgs,

    /// Judge as of this time instead of now, like 2027-01-01T00:00:00Z
    #[arg(long, value_name = "RFC3339", value_parser = time::parse)]
    pub at: Option<SystemTime>,

    /// How to print the verdict
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
}

/// Options of `identity`.
#[derive(Debug, Args)]
pub struct IdentityArgs {
    /// The certificate, PEM or DER; of several, the first
    #[arg(value_name = "CERT", required_unless_present = "batch", conflicts_with = "batch")]
    pub certificate: Option<PathBuf>,

    /// Read base64 DER certificates from standard input, one a line; print JSON, one object a line
    #[arg(long)]
    pub batch: bool,

    /// Take `identity` from this configuration
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Where the identity is read from
    #[command(flatten)]
    pub naming: NamingArgs,
}

/// How a certificate becomes ACL ids, where no configuration says so.
#[derive(Debug, Args)]
pub struct NamingArgs {
    /// subject, san_uri, san_dns, san_email or common_name [default: subject]
    #[arg(long, value_name = "SOURCE", conflicts_with = "config")]
    pub from: Option<Source>,

    /// The identity secret; without it there is no digest id to print
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    pub secret_file: Option<PathBuf>,

    /// How the servers hash digest credentials [default: sha1]
    #[arg(long, value_name = "ALGORITHM", conflicts_with = "config", requires = "secret_file")]
    pub digest_algorithm: Option<DigestAlgorithm>,
}

/// Options of `probe`.
#[derive(Debug, Args)]
pub struct ProbeArgs {
    /// Ask whether it is alive
    #[arg(long, conflicts_with = "ready")]
    pub live: bool,

    /// Ask whether it can serve clients; the default
    #[arg(long)]
    pub ready: bool,

    /// Ask at `admin.address` of this configuration
    #[arg(long, value_name = "FILE", conflicts_with = "admin")]
    pub config: Option<PathBuf>,

    /// Ask at this address
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:9281")]
    pub admin: SocketAddr,

    /// How long to wait for the answer
    #[arg(long, value_name = "DURATION", value_parser = time::limit, default_value = "1s")]
    pub timeout: Duration,
}

/// Options of `wait-upstream-closed`.
#[derive(Debug, Args)]
pub struct WaitArgs {
    /// Take `upstream.address` from this configuration
    #[arg(long, value_name = "FILE", conflicts_with = "upstream")]
    pub config: Option<PathBuf>,

    /// ZooKeeper's address
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:2181")]
    pub upstream: String,

    /// How long to wait at most
    #[arg(long, value_name = "DURATION", value_parser = time::limit, default_value = "20s")]
    pub timeout: Duration,
}

/// Options of `drain`.
#[derive(Debug, Args)]
pub struct DrainArgs {
    /// The gate's process, where several run
    #[arg(long, value_name = "PID", value_parser = clap::value_parser!(i32).range(1..))]
    pub pid: Option<i32>,
}

/// For people or for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Lines for people.
    Text,
    /// One JSON object.
    Json,
}
