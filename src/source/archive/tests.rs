//! Archives that grow, break off, are rewritten and lead in circles.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::sync::Mutex;

use super::*;

struct Fixture {
    dir: tempfile::TempDir,
    ledger: BTreeMap<String, Progress>,
    clock: u64,
}

impl Fixture {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), ledger: BTreeMap::new(), clock: 1 }
    }

    fn write(&mut self, path: &str, bytes: &[u8]) {
        let path = self.dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        self.clock += 1;
        let time = UNIX_EPOCH + std::time::Duration::from_secs(self.clock);
        File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
    }

    /// What is new, as `path:line content`, faults as `path! reason`.
    fn read(&mut self) -> Vec<String> {
        let mut blocks = self.blocks(1, usize::MAX);
        blocks.sort_by_key(|block| (block.order, block.index));
        let mut seen = Vec::new();
        for mut block in blocks {
            if block.rewritten.is_some() {
                seen.push(format!("{} rewritten", block.path));
                self.ledger.remove(&*block.path);
            }
            let mut number = self.ledger.get(&*block.path).map_or(0, |known| known.lines);
            for line in block.data().split_inclusive(|byte| *byte == b'\n') {
                number += 1;
                let text = String::from_utf8_lossy(line.trim_ascii()).into_owned();
                if !text.is_empty() {
                    seen.push(format!("{}:{number} {text}", block.path));
                }
            }
            for _ in 0..block.too_long {
                number += 1;
                seen.push(format!("{}:{number} too long", block.path));
            }
            if let Some((reason, _)) = &block.fault {
                seen.push(format!("{}! {reason}", block.path));
            }
            block.progress.lines = number;
            self.ledger.insert(block.path.to_string(), block.progress);
        }
        seen
    }

    /// So many blocks of what is new.
    fn blocks(&self, workers: usize, limit: usize) -> Vec<Block> {
        let tasks = tasks(self.dir.path(), &[], &self.ledger, &|_| None).unwrap();
        let files = Files::new(&tasks, BLOCK);
        let taken = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for _ in 0..workers {
                scope.spawn(|| {
                    while !files.done() && taken.lock().unwrap().len() < limit {
                        taken.lock().unwrap().extend(files.next(true, &mut Vec::new()));
                    }
                });
            }
        });
        taken.into_inner().unwrap()
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn only_what_is_new_is_read() {
    let mut fixture = Fixture::new();
    fixture.write("b/2.log", b"{\"n\":1}\n{\"n\":2}\n");
    fixture.write("a.gz", &gzip(b"{\"n\":3}\n"));
    assert_eq!(fixture.read(), ["a.gz:1 {\"n\":3}", "b/2.log:1 {\"n\":1}", "b/2.log:2 {\"n\":2}"]);
    assert!(fixture.read().is_empty());
    fixture.write("b/2.log", b"{\"n\":1}\n{\"n\":2}\n{\"n\":4}");
    assert_eq!(fixture.read(), ["b/2.log:3 {\"n\":4}"]);
    fixture.write("b/2.log", b"{\"n\":1}\n{\"n\":2}\n{\"n\":4}\n{\"n\":5}\n");
    assert_eq!(fixture.read(), ["b/2.log:4 {\"n\":5}"], "the line break of the former last line is no line of its own");
}

#[test]
fn gzip_is_known_by_its_content_and_grows_by_members() {
    let mut fixture = Fixture::new();
    let mut bytes = gzip(b"{\"n\":1}\n");
    fixture.write("plain.ndjson", &bytes);
    assert_eq!(fixture.read(), ["plain.ndjson:1 {\"n\":1}"]);
    bytes.extend(gzip(b"{\"n\":2}\n"));
    fixture.write("plain.ndjson", &bytes);
    assert_eq!(fixture.read(), ["plain.ndjson:2 {\"n\":2}"]);
}

#[test]
fn a_rewritten_file_is_read_from_the_beginning() {
    let mut fixture = Fixture::new();
    fixture.write("a", b"{\"n\":1}\n{\"n\":2}\n");
    fixture.read();
    fixture.write("a", b"{\"n\":1}\n{\"n\":9}\n");
    assert_eq!(fixture.read(), ["a rewritten", "a:1 {\"n\":1}", "a:2 {\"n\":9}"]);
    fixture.write("a", b"{\"n\":1}\n");
    assert_eq!(fixture.read(), ["a rewritten", "a:1 {\"n\":1}"]);
    std::fs::remove_file(fixture.dir.path().join("a")).unwrap();
    assert!(fixture.read().is_empty());
    fixture.write("a", b"{\"n\":1}\n");
    assert!(fixture.read().is_empty(), "it reappeared as it was");
}

#[test]
fn a_truncated_gzip_gives_what_it_has_and_the_rest_when_it_is_whole() {
    let mut fixture = Fixture::new();
    let lines: String = (0..2000u64).map(|n| format!("{{\"n\":{n},\"pad\":\"{:x}\"}}\n", n * 7_919_993)).collect();
    let whole = gzip(lines.as_bytes());
    fixture.write("a.gz", &whole[..whole.len() / 2]);
    let first = fixture.read();
    assert_eq!(first.last().unwrap(), "a.gz! truncated_gzip");
    assert!(first.len() > 100);
    assert_eq!(fixture.read(), ["a.gz! truncated_gzip"], "said as long as it is so");
    fixture.write("a.gz", &whole);
    assert_eq!(fixture.read().len() + first.len() - 1, 2000);
    fixture.write("b.gz", b"\x1f\x8b\x08garbage that is no gzip at all");
    assert!(fixture.read()[0].starts_with("b.gz! "));
}

#[test]
fn an_incomplete_last_line_waits() {
    let mut fixture = Fixture::new();
    fixture.write("a", b"{\"n\":1}\n{\"n\":");
    assert_eq!(fixture.read(), ["a:1 {\"n\":1}", "a! incomplete_line"]);
    fixture.write("a", b"{\"n\":1}\n{\"n\":2}\n");
    assert_eq!(fixture.read(), ["a:2 {\"n\":2}"]);
}

#[test]
fn a_line_without_end_does_not_fill_the_memory() {
    let mut fixture = Fixture::new();
    let mut bytes = b"{\"n\":1}\n".to_vec();
    bytes.extend(vec![b'x'; 9 << 20]);
    bytes.extend(b"\n{\"n\":2}\n");
    fixture.write("a", &bytes);
    assert_eq!(fixture.read(), ["a:1 {\"n\":1}", "a:2 too long", "a:3 {\"n\":2}"]);
    bytes.extend(b"{\"n\":3}\n");
    fixture.write("a", &bytes);
    assert_eq!(fixture.read(), ["a:4 {\"n\":3}"]);
}

#[test]
fn large_files_come_in_blocks_that_can_be_resumed() {
    let mut fixture = Fixture::new();
    let lines: String =
        (0..200_000).map(|n| format!("{{\"n\":{n},\"pad\":\"................................\"}}\n")).collect();
    fixture.write("a", lines.as_bytes());
    let mut count = 0;
    for _ in 0..200 {
        for block in fixture.blocks(1, 1) {
            count += block.data().split_inclusive(|byte| *byte == b'\n').count();
            fixture.ledger.insert(block.path.to_string(), block.progress);
        }
    }
    assert_eq!(count, 200_000);
}

#[test]
fn links_that_lead_back_are_followed_once() {
    let mut fixture = Fixture::new();
    fixture.write("b/a", b"{\"n\":1}\n");
    for link in ["loop", "b/loop"] {
        std::os::unix::fs::symlink(fixture.dir.path(), fixture.dir.path().join(link)).unwrap();
    }
    assert_eq!(fixture.read(), ["b/a:1 {\"n\":1}"]);
}

#[test]
fn what_is_not_there_is_said() {
    let error = list(Path::new("/does/not/exist"), &[]).unwrap_err();
    assert!(error.to_string().contains("check `location`"));
}

#[test]
fn many_read_one_file_and_those_behind_it() {
    let mut fixture = Fixture::new();
    let text = |from: u64| (from..from + 60_000).map(|n| format!("{{\"n\":{n}}}\n")).collect::<String>();
    fixture.write("a", text(0).as_bytes());
    fixture.write("b.gz", &gzip(text(60_000).as_bytes()));
    fixture.write("c", b"");
    fixture.write("d", text(120_000).as_bytes());
    let mut blocks = fixture.blocks(4, usize::MAX);
    blocks.sort_by_key(|block| (block.order, block.index));
    assert!(blocks.iter().filter(|block| block.order == 0).count() > 2, "it is cut");
    let bytes: Vec<u8> = blocks.iter().flat_map(|block| block.data().to_vec()).collect();
    assert!(bytes == (text(0) + &text(60_000) + &text(120_000)).into_bytes(), "nothing is lost, doubled or misplaced");
}

#[test]
fn what_follows_a_line_that_is_too_long_is_read_where_the_file_ends_right_after_it() {
    let mut fixture = Fixture::new();
    let mut bytes = vec![b'x'; 3 << 20];
    bytes.extend(b"\n{\"n\":1}\n{\"n\":2}\n");
    fixture.write("a", &bytes);
    assert_eq!(fixture.read(), ["a:1 too long", "a:2 {\"n\":1}", "a:3 {\"n\":2}"]);
}
