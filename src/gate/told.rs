//! How a limit stands after a request, for whoever tells the caller.

use crate::key::LimitStatus;
use crate::limit::{Left, Standing};
use crate::live::Allowance;

/// The most restrictive of a key's limits after a request.
#[derive(Clone, Debug)]
pub(super) enum Told {
    /// One that is counted here. It takes the limits that were charged to say what it is called: many
    /// requests at once are about the same limits, and counting references to them would slow all down.
    Here(Left),
    /// One that stands for itself.
    Kept(Box<LimitStatus>),
}

impl Told {
    /// What is to be told. `charged` are the limits that the request was charged to.
    pub(super) fn standing<'t>(&'t self, charged: &Allowance<'t>) -> Option<Standing<'t>> {
        match self {
            Self::Here(left) => charged.limits.standing_of(*left),
            Self::Kept(status) => Some(Standing::from(&**status)),
        }
    }

    /// The same, to be handed out.
    pub(super) fn status(&self, charged: &Allowance<'_>) -> Option<LimitStatus> {
        self.standing(charged).map(Standing::status)
    }

    /// The same, without the limits that were charged.
    pub(super) fn kept(&self, charged: &Allowance<'_>) -> Option<Self> {
        let status = self.status(charged)?;
        Some(Self::Kept(Box::new(status)))
    }
}
