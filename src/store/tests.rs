//! What sled leaves behind when it is killed, when power fails and when bytes rot, made on real directories.
//!
//! Each case says what must come of it: everything is there, or an error that says what to do, and then the database is kept
//! and no new one begins. Nothing in between.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use proptest::test_runner::{RngAlgorithm, TestRng};

use super::*;

fn put(store: &Store, key: &str, value: &str) {
    let mut batch = Batch::default();
    batch.put(key.into(), value.into());
    store.apply(batch).unwrap();
}

type Content = BTreeMap<Vec<u8>, Vec<u8>>;

fn content(store: &Store) -> Result<Content, StoreError> {
    store.scan(b"").collect()
}

/// What damage came to.
#[derive(Debug, PartialEq, Eq)]
enum Came {
    /// It hit nothing.
    Whole,
    /// The state is that of an earlier moment.
    Earlier,
    /// It was said.
    Noticed,
}

/// A state of a few segments of sled's (half a megabyte each), written in batches by two openings, closed.
struct Made {
    dir: tempfile::TempDir,
    content: Content,
}

impl Made {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for half in 0..2 {
            let store = Store::open(dir.path()).unwrap();
            for n in 0..40 {
                let mut batch = Batch::default();
                for k in 0..20 {
                    let text = format!("{{\"half\":{half},\"text\":\"{}\"}}", format!("{n}-{k} ").repeat(150));
                    batch.put(format!("m{half}{k:02}{n:03}").into(), text.into());
                }
                store.apply(batch).unwrap();
            }
            store.close().unwrap();
        }
        let store = Store::open(dir.path()).unwrap();
        let content = content(&store).unwrap();
        store.close().unwrap();
        assert_eq!(content.len(), 1602);
        Self { dir, content }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn snapshots(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.path("db")).unwrap().map(|entry| entry.unwrap().path());
        let found: Vec<PathBuf> =
            entries.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("snap.")).collect();
        assert!(!found.is_empty(), "sled wrote no snapshot; this test tests nothing");
        found
    }

    #[track_caller]
    fn is_whole(&self) {
        let store = Store::open(self.dir.path()).unwrap_or_else(|error| panic!("{error}"));
        assert!(content(&store).unwrap() == self.content, "something is lost");
        let seen = store.verify();
        assert_eq!((seen.problem_count, seen.keys), (0, 1601), "{seen:?}");
    }

    /// What a damaged copy of it comes to. Damage that goes unnoticed, also by export and compact, fails the test.
    #[track_caller]
    fn comes_to(&self, dir: &Path, may_be_earlier: bool, what: &str) -> Came {
        let store = match Store::open(dir) {
            Ok(store) => store,
            Err(error) => {
                assert!(matches!(error, StoreError::Aside { .. }), "{what}: {error}");
                return Came::Noticed;
            }
        };
        match content(&store) {
            Ok(content) if content == self.content => return Came::Whole,
            Ok(content) if may_be_earlier && is_a_moment(&content, &self.content) => return Came::Earlier,
            Ok(_) | Err(StoreError::Damaged { .. }) => {}
            Err(error) => panic!("{what}: {error:?}"),
        }
        let seen = store.verify();
        assert_ne!(seen.problem_count, 0, "{what}: lost in silence");
        let exported = portable::export(&store, &mut Vec::new(), Default::default());
        assert!(exported.is_err(), "{what}: a damaged state was exported");
        let error = store.compact().expect_err("a damaged state was compacted");
        assert!(error.to_string().contains("state import"), "{what}: {error}");
        Came::Noticed
    }

    /// It is refused, kept, and refused again, until somebody decides.
    #[track_caller]
    fn is_set_aside(&self) {
        let error = Store::open(self.dir.path()).expect_err("a damaged state was opened");
        assert!(matches!(error, StoreError::Aside { why: Some(_), .. }), "{error:?}");
        let again = Store::open(self.dir.path()).expect_err("a new state began in silence");
        assert!(matches!(again, StoreError::Aside { .. }), "{again:?}");
        for text in [error.to_string(), again.to_string()] {
            assert!(text.contains("db.corrupt-1") && text.contains("vitalsync state import"), "{text}");
        }
        assert!(self.path("db.corrupt-1/db").exists() && !self.path("db").exists());
        fs::rename(self.path("db.corrupt-1"), self.path("kept-elsewhere")).unwrap();
        assert_eq!(content(&Store::open(self.dir.path()).unwrap()).unwrap().len(), 2, "now it may begin anew");
    }
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 0x10;
    fs::write(path, bytes).unwrap();
}

fn cut(path: &Path, by: u64) {
    let file = File::options().write(true).open(path).unwrap();
    file.set_len(file.metadata().unwrap().len().saturating_sub(by)).unwrap();
}

#[test]
fn what_was_acknowledged_is_there_again() {
    let dir = tempfile::tempdir().unwrap();
    put(&Store::open(dir.path()).unwrap(), "a", "1");
    assert_eq!(Store::open(dir.path()).unwrap().get(b"a").unwrap(), Some(b"1".to_vec()));
}

#[test]
fn a_second_process_is_told_that_the_state_is_held() {
    let dir = tempfile::tempdir().unwrap();
    let _held = Store::open(dir.path()).unwrap();
    let error = Store::open(dir.path()).unwrap_err();
    assert!(matches!(error, StoreError::Busy { .. }), "{error}");
}

#[test]
fn the_leftover_of_a_killed_start_does_no_harm() {
    let made = Made::new();
    fs::write(made.path("db/snap.00000000FFFFFFFF.generating"), b"half").unwrap();
    made.is_whole();
    assert!(!made.path("snapshots-aside").exists(), "the whole snapshot is used");
}

#[test]
fn torn_snapshots_are_moved_aside_and_nothing_is_lost() {
    let half = |bytes: &[u8]| bytes[..bytes.len() / 2].to_vec();
    let flipped = |bytes: &[u8]| bytes.iter().enumerate().map(|(at, byte)| byte ^ u8::from(at == 9)).collect();
    type Tear<'t> = &'t dyn Fn(&[u8]) -> Vec<u8>;
    let tears: [Tear; 4] = [&half, &flipped, &|_| Vec::new(), &|bytes| vec![0; bytes.len()]];
    for tear in tears {
        let made = Made::new();
        for path in made.snapshots() {
            let bytes = tear(&fs::read(&path).unwrap());
            fs::write(&path, bytes).unwrap();
        }
        made.is_whole();
        assert!(made.path("snapshots-aside").exists());
    }
}

#[test]
fn snapshots_that_are_gone_are_made_again() {
    let made = Made::new();
    made.snapshots().iter().for_each(|path| fs::remove_file(path).unwrap());
    made.is_whole();
}

#[test]
fn torn_settings_are_written_again() {
    let made = Made::new();
    let conf = made.path("db/conf");
    let whole = fs::read(&conf).unwrap();
    fs::write(&conf, b"").unwrap();
    made.is_whole();
    assert_eq!(fs::read(&conf).unwrap(), whole);
    fs::write(&conf, b"segment_size: 65536\nuse_compression: false\nversion: 0.34\nxxxx").unwrap();
    made.is_whole();
    fs::write(&conf, &whole[..20]).unwrap();
    made.is_whole();
    fs::remove_file(&conf).unwrap();
    made.is_whole();
    assert_eq!(fs::read(&conf).unwrap(), whole);
}

#[test]
fn a_missing_folder_of_large_values_is_made_again() {
    let made = Made::new();
    fs::remove_dir_all(made.path("db/blobs")).unwrap();
    made.is_whole();
}

#[test]
fn a_missing_large_value_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    {
        let store = Store::open(dir.path()).unwrap();
        put(&store, "mlarge", &format!("\"{}\"", "x".repeat(2_000_000)));
        store.close().unwrap();
    }
    let blobs: Vec<_> = fs::read_dir(dir.path().join("db/blobs")).unwrap().collect();
    assert!(!blobs.is_empty(), "sled kept it in its log; this test tests nothing");
    blobs.into_iter().for_each(|blob| fs::remove_file(blob.unwrap().path()).unwrap());
    match Store::open(dir.path()) {
        Err(error) => assert!(matches!(error, StoreError::Aside { .. }), "{error}"),
        Ok(store) => assert_ne!(store.verify().problem_count, 0),
    }
}

#[test]
fn garbage_after_the_log_does_no_harm() {
    for length in [1, 100, 4096, 600_000] {
        let made = Made::new();
        let mut log = fs::read(made.path("db/db")).unwrap();
        log.extend((0..length).map(|n| (n * 31 % 251) as u8));
        fs::write(made.path("db/db"), log).unwrap();
        made.is_whole();
    }
}

/// What sled knew to be in its log is not there: that is no torn tail, and must not pass for an older state. sled uses its
/// segments again, so the end of the file need not be the end of the log: then reading finds it.
#[test]
fn a_log_that_ends_early_never_goes_unnoticed() {
    let mut lost = 0;
    for by in [1, 3000, 100_000, 300_000, 600_000, 1_100_000] {
        let made = Made::new();
        cut(&made.path("db/db"), by);
        lost += usize::from(made.comes_to(made.dir.path(), false, &format!("cut by {by}")) == Came::Noticed);
    }
    assert!(lost >= 2, "{lost} of the cuts took something away: hardly anything was tested");
    let made = Made::new();
    cut(&made.path("db/db"), u64::MAX);
    made.is_set_aside();
    let made = Made::new();
    fs::remove_file(made.path("db/db")).unwrap();
    made.is_set_aside();
}

#[test]
fn a_log_without_snapshots_that_lost_its_content_is_set_aside() {
    let made = Made::new();
    made.snapshots().iter().for_each(|path| fs::remove_file(path).unwrap());
    let length = fs::metadata(made.path("db/db")).unwrap().len();
    fs::write(made.path("db/db"), vec![0; length as usize]).unwrap();
    made.is_set_aside();
}

/// A power cut tears what was not acknowledged off: the last batches, each as a whole. What is left is a state that was.
#[test]
fn a_torn_tail_goes_back_to_a_whole_batch() {
    let mut back = 0;
    for by in [1, 7, 50, 200, 1000, 5000, 20_000, 60_000] {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        for n in 0..50 {
            let mut batch = Batch::default();
            ["mx", "my", "mz"].iter().for_each(|key| batch.put((*key).into(), format!("{n}").repeat(300).into()));
            store.apply(batch).unwrap();
        }
        // As it is on disk, not closed.
        let copy = tempfile::tempdir().unwrap();
        fs::create_dir_all(copy.path().join("db/blobs")).unwrap();
        for name in ["conf", "db", "begun"] {
            fs::copy(dir.path().join("db").join(name), copy.path().join("db").join(name)).unwrap();
        }
        let log = copy.path().join("db/db");
        let bytes = fs::read(&log).unwrap();
        let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() as u64;
        cut(&log, bytes.len() as u64 - end + by);
        match Store::open(copy.path()) {
            Ok(store) => {
                let seen = store.verify();
                assert_eq!(seen.problem_count, 0, "cut by {by}: {seen:?}");
                let values: Vec<_> = ["mx", "my", "mz"].map(|key| store.get(key.as_bytes()).unwrap()).into();
                assert!(values.iter().all(|value| *value == values[0]), "half a batch is left, cut by {by}");
                back += usize::from(values[0] != Some(b"49".repeat(300)));
            }
            Err(error) => assert!(matches!(error, StoreError::Aside { .. }), "{error}"),
        }
    }
    assert!(back > 0, "nothing was torn off; this test tests nothing");
}

/// What the first batches alone would have left, as [`Made`] writes them.
fn is_a_moment(content: &Content, whole: &Content) -> bool {
    let keys = content.keys().filter(|key| key.starts_with(b"m"));
    let mut batches: BTreeMap<(u8, &[u8]), usize> = BTreeMap::new();
    keys.for_each(|key| *batches.entry((key[1], &key[4..7])).or_default() += 1);
    let last = batches.len();
    let first = |(at, ((half, n), keys)): (usize, (&(u8, &[u8]), &usize))| {
        (usize::from(half - b'0') * 40 + at % 40, *n) == (at, format!("{:03}", at % 40).as_bytes()) && *keys == 20
    };
    last > 0
        && batches.iter().enumerate().all(first)
        && content.iter().all(|(key, value)| key == sum::KEY || whole.get(key) == Some(value))
}

/// Any bit of the log may rot. Then something is wrong, and that is said: by the open, by reading, or by the sum. The process
/// goes on, and nothing that is read is not what was written. Only if no snapshot says how far the log went, it may end
/// at the rotten place, like a torn tail: at a moment that was.
#[test]
fn a_bit_that_rots_never_goes_unnoticed() {
    let made = Made::new();
    // sled makes room ahead of what it writes, sometimes more: nothing rots where nothing is.
    let log = fs::read(made.path("db/db")).unwrap();
    let length = log.iter().rposition(|byte| *byte != 0).unwrap() as u64 + 1;
    let rng = &mut TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let (mut harmless, mut earlier, mut noticed) = (0, 0, 0);
    for snapshots in [true, false] {
        for _ in 0..20 {
            let dir = tempfile::tempdir().unwrap();
            copy(&made.path("db"), &dir.path().join("db"));
            if !snapshots {
                for entry in fs::read_dir(dir.path().join("db")).unwrap() {
                    let path = entry.unwrap().path();
                    if path.file_name().unwrap().to_str().unwrap().starts_with("snap.") {
                        fs::remove_file(path).unwrap();
                    }
                }
            }
            let at = (rand(rng) % length) as usize;
            flip(&dir.path().join("db/db"), at);
            match made.comes_to(dir.path(), !snapshots, &format!("byte {at}, snapshots {snapshots}")) {
                Came::Whole => harmless += 1,
                Came::Earlier => earlier += 1,
                Came::Noticed => noticed += 1,
            }
        }
    }
    assert!(noticed > 10, "{noticed} noticed, {earlier} earlier, {harmless} harmless: hardly anything was tested");
}

fn rand(rng: &mut TestRng) -> u64 {
    use proptest::prelude::Rng as _;
    rng.next_u64()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() { copy(&entry.path(), &to) } else { drop(fs::copy(entry.path(), to)) }
    }
}

/// The places at which a swap can be killed, each as it is found.
#[test]
fn a_swap_is_finished_or_undone_wherever_it_was_left() {
    let other = Made::new();
    for (old, new, at) in [
        ("db", "db.compacting", "a half copy"),
        ("db", "db.importing", "a half import"),
        ("db", "db.ready", "decided"),
        ("db.old", "db.ready", "the old one moved"),
        ("db.old", "db", "the new one moved"),
        ("db.old", "", "only an old one"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        put(&Store::open(dir.path()).unwrap(), "mwhich", "\"old\"");
        drop(Store::open(dir.path()).unwrap());
        fs::rename(dir.path().join("db"), dir.path().join("then")).unwrap();
        fs::rename(dir.path().join("then"), dir.path().join(old)).unwrap();
        if !new.is_empty() {
            copy(&other.path("db"), &dir.path().join(new));
        }
        let store = Store::open(dir.path()).unwrap();
        let old_is_there = store.get(b"mwhich").unwrap().is_some();
        let decided = new == "db.ready" || new == "db";
        assert_eq!(old_is_there, !decided, "{at}");
        assert_eq!(content(&store).unwrap() == other.content, decided, "{at}");
        let mut left: Vec<_> =
            fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        left.sort();
        assert_eq!(left, ["LOCK", "db"], "{at}");
    }
}

#[test]
fn compacting_keeps_everything_and_gives_space_back() {
    let made = Made::new();
    let store = Store::open(made.dir.path()).unwrap();
    let mut batch = Batch::default();
    made.content.keys().filter(|key| key.starts_with(b"m1")).for_each(|key| batch.remove(key.clone()));
    store.apply(batch).unwrap();
    let before = content(&store).unwrap();
    let compacted = store.compact().unwrap();
    assert_eq!(compacted.keys, 801);
    assert!(compacted.bytes_after < compacted.bytes_before, "{compacted:?}");
    let store = Store::open(made.dir.path()).unwrap();
    assert!(content(&store).unwrap() == before);
    assert_eq!(store.verify().problem_count, 0);
    put(&store, "mafter", "1");
    assert_eq!(store.verify().problem_count, 0);
}

#[test]
fn a_state_in_use_is_compacted_around_those_who_read_and_write() {
    let made = Made::new();
    let store = Store::open(made.dir.path()).unwrap();
    let stopped = store.compact_in_use(&AtomicBool::new(true)).unwrap();
    assert_eq!(stopped, None);
    let ready = made.path("db.compacting/db");
    assert!(!ready.exists());
    assert!(store.is_worth_compacting(1 << 20).unwrap(), "{} bytes", store.size());
    let mut reads = store.scan(b"");
    let mut read: Content = reads.next().into_iter().collect::<Result<_, _>>().unwrap();
    std::thread::scope(|scope| {
        let compacts = scope.spawn(|| store.compact_in_use(&AtomicBool::new(false)).unwrap());
        while !ready.exists() {
            std::thread::yield_now();
        }
        let writes = scope.spawn(|| put(&store, "mafter", "1"));
        read.extend(reads.map(Result::unwrap));
        assert!(compacts.join().unwrap().is_some());
        writes.join().unwrap();
    });
    assert!(read == made.content, "who read missed something");
    assert!(!store.is_worth_compacting(1 << 20).unwrap(), "{} bytes", store.size());
    assert_eq!(store.get(b"mafter").unwrap().as_deref(), Some(&b"1"[..]));
    assert_eq!(store.verify().problem_count, 0);
    drop(store);
    let store = Store::open(made.dir.path()).unwrap();
    assert_eq!(content(&store).unwrap().len(), made.content.len() + 1);
    assert!(!store.is_worth_compacting(1 << 20).unwrap());
}

/// A disk that has no room left, as the system says it: every write to `/dev/full` fails so.
#[test]
fn a_full_disk_stops_a_copy_and_not_the_state() {
    let made = Made::new();
    let store = Store::open(made.dir.path()).unwrap();
    let full = made.path("full");
    fs::create_dir(&full).unwrap();
    std::os::unix::fs::symlink("/dev/full", full.join("db")).unwrap();
    let sum = *store.sum.lock().unwrap();
    let never = AtomicBool::new(false);
    let error = store.copy_to(&full, sum, &never).expect_err("a full disk took it").unwrap();
    assert!(matches!(error, StoreError::Io { .. }), "{error:?}");
    assert!(error.to_string().contains("the disk is full"), "{error}");
    assert!(content(&store).unwrap() == made.content);
    drop(store);
    made.is_whole();
}

#[test]
fn the_sum_follows_every_change() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let mut batch = Batch::default();
    batch.put(b"ma".to_vec(), b"1".to_vec());
    batch.put(b"ma".to_vec(), b"2".to_vec());
    batch.put(b"mb".to_vec(), b"1".to_vec());
    batch.remove(b"mc".to_vec());
    store.apply(batch).unwrap();
    let mut batch = Batch::default();
    batch.remove(b"mb".to_vec());
    store.apply(batch).unwrap();
    assert_eq!((store.verify().keys, store.verify().problem_count), (2, 0));
    // Behind its back.
    store
        .handle()
        .apply({
            let mut batch = sled::Batch::default();
            batch.insert(b"ma", b"3");
            batch
        })
        .unwrap();
    let seen = store.verify();
    assert_eq!(seen.problem_count, 1, "{seen:?}");
    assert!(seen.problems[0].contains("not those that were last written"), "{seen:?}");
}

#[test]
fn what_is_laid_out_reads_as_nothing_until_it_is_filled() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let counts = (0..40).map(|number| keys::counts(1, 7, number, 24_300, number));
    let all: Vec<Vec<u8>> = counts.chain((0..40).map(|day| keys::fingerprints(1, day, keys::part(1, 0)))).collect();
    // As a kill between both writes leaves it.
    let mut batch = Batch::default();
    all.iter().for_each(|key| batch.put_new(key.clone(), codec::blank(key).unwrap().to_vec()));
    store.apply(batch).unwrap();
    let seen = store.verify();
    assert_eq!((seen.problem_count, seen.keys), (0, 81), "{seen:?}");
    let mut merged = runs::Merged::of(&store, [(1, 7)]).unwrap();
    assert_eq!(merged.next(&mut Vec::new()).unwrap(), None);
    for key in &all {
        if key.starts_with(b"c") {
            let kept = runs::keep(key, codec::blank(key).unwrap(), |_, _| false).unwrap();
            assert_eq!(kept, runs::Left::All, "there was nothing to take out");
        }
    }
    drop(merged);
    store.drop_runs(1, &[]).unwrap();
    store.drop_unfinished(1, 0).unwrap();
    assert_eq!((store.verify().keys, store.verify().problem_count), (1, 0), "the layout is left");
    // And as it is filled.
    let mut batch = Batch::default();
    let written: Content =
        all.iter().filter(|key| key.starts_with(b"c")).map(|key| (key.clone(), vec![2; 4000])).collect();
    batch.put(b"ma".to_vec(), b"1".to_vec());
    written.iter().for_each(|(key, value)| batch.put_new(key.clone(), value.clone()));
    store.append(batch).unwrap();
    assert_eq!(store.scan(b"c").collect::<Result<Content, _>>().unwrap(), written);
    let sum = *store.sum.lock().unwrap();
    assert_eq!(sum.compare(Sum::of(&store.handle()).unwrap()), Ok(()));
}

#[test]
fn values_that_do_not_read_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    put(&store, "mgood", "{\"a\":1}");
    put(&store, "mbad", "{\"a\":");
    put(&store, "kcrm\u{1}x", "{}");
    put(&store, "?what", "1");
    let seen = store.verify();
    assert_eq!((seen.problem_count, seen.keys), (3, 5), "{seen:?}");
    assert!(seen.problems.iter().any(|problem| problem.contains("key mbad: does not read")), "{seen:?}");
    assert!(seen.problems.iter().any(|problem| problem.starts_with("told to tools, key kcrm\\x01x")), "{seen:?}");
    assert!(seen.problems.iter().any(|problem| problem.contains("key ?what: is of no known kind")), "{seen:?}");
    assert_eq!(seen.kinds["single values"].keys, 2);
}

#[test]
fn a_state_from_before_sums_gets_one() {
    let dir = tempfile::tempdir().unwrap();
    put(&Store::open(dir.path()).unwrap(), "ma", "1");
    {
        let store = Store::open(dir.path()).unwrap();
        let mut batch = sled::Batch::default();
        batch.remove(sum::KEY);
        store.handle().apply(batch).unwrap();
        store.close().unwrap();
    }
    fs::remove_file(dir.path().join("db/begun")).unwrap();
    let store = Store::open(dir.path()).unwrap();
    assert_eq!((store.verify().keys, store.verify().problem_count), (2, 0));
}

#[test]
fn a_newer_layout_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    {
        let store = Store::open(dir.path()).unwrap();
        let mut batch = Batch::default();
        batch.put(keys::layout(), vec![LAYOUT + 1]);
        store.apply(batch).unwrap();
    }
    assert!(matches!(Store::open(dir.path()), Err(StoreError::Newer { .. })));
}
