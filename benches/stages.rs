//! What reading an archive costs up to a stage, in CPU and wall seconds: `cargo bench --bench stages -- DIR [ROUNDS]`.
//!
//! The same code on as many threads as in `run`; what comes of it is dropped. What `run` needs beyond is for keeping it and for
//! evaluating: repeated calls found, counts and statements in the state, every account measured. Nothing is asserted here; the
//! peers' script compares whole processes.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use vitalsync::source::archive::{BLOCK, Files, Progress, tasks};
use vitalsync::tick::ingest::parse::{Worker, received};
use vitalsync_core::call::AccountPaths;
use vitalsync_core::model::Model;
use vitalsync_core::usage::fingerprint_seed;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Bytes are read (and inflated), cut into blocks of lines, and hashed to notice files that are rewritten.
    Read,
    /// Lines are checked and parsed, names numbered, fingerprints made.
    Parse,
}

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let Some(location) = arguments.next().map(PathBuf::from).filter(|location| location.is_dir()) else {
        println!("cargo bench --bench stages -- DIR [ROUNDS]: DIR holds NDJSON files, plain or gzip");
        return;
    };
    let rounds = arguments.next().and_then(|rounds| rounds.parse().ok()).unwrap_or(3).max(1);
    for (stage, name) in [(Stage::Read, "read"), (Stage::Parse, "read, parse")] {
        let mut runs: Vec<(f64, f64, u64)> = (0..rounds).map(|_| run(&location, stage)).collect();
        runs.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (cpu, wall, calls) = runs[runs.len() / 2];
        println!("{name:<11} {cpu:6.2} CPU s  {wall:6.2} s  {calls} calls");
    }
}

/// CPU seconds, wall seconds and calls of a pass up to a stage.
fn run(location: &std::path::Path, stage: Stage) -> (f64, f64, u64) {
    let (paths, model, ledger) = (AccountPaths::default(), Model::default(), BTreeMap::<String, Progress>::new());
    let (wall, cpu) = (Instant::now(), cpu_seconds());
    let tasks = tasks(location, &[], &ledger, &|line| received(line, &paths)).expect("the archive can be read");
    let (files, seed, failed) = (Files::new(&tasks, BLOCK), fingerprint_seed("archive"), AtomicBool::new(false));
    let calls = AtomicU64::new(0);
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get()).min(8);
    std::thread::scope(|scope| {
        for number in 0..threads {
            let (files, paths, model, calls, failed) = (&files, &paths, &model, &calls, &failed);
            scope.spawn(move || {
                let (mut worker, mut buffer) = (Worker::new(number, seed, paths, model), Vec::new());
                while !files.done() {
                    let Some(mut block) = files.next(true, &mut buffer) else { continue };
                    failed.fetch_or(block.fault.is_some(), Ordering::Relaxed);
                    if stage == Stage::Parse {
                        let parsed = worker.parse(&block);
                        calls.fetch_add(parsed.lines.len() as u64, Ordering::Relaxed);
                    }
                    buffer = block.take_buffer();
                }
            });
        }
    });
    assert!(!failed.into_inner(), "a file is damaged: the figures would say little");
    (cpu_seconds() - cpu, wall.elapsed().as_secs_f64(), calls.into_inner())
}

/// What this process needed so far, user and system, to a hundredth of a second.
fn cpu_seconds() -> f64 {
    /// The kernel counts in hundredths, whatever its clock: `USER_HZ`.
    const TICKS: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux says what a process needs");
    // Behind the name, which may hold anything but ends with the last bracket: state, and then numbers.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    fields[11..13].iter().map(|ticks| ticks.parse::<f64>().expect("a number") / TICKS).sum()
}
