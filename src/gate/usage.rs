//! What is noted of requests, for whoever asks later what a key did.

use http::request::Parts;

use super::{Admission, Gate, Permit};
use crate::clock::Moment;
use crate::context::KeyContext;
use crate::key::{Carrier, CredentialId, KeyId};
use crate::usage::{Note, Operation, Recorder, UsageStatus};
use crate::verify::Pass;

impl Gate {
    /// Who takes note of requests, if anybody does.
    #[inline]
    pub(crate) fn usage(&self) -> Option<&Recorder> {
        self.core.shared.usage.as_deref()
    }

    /// The name of the server behind the gate.
    pub(crate) fn server_name(&self) -> Option<&str> {
        self.core.rules.server.name().map(|name| name.as_str())
    }

    /// What a request takes of each limit, if that is charged here.
    #[inline]
    pub(crate) fn cost(&self) -> u32 {
        self.core.rules.cost
    }

    /// Whether some text that a caller sent might hold a key of an accepted format.
    pub(crate) fn might_be_a_key(&self, text: &str) -> bool {
        let mut formats = self.core.shared.formats.iter();
        formats.any(|format| text.contains(format.prefix()))
    }

    /// Notes from where a key is used: not each time, but as often as its use is news.
    #[cold]
    pub(super) fn sight(&self, head: &Parts, pass: &Pass, now: Moment) {
        let Some(usage) = self.usage() else { return };
        usage.note_sighting(
            &Note {
                key: Some(pass.id()),
                credential: Some(pass.proof().secret().id),
                carrier: Some(pass.carrier()),
                server: usage.server(self.server_name()),
                operation: Operation::NONE,
                outcome: 0,
                status: UsageStatus::Success,
                cost: 0,
                time: None,
                address: self.client(head),
                is_sighting: true,
            },
            now.wall,
        );
    }
}

/// Whose request is noted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller {
    pub(crate) key: KeyId,
    pub(crate) credential: CredentialId,
    pub(crate) carrier: Carrier,
}

impl Caller {
    #[inline]
    fn of_pass(pass: &Pass) -> Self {
        Self {
            key: pass.id(),
            credential: pass.proof().secret().id,
            carrier: pass.carrier(),
        }
    }
}

impl From<&KeyContext> for Caller {
    fn from(key: &KeyContext) -> Self {
        Self {
            key: key.key_id(),
            credential: key.credential(),
            carrier: key.carrier(),
        }
    }
}

impl Permit {
    /// Whether the gate still has the request in hand, and nobody behind it has.
    #[inline]
    pub(crate) fn is_watched(&self) -> bool {
        self.admission.is_some()
    }

    /// When it was given, in ticks.
    #[inline]
    pub(crate) fn since(&self) -> u64 {
        self.since
    }

    /// Who takes note of the request, and whose it is, unless that was handed on with it.
    #[inline]
    pub(crate) fn noted(&self) -> Option<(&Recorder, Caller)> {
        let admission = self.admission.as_ref()?;
        let usage = admission.gate().usage()?;
        Some((usage, Caller::of_pass(&admission.pass)))
    }
}

impl Admission {
    /// The gate that admitted the key.
    #[inline]
    pub(crate) fn gate(&self) -> &Gate {
        &self.gate
    }
}
