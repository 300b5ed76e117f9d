//! What a history is to whoever reads through it: statements of a kind, and counts in the order of their accounts.

use crate::usage::{About, Content, Id, Spot, Stated, Subject, Usage};

/// Filed usage that can be read through.
pub trait History {
    /// Why it can't be read.
    type Error;

    /// Hands out the statements of a kind. All about one id come between two times of [`Told::Settled`]. Of traits only those
    /// that stand; of memberships and links also others of the same day.
    fn statements(&self, about: About, take: &mut dyn FnMut(Told)) -> Result<(), Self::Error>;

    /// Hands out the counts with the latest moment of each spot, in the order of their stated accounts, those without one
    /// (0) first. A spot may come in parts.
    #[expect(clippy::type_complexity, reason = "a name would say less than the three things it takes")]
    fn spots(&self, take: &mut dyn FnMut(&Spot, i64, &[(Id, i64)])) -> Result<(), Self::Error>;
}

/// A part of what a history says.
#[derive(Debug)]
pub enum Told {
    /// A statement.
    Statement(Subject, Stated<Content>),
    /// All statements about the ids so far were told.
    Settled,
}

impl History for Usage {
    type Error = std::convert::Infallible;

    fn statements(&self, about: About, take: &mut dyn FnMut(Told)) -> Result<(), Self::Error> {
        let wanted = self.statements.iter().filter(|(subject, _)| subject.about == about);
        wanted.for_each(|(subject, stated)| take(Told::Statement(*subject, stated.clone())));
        take(Told::Settled);
        Ok(())
    }

    fn spots(&self, take: &mut dyn FnMut(&Spot, i64, &[(Id, i64)])) -> Result<(), Self::Error> {
        let mut spots: Vec<_> = self.days.iter().collect();
        spots.sort_unstable_by_key(|(spot, _)| **spot);
        spots.into_iter().for_each(|(spot, uses)| take(spot, uses.last, &uses.counts));
        Ok(())
    }
}
