//! Every property of `zoogate::fuzzing` before libFuzzer. `TARGET` in the environment names the one to run; `fuzz/run`
//! sets it, and README.md says how to go on from what it finds.

#![no_main]

mod measure;

use std::sync::LazyLock;
use std::time::Duration;

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use rustix::time::{ClockId, clock_gettime};
use zoogate::fuzzing::mutation::{Numbers, stretch, stretch_der};
use zoogate::fuzzing::{TARGETS, Target};

static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    let name = std::env::var("TARGET").unwrap_or_default();
    let target = TARGETS.iter().find(|target| target.name == name).unwrap_or_else(|| {
        let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
        panic!("TARGET={name} names none of {}", names.join(", "))
    });
    // What is made once only is not an input's.
    (target.property)(&[0; 64]);
    target
});

fuzz_target!(|data: &[u8]| {
    let target = *TARGET;
    let most = Duration::from_micros(target.cpu.of(data.len()));
    let started = cpu();
    measure::checked(target, data);
    if cpu() - started > most {
        // Once more: a machine that is busy elsewhere makes anything slow once.
        let started = cpu();
        (target.property)(data);
        let taken = cpu() - started;
        assert!(taken <= most, "{}: {taken:?} of CPU for {} bytes, and {most:?} is the most", target.name, data.len());
    }
});

// One change in sixteen makes an input much longer, with lengths that stay right: work that grows with its square is
// slow on nothing else.
fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let mut numbers = Numbers::new(u64::from(seed));
    if numbers.below(16) > 0 {
        return fuzzer_mutate(data, size, max_size);
    }
    let length = numbers.below(max_size.min(TARGET.longest));
    let der = if TARGET.der { stretch_der(&data[..size], length, &mut numbers) } else { None };
    let longer = der.unwrap_or_else(|| stretch(&data[..size], length, &mut numbers));
    let size = longer.len().min(max_size);
    data[..size].copy_from_slice(&longer[..size]);
    size
});

/// What this thread has had of the CPU.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
