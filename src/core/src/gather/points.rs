//! One account's points by day under one profile, what moved them, and how many users made them.

use super::left_out::LeftOut;
use super::{Cell, Frame};
use crate::by_day::ByDay;
use crate::cycle::Against;
use crate::model::Per;
use crate::time::Day;
use crate::usage::Id;

/// One account under one profile, as far as it needs no other account.
#[derive(Debug, Clone, Default)]
pub(crate) struct Points {
    /// Σ count × weight by day, in millionths, in the order of days; days without any are left out.
    pub daily: Vec<(Day, i64)>,
    /// How many users did a scored event in the window that ends on a day, where raw scores are divided by them.
    pub active: ByDay<u32>,
    /// The event that moved the raw score most against the window that this one is held against, and which way; none where
    /// all stayed.
    pub moved: Option<(i64, Id)>,
}

/// Tables that serve one account after the other.
#[derive(Debug)]
pub(super) struct Tables {
    /// By day since the first one, its points.
    daily: Vec<i64>,
    /// By event, how much it moved the raw score.
    moved: Vec<i64>,
}

impl Tables {
    /// For so many events.
    pub(super) fn new(events: usize) -> Self {
        Self { daily: Vec::new(), moved: vec![0; events] }
    }
}

impl Frame<'_> {
    /// Points by day under a profile, and what moved them.
    pub(super) fn points(&self, place: usize, cells: &[Cell], first: Option<Day>, tables: &mut Tables) -> Points {
        let Tables { daily: by_day, moved: all_moved } = tables;
        let (Some(weights), Some(profile)) = (self.weights.get(place), self.model.profiles.get(place)) else {
            return Points::default();
        };
        let left_out = LeftOut::under(&self.left_out, Some(place));
        let Some(first) = first.filter(|day| *day <= self.over) else { return Points::default() };
        let days = (self.over.0 - first.0 + 1) as usize;
        by_day.clear();
        by_day.resize(days, 0);
        let then = Against::of(profile, Some(first), self.over).end(self.over);
        let is_within = |end: Day, day: Day| ((end.0 - day.0) as u32) < profile.window as u32;
        for cell in cells {
            let (event, day) = (cell.event as usize, cell.day());
            let (Some(weight), Some(moved)) = (weights.get(event), all_moved.get_mut(event)) else { continue };
            let Some(sum) = by_day.get_mut((day.0 - first.0) as usize).filter(|_| !left_out.has(day)) else {
                continue;
            };
            // Also where the weight is 0: which cells are scored is no pattern that a processor could foresee.
            let points = weight.saturating_mul(i64::from(cell.count));
            *sum = sum.saturating_add(points);
            let sign = i64::from(is_within(self.over, day)) - i64::from(is_within(then, day));
            *moved = moved.saturating_add(sign * points);
        }
        let mut daily = Vec::with_capacity(by_day.iter().filter(|points| **points != 0).count());
        let with_points = by_day.iter().enumerate().filter(|(_, points)| **points != 0);
        daily.extend(with_points.map(|(index, points)| (first.plus(index as i32), *points)));
        // Of two that moved as much the one whose name comes first.
        let columns = self.columns.get(place).into_iter().flatten();
        let moved = columns.map(|event| (std::mem::take(&mut all_moved[*event as usize]), *event));
        let moved = moved.filter(|(points, _)| *points != 0).max_by(|a, b| {
            let names = |event| self.names.event(event);
            a.0.abs().cmp(&b.0.abs()).then_with(|| names(b.1).cmp(names(a.1)))
        });
        let active = match profile.per {
            Per::ActiveUser => {
                let scored = cells.iter().filter(|cell| !left_out.has(cell.day()));
                active(scored, weights, profile.window, self.over)
            }
            Per::Account | Per::Seat(_) => ByDay::default(),
        };
        Points { daily, active, moved }
    }
}

/// How many users did a scored event in the windows that end on each day up to `over`.
fn active<'c>(cells: impl Iterator<Item = &'c Cell>, weights: &[i64], window: i32, over: Day) -> ByDay<u32> {
    let scored =
        |cell: &&'c Cell| cell.count > 0 && weights.get(cell.event as usize).is_some_and(|weight| *weight != 0);
    let mut days: Vec<(Id, Day)> = cells.filter(scored).map(|cell| (cell.user, cell.day())).collect();
    days.sort_unstable();
    // One is active from the first day until a window after the last day of a row without a longer gap.
    let mut changes: Vec<(Day, i32)> = Vec::new();
    for row in days.chunk_by(|(user, day), (other, next)| user == other && next.0 - day.0 <= window) {
        let ends = [row.first().map(|(_, day)| (*day, 1)), row.last().map(|(_, day)| (day.plus(window), -1))];
        changes.extend(ends.into_iter().flatten().filter(|(day, _)| *day <= over));
    }
    changes.sort_unstable();
    let (mut by_day, mut count) = (ByDay::default(), 0);
    for (day, change) in changes {
        count += change;
        by_day.set(day, u32::try_from(count).ok());
    }
    by_day
}
