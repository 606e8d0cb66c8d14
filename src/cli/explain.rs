//! `zoogate explain`: would this client be let in, as whom, until when; or why not.

mod advice;
mod report;

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use rustls_pki_types::{CertificateDer, UnixTime};

use super::acl_ids::{AclIds, Naming, X509Id};
use super::{Exit, ExplainArgs, Output, complain, files, print};
use crate::config::TrustStoreFiles;
use crate::identity::Identity;
use crate::identity::mapping::Mapping;
use crate::policy::Denial;
use crate::reason::Refusal;
use crate::snapshot::names::{Admitted, Identified, NotAdmitted, Shadow};
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
    super::warn(&judge.0.probable_clients());
    let trust = judge.0.trust_lines();
    let verdict = Verdict::of(judge, &chain, at);
    let exit = verdict.exit();
    match args.output {
        Output::Json => print(&report::json(&verdict), exit),
        Output::Text => print(&report::text(&verdict, (&chain, &trust), at), exit),
    }
}

/// What the gate would do.
struct Verdict {
    outcome: Result<Box<Admission>, Rejection>,
    /// What the certificate says, where that has been asked.
    name: Option<Identity>,
    /// The mapping rule that decided.
    rule: Option<MatchedRule>,
    /// What other rules would change.
    shadow: Option<Shadow>,
}

struct Admission {
    identity: Identity,
    acl_ids: AclIds,
    /// The digest ids of the secrets behind the first one.
    other_digest_ids: Vec<String>,
    /// What is injected of names that it had before.
    old_ids: Vec<String>,
    /// The pattern of the allowed that lets it in, counted from 1; none where everyone is allowed.
    allowed_by: Option<usize>,
    verified: VerifiedChain,
}

struct Rejection {
    refusal: Refusal,
    detail: String,
    /// Who it is, and which list keeps it out.
    denied: Option<(Identity, Denial)>,
}

/// A rule and its place in the list.
struct MatchedRule {
    /// Counted from 1.
    number: usize,
    of: usize,
    text: String,
    /// Whose clients it holds for; everyone's if empty.
    issuers: Vec<String>,
}

impl Verdict {
    /// Judges like a handshake and admission after it.
    fn of((judge, x509): (Judge, X509Id), chain: &[CertificateDer<'_>], at: UnixTime) -> Self {
        let verified = match judge.verifier.verify(chain, at) {
            Ok(verified) => verified,
            Err(error) => {
                let rejection = Rejection { refusal: error.refusal, detail: error.detail, denied: None };
                return Self { outcome: Err(rejection), name: None, rule: None, shadow: None };
            }
        };
        let Identified { name, verdict, shadow } = judge.rules.identify(chain, &verified.anchor);
        let naming = Naming { rules: judge.rules, x509 };
        let rule = match &verdict {
            Ok(admitted) => admitted.rule,
            Err(NotAdmitted::Denied { rule, .. }) => *rule,
            Err(NotAdmitted::Nameless(_)) => None,
        };
        let rule = naming.rules.names().mapping().zip(rule).and_then(|(mapping, rule)| MatchedRule::of(mapping, rule));
        let leaf = chain.first().map_or(&[][..], |leaf| leaf.as_ref());
        let outcome = match verdict {
            Ok(admitted) => Ok(Box::new(Admission::of(admitted, verified, (&naming, leaf)))),
            Err(error) => Err(Rejection::of(error)),
        };
        Self { outcome, name, rule, shadow }
    }

    fn exit(&self) -> Exit {
        if self.outcome.is_ok() { Exit::Ok } else { Exit::Refused }
    }
}

impl Admission {
    fn of(admitted: Admitted, verified: VerifiedChain, (naming, leaf): (&Naming, &[u8])) -> Self {
        let Admitted { identity, rule: _, grant, old_names } = admitted;
        let old_ids = old_names.iter().flat_map(|old| match naming.x509 {
            X509Id::Identity => vec![format!("x509:{old}")],
            X509Id::Subject => naming.rules.acl_ids(old).iter().map(|id| format!("digest:{id}")).collect(),
        });
        Self {
            acl_ids: naming.ids(leaf, &identity),
            other_digest_ids: naming.rules.acl_ids(&identity).into_iter().skip(1).collect(),
            old_ids: old_ids.collect(),
            allowed_by: grant.rule.map(|rule| rule + 1),
            identity,
            verified,
        }
    }
}

impl Rejection {
    fn of(error: NotAdmitted) -> Self {
        let (refusal, detail) = (error.refusal(), error.to_string());
        match error {
            NotAdmitted::Nameless(_) => Self { refusal, detail, denied: None },
            NotAdmitted::Denied { identity, denial, .. } => {
                Self { refusal, detail: format!("{identity}: {detail}"), denied: Some((identity, denial)) }
            }
        }
    }
}

impl MatchedRule {
    fn of(mapping: &Mapping, index: usize) -> Option<Self> {
        let rules = mapping.rules();
        let rule = rules.get(index)?;
        let issuers = rule.issuers().iter().map(ToString::to_string).collect();
        Some(Self { number: index + 1, of: rules.len(), text: rule.to_string(), issuers })
    }
}

fn load_judge(args: &ExplainArgs) -> Result<(Judge, X509Id), Exit> {
    if let Some(path) = &args.config {
        return judge_of(path);
    }
    // The grammar asks for one of the two.
    let store = args.trust_store.clone().unwrap_or_default();
    let store = TrustStoreFiles { path: store, password_file: args.trust_store_password_file.clone() };
    let trust =
        TrustFiles { store: Some(&store), pinned: &[], crls: &args.crls, revocation: RevocationOptions::default() };
    let judge = Judge::load(&trust, &args.naming.identity()).map_err(|problems| files::complain_of(&problems))?;
    Ok((judge, X509Id::Subject))
}

/// Loads what judges clients, and not the server's own key: an expired certificate of the server is no reason to
/// leave a client unexplained.
fn judge_of(path: &Path) -> Result<(Judge, X509Id), Exit> {
    let config = files::load_config(path)?;
    let judge = Judge::load(&TrustFiles::of(&config.tls), &config.identity);
    let judge = judge.map_err(|problems| files::complain_in(path, &problems))?;
    Ok((judge, X509Id::of(&config)))
}

/// The grammar takes no time before 1970; a clock that is before it is at 1970 here.
fn unix(time: SystemTime) -> UnixTime {
    UnixTime::since_unix_epoch(time.duration_since(UNIX_EPOCH).unwrap_or_default())
}
