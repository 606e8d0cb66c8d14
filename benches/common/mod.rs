//! What every measurement needs: clients, relays as processes, and a ZooKeeper that only pretends.

pub(crate) mod bare;
pub(crate) mod client;
pub(crate) mod load;
pub(crate) mod page;
pub(crate) mod process;
pub(crate) mod steady;
pub(crate) mod target;
pub(crate) mod upstream;
