//! Health in words: the leading reason, and a story of three lines that a customer's sponsor can be told.
//!
//! Both are written to CRMs, so they say nothing that changes with the day: no figure, no date, no name. The story is a
//! function of the band and the leading reason alone, and is rewritten only when one of them changes.

use std::cell::RefCell;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::cycle::Against;
use crate::model::Band;

/// What moved a score most, against another window.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Reason<'a> {
    /// Nothing scored was done.
    Silent,
    /// Nor was it at the same phase of the cycle before.
    Rests,
    /// An event happened less.
    Less(&'a str),
    /// An event happened more.
    More(&'a str),
    /// A component is lower.
    Lower(&'a str),
    /// A component is higher.
    Higher(&'a str),
    /// Nothing was ever done.
    Unused,
    /// Nothing moved.
    Steady,
}

impl Reason<'_> {
    /// In words; `window` in days, and what it is held against.
    pub fn said(&self, window: i32, against: Against) -> String {
        let (span, moment) = match against {
            Against::Before(window) => (format!("in {against}"), format!("{window} days before")),
            Against::Phase(_) => (format!("at {against}"), format!("at {against}")),
        };
        match self {
            Self::Silent => format!("no scored activity in the last {window} days"),
            Self::Rests => format!("no scored activity, nor {span}"),
            Self::Less(event) => format!("less {event} than {span}"),
            Self::More(event) => format!("more {event} than {span}"),
            Self::Lower(component) => format!("lower {component} than {moment}"),
            Self::Higher(component) => format!("higher {component} than {moment}"),
            Self::Unused => "no usage yet".into(),
            Self::Steady => "steady use".into(),
        }
    }

    /// What changed, because of what, and what to look at: a line each.
    pub fn story(&self, band: Option<Band>, window: i32, against: Against) -> String {
        let first = match self {
            Self::Silent => "Use has stopped".to_owned(),
            Self::Rests => "Use rests, as it did before".to_owned(),
            Self::Less(_) => "Use is falling".to_owned(),
            Self::More(_) => "Use is growing".to_owned(),
            Self::Lower(component) => format!("The {component} is falling"),
            Self::Higher(component) => format!("The {component} is rising"),
            Self::Unused => "Use has not begun".to_owned(),
            Self::Steady => "Use is steady".to_owned(),
        };
        let health = match band {
            Some(Band::Healthy) => "; health is good.",
            Some(Band::Normal) => "; health is fair.",
            Some(Band::AtRisk) => "; health is at risk.",
            None => ".",
        };
        let because = match self {
            Self::Steady => format!("Nothing that counts moved against {against}."),
            moved => format!("The main reason: {}.", moved.said(window, against)),
        };
        let look = match self {
            Self::Silent => "Find out whether anybody still works with it, and what took its place.".into(),
            Self::Rests => "Look at when it began again then.".into(),
            Self::Less(event) => format!("Look at who did it before ({event}), and ask what keeps them from it now."),
            Self::More(event) => format!("Look at who brought it in ({event}), and who else would gain by it."),
            Self::Lower(component) => format!("Look at who says so ({component}), and ask what would have to change."),
            Self::Higher(component) => format!("Look at what they value ({component}), and who else would."),
            Self::Unused => "Look at who was to begin, and what they wait for.".into(),
            Self::Steady if band == Some(Band::Healthy) => "Look at what else they could do with it.".into(),
            Self::Steady => "Look at what they never started, and at who is not active.".into(),
        };
        format!("{first}{health}\n{because}\n{look}")
    }
}

/// What was said before, to be shared: tens of thousands of accounts have a few hundred reasons and stories.
#[derive(Debug, Default)]
pub(crate) struct Words<'a>(RefCell<FxHashMap<Why<'a>, Said>>);

/// The reason, the band, the window in days, and what it is held against.
type Why<'a> = (Reason<'a>, Option<Band>, i32, Against);

/// A reason and a story.
type Said = (Arc<str>, Arc<str>);

impl<'a> Words<'a> {
    /// The reason and the story.
    pub fn of(&self, reason: Reason<'a>, band: Option<Band>, window: i32, against: Against) -> Said {
        let mut known = self.0.borrow_mut();
        let said = known.entry((reason, band, window, against));
        let said = said.or_insert_with_key(|(reason, ..)| {
            (reason.said(window, against).into(), reason.story(band, window, against).into())
        });
        said.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cycle::Cycle;

    #[test]
    fn a_story_has_three_lines_and_no_figure_but_the_window() {
        let reasons = [
            Reason::Silent,
            Reason::Rests,
            Reason::Less("shared reports"),
            Reason::More("shared reports"),
            Reason::Lower("nps"),
            Reason::Higher("nps"),
            Reason::Unused,
            Reason::Steady,
        ];
        for reason in &reasons {
            for band in [Some(Band::Healthy), Some(Band::Normal), Some(Band::AtRisk), None] {
                let story = reason.story(band, 30, Against::Before(30));
                assert_eq!(story.lines().count(), 3, "{story}");
                assert!(!story.replace("30", "").contains(|c: char| c.is_ascii_digit()), "{story}");
            }
        }
        assert_eq!(
            reasons[2].story(Some(Band::AtRisk), 30, Against::Before(30)),
            "Use is falling; health is at risk.\n\
             The main reason: less shared reports than in the 30 days before.\n\
             Look at who did it before (shared reports), and ask what keeps them from it now."
        );
        assert_eq!(
            reasons[1].story(Some(Band::AtRisk), 30, Against::Phase(Cycle::Quarter)),
            "Use rests, as it did before; health is at risk.\n\
             The main reason: no scored activity, nor at the same phase of the quarter before.\n\
             Look at when it began again then."
        );
    }
}
