//! The properties of `zoogate::fuzzing` on the corpus of `fuzz/`, and on what proptest makes of it. What `make fuzz`
//! finds is in that corpus, so it is tried here each time.

#[path = "../../fuzz/src/measure.rs"]
mod measure;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use zoogate::fuzzing::mutation::{Numbers, mutate, stretch, stretch_der};
use zoogate::fuzzing::{TARGETS, Target};

/// Generated inputs of each target; some seconds for all.
const CASES: u32 = 250;

/// Names and bytes of a target's corpus.
fn corpus(target: &Target) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target.name);
    let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut inputs: Vec<_> = files
        .map(|file| {
            let path = file.expect("it stays there").path();
            (path.display().to_string(), fs::read(&path).expect("it can be read"))
        })
        .collect();
    inputs.sort();
    inputs
}

#[test]
fn every_target_has_a_corpus_and_every_corpus_a_target() {
    assert!(TARGETS.len() >= 10);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let mut folders: Vec<_> = fs::read_dir(folder)
        .expect("there is a corpus")
        .map(|entry| entry.expect("it stays there").file_name().into_string().expect("it is text"))
        .collect();
    let mut names: Vec<_> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    folders.sort();
    names.sort();
    assert_eq!(folders, names);
    let bytes: usize = TARGETS.iter().flat_map(corpus).map(|(_, bytes)| bytes.len()).sum();
    assert!(bytes < 1 << 20, "{bytes} bytes of corpus");
}

#[test]
fn properties_hold_of_the_corpus() {
    for target in TARGETS {
        // What is made once only is not the input's.
        (target.property)(&[0; 64]);
        let inputs = corpus(target);
        assert!(!inputs.is_empty(), "{}", target.name);
        for (name, data) in inputs {
            (target.property)(&data);
            let outcome = catch_unwind(AssertUnwindSafe(|| measure::checked(target, &data)));
            assert!(outcome.is_ok(), "{name}");
        }
    }
}

#[test]
fn properties_hold_of_what_the_corpus_becomes() {
    for target in TARGETS {
        let inputs = corpus(target);
        inputs.iter().for_each(|(_, data)| (target.property)(data));
        let (longest, der) = (target.longest.min(8 << 10), target.der);
        let case = (any::<prop::sample::Index>(), any::<u64>(), 0..6_usize);
        let mut runner = TestRunner::new_with_rng(
            Config { cases: CASES, failure_persistence: None, ..Config::default() },
            proptest::test_runner::TestRng::deterministic_rng(Config::default().rng_algorithm),
        );
        let result = runner.run(&case, |(index, seed, changes)| {
            let mut numbers = Numbers::new(seed);
            let mut data = index.get(&inputs).1.clone();
            for _ in 0..changes {
                mutate(&mut data, &mut numbers);
            }
            if numbers.below(8) == 0 && data.len() < longest {
                let length = numbers.below(longest);
                let longer = der.then(|| stretch_der(&data, length, &mut numbers)).flatten();
                data = longer.unwrap_or_else(|| stretch(&data, length, &mut numbers));
            }
            measure::checked(target, &data);
            Ok(())
        });
        assert!(result.is_ok(), "{}: {}", target.name, result.expect_err("it failed"));
    }
}

#[test]
fn a_property_that_fails_and_one_that_takes_too_much_are_seen() {
    let fails = Target { property: |data| assert!(data != b"bad"), ..TARGETS[0] };
    let takes = Target { property: |_| drop(std::hint::black_box(vec![0_u8; 64 << 20])), ..TARGETS[0] };
    for (target, input) in [(fails, &b"bad"[..]), (takes, b"any")] {
        assert!(catch_unwind(|| measure::checked(&target, input)).is_err());
    }
    measure::checked(&fails, b"good");
}
