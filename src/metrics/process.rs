//! What the process itself takes, read from `/proc/self` when a scrape asks, and what its log has lost. Where there is
//! no `/proc`, nothing is said of the former.

use std::fs;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricType::{COUNTER, GAUGE};
use prometheus::proto::{MetricFamily, MetricType};
use prometheus::{Registry, Result};

use rustix::time::{ClockId, clock_gettime};

use super::family::{self, Family};
use crate::telemetry;

const FAMILIES: [&Family; 8] = [
    &family::PROCESS_CPU,
    &family::PROCESS_RESIDENT_MEMORY,
    &family::PROCESS_VIRTUAL_MEMORY,
    &family::PROCESS_OPEN_FDS,
    &family::PROCESS_MAX_FDS,
    &family::PROCESS_START_TIME,
    &family::PROCESS_THREADS,
    &family::LOG_LINES_DROPPED,
];

/// The collector.
pub(super) struct Process {
    descs: Vec<Desc>,
    ticks_per_second: f64,
    /// Unix time at which the machine started; the process' start is told relative to it.
    booted: f64,
}

impl Process {
    pub(super) fn register(registry: &Registry) -> Result<()> {
        let descs = FAMILIES.iter().map(|family| family.desc()).collect::<Result<_>>()?;
        registry.register(Box::new(Self {
            descs,
            ticks_per_second: ticks_per_second(&fs::read("/proc/self/auxv").unwrap_or_default()),
            booted: booted(),
        }))
    }
}

/// Unix time of the machine's start. Not from `/proc/stat`, which a service may not see (`ProcSubset=pid`).
fn booted() -> f64 {
    let seconds = |clock| {
        let time = clock_gettime(clock);
        time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
    };
    seconds(ClockId::Realtime) - seconds(ClockId::Boottime)
}

impl Collector for Process {
    fn desc(&self) -> Vec<&Desc> {
        self.descs.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let (stat, status, limits) = (read("/proc/self/stat"), read("/proc/self/status"), read("/proc/self/limits"));
        let seconds = |field| Some(stat_field(&stat, field)? / self.ticks_per_second);
        let sum = |a: Option<f64>, b: Option<f64>| Some(a? + b?);
        let samples: [(MetricType, Option<f64>); FAMILIES.len()] = [
            (COUNTER, sum(seconds(USER_TIME), seconds(SYSTEM_TIME))),
            (GAUGE, number_after(&status, "VmRSS:").map(|kib| kib * 1024.0)),
            (GAUGE, number_after(&status, "VmSize:").map(|kib| kib * 1024.0)),
            (GAUGE, open_descriptors()),
            (GAUGE, number_after(&limits, "Max open files")),
            (GAUGE, sum(Some(self.booted), seconds(START_TIME))),
            (GAUGE, number_after(&status, "Threads:")),
            (COUNTER, Some(telemetry::dropped_lines() as f64)),
        ];
        let known = FAMILIES.iter().zip(samples);
        known.filter_map(|(family, (kind, value))| Some(family.sample(kind, value?))).collect()
    }
}

// Fields of /proc/self/stat as proc(5) numbers them.
const USER_TIME: usize = 14;
const SYSTEM_TIME: usize = 15;
const START_TIME: usize = 22;

fn stat_field(stat: &str, field: usize) -> Option<f64> {
    // The second field is the program's name in parentheses, which may hold spaces and parentheses itself.
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_ascii_whitespace().nth(field.checked_sub(3)?)?.parse().ok()
}

/// The first number behind a word at the start of a line.
fn number_after(text: &str, word: &str) -> Option<f64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(word))?;
    rest.split_ascii_whitespace().next()?.parse().ok()
}

fn open_descriptors() -> Option<f64> {
    // The directory is itself open while it is read.
    Some((fs::read_dir("/proc/self/fd").ok()?.count() as f64 - 1.0).max(0.0))
}

/// The unit of the times in `/proc`, from the auxiliary vector: pairs of words, kind and value.
fn ticks_per_second(auxv: &[u8]) -> f64 {
    const AT_CLKTCK: usize = 17;
    const WORD: usize = size_of::<usize>();
    // What every Linux that is not an Alpha says; the vector can't be read by a process with file capabilities.
    const USUAL: f64 = 100.0;
    let word = |bytes: &[u8]| bytes.try_into().map(usize::from_ne_bytes).unwrap_or_default();
    let mut pairs = auxv.chunks_exact(2 * WORD).map(|pair| (word(&pair[..WORD]), word(&pair[WORD..])));
    pairs.find(|&(kind, value)| kind == AT_CLKTCK && value > 0).map_or(USUAL, |(_, value)| value as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_started_when_the_kernel_says() {
        let told = number_after(&fs::read_to_string("/proc/stat").unwrap(), "btime ").unwrap();
        assert!((booted() - told).abs() < 2.0, "{} {told}", booted());
    }

    #[test]
    fn a_program_name_with_spaces_and_parentheses_does_not_shift_the_fields() {
        let stat = "7 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0 4 0 9000 1 2";
        assert_eq!(stat_field(stat, USER_TIME), Some(250.0));
        assert_eq!(stat_field(stat, SYSTEM_TIME), Some(50.0));
        assert_eq!(stat_field(stat, START_TIME), Some(9000.0));
        assert_eq!(stat_field("7 (cut", USER_TIME), None);
    }

    #[test]
    fn an_unlimited_number_of_descriptors_is_no_number() {
        let limits = "Max processes   10  10 processes\nMax open files   unlimited  unlimited  files\n";
        assert_eq!(number_after(limits, "Max open files"), None);
        assert_eq!(number_after(limits, "Max processes"), Some(10.0));
    }

    #[test]
    fn ticks_come_from_the_auxiliary_vector_and_are_100_without_it() {
        let vector: Vec<u8> = [6usize, 4096, 17, 250, 0, 0].iter().flat_map(|word| word.to_ne_bytes()).collect();
        assert_eq!(ticks_per_second(&vector), 250.0);
        assert_eq!(ticks_per_second(&vector[..20]), 100.0);
        assert_eq!(ticks_per_second(&[]), 100.0);
    }

    #[test]
    fn cpu_time_of_this_process_grows_in_fractions_of_a_second() {
        let registry = Registry::new();
        Process::register(&registry).unwrap();
        let cpu = || {
            let families = registry.gather();
            let family = families.iter().find(|f| f.name() == "process_cpu_seconds_total").unwrap();
            family.get_metric()[0].get_counter().get_value()
        };
        let before = cpu();
        while cpu() - before < 0.05 {
            std::hint::black_box((0..100_000u64).sum::<u64>());
        }
        let grown = cpu() - before;
        assert!(grown < 0.9, "grew by {grown} s at once");
    }
}
