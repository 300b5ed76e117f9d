//! From a block of lines to rows: what each core does by itself.
//!
//! Every worker numbers names for itself, so that none waits for another; what files the rows translates the numbers.
//! A worker's names are a cache: when hostile input fills it, it begins anew.

use std::collections::BTreeSet;

use vitalsync_core::call::{self, AccountPaths, Call, MAX_LINE, Rejection};
use vitalsync_core::derived::Conditions;
use vitalsync_core::model::Model;
use vitalsync_core::time::HOUR_MS;
use vitalsync_core::usage::{Content, Filer, Id, Ids, Interner, Sought, Spot, Stated, Subject, file, fingerprint};
use vitalsync_core::{Calendar, Day};

use crate::source::archive::Block;

/// A worker that knows so many names forgets them all.
const NAMES: usize = 750_000;
/// … or one that keeps so many bytes of those whose text it keeps.
const BYTES: usize = 64 << 20;

/// So many calls are filed together.
const GROUP: usize = 32;

/// A call in a worker's numbers.
#[derive(Debug, Clone, Copy)]
pub struct Line {
    /// What it is recognised by.
    pub print: u64,
    /// Where it counts; of a statement the days alone matter.
    pub spot: Spot,
    /// The event; 0 for a statement.
    pub event: Id,
    /// When it happened.
    pub at: i64,
    /// True if it counts again what another one of the same call counts, under a condition.
    pub derived: bool,
}

/// A parsed block.
#[derive(Debug)]
pub struct Parsed {
    /// Whose numbers these are.
    pub worker: usize,
    /// True if the worker forgot its names before this block.
    pub anew: bool,
    /// Names that are new since the worker's last block: accounts, subjects, events, names of traits.
    pub names: [Vec<Box<str>>; 4],
    /// Calls, in their order.
    pub lines: Vec<Line>,
    /// What they state.
    pub statements: Vec<(Subject, Stated<Content>)>,
    /// How many lines the block had, blank ones included.
    pub count: u64,
    /// Lines that can't be counted: their number in the block, from 1, and why.
    pub rejected: Vec<(u64, Rejection)>,
    /// How many values of traits can't be kept.
    pub unkept: u64,
    /// True if a call did not say when it was received.
    pub undated: bool,
    /// The hours in which calls were received, since 1970.
    pub hours: BTreeSet<i64>,
    /// Users whom the source asks to forget.
    pub deletions: Vec<Box<str>>,
    /// About so many bytes of memory it took when it was parsed.
    pub weight: usize,
}

/// What a name takes besides its bytes, about, until it has a number.
const NAME: usize = 64;
/// What a statement takes besides itself, about.
const CONTENT: usize = 64;

impl Parsed {
    /// About so many bytes of memory.
    fn weigh(&self) -> usize {
        size_of::<Self>()
            + self.names.iter().flatten().map(|name| name.len() + NAME).sum::<usize>()
            + self.lines.capacity() * size_of::<Line>()
            + self.statements.len() * (size_of::<(Subject, Stated<Content>)>() + CONTENT)
            + size_of_val(&*self.rejected)
            + self.deletions.iter().map(|user| size_of_val(user) + user.len()).sum::<usize>()
    }
}

impl Filer for Parsed {
    fn count(&mut self, spot: Spot, event: Id, at: i64) {
        self.lines.push(Line { print: 0, spot, event, at, derived: false });
    }

    fn count_derived(&mut self, spot: Spot, event: Id, at: i64) {
        self.lines.push(Line { print: 0, spot, event, at, derived: true });
    }

    fn unkept(&mut self) {
        self.unkept += 1;
    }

    fn state(&mut self, subject: Subject, stated: Stated<Content>) {
        self.statements.push((subject, stated));
    }
}

fn no_names() -> Ids {
    Ids { accounts: Interner::for_reading(), subjects: Interner::for_reading(), ..Ids::default() }
}

/// Parses blocks.
pub struct Worker<'a> {
    number: usize,
    ids: Ids,
    seed: u64,
    paths: &'a AccountPaths,
    calendar: &'a Calendar,
    conditions: Conditions<'a>,
}

impl<'a> Worker<'a> {
    /// A worker that knows no name yet. `seed` stands for the source in fingerprints.
    pub fn new(number: usize, seed: u64, paths: &'a AccountPaths, model: &'a Model) -> Self {
        Self { number, ids: no_names(), seed, paths, calendar: &model.calendar, conditions: Conditions::of(model) }
    }

    /// Parses a block.
    pub fn parse(&mut self, block: &Block) -> Parsed {
        let Ids { accounts, subjects, events, shapes } = &self.ids;
        let all = [accounts, subjects, events, shapes];
        let anew = all.iter().map(|names| names.len()).sum::<usize>() > NAMES
            || all.iter().map(|names| names.bytes()).sum::<usize>() > BYTES;
        if anew {
            self.ids = no_names();
        }
        let mut parsed = Parsed {
            worker: self.number,
            anew,
            names: Default::default(),
            lines: Vec::with_capacity(block.data().len() / 700),
            statements: Vec::new(),
            count: 0,
            rejected: Vec::new(),
            unkept: 0,
            undated: false,
            hours: BTreeSet::new(),
            deletions: Vec::new(),
            weight: 0,
        };
        let data = block.data();
        let mut group = Vec::with_capacity(GROUP);
        let mut begin = 0;
        while begin < data.len() {
            let end = memchr::memchr(b'\n', &data[begin..]).map_or(data.len(), |at| begin + at);
            let line = &data[begin..end];
            begin = end + 1;
            parsed.count += 1;
            // Some exports begin with a byte order mark.
            let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
            if line.len() > MAX_LINE {
                parsed.rejected.push((parsed.count, Rejection::TooLong));
                continue;
            }
            // A call without an id is known by its text, whatever ends its line.
            let line = line.trim_ascii();
            if !line.is_empty() {
                match call::parse(line, self.paths) {
                    Ok(call) => group.push((call, line)),
                    Err(Rejection::Deletion) => parsed.deletions.extend(call::deletion(line).map(Into::into)),
                    Err(why) => parsed.rejected.push((parsed.count, why)),
                }
            }
            if group.len() == GROUP {
                self.file(&mut group, &mut parsed);
            }
        }
        self.file(&mut group, &mut parsed);
        for _ in 0..block.too_long {
            parsed.count += 1;
            parsed.rejected.push((parsed.count, Rejection::TooLong));
        }
        let Ids { accounts, subjects, events, shapes } = &mut self.ids;
        parsed.names = [accounts, subjects, events, shapes].map(Interner::tell);
        parsed.weight = parsed.weigh();
        parsed
    }

    /// Files calls one after the other. Names lie all over the memory: all are looked for before any is needed, so that
    /// their ways from there overlap.
    fn file(&mut self, calls: &mut Vec<(Call<'_>, &[u8])>, parsed: &mut Parsed) {
        let sought: Vec<Sought> = calls.iter().map(|(call, _)| Sought::of(call)).collect();
        Sought::warm(&sought, &self.ids);
        let mut last_hour = None;
        for ((call, line), sought) in calls.iter().zip(sought) {
            parsed.undated |= call.undated;
            let hour = call.received.0.div_euclid(HOUR_MS);
            if last_hour != Some(hour) {
                parsed.hours.insert(hour);
                last_hour = Some(hour);
            }
            let print = fingerprint(self.seed, call, line);
            let from = parsed.lines.len();
            if file(call, sought, &mut self.ids, self.calendar, &self.conditions, parsed) {
                parsed.lines.iter_mut().skip(from).for_each(|line| line.print = print);
            } else {
                let day = self.calendar.day(call.received);
                let spot = Spot { account: 0, subject: 0, day, lag: 0 };
                parsed.lines.push(Line { print, spot, event: 0, at: 0, derived: false });
            }
        }
        calls.clear();
    }
}

/// When a line was received, as days of receipt are told apart: to order files by.
pub fn received(line: &[u8], paths: &AccountPaths) -> Option<i64> {
    call::parse(line, paths).ok().map(|call| call.received.0)
}

/// The day on which a call was received.
pub fn received_on(line: &Line) -> Day {
    line.spot.received()
}
