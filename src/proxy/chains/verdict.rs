//! What a new snapshot, or the clock, says of live connections.

use rustls_pki_types::{CertificateDer, UnixTime};
use tracing::{info, warn};

use crate::reason::{Ending, Refusal};
use crate::snapshot::{Authority, Renewal, Snapshot};
use crate::tls::verifier::VerifyError;

/// How a chain is judged again.
pub(super) enum Verdict {
    Holds {
        /// Until when, in Unix seconds.
        not_after: i64,
        /// What would keep it from being let in anew.
        overdue: Option<String>,
        /// What a change of the secrets means to it.
        renewal: Renewal,
    },
    Ends(Ending, String),
}

impl Verdict {
    /// Until when a chain holds; or why its bearer would not be let in as who it is.
    pub(super) fn of(snapshot: &Snapshot, chain: &[CertificateDer<'_>], authority: &Authority, at: UnixTime) -> Self {
        let verifier = snapshot.tls.verifier();
        let (verified, overdue) = match verifier.verify(chain, at) {
            Ok(verified) => (verified, None),
            Err(error) if error.refusal == Refusal::RevocationUnknown => match verifier.verify_again(chain, at) {
                Ok(verified) => (verified, Some(error.to_string())),
                Err(error) => return Self::refused(&error),
            },
            Err(error) => return Self::refused(&error),
        };
        let admitted = match snapshot.identify(chain, &verified.anchor).verdict {
            Ok(admitted) => admitted,
            Err(refused) => return Self::Ends(Ending::NoLongerAdmitted, refused.to_string()),
        };
        let now = snapshot.grant(&admitted).authority();
        if let Some(more) = authority.beyond(&now) {
            return Self::Ends(Ending::NoLongerAdmitted, more);
        }
        // Who would be refused now must not be sent away to come back. The CRL that is missing comes with a reload.
        let renewal = if overdue.is_some() { Renewal::Needless } else { authority.renewal(&now) };
        Self::Holds { not_after: verified.not_after, overdue, renewal }
    }

    fn refused(error: &VerifyError) -> Self {
        let ending = match error.refusal {
            Refusal::Expired | Refusal::NotYetValid => Ending::CertificateExpired,
            Refusal::Revoked | Refusal::RevocationUnknown => Ending::CertificateRevoked,
            _ => Ending::NoLongerTrusted,
        };
        Self::Ends(ending, error.to_string())
    }
}

/// What one look at all chains has found that is told in one line each, with how many connections it concerns.
#[derive(Default)]
pub(super) struct Findings {
    late: Option<(String, usize)>,
    renewed: usize,
    stranded: usize,
}

impl Findings {
    /// Notes what was found for some connections.
    pub(super) fn note(&mut self, connections: usize, overdue: Option<String>, renewal: Renewal) {
        if let Some(detail) = overdue {
            self.late.get_or_insert((detail, 0)).1 += connections;
        }
        match renewal {
            Renewal::Needless => {}
            Renewal::Due => self.renewed += connections,
            Renewal::Stranded => self.stranded += connections,
        }
    }

    /// Tells them in the log. `enforce` is whether connections are closed.
    pub(super) fn tell(self, enforce: bool) {
        if let Some((detail, connections)) = self.late {
            warn!(connections, detail, "a CRL is overdue: these live connections go on, and new ones are refused");
        }
        let (renewed, stranded) = (self.renewed, self.stranded);
        if renewed > 0 && enforce {
            info!(
                connections = renewed,
                "identity.secret_file has changed: these live connections are closed one by one, between requests, and \
                 come back with what they lack"
            );
        } else if renewed > 0 {
            warn!(
                connections = renewed,
                "identity.secret_file has changed, and tls.revalidate is `observe`: these live connections keep what \
                 they were given until they reconnect"
            );
        }
        if stranded > 0 {
            warn!(
                connections = stranded,
                "identity.secret_file no longer has the secret that these live connections were opened with: when they \
                 reconnect, they lose their sessions if those are bound, and have other ids if they are digest ids; put \
                 it back as the last line until they have reconnected"
            );
        }
    }
}
