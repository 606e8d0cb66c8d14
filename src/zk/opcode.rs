//! Opcodes of the client protocol (`ZooDefs.OpCode`, `Request.isValid`), one word each for metrics.

/// What a request asks for. `Other` stands for every code that no released server knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(missing_docs, reason = "each variant is the opcode of the same name in ZooDefs.OpCode")]
pub enum Opcode {
    Create,
    Delete,
    Exists,
    GetData,
    SetData,
    GetAcl,
    SetAcl,
    GetChildren,
    Sync,
    Ping,
    GetChildren2,
    Check,
    Multi,
    Create2,
    Reconfig,
    CheckWatches,
    RemoveWatches,
    CreateContainer,
    DeleteContainer,
    CreateTtl,
    MultiRead,
    Auth,
    SetWatches,
    Sasl,
    GetEphemerals,
    GetAllChildrenNumber,
    SetWatches2,
    AddWatch,
    WhoAmI,
    CreateSession,
    CloseSession,
    Other,
}

/// Opcode, its code on the wire, its word.
const TABLE: &[(Opcode, i32, &str)] = &[
    (Opcode::Create, 1, "create"),
    (Opcode::Delete, 2, "delete"),
    (Opcode::Exists, 3, "exists"),
    (Opcode::GetData, 4, "get_data"),
    (Opcode::SetData, 5, "set_data"),
    (Opcode::GetAcl, 6, "get_acl"),
    (Opcode::SetAcl, 7, "set_acl"),
    (Opcode::GetChildren, 8, "get_children"),
    (Opcode::Sync, 9, "sync"),
    (Opcode::Ping, 11, "ping"),
    (Opcode::GetChildren2, 12, "get_children2"),
    (Opcode::Check, 13, "check"),
    (Opcode::Multi, 14, "multi"),
    (Opcode::Create2, 15, "create2"),
    (Opcode::Reconfig, 16, "reconfig"),
    (Opcode::CheckWatches, 17, "check_watches"),
    (Opcode::RemoveWatches, 18, "remove_watches"),
    (Opcode::CreateContainer, 19, "create_container"),
    (Opcode::DeleteContainer, 20, "delete_container"),
    (Opcode::CreateTtl, 21, "create_ttl"),
    (Opcode::MultiRead, 22, "multi_read"),
    (Opcode::Auth, 100, "auth"),
    (Opcode::SetWatches, 101, "set_watches"),
    (Opcode::Sasl, 102, "sasl"),
    (Opcode::GetEphemerals, 103, "get_ephemerals"),
    (Opcode::GetAllChildrenNumber, 104, "get_all_children_number"),
    (Opcode::SetWatches2, 105, "set_watches2"),
    (Opcode::AddWatch, 106, "add_watch"),
    (Opcode::WhoAmI, 107, "who_am_i"),
    (Opcode::CreateSession, -10, "create_session"),
    (Opcode::CloseSession, -11, "close_session"),
];

impl Opcode {
    /// Every opcode, `Other` last; `self as usize` is the index of an opcode here.
    pub const ALL: [Self; TABLE.len() + 1] = {
        let mut all = [Self::Other; TABLE.len() + 1];
        let mut i = 0;
        while i < TABLE.len() {
            all[i] = TABLE[i].0;
            i += 1;
        }
        all
    };

    /// The opcode of a `RequestHeader.type`.
    pub fn from_code(code: i32) -> Self {
        TABLE.iter().find(|entry| entry.1 == code).map_or(Self::Other, |entry| entry.0)
    }

    /// The word that stands for this opcode in labels.
    pub fn as_str(self) -> &'static str {
        TABLE.get(self as usize).map_or("other", |entry| entry.2)
    }

    /// Whether no client may send it: it belongs between servers, and a server would execute it all the same.
    pub fn is_server_internal(self) -> bool {
        matches!(self, Self::CreateSession | Self::DeleteContainer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_and_enum_are_in_the_same_order() {
        for (index, opcode) in Opcode::ALL.into_iter().enumerate() {
            assert_eq!(opcode as usize, index, "{opcode:?}");
        }
        for &(opcode, code, word) in TABLE {
            assert_eq!(Opcode::from_code(code), opcode);
            assert_eq!(opcode.as_str(), word);
        }
    }

    #[test]
    fn unknown_codes_are_other() {
        for code in [0, -1, 10, 23, 108, i32::MIN, i32::MAX] {
            assert_eq!(Opcode::from_code(code), Opcode::Other, "{code}");
        }
        assert_eq!(Opcode::Other.as_str(), "other");
    }
}
