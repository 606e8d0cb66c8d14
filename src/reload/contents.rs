//! What the files contain, as digests.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use aws_lc_rs::digest::{Context, SHA256};
use zeroize::Zeroizing;

use crate::config::Config;
use crate::metrics::Material;

/// The most bytes of a file that are looked at. Nothing that is longer can be used; it may be a device by mistake.
const LIMIT: u64 = (64 << 20) + 1;

/// A SHA-256 of each material's files, in the order of the configuration. A file that can't be read counts as its error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents(BTreeMap<Material, Vec<u8>>);

impl Contents {
    /// What one material's files contain.
    pub(super) fn of(&self, material: Material) -> Option<&[u8]> {
        self.0.get(&material).map(Vec::as_slice)
    }

    /// The materials that there are.
    pub(super) fn materials(&self) -> impl Iterator<Item = Material> {
        self.0.keys().copied()
    }

    /// Reads everything that a snapshot is loaded from.
    pub fn read(config: &Config) -> Self {
        let mut digests: BTreeMap<Material, Context> = BTreeMap::new();
        for (material, path) in files(config) {
            let digest = digests.entry(material).or_insert_with(|| Context::new(&SHA256));
            if let Err(error) = feed(digest, path) {
                digest.update(error.kind().to_string().as_bytes());
            }
        }
        Self(digests.into_iter().map(|(material, digest)| (material, digest.finish().as_ref().to_vec())).collect())
    }

    /// The materials whose files have other contents, or that only one of the two has.
    pub(super) fn differences(&self, other: &Self) -> Vec<Material> {
        let all = self.0.keys().chain(other.0.keys()).copied().collect::<BTreeSet<_>>();
        all.into_iter().filter(|material| self.0.get(material) != other.0.get(material)).collect()
    }
}

/// What must not be opened, since that or reading it may never end: pipes, sockets, devices.
pub(super) fn irregular(config: &Config) -> Vec<String> {
    let odd = |path: &&Path| fs::metadata(path).is_ok_and(|about| !about.is_file() && !about.is_dir());
    let odd = files(config).into_iter().map(|(_, path)| path).filter(odd);
    odd.map(|path| format!("{} is no regular file", path.display())).collect()
}

/// Feeds a file's length and bytes, so that two files can't be taken for two others.
fn feed(digest: &mut Context, path: &Path) -> io::Result<()> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let mut file = File::open(path)?.take(LIMIT);
    // Among the files are keys and secrets.
    let mut buffer = Zeroizing::new(vec![0; 8 * 1024]);
    let mut length = 0_u64;
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            read => {
                digest.update(&buffer[..read]);
                length += read as u64;
            }
        }
    }
    digest.update(&length.to_be_bytes());
    Ok(())
}

/// Every file that a snapshot is loaded from.
fn files(config: &Config) -> Vec<(Material, &Path)> {
    let tls = &config.tls;
    let key_store = [&tls.key_store.password_file, &tls.key_store.key_path, &tls.key_store.key_password_file];
    let key_store = std::iter::once(&tls.key_store.path).chain(key_store.into_iter().flatten());
    let trust_store = tls.trust_store.iter().flat_map(|store| std::iter::once(&store.path).chain(&store.password_file));
    let trust_store = trust_store.chain(&tls.pinned_certificates);
    let injected = config.identity.inject.secret_file();
    let bound = config.session.binding.as_ref().filter(|path| Some(*path) != injected);
    let secrets = injected.into_iter().chain(bound);
    let of = |material| move |path| (material, path);
    key_store
        .map(of(Material::KeyStore))
        .chain(trust_store.map(of(Material::TrustStore)))
        .chain(tls.crls.iter().map(of(Material::Crls)))
        .chain(secrets.map(of(Material::Secret)))
        .chain(config.file.iter().map(of(Material::Config)))
        .map(|(material, path)| (material, path.as_path()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Else turning `session.binding` on or off would be told as a change of the secret.
    #[test]
    fn a_secret_that_serves_two_purposes_is_one_file() {
        let secrets = |inject: &str, binding: &str| {
            let text = format!(
                "listen: {{ address: '0.0.0.0:2281' }}\ntls: {{ key_store: {{ path: k }}, trust_store: {{ path: t }} }}\n\
                 identity: {{ secret_file: s, inject: {inject} }}\nsession: {{ binding: {binding} }}\n"
            );
            let config = Config::parse(&text, Path::new("/"), "zoogate.yaml").unwrap();
            files(&config).iter().filter(|(material, _)| *material == Material::Secret).count()
        };
        assert_eq!([secrets("digest", "on"), secrets("digest", "off")], [1, 1]);
        assert_eq!([secrets("none", "on"), secrets("none", "off")], [1, 0]);
    }
}
