//! What every alert has in common on its way to a tool: its operation, and what follows where nobody knows whether it arrived.
//!
//! A tool that can be read back answers that by itself. For one that can't, the config says which of two evils it wants.

use super::{Alert, What};
use crate::connector::{Answer, Change, Mode, Operation, Outcome, Receipt, Reply, Step};
use crate::section::{Faults, Node};
use crate::value::Value;

/// The kind of an alert's slot: `alert/OCCASION`.
pub const ALERT: &str = "alert";
/// The field that is not sent: ids of whom the alert is about, to be forgotten with them.
pub const ABOUT: &str = "about";
/// The field that is not sent: the occasions that a digest is made of.
pub const CARRIES: &str = "carries";

impl Alert {
    /// The operation that tells it; how it is put is the destination's.
    pub fn operation(&self, batch_key: &str) -> Operation {
        let title = match &self.what {
            What::Many { alerts, .. } => format!("post {} alerts together", alerts.len()),
            _ => format!("post alert {}", self.rule),
        };
        let mut operation = Operation::new(format!("{ALERT}/{}", self.occasion), batch_key, title);
        operation.mode = Mode::Once;
        operation.subject.clone_from(&self.account);
        let list = |texts: Vec<&str>| Change {
            old: Value::Null,
            new: Value::List(texts.into_iter().map(Value::from).collect()),
        };
        operation.fields.insert(ABOUT.to_owned(), list(self.about()));
        if let What::Many { alerts, .. } = &self.what {
            let carried = alerts.iter().map(|alert| alert.occasion.as_str()).collect();
            operation.fields.insert(CARRIES.to_owned(), list(carried));
        }
        operation
    }
}

/// Why an alert that may have arrived is given up.
pub const UNKNOWN: &str = "it is not known whether this alert was posted; not sent again";

/// What is done where nobody knows whether a tool that can't be read back took an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Delivery {
    /// It is not sent again.
    #[default]
    AtMostOnce,
    /// It is sent again, and may come twice.
    AtLeastOnce,
}

impl Delivery {
    /// Reads `delivery:`.
    pub fn read(node: &Node, faults: &mut Faults) -> Option<Self> {
        match node.one_of(faults, "the delivery", &["at_most_once", "at_least_once"])? {
            0 => Some(Self::AtMostOnce),
            _ => Some(Self::AtLeastOnce),
        }
    }

    /// The answer to an alert that takes one request, or the step that comes first.
    ///
    /// # Errors
    /// That step: `send`, or what doubt leads to.
    pub fn answer<'r>(self, operation: &Operation, replies: &'r [Reply], send: Step) -> Result<&'r Answer, Box<Step>> {
        let broke = "the connection broke before the answer came";
        // An earlier process began it, or it broke off: what follows is a request anew.
        let replies = match replies {
            [Reply::Lost { .. }, rest @ ..] if self == Self::AtLeastOnce => rest,
            all => all,
        };
        match replies.first() {
            None => Err(Box::new(send)),
            Some(Reply::Answer(answer)) => Ok(answer),
            Some(Reply::Lost { .. }) => Err(Box::new(self.in_doubt(operation, broke))),
        }
    }

    /// What follows where it may have arrived.
    pub fn in_doubt(self, operation: &Operation, why: &str) -> Step {
        match self {
            Self::AtLeastOnce => Step::Retry { after: None, why: why.to_owned() },
            Self::AtMostOnce => {
                let why = format!(
                    "{UNKNOWN}: {why}, and what a webhook took can't be read back (`delivery: at_least_once` would send it again)"
                );
                // No refusal by the tool: the mark that it may have arrived stays, so that no later pass sends it.
                let outcome = Outcome::Rejected { why };
                Step::Done(vec![Receipt { slot: operation.slot.clone(), outcome }])
            }
        }
    }
}
