//! What an input may take of memory, counted by the allocator.

use zoogate::fuzzing::Target;

/// Runs the property on an input; panics when it fails, or takes more memory than inputs of this length may.
pub(crate) fn checked(target: &Target, data: &[u8]) {
    let used = allocation_counter::measure(|| (target.property)(data));
    // Inputs beyond the longest are never read by the product, but a corpus may hold them.
    let length = data.len();
    let most = target.memory.of(length);
    assert!(
        used.bytes_max <= most,
        "{}: {} bytes at a time for {length}, and {most} are the most",
        target.name,
        used.bytes_max
    );
    let most = target.churn.of(length);
    assert!(
        used.bytes_total <= most,
        "{}: {} bytes in all for {length}, and {most} are the most",
        target.name,
        used.bytes_total
    );
}
