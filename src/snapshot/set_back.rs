//! What a snapshot must not fall behind: the one that is in use.

use std::collections::BTreeSet;

use super::Snapshot;
use crate::tls::material::CertificateRole;

impl Snapshot {
    /// Why this snapshot must not take the place of one in use: it is right by itself, but less than what there is.
    pub fn set_backs(&self, used: &Self, now: i64) -> Vec<String> {
        [self.expired_chain(used, now), self.crls_that_set_back(used, now), self.crls_rolled_back(used)].concat()
    }

    /// Certificates sent with the server's own that are out of date, where those in use are not.
    fn expired_chain(&self, used: &Self, now: i64) -> Vec<String> {
        let out_of_date = |snapshot: &Self| {
            let certificates = snapshot.tls.certificates().iter().map(|own| (own.role, own.not_before, own.not_after));
            let chain = certificates.filter(|(role, ..)| *role == CertificateRole::Intermediate);
            chain.filter(|&(_, not_before, not_after)| now < not_before || not_after < now).count()
        };
        if out_of_date(self) == 0 || out_of_date(used) > 0 {
            return Vec::new();
        }
        vec!["tls.key_store: an intermediate of its chain is out of date, and none in use is: most clients would refuse it"
            .to_owned()]
    }

    /// Issuers of whom the newest CRL is older than the newest in use: revocations would be forgotten.
    fn crls_rolled_back(&self, used: &Self) -> Vec<String> {
        let newest = |snapshot: &Self, issuer: &str| {
            let of_issuer = snapshot.crl_files().filter(|(crl, _)| crl.issuer == issuer);
            of_issuer.map(|(crl, path)| (crl.clone(), path.to_owned())).max_by_key(|(crl, _)| crl.this_update)
        };
        let issuers: BTreeSet<&str> = self.crl_files().map(|(crl, _)| crl.issuer.as_str()).collect();
        let older = issuers.into_iter().filter_map(|issuer| {
            let ((new, path), (used, _)) = newest(self, issuer).zip(newest(used, issuer))?;
            (new.this_update < used.this_update && !new.has_higher_number(&used)).then(|| {
                format!("tls.crls: {path}: {new} is older than the one in use, {used}; restart to use it all the same")
            })
        });
        older.collect()
    }

    /// A CRL that is out of date says less than one in date, or than none. One that was in use when its time ran out
    /// stands in nobody's way.
    fn crls_that_set_back(&self, used: &Self, now: i64) -> Vec<String> {
        let out_of_date = self.crl_files().filter(|(crl, _)| !crl.is_in_date(now));
        let set_back = out_of_date.filter(|(crl, _)| {
            let of_issuer: Vec<_> =
                used.crl_files().map(|(used, _)| used).filter(|used| used.issuer == crl.issuer).collect();
            let is_used = of_issuer.contains(crl);
            !is_used && (of_issuer.is_empty() || of_issuer.iter().any(|used| used.is_in_date(now)))
        });
        set_back.map(|(crl, path)| format!("tls.crls: {path}: {}", crl.out_of_date())).collect()
    }
}
