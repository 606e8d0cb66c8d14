//! What is translated on its way: ids in ACLs, addresses in `/zookeeper/config`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use crate::credential::{DigestAlgorithm, IdentitySecrets};
use crate::translate::{Names, Translator};
use crate::zk::acl::{Id, Progress, Rewriting, Slice};
use crate::zk::dynamic_config::{Advertise, Which};
use crate::zk::jute::{Fields, put_buffer};
use crate::zk::opcode::Opcode;

static TRANSLATOR: LazyLock<Translator> = LazyLock::new(|| {
    let secrets = IdentitySecrets::parse(b"not a secret, but long enough to be one\n").expect("it is long enough");
    Translator::new(secrets, DigestAlgorithm::Sha1, Names::Any)
});

/// A vector of ACLs, or a frame's body that may hold some.
pub(super) fn acl(data: &[u8]) {
    let multi = frame(MULTI, data);
    rewritten(&multi, &Rewriting::of_request, |id| TRANSLATOR.to_server(id));
    let shown = from_server(data);
    let Some(written) = vector(&shown) else { return };
    // What a client has seen, it writes, and sees again.
    let stored = to_server(written);
    let seen = from_server(&stored);
    assert_eq!(ids(&seen), ids(written), "{:?} on the server", ids(&stored));
    assert_eq!(from_server(&to_server(&seen)), seen);
}

const SET_ACL: &[u8] = &[0, 0, 0, 1, 0, 0, 0, 7, 0, 0, 0, 1, b'/'];
const MULTI: &[u8] = &[0, 0, 0, 1, 0, 0, 0, 14];
const VERSION: [u8; 4] = [0; 4];

/// The ACL as the server has it when a client has set it.
fn to_server(acls: &[u8]) -> Vec<u8> {
    let request = frame(SET_ACL, &[acls, &VERSION].concat());
    let rewritten = rewritten(&request, &Rewriting::of_request, |id| TRANSLATOR.to_server(id));
    rewritten[4 + SET_ACL.len()..rewritten.len() - VERSION.len()].to_vec()
}

/// The ACL as a client is shown it, with what follows it.
fn from_server(acls: &[u8]) -> Vec<u8> {
    let reply = frame(&[0; 16], acls);
    let begin = |frame: &[u8]| Rewriting::of_reply(frame, Opcode::GetAcl, TRANSLATOR.merges());
    rewritten(&reply, &begin, |id| TRANSLATOR.to_client(id))[20..].to_vec()
}

/// A frame with its ids replaced, which is the same however the work is cut into slices.
fn rewritten(
    frame: &[u8],
    begin: &dyn Fn(&[u8]) -> Option<Rewriting>,
    rename: impl Fn(&Id<'_>) -> Option<Id<'static>>,
) -> Vec<u8> {
    let [whole, sliced] = [u32::MAX, 1].map(|units| {
        let mut rewriting = begin(frame)?;
        // Each slice reads something, and nothing is shorter than a byte.
        (0..=frame.len()).find_map(|_| {
            let slice = Slice::new(units);
            let step = rewriting.run(frame, &slice, |id| {
                slice.spend(TRANSLATOR.cost(id));
                rename(id)
            });
            if let Progress::Done(rewritten) = step { Some(rewritten) } else { None }
        })?
    });
    assert_eq!(whole, sliced);
    whole.unwrap_or_else(|| frame.to_vec())
}

fn frame(header: &[u8], body: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    put_buffer(&mut frame, &[header, body].concat());
    frame
}

/// The bytes of a whole vector of ACLs.
fn vector(bytes: &[u8]) -> Option<&[u8]> {
    let mut fields = Fields::new(bytes);
    for _ in 0..fields.count(12)? {
        fields.int()?;
        fields.buffer()?;
        fields.buffer()?;
    }
    Some(&bytes[..bytes.len() - fields.rest().len()])
}

/// Perms, scheme and id of each entry.
fn ids(acls: &[u8]) -> Option<Vec<(i32, String, String)>> {
    let mut fields = Fields::new(acls);
    // A name that Java wrote comes back in UTF-8: the same text.
    let text = |bytes: Option<&[u8]>| match bytes.map(str::from_utf8) {
        Some(Ok(text)) if text.chars().all(|c| c <= '\u{ffff}') => text.to_owned(),
        Some(_) => "(beyond the basic plane)".to_owned(),
        None => "(null)".to_owned(),
    };
    (0..fields.count(12)?).map(|_| Some((fields.int()?, text(fields.buffer()?), text(fields.buffer()?)))).collect()
}

/// The text of `/zookeeper/config`.
pub(super) fn dynamic_config(data: &[u8]) {
    for which in [Which::Loopback, Which::All] {
        let addresses = BTreeMap::from([(9, "zk9.example.com:443".to_owned())]);
        let advertise = Advertise { which, port: 2281, addresses };
        advertise.rewrite_reply(data);
        let rewritten = rewrite(&advertise, data);
        let (before, after) = (lines(data), lines(&rewritten));
        assert_eq!(before.len(), after.len(), "no line comes or goes");
        for (before, after) in before.iter().zip(&after) {
            let is_server = str::from_utf8(before).is_ok_and(|line| line.trim_start().starts_with("server."));
            assert!(before == after || is_server, "{}", before.escape_ascii());
        }
        assert_eq!(rewrite(&advertise, &rewritten), rewritten, "once is enough");
    }
}

fn lines(text: &[u8]) -> Vec<&[u8]> {
    text.split(|byte| *byte == b'\n').collect()
}

fn rewrite(advertise: &Advertise, text: &[u8]) -> Vec<u8> {
    let mut body = vec![0; 16];
    put_buffer(&mut body, text);
    body.extend_from_slice(&[7; 68]);
    let reply = frame(&[], &body);
    let rewritten = advertise.rewrite_reply(&reply).unwrap_or(reply);
    let mut fields = Fields::new(&rewritten[20..]);
    let text = fields.buffer().flatten().expect("its data is there").to_vec();
    assert_eq!(fields.rest(), [7; 68], "the node's stat stays");
    text
}
