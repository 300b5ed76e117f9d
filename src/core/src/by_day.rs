//! A value by day, where it changes rarely: what a trait said, how many users were active, whether somebody had left.

use crate::time::Day;

/// Values with the days from which they hold; each until the next.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ByDay<T> {
    steps: Vec<(Day, Option<T>)>,
}

impl<T> Default for ByDay<T> {
    fn default() -> Self {
        Self { steps: Vec::new() }
    }
}

impl<T: PartialEq> ByDay<T> {
    /// From a day on it is this. Days come in their order; of one day the last stands.
    pub fn set(&mut self, day: Day, value: Option<T>) {
        if self.steps.last().is_some_and(|(last, _)| *last == day) {
            self.steps.pop();
        }
        if self.steps.last().map_or(value.is_some(), |(_, last)| *last != value) {
            self.steps.push((day, value));
        }
    }

    /// The value on a day.
    pub fn at(&self, day: Day) -> Option<&T> {
        let after = self.steps.partition_point(|(from, _)| *from <= day);
        self.steps.get(after.checked_sub(1)?)?.1.as_ref()
    }

    /// The value on a day, else the first one after.
    pub fn at_or_after(&self, day: Day) -> Option<&T> {
        self.at(day).or_else(|| self.steps.iter().filter(|(from, _)| *from > day).find_map(|(_, value)| value.as_ref()))
    }

    /// The same with other values.
    pub fn map<U: PartialEq>(&self, of: impl Fn(&T) -> U) -> ByDay<U> {
        let mut mapped = ByDay::default();
        self.steps.iter().for_each(|(day, value)| mapped.set(*day, value.as_ref().map(&of)));
        mapped
    }

    /// The first day with a value.
    pub fn first(&self) -> Option<Day> {
        self.steps.first().map(|(day, _)| *day)
    }

    /// The spans of days in which it has one value, up to `last`: first day, last day, value.
    pub fn spans(&self, last: Day) -> impl Iterator<Item = (Day, Day, &T)> {
        let ends = self.steps.iter().skip(1).map(|(day, _)| day.plus(-1)).chain([last]);
        let spans = self.steps.iter().zip(ends);
        spans.filter_map(|((from, value), to)| Some((*from, to, value.as_ref()?))).filter(|(from, to, _)| from <= to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_holds_until_the_next() {
        let mut values = ByDay::default();
        for (day, value) in [(1, None), (2, Some('a')), (4, Some('a')), (5, Some('x')), (5, Some('b')), (7, None)] {
            values.set(Day(day), value);
        }
        let at: Vec<Option<char>> = (0..9).map(|day| values.at(Day(day)).copied()).collect();
        let [none, a, b] = [None, Some('a'), Some('b')];
        assert_eq!(at, [none, none, a, a, a, b, b, none, none]);
        assert_eq!(
            (values.at_or_after(Day(0)), values.at_or_after(Day(8)), values.first()),
            (Some(&'a'), None, Some(Day(2)))
        );
        let spans: Vec<(i32, i32, char)> =
            values.spans(Day(9)).map(|(from, to, value)| (from.0, to.0, *value)).collect();
        assert_eq!(spans, [(2, 4, 'a'), (5, 6, 'b')]);
        // What was taken back on its own day was never there.
        let mut values = ByDay::default();
        values.set(Day(1), Some('a'));
        values.set(Day(1), None);
        assert_eq!((values.at(Day(1)), values.first()), (None, None));
    }
}
