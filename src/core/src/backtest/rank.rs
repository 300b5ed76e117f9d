//! Ranking: the area under the ROC curve with its bootstrap interval, the curve, and who is flagged.

use super::Row;

/// So many times accounts are drawn anew.
const DRAWS: usize = 500;
/// Points of a ROC curve, 2 % of false alarms apart.
const POINTS: usize = 51;
/// Where the draws begin: any number, always the same.
const SEED: u64 = 0x5eed;

/// A figure with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// The figure.
    pub value: f64,
    /// 2.5 % of the draws are below.
    pub low: f64,
    /// 2.5 % are above.
    pub high: f64,
}

/// Rows in the order of their scores, equals together.
pub(super) struct Ranking {
    /// Account, whether it left, and whether it has the score of the one before.
    rows: Vec<(usize, bool, bool)>,
}

impl Ranking {
    /// Of rows: account, whether it left, score.
    pub fn new(rows: impl Iterator<Item = (usize, bool, f64)>) -> Self {
        let mut rows: Vec<(usize, bool, f64)> = rows.collect();
        rows.sort_by(|a, b| a.2.total_cmp(&b.2).then_with(|| (a.0, a.1).cmp(&(b.0, b.1))));
        let mut before = None;
        let rows = rows.into_iter().map(|(account, left, score)| (account, left, before.replace(score) == Some(score)));
        Self { rows: rows.collect() }
    }

    /// The area under the ROC curve: the chance that one that left has a higher score than one that stayed, equals counting
    /// half (Mann and Whitney). Every row counts as often as `weight` says for its account; `None` where either is missing.
    fn auc(&self, weight: impl Fn(usize) -> f64) -> Option<f64> {
        let (mut left, mut stayed) = (0.0, 0.0);
        let (mut wins, mut left_here, mut stayed_here) = (0.0, 0.0, 0.0);
        for (account, has_left, as_before) in &self.rows {
            if !as_before {
                wins += left_here * (stayed + stayed_here / 2.0);
                left += left_here;
                stayed += stayed_here;
                (left_here, stayed_here) = (0.0, 0.0);
            }
            *(if *has_left { &mut left_here } else { &mut stayed_here }) += weight(*account);
        }
        wins += left_here * (stayed + stayed_here / 2.0);
        let pairs = (left + left_here) * (stayed + stayed_here);
        (pairs > 0.0).then(|| wins / pairs)
    }

    /// The area, and between what it lies when accounts are drawn anew: rows of one account are no news about each other.
    pub fn interval(&self, draws: &Draws) -> Option<Interval> {
        let value = self.auc(|_| 1.0)?;
        let mut areas: Vec<f64> = draws
            .times
            .iter()
            .filter_map(|times| self.auc(|account| times.get(account).copied().unwrap_or_default().into()))
            .collect();
        areas.sort_by(f64::total_cmp);
        let at = |share: f64| areas.get((share * areas.len().saturating_sub(1) as f64).round() as usize).copied();
        Some(Interval { value, low: at(0.025).unwrap_or(value), high: at(0.975).unwrap_or(value) })
    }

    /// The share of those that left that are found at 0, 2, … 100 % false alarms; straight between equals.
    pub fn roc(&self) -> Vec<f64> {
        let count = |has_left: bool| self.rows.iter().filter(|row| row.1 == has_left).count() as f64;
        let (left, stayed) = (count(true).max(1.0), count(false).max(1.0));
        let mut corners = vec![(0.0, 0.0)];
        let (mut alarms, mut found) = (0.0, 0.0);
        for (place, (_, has_left, as_before)) in self.rows.iter().enumerate().rev() {
            *(if *has_left { &mut found } else { &mut alarms }) += 1.0;
            if !as_before || place == 0 {
                corners.push((alarms / stayed, found / left));
            }
        }
        let at = |share: f64| {
            // Of corners at the same share of false alarms the last is the highest.
            let next = corners.partition_point(|(alarms, _)| *alarms <= share);
            let (x0, y0) = corners.get(next.saturating_sub(1)).copied().unwrap_or_default();
            corners.get(next).map_or(y0, |(x1, y1)| y0 + (y1 - y0) * (share - x0) / (x1 - x0))
        };
        (0..POINTS).map(|point| at(point as f64 / (POINTS - 1) as f64)).collect()
    }
}

/// How often each account is drawn, draw by draw; the same for every predictor.
pub(super) struct Draws {
    times: Vec<Vec<u16>>,
}

impl Draws {
    /// Draws as many accounts as there are, with putting back.
    pub fn of(accounts: impl Iterator<Item = usize>) -> Self {
        let mut accounts: Vec<usize> = accounts.collect();
        accounts.sort_unstable();
        accounts.dedup();
        let size = accounts.last().map_or(0, |last| last + 1);
        let mut dice = Dice(SEED);
        let draw = |_| {
            let mut times = vec![0u16; size];
            for _ in 0..accounts.len() {
                times[accounts[dice.below(accounts.len())]] += 1;
            }
            times
        };
        Self { times: (0..DRAWS).map(draw).collect() }
    }
}

/// SplitMix64 (Steele, Lea and Flood 2014): small, and the same on every machine.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        ((u128::from(z) * end as u128) >> 64) as usize
    }
}

/// How far each row is flagged, 0–1: in each snapshot the share `k` with the highest scores, at least one. Of equals at the
/// edge each is flagged with its chance, so that no accident of order decides. Rows come by snapshot.
pub(super) fn flags(known: &[(&Row, f64)], k: f64) -> Vec<f64> {
    let mut flags = Vec::with_capacity(known.len());
    for rows in known.chunk_by(|a, b| a.0.snapshot == b.0.snapshot) {
        let places = ((rows.len() as f64 * k).round() as usize).clamp(1, rows.len());
        let mut scores: Vec<f64> = rows.iter().map(|(_, score)| *score).collect();
        scores.sort_by(|a, b| b.total_cmp(a));
        let edge = scores[places - 1];
        let above = scores.iter().filter(|score| **score > edge).count();
        let equal = scores.iter().filter(|score| **score == edge).count();
        let chance = (places - above) as f64 / equal as f64;
        flags.extend(rows.iter().map(|(_, score)| match score.total_cmp(&edge) {
            std::cmp::Ordering::Greater => 1.0,
            std::cmp::Ordering::Equal => chance,
            std::cmp::Ordering::Less => 0.0,
        }));
    }
    flags
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranking(rows: &[(bool, f64)]) -> Ranking {
        Ranking::new(rows.iter().enumerate().map(|(account, (left, score))| (account, *left, *score)))
    }

    #[test]
    fn the_area_is_the_share_of_pairs_in_the_right_order() {
        let area = |rows: &[(bool, f64)]| ranking(rows).auc(|_| 1.0);
        assert_eq!(area(&[(false, 0.1), (false, 0.4), (true, 0.35), (true, 0.8)]), Some(0.75), "the textbook's four");
        assert_eq!(area(&[(true, 2.0), (false, 1.0)]), Some(1.0));
        assert_eq!(area(&[(true, 1.0), (false, 1.0)]), Some(0.5), "equals count half");
        assert_eq!(area(&[(true, 3.0), (false, 3.0), (false, 1.0), (true, 0.0)]), Some(0.375));
        assert_eq!(area(&[(true, 1.0), (true, 2.0)]), None, "nobody stayed");
        assert_eq!(area(&[]), None);
    }

    #[test]
    fn an_account_that_is_drawn_twice_counts_twice() {
        let ranking = ranking(&[(false, 0.1), (false, 0.4), (true, 0.35), (true, 0.8)]);
        assert_eq!(ranking.auc(|account| if account == 1 { 2.0 } else { 1.0 }), Some(4.0 / 6.0));
        assert_eq!(ranking.auc(|account| if account == 1 { 0.0 } else { 1.0 }), Some(1.0));
    }

    #[test]
    fn the_interval_is_the_same_every_time_and_narrows_with_more_accounts() {
        let rows = |count: usize| -> Vec<(bool, f64)> {
            (0..count)
                .map(|at| (at % 3 == 0, ((at * 7919) % 101) as f64 + if at % 3 == 0 { 20.0 } else { 0.0 }))
                .collect()
        };
        let interval = |count: usize| {
            let ranking = ranking(&rows(count));
            ranking.interval(&Draws::of(0..count)).expect("an interval")
        };
        let (few, many) = (interval(60), interval(1200));
        assert_eq!(few, interval(60));
        assert!(
            few.low < few.value && few.value < few.high && few.high - few.low > 2.0 * (many.high - many.low),
            "{few:?} {many:?}"
        );
    }

    #[test]
    fn rows_of_one_account_do_not_narrow_it() {
        let rows = |times: usize| -> Vec<(usize, bool, f64)> {
            let one = (0..60).map(|at| (at, at % 3 == 0, ((at * 7919) % 101) as f64));
            one.flat_map(|row| std::iter::repeat_n(row, times)).collect()
        };
        let width = |times: usize| {
            let interval = Ranking::new(rows(times).into_iter()).interval(&Draws::of(0..60)).expect("an interval");
            interval.high - interval.low
        };
        assert!((width(1) - width(20)).abs() < 1e-9);
    }

    #[test]
    fn the_curve_goes_from_corner_to_corner_and_is_straight_between_equals() {
        let roc = ranking(&[(false, 0.1), (false, 0.4), (true, 0.35), (true, 0.8)]).roc();
        assert_eq!((roc.len(), roc[0], roc[24], roc[25], roc[50]), (51, 0.5, 0.5, 1.0, 1.0));
        let none = ranking(&[(false, 1.0), (true, 1.0)]).roc();
        assert!(none.iter().enumerate().all(|(at, found)| (found - at as f64 / 50.0).abs() < 1e-12), "{none:?}");
    }

    #[test]
    fn the_worst_of_each_snapshot_are_flagged_and_equals_share_the_last_places() {
        let row = |snapshot| Row { account: 0, snapshot, left: false, scores: Default::default() };
        let rows = [row(0), row(0), row(0), row(0), row(1), row(1)];
        let known: Vec<(&Row, f64)> = rows.iter().zip([5.0, 9.0, 5.0, 1.0, 2.0, 3.0]).collect();
        assert_eq!(flags(&known, 0.5), [0.5, 1.0, 0.5, 0.0, 0.0, 1.0]);
        assert_eq!(flags(&known, 0.01), [0.0, 1.0, 0.0, 0.0, 0.0, 1.0], "at least one");
    }
}
