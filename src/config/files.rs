//! The configuration's own file, and the files that it names.

use std::{
    env, fs,
    io::Read,
    path::{Path, PathBuf},
};

use super::{KeyStoreFiles, TrustStoreFiles, raw, reader, sections};

/// The files that a configuration names, as far as it can be read.
#[derive(Clone, Debug, Default)]
pub struct NamedFiles {
    /// `tls.key_store`.
    pub key_store: Option<KeyStoreFiles>,
    /// `tls.trust_store`.
    pub trust_store: Option<TrustStoreFiles>,
    /// `tls.pinned_certificates`.
    pub pinned_certificates: Vec<PathBuf>,
    /// `tls.crls`.
    pub crls: Vec<PathBuf>,
    /// `identity.secret_file`.
    pub secret_file: Option<PathBuf>,
}

/// The files that a configuration names which is wrong itself, so that their problems can be told beside its own.
pub fn named_files(path: &Path) -> NamedFiles {
    let base = path.parent().unwrap_or(Path::new(""));
    read(path).map_or_else(|_| NamedFiles::default(), |text| sections::read_files(&text, &origin(base, "")))
}

pub(super) fn origin(base: &Path, file: &str) -> reader::Origin {
    let credentials = env::var_os("CREDENTIALS_DIRECTORY").filter(|directory| !directory.is_empty());
    reader::Origin { file: file.to_owned(), base: base.to_owned(), credentials: credentials.map(PathBuf::from) }
}

/// The line where a key stands in a file that was loaded, counted from 1; where it is not written, the line of its
/// section. For problems that show only when a file that the key names is opened.
pub fn line_of(path: &Path, key: &str) -> Option<usize> {
    let text = read(path).ok()?;
    let root = raw::parse(&text).ok()?;
    raw::line_of(&text, reader::enclosing(&root, key)?)
}

pub(super) fn read(path: &Path) -> Result<String, String> {
    let cannot = |error| format!("can't be read: {error}");
    let file = fs::File::open(path).map_err(cannot)?;
    let mut bytes = Vec::new();
    file.take(raw::MAX_FILE as u64 + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() > raw::MAX_FILE {
        return Err("is longer than 1 MiB; is it the right file?".to_owned());
    }
    // UTF-16 has a byte order mark, or the NUL of an ASCII character; YAML in UTF-8 has neither.
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) || bytes.contains(&0) {
        return Err("is UTF-16 text, or no text: save it as UTF-8".to_owned());
    }
    String::from_utf8(bytes).map_err(|_| "is not UTF-8 text; is it the right file?".to_owned())
}
