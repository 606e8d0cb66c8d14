//! Man pages and completions are generated from the command line's grammar and checked in; `UPDATE=1` rewrites them.

use std::{collections::BTreeSet, env, fs, path::Path};

use clap_complete::{Shell, generate};

fn is_as_generated(path: &Path, generated: &[u8]) {
    if env::var_os("UPDATE").is_some() {
        fs::write(path, generated).expect("the page is writable");
    }
    let stored = fs::read(path).unwrap_or_default();
    assert!(stored == generated, "{} is out of date; UPDATE=1 rewrites it", path.display());
}

#[test]
fn man_pages_are_those_of_the_verbs() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/man");
    let generated = tempfile::tempdir().unwrap();
    clap_mangen::generate_to(zoogate::cli::grammar(), generated.path()).unwrap();
    for page in names(generated.path()) {
        is_as_generated(&directory.join(&page), &fs::read(generated.path().join(&page)).unwrap());
    }
    assert_eq!(names(&directory), names(generated.path()), "a page of a verb that is no more");
}

fn names(directory: &Path) -> BTreeSet<String> {
    let files = fs::read_dir(directory).expect("the directory is there");
    files.map(|file| file.expect("it stays there").file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn completions_are_those_of_the_verbs() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/completions");
    for (shell, file) in [(Shell::Bash, "zoogate.bash"), (Shell::Zsh, "_zoogate"), (Shell::Fish, "zoogate.fish")] {
        let mut script = Vec::new();
        generate(shell, &mut zoogate::cli::grammar(), "zoogate", &mut script);
        is_as_generated(&directory.join(file), &script);
    }
}
