//! The files that verbs read: named by the configuration, or one by one on the command line.

use std::path::Path;

use super::acl_ids::{Naming, X509Id};
use super::{Exit, NamingArgs, complain};
use crate::config::{self, Config, Inject, Problem};
use crate::snapshot::{self, IdentityRules, LoadProblem};

/// Loads a configuration, or says all that is wrong with it.
pub(super) fn load_config(path: &Path) -> Result<Config, Exit> {
    Config::load(path).map_err(|error| complain(&error, Exit::Configuration))
}

/// Loads a configuration whose files will all be loaded; or says all that is wrong with it, and with those files.
pub(super) fn load_whole_config(path: &Path) -> Result<Config, Exit> {
    load_config(path).inspect_err(|_| {
        complain_in(path, &snapshot::problems_of(&config::named_files(path)));
    })
}

/// Says what is wrong with files that a configuration names, each with the key's place in it.
pub(super) fn complain_in(config: &Path, problems: &[LoadProblem]) -> Exit {
    for problem in problems {
        let placed = Problem {
            file: config.display().to_string(),
            line: config::line_of(config, problem.key),
            path: problem.key.to_owned(),
            message: problem.message.clone(),
        };
        complain(&placed, Exit::Configuration);
    }
    Exit::Configuration
}

/// Says what is wrong with files that the command line names. The messages name the files.
pub(super) fn complain_of(problems: &[LoadProblem]) -> Exit {
    for problem in problems {
        complain(&problem.message, Exit::UnreadableInput);
    }
    Exit::UnreadableInput
}

/// How certificates are named, by a configuration or by options; or why that can't be told.
pub(super) fn load_naming(config: Option<&Path>, naming: &NamingArgs) -> Result<Naming, Exit> {
    match config {
        Some(path) => {
            let config = load_config(path)?;
            let rules = IdentityRules::load(&config.identity).map_err(|problem| complain_in(path, &[problem]))?;
            Ok(Naming { rules, x509: X509Id::of(&config) })
        }
        None => {
            let rules = IdentityRules::load(&naming.identity()).map_err(|problem| complain_of(&[problem]))?;
            Ok(Naming { rules, x509: X509Id::Subject })
        }
    }
}

impl NamingArgs {
    /// What a configuration with these settings would say.
    pub(super) fn identity(&self) -> config::Identity {
        let inject = match &self.secret_file {
            Some(secret_file) => Inject::Digest {
                secret_file: secret_file.clone(),
                algorithm: self.digest_algorithm.unwrap_or_default(),
            },
            None => Inject::None,
        };
        config::Identity::plain(self.from.unwrap_or_default(), inject)
    }
}
