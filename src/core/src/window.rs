//! Points by day, added up over a window that moves on.
//!
//! Days are asked for in their order: what is done on one enters once and leaves once, however many windows it is in.

use crate::time::Day;

/// A window over points by day, which come in the order of their days.
pub(crate) struct Window<I: Iterator<Item = (Day, i64)>> {
    days: i32,
    /// What enters next, and what comes after it.
    enters: Option<(Day, i64)>,
    entering: I,
    /// What leaves next, and what comes after it.
    leaves: Option<(Day, i64)>,
    leaving: I,
    /// In no order of entering and leaving it overflows.
    sum: i128,
}

impl<I: Iterator<Item = (Day, i64)> + Clone> Window<I> {
    /// A window of so many days over points in millionths.
    pub fn new(mut points: I, days: i32) -> Self {
        let first = points.next();
        Self { days, enters: first, entering: points.clone(), leaves: first, leaving: points, sum: 0 }
    }

    /// The raw score in millionths of the window that ends on a day; no earlier one may be asked for afterwards.
    pub fn ending(&mut self, day: Day) -> i64 {
        while let Some((_, points)) = self.enters.filter(|(on, _)| *on <= day) {
            self.sum += i128::from(points);
            self.enters = self.entering.next();
        }
        let before = day.plus(-self.days);
        while let Some((_, points)) = self.leaves.filter(|(on, _)| *on <= before) {
            self.sum -= i128::from(points);
            self.leaves = self.leaving.next();
        }
        i64::try_from(self.sum).unwrap_or(if self.sum < 0 { i64::MIN } else { i64::MAX })
    }

    /// The first day after the one that was asked for last on which the raw score may be another; `None` if it stays.
    pub fn changes(&self) -> Option<Day> {
        let enters = self.enters.map(|(on, _)| on);
        let leaves = self.leaves.map(|(on, _)| on.plus(self.days));
        enters.into_iter().chain(leaves).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_count_in_every_window_that_their_day_is_in() {
        let points = [(Day(10), 3), (Day(12), 4), (Day(40), -1)];
        let mut window = Window::new(points.into_iter(), 7);
        let raws: Vec<i64> = [9, 10, 12, 16, 17, 18, 19, 40, 46, 47].map(|day| window.ending(Day(day))).into();
        assert_eq!(raws, [0, 3, 7, 7, 4, 4, 0, -1, -1, 0]);
    }

    #[test]
    fn it_says_when_the_sum_changes_next() {
        let mut window = Window::new([(Day(10), 3), (Day(12), 4)].into_iter(), 7);
        let mut days = vec![window.changes()];
        while let Some(day) = window.changes() {
            window.ending(day);
            days.push(window.changes());
        }
        assert_eq!(days, [Some(Day(10)), Some(Day(12)), Some(Day(17)), Some(Day(19)), None]);
    }

    #[test]
    fn a_sum_that_no_number_holds_is_the_greatest() {
        let mut window = Window::new([(Day(1), i64::MAX), (Day(2), i64::MAX), (Day(3), 1)].into_iter(), 2);
        assert_eq!([1, 2, 3, 4].map(|day| window.ending(Day(day))), [i64::MAX, i64::MAX, i64::MAX, 1]);
    }
}
