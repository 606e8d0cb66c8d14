//! Wire facts of the ZooKeeper client protocol, versions 3.4 to 3.9: frames, the few records that zoogate
//! reads or writes, opcodes and four-letter words. Strings are bytes here: Java writes CESU-8.

pub mod acl;
pub mod dynamic_config;
pub mod editor;
pub mod four_letter_word;
pub mod frame;
pub mod jute;
pub mod opcode;
pub mod record;
pub mod session_password;

/// The port a plaintext ZooKeeper listens on by default (`clientPort`).
pub const CLIENT_PORT: u16 = 2181;

/// The longest frame that a stock server accepts (`jute.maxbuffer`), in bytes.
pub const JUTE_MAX_BUFFER: usize = 0xf_ffff;
