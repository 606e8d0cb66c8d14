//! `zoogate identity`: the ACL ids of a certificate, or of many.

mod batch;

use std::path::Path;

use super::acl_ids::{AclIds, Naming, X509Id};
use super::{Exit, IdentityArgs, complain, files, print};
use crate::identity::{self, IdentityError, Source};
use crate::reason::Refusal;
use crate::store;

pub(super) fn identity(args: &IdentityArgs) -> Exit {
    let naming = match files::load_naming(args.config.as_deref(), &args.naming) {
        Ok(naming) => naming,
        Err(exit) => return exit,
    };
    match &args.certificate {
        Some(path) => one(path, &naming),
        None => batch::run(&naming),
    }
}

fn one(path: &Path, naming: &Naming) -> Exit {
    let chain = match store::load_certificates(path) {
        Ok(chain) => chain,
        Err(error) => return complain(&error, Exit::UnreadableInput),
    };
    let leaf = chain.first().map_or(&[][..], |leaf| leaf.as_ref());
    let named = Named::of(naming, leaf);
    if let Some(detail) = &named.detail {
        let exit = if named.identity.is_some() { Exit::Ok } else { Exit::Refused };
        complain(&format!("{}: {detail}", path.display()), exit);
        if exit == Exit::Refused {
            return exit;
        }
    }
    print_tokens(&named.acl_ids, naming.x509)
}

/// Prints one id a line, as it stands in an ACL; in front, the one that works without a provider on the server.
fn print_tokens(ids: &AclIds, x509_id: X509Id) -> Exit {
    let mut tokens: Vec<String> = ids.digest.iter().map(|id| format!("digest:{id}")).collect();
    match &ids.x509 {
        Some(x509) if x509.contains(char::is_control) => {
            let note = "the x509 id holds control characters, so it is not printed; `--batch` shows it as JSON";
            complain(&note, Exit::Ok);
        }
        Some(x509) => {
            if tokens.is_empty() && x509.contains([',', ' ', '"', '\'', '\\']) {
                let advice = match x509_id {
                    X509Id::Subject => "with --secret-file or --config there is a digest id that it takes",
                    X509Id::Identity => "identity.mapping can make names without them",
                };
                let note = format!("zkCli.sh can't take this x509 id, for it splits at commas and blanks; {advice}");
                complain(&note, Exit::Ok);
            }
            tokens.push(format!("x509:{x509}"));
        }
        None => {}
    }
    if tokens.is_empty() { Exit::Ok } else { print(&tokens.join("\n"), Exit::Ok) }
}

/// What a certificate is called, or why it has no name.
#[derive(serde::Serialize)]
struct Named {
    identity: Option<String>,
    acl_ids: AclIds,
    reason: Option<&'static str>,
    detail: Option<String>,
}

impl Named {
    /// An empty subject is a name to native ZooKeeper, if one that the gate does not let in: its id is told, with
    /// a warning in the detail.
    fn of(naming: &Naming, leaf: &[u8]) -> Self {
        let rules = &naming.rules;
        let error = match identity::identify(leaf, rules.source()) {
            Ok(name) => {
                let identity = match rules.names().rename(name) {
                    Ok(identity) => identity,
                    Err(error) => return Self::refused(error),
                };
                let acl_ids = naming.ids(leaf, &identity);
                return Self { identity: Some(identity.to_string()), acl_ids, reason: None, detail: None };
            }
            Err(error) => error,
        };
        let native = naming.x509 == X509Id::Subject && rules.source() == Source::Subject;
        if error.refusal == Refusal::NoIdentity && native {
            let detail = format!("the gate refuses it ({}): {error}", error.refusal);
            let acl_ids = AclIds { x509: Some(String::new()), digest: None };
            return Self { identity: Some(String::new()), acl_ids, reason: None, detail: Some(detail) };
        }
        Self::refused(error)
    }

    fn refused(error: IdentityError) -> Self {
        let IdentityError { refusal, detail } = error;
        Self { identity: None, acl_ids: AclIds::default(), reason: Some(refusal.as_str()), detail: Some(detail) }
    }

    /// What is no certificate at all.
    fn unreadable(detail: String) -> Self {
        Self::refused(IdentityError { refusal: Refusal::Malformed, detail })
    }
}
