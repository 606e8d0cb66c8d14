//! How others write certificates: each step is looked at, none may be told as a failure, and the last one is served.

use std::cell::RefCell;
use std::io::Write;
use std::path::Path;

use super::*;

/// The new certificate and its key.
struct New {
    certificate: String,
    key: String,
}

/// A step of somebody who writes files.
type Step = fn(&Path, &New);

/// A certificate and key in one directory, and how somebody replaces them.
#[track_caller]
fn is_noticed(start: fn(&Path, &New), steps: &[Step]) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let of = |name: &str| {
        let (certificate, key) = server(name);
        New { certificate, key }
    };
    start(path, &of("first"));
    for (name, content) in [("trust.pem", authority("one")), ("secret", SECRET.to_owned()), ("zoogate.yaml", yaml(""))]
    {
        fs::write(path.join(name), content).unwrap();
    }
    let mut site = Site::watch(directory);
    let new = of("second");
    assert_eq!(site.look(), "first");
    for step in steps {
        step(site.directory.path(), &new);
        // Twice: nothing may come of it by itself, either.
        site.look();
        site.look();
    }
    assert_eq!(site.serves(), "second");
    assert_eq!(site.metric("zoogate_reload_total{material=\"key_store\",result=\"ok\"}"), 1);
    assert_eq!(site.metric("zoogate_reload_total{material=\"key_store\",result=\"failed\"}"), 0);
    assert_eq!(site.metric("zoogate_last_reload_successful"), 1);
    let (disk, loaded) = site.generations("key_store");
    assert_eq!(disk, loaded);
}

fn plain(path: &Path, new: &New) {
    fs::write(path.join("server.crt"), &new.certificate).unwrap();
    fs::write(path.join("server.key"), &new.key).unwrap();
}

fn empty(path: &Path) -> fs::File {
    fs::File::create(path).unwrap()
}

fn renamed(path: &Path, content: &str) {
    let new = path.with_extension("new");
    fs::write(&new, content).unwrap();
    fs::rename(new, path).unwrap();
}

/// A directory of a volume, with both files.
fn version(path: &Path, version: &str, new: &New) {
    fs::create_dir(path.join(version)).unwrap();
    fs::write(path.join(version).join("tls.crt"), &new.certificate).unwrap();
    fs::write(path.join(version).join("tls.key"), &new.key).unwrap();
}

#[test]
fn files_that_are_written_in_place_bit_by_bit_as_the_spiffe_helper_does() {
    is_noticed(
        plain,
        &[
            |path, _| drop(empty(&path.join("server.crt"))),
            |path, new| {
                let half = &new.certificate[..new.certificate.len() / 2];
                empty(&path.join("server.crt")).write_all(half.as_bytes()).unwrap();
            },
            |path, new| fs::write(path.join("server.crt"), &new.certificate).unwrap(),
            |path, _| drop(empty(&path.join("server.key"))),
            |path, new| fs::write(path.join("server.key"), &new.key).unwrap(),
        ],
    );
}

#[test]
fn files_that_are_renamed_into_their_places_one_after_the_other_as_vault_agent_does() {
    is_noticed(
        plain,
        &[
            |path, new| renamed(&path.join("server.key"), &new.key),
            |path, new| renamed(&path.join("server.crt"), &new.certificate),
        ],
    );
}

#[test]
fn files_that_are_removed_and_made_anew() {
    is_noticed(
        plain,
        &[
            |path, _| fs::remove_file(path.join("server.crt")).unwrap(),
            |path, _| fs::remove_file(path.join("server.key")).unwrap(),
            plain,
        ],
    );
}

#[test]
fn a_volume_of_kubernetes_whose_data_link_is_swapped_as_for_cert_manager() {
    is_noticed(
        |path, new| {
            version(path, "..2026_01_01", new);
            symlink("..2026_01_01", path.join("..data")).unwrap();
            symlink("..data/tls.crt", path.join("server.crt")).unwrap();
            symlink("..data/tls.key", path.join("server.key")).unwrap();
        },
        &[
            |path, new| version(path, "..2026_02_01", new),
            |path, _| symlink("..2026_02_01", path.join("..data_tmp")).unwrap(),
            |path, _| fs::rename(path.join("..data_tmp"), path.join("..data")).unwrap(),
            |path, _| fs::remove_dir_all(path.join("..2026_01_01")).unwrap(),
        ],
    );
}

#[test]
fn links_to_an_archive_that_are_replaced_one_by_one_as_certbot_does() {
    is_noticed(
        |path, new| {
            version(path, "archive1", new);
            symlink("archive1/tls.crt", path.join("server.crt")).unwrap();
            symlink("archive1/tls.key", path.join("server.key")).unwrap();
        },
        &[
            |path, new| version(path, "archive2", new),
            |path, _| fs::remove_file(path.join("server.crt")).unwrap(),
            |path, _| symlink("archive2/tls.crt", path.join("server.crt")).unwrap(),
            |path, _| fs::remove_file(path.join("server.key")).unwrap(),
            |path, _| symlink("archive2/tls.key", path.join("server.key")).unwrap(),
        ],
    );
}

#[test]
fn files_that_are_written_through_another_name_as_below_a_bind_mount() {
    is_noticed(
        |path, new| {
            version(path, "outside", new);
            fs::hard_link(path.join("outside/tls.crt"), path.join("server.crt")).unwrap();
            fs::hard_link(path.join("outside/tls.key"), path.join("server.key")).unwrap();
        },
        &[
            |path, new| fs::write(path.join("outside/tls.crt"), &new.certificate).unwrap(),
            |path, new| fs::write(path.join("outside/tls.key"), &new.key).unwrap(),
        ],
    );
}

thread_local! {
    /// What somebody does while files are loaded.
    static MEANWHILE: RefCell<Option<Box<dyn FnOnce()>>> = const { RefCell::new(None) };
}

/// Asked for between the first file and the others.
fn clock_of_a_busy_site() -> UnixTime {
    if let Some(write) = MEANWHILE.take() {
        write();
    }
    clock()
}

/// A site whose next load meets somebody who writes these files after the look at them.
fn busy(files: Vec<(&'static str, String)>) -> Site {
    let mut site = Site::new();
    site.reloader.clock = clock_of_a_busy_site;
    let directory = site.directory.path().to_owned();
    let write = move || files.into_iter().for_each(|(name, content)| fs::write(directory.join(name), content).unwrap());
    MEANWHILE.set(Some(Box::new(write)));
    site
}

#[test]
fn what_is_loaded_of_files_that_are_written_meanwhile_is_not_used_before_they_hold_still() {
    let (certificate, key) = server("third");
    let mut site = busy(vec![("server.crt", certificate), ("server.key", key)]);
    let (certificate, key) = server("second");
    site.write("server.crt", &certificate);
    site.write("server.key", &key);
    assert!(!site.reloader.look(true), "nobody can say what was loaded");
    assert_eq!(site.serves(), "first");
    assert_eq!(site.generations("key_store"), (2, 1));
    assert!(site.reloader.look(true));
    assert_eq!(site.serves(), "third");
    assert_eq!(site.metric("zoogate_reload_total{material=\"key_store\",result=\"ok\"}"), 1);
}

#[test]
fn what_is_wrong_with_files_that_are_written_meanwhile_is_not_told_before_they_hold_still() {
    let (certificate, key) = server("second");
    let mut site = busy(vec![("server.key", key)]);
    site.write("server.crt", &certificate);
    site.write("trust.pem", "half a certif");
    assert!(!site.reloader.look(true));
    assert_eq!(site.reloader.report().borrow().problem, None);
    assert_eq!(site.metric("zoogate_reload_total{material=\"trust_store\",result=\"failed\"}"), 0);
    site.write("trust.pem", &authority("two"));
    assert_eq!(site.look(), "second");
}

#[test]
fn a_pair_that_stays_torn_is_told_and_mended_by_the_missing_half() {
    let mut site = Site::new();
    let (certificate, key) = server("second");
    site.write("server.crt", &certificate);
    let failed = "zoogate_reload_total{material=\"key_store\",result=\"failed\"}";
    (0..3).for_each(|_| drop(site.look()));
    assert_eq!(site.metric(failed), 0);
    assert!(!site.reloader.report().borrow().problem.as_ref().unwrap().told);
    site.let_time_pass();
    site.look();
    assert_eq!((site.metric(failed), site.metric("zoogate_last_reload_successful")), (1, 0));
    assert!(site.reloader.report().borrow().problem.as_ref().unwrap().told);
    site.write("server.key", &key);
    assert_eq!(site.look(), "second");
    assert_eq!(site.metric("zoogate_last_reload_successful"), 1);
}
