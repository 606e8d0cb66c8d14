//! The passwords that servers are known to give to sessions. Anybody can compute them.

use super::record::PASSWORD_LENGTH;

/// `ZooKeeperServer.superSecret`.
const SUPER_SECRET: i64 = 0xb341_5c00;

/// ClickHouse Keeper's, for every session (`KeeperTCPHandler::sendHandshake`).
pub const KEEPER_PASSWORD: [u8; PASSWORD_LENGTH] = [0; PASSWORD_LENGTH];

/// ZooKeeper's, 3.4 to 3.9: the first 16 bytes of `new java.util.Random(id ^ superSecret)`
/// (`ZooKeeperServer.generatePasswd`).
pub fn stock_password(session_id: i64) -> [u8; PASSWORD_LENGTH] {
    let mut random = JavaRandom::new(session_id ^ SUPER_SECRET);
    let mut password = [0; PASSWORD_LENGTH];
    for bytes in password.chunks_exact_mut(4) {
        bytes.copy_from_slice(&random.next().to_le_bytes());
    }
    password
}

/// The linear congruential generator that `java.util.Random` is specified to be.
struct JavaRandom(u64);

impl JavaRandom {
    const MULTIPLIER: u64 = 0x5_deec_e66d;
    const MASK: u64 = (1 << 48) - 1;

    fn new(seed: i64) -> Self {
        Self((seed as u64 ^ Self::MULTIPLIER) & Self::MASK)
    }

    /// `Random.next(32)`.
    fn next(&mut self) -> i32 {
        self.0 = self.0.wrapping_mul(Self::MULTIPLIER).wrapping_add(0xb) & Self::MASK;
        (self.0 >> 16) as i32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Printed by `java.util.Random` on OpenJDK 17.
    #[test]
    fn passwords_are_those_of_java() {
        for (id, password) in VECTORS {
            let hex: String = stock_password(*id).iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(hex, *password, "{id:#x}");
        }
    }

    const VECTORS: &[(i64, &str)] = &[
        (0, "f22acd4a97e69d6d20a49bb638eadb38"),
        (1, "054cc74a37327db215e702e20c73f005"),
        (-1, "20f62cb5648dc2d771471c8a2486a9ee"),
        (72057718060089344, "16993d30eb23a1e2e43886d3ac591567"),
        (-9223372036854775808, "f22acd4a97e69d6d20a49bb638eadb38"),
        (9223372036854775807, "20f62cb5648dc2d771471c8a2486a9ee"),
        (3007405056, "60b420bb3851d9d47acb933dbe70399b"),
    ];
}
