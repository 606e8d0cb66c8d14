//! `tls.key_store` and `tls.trust_store`.

use super::reader::Reader;
use super::{KeyStoreFiles, TrustStoreFiles, value};

pub(super) fn key_store(r: &mut Reader<'_>) -> Option<KeyStoreFiles> {
    let path = r.value("tls.key_store.path", value::path);
    let password_file = r.optional("tls.key_store.password_file", value::path);
    let key_path = r.optional("tls.key_store.key_path", value::path);
    let key_password_file = r.optional("tls.key_store.key_password_file", value::path);
    Some(KeyStoreFiles {
        path: path?,
        password_file: password_file?,
        key_path: key_path?,
        key_password_file: key_password_file?,
    })
}

/// One that is wrong is none here, and one that is not written is `Some(None)`.
pub(super) fn trust_store(r: &mut Reader<'_>) -> Option<Option<TrustStoreFiles>> {
    let path = r.optional("tls.trust_store.path", value::path);
    let password_file = r.optional("tls.trust_store.password_file", value::path);
    if matches!((&path, &password_file), (Some(None), Some(Some(_)))) {
        r.problem("tls.trust_store.path", "is required beside `tls.trust_store.password_file`");
        return None;
    }
    let (path, password_file) = (path?, password_file?);
    Some(path.map(|path| TrustStoreFiles { path, password_file }))
}
