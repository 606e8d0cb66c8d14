//! `zoogate explain`: would this client be let in, as whom, until when; or why not.

mod advice;
mod report;

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use rustls_pki_types::{CertificateDer, UnixTime};

use super::acl_ids::AclIds;
use super::{Exit, ExplainArgs, Output, complain, files, print};
use crate::config::TrustStoreFiles;
use crate::identity::Identity;
use crate::reason::Refusal;
use crate::snapshot::{Judge, TrustFiles};
use crate::store;
use crate::tls::revocation::RevocationOptions;
use crate::tls::verifier::VerifiedChain;

pub(super) fn explain(args: &ExplainArgs) -> Exit {
    // Both are loaded before either is given up, so that all problems are told at once.
    let judge = load_judge(args);
    let chain = store::load_certificates(&args.chain).map_err(|error| complain(&error, Exit::UnreadableInput));
    let (judge, chain) = match (judge, chain) {
        (Ok(judge), Ok(chain)) => (judge, chain),
        (Err(exit), _) | (_, Err(exit)) => return exit,
    };
    let at = unix(args.at.unwrap_or_else(SystemTime::now));
    let verdict = Verdict::of(&judge, &chain, at);
    let exit = match verdict {
        Verdict::Admitted(_) => Exit::Ok,
        Verdict::Refused { .. } => Exit::Refused,
    };
    match args.output {
        Output::Json => print(&report::json(&verdict), exit),
        Output::Text => print(&report::text(&verdict, &chain, at), exit),
    }
}

/// What the gate would do.
enum Verdict {
    Admitted(Box<Admission>),
    Refused { refusal: Refusal, detail: String },
}

struct Admission {
    identity: Identity,
    acl_ids: AclIds,
    /// The digest ids of the secrets behind the first one.
    other_digest_ids: Vec<String>,
    verified: VerifiedChain,
}

impl Verdict {
    /// Judges like a handshake and admission after it.
    fn of(judge: &Judge, chain: &[CertificateDer<'_>], at: UnixTime) -> Self {
        let verified = match judge.verifier.verify(chain, at) {
            Ok(verified) => verified,
            Err(error) => return Self::Refused { refusal: error.refusal, detail: error.detail },
        };
        let identity = match judge.rules.identify(chain, &verified.anchor).verdict {
            Ok(admitted) => admitted.identity,
            Err(error) => return Self::Refused { refusal: error.refusal(), detail: error.to_string() },
        };
        let leaf = chain.first().map_or(&[][..], |leaf| leaf.as_ref());
        Self::Admitted(Box::new(Admission {
            acl_ids: AclIds::of(&judge.rules, leaf, &identity),
            other_digest_ids: judge.rules.acl_ids(&identity).into_iter().skip(1).collect(),
            identity,
            verified,
        }))
    }
}

fn load_judge(args: &ExplainArgs) -> Result<Judge, Exit> {
    if let Some(path) = &args.config {
        return judge_of(path);
    }
    // The grammar asks for one of the two.
    let store = args.trust_store.clone().unwrap_or_default();
    let store = TrustStoreFiles { path: store, password_file: args.trust_store_password_file.clone() };
    let trust = TrustFiles { store: &store, crls: &args.crls, revocation: RevocationOptions::default() };
    Judge::load(&trust, &args.naming.identity()).map_err(|problems| files::complain_of(&problems))
}

/// Loads what judges clients, and not the server's own key: an expired certificate of the server is no reason to
/// leave a client unexplained.
fn judge_of(path: &Path) -> Result<Judge, Exit> {
    let config = files::load_config(path)?;
    Judge::load(&TrustFiles::of(&config.tls), &config.identity).map_err(|problems| files::complain_in(path, &problems))
}

/// The grammar takes no time before 1970; a clock that is before it is at 1970 here.
fn unix(time: SystemTime) -> UnixTime {
    UnixTime::since_unix_epoch(time.duration_since(UNIX_EPOCH).unwrap_or_default())
}
