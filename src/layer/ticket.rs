//! A request on its way through the layer, and the note that is taken of it when it is known how it ended.
//!
//! 1. Each request is noted once, by the outermost layer that decided on it, however it ends: answered,
//!    failed, or dropped before there was an answer.
//! 2. What layers inside turned away is told by the rejection that their answer carries.
//! 3. What a message of MCP is, only the layer for it knows. It leaves word in a [`Slot`].
//! 4. No name that is noted can hold a key: see [`Naming`].

use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use http::request::Parts;
use http::{Extensions, Method, StatusCode};

use crate::context::KeyContext;
use crate::gate::{Caller, Gate, Permit};
use crate::key::{Carrier, CredentialId, KeyId};
use crate::rejection::{Rejection, RejectionKind};
use crate::usage::{Ended, KnownName, Note, OTHER, Operation, Recorder, UsageStatus};

/// How the integrator names requests: nothing for those that are named after their method.
pub(super) type NameRequest = dyn Fn(&Parts) -> Option<String> + Send + Sync;

/// What a layer notes requests under.
#[derive(Clone, Default)]
pub(super) struct Naming {
    /// A number that the recorder gave out.
    server: u16,
    operation: Option<Arc<NameRequest>>,
}

impl Naming {
    /// Notes requests under the gate's server from now on.
    pub(super) fn of_gate(&mut self, gate: &Gate) {
        self.server = gate
            .usage()
            .map_or(0, |usage| usage.server(gate.server_name()));
    }

    pub(super) fn by(&mut self, name: Arc<NameRequest>) {
        self.operation = Some(name);
    }

    /// What the integrator names a request, unless that is no text to be shown or could hold a key.
    fn name(&self, gate: &Gate, head: &Parts) -> Option<String> {
        let name = self.operation.as_ref()?(head).filter(|name| !name.is_empty())?;
        if name.chars().any(char::is_control) || gate.might_be_a_key(&name) {
            return Some(OTHER.to_owned());
        }
        Some(name)
    }
}

impl fmt::Debug for Naming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Naming").finish_non_exhaustive()
    }
}

/// Where the layer that reads messages leaves word of what a request asks for, and what it cost.
#[derive(Clone, Debug, Default)]
pub(super) struct Slot(Arc<Asked>);

#[derive(Debug, Default)]
struct Asked {
    operation: OnceLock<Box<str>>,
    cost: OnceLock<u32>,
}

impl Slot {
    /// What the message asks for: a method or a tool. It is the caller's text.
    pub(super) fn asks_for(&self, gate: &Gate, name: &str) {
        let _ = self.0.operation.set(plain(gate, name).into());
    }

    pub(super) fn cost(&self, cost: u32) {
        let _ = self.0.cost.set(cost);
    }
}

/// The name of an operation that callers chose, unless it is no plain one or could hold a key.
fn plain<'n>(gate: &Gate, name: &'n str) -> &'n str {
    let is_plain = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic());
    if is_plain && !gate.might_be_a_key(name) {
        name
    } else {
        OTHER
    }
}

/// An admitted request whose answer is waited for. Dropped before that, it counts as cancelled.
#[derive(Debug)]
pub(super) struct Ticket {
    permit: Option<Permit>,
    pending: Option<Pending>,
}

/// What is to be noted.
#[derive(Debug)]
struct Pending {
    /// When it was let through, in ticks.
    since: u64,
    server: u16,
    cost: u32,
    method: KnownName,
    more: Option<Box<More>>,
}

/// What only some requests have.
#[derive(Debug)]
struct More {
    name: Option<String>,
    /// What was handed on with the permit's admission.
    inside: Option<Inside>,
}

#[derive(Debug)]
struct Inside {
    slot: Slot,
    gate: Gate,
    key: KeyContext,
}

impl Ticket {
    /// For a request that was admitted, before the inner service is called.
    #[inline]
    pub(super) fn new(permit: Permit, head: &mut Parts, gate: &Gate, naming: &Naming) -> Self {
        let pending = gate.usage().map(|_| {
            let is_inside = !permit.is_watched();
            let more = if is_inside || naming.operation.is_some() {
                More::of(head, gate, naming, is_inside)
            } else {
                None
            };
            Pending {
                since: permit.since(),
                server: naming.server,
                cost: gate.cost(),
                method: name_of(&head.method),
                more,
            }
        });
        Self {
            permit: Some(permit),
            pending,
        }
    }

    /// The request was answered. Gives the permit back, once.
    #[inline]
    pub(super) fn answered(
        &mut self,
        status: StatusCode,
        extensions: &Extensions,
    ) -> Option<Permit> {
        if let Some(pending) = &self.pending {
            let status = UsageStatus::of_code(status.as_u16());
            match extensions.get::<Rejection>() {
                None => pending.note(self.permit.as_ref(), status),
                Some(rejection) => pending.note_denied(self.permit.as_ref(), rejection),
            }
            self.pending = None;
        }
        self.permit.take()
    }

    /// The inner service failed.
    #[cold]
    pub(super) fn failed(&mut self) {
        self.ended(UsageStatus::Failed);
    }

    #[cold]
    fn ended(&mut self, status: UsageStatus) {
        if let Some(pending) = self.pending.take() {
            pending.note(self.permit.as_ref(), status);
        }
    }
}

impl Drop for Ticket {
    #[inline]
    fn drop(&mut self) {
        if self.pending.is_some() {
            self.ended(UsageStatus::Cancelled);
        }
    }
}

impl More {
    #[inline(never)]
    fn of(head: &mut Parts, gate: &Gate, naming: &Naming, is_inside: bool) -> Option<Box<Self>> {
        let name = naming.name(gate, head);
        let key = head.extensions.get::<KeyContext>().filter(|_| is_inside);
        let inside = key.cloned().map(|key| Inside {
            slot: Slot::default(),
            gate: gate.clone(),
            key,
        });
        if let Some(inside) = &inside {
            head.extensions.insert(inside.slot.clone());
        }
        Some(Box::new(Self { name, inside }))
    }
}

impl Pending {
    /// Notes how a request ended that was let through.
    #[inline]
    fn note(&self, permit: Option<&Permit>, status: UsageStatus) {
        if self.more.is_some() {
            return self.note_named(permit, status);
        }
        if let Some((usage, caller)) = permit.and_then(Permit::noted) {
            let ended = Ended {
                key: caller.key,
                credential: caller.credential,
                carrier: caller.carrier,
                server: self.server,
                method: self.method,
                status,
                cost: self.cost,
            };
            usage.note_ended(ended, self.since);
        }
    }

    #[inline(never)]
    fn note_named(&self, permit: Option<&Permit>, status: UsageStatus) {
        if let Some((usage, note)) = self.any_note(permit, status) {
            usage.note_any_ended(note, self.since);
        }
    }

    /// Notes a request that a layer inside turned away, which was let through here.
    #[cold]
    fn note_denied(&self, permit: Option<&Permit>, rejection: &Rejection) {
        if let Some((usage, mut note)) = self.any_note(permit, UsageStatus::Denied) {
            note.outcome = number_of(rejection.kind());
            if self.more.is_some() {
                note.cost = 0;
            }
            usage.note_now(&note);
        }
    }

    /// The note of a request, with whatever a layer inside has left word of.
    fn any_note<'a>(
        &'a self,
        permit: Option<&'a Permit>,
        status: UsageStatus,
    ) -> Option<(&'a Recorder, Note<'a>)> {
        let more = self.more.as_deref();
        let inside = more.and_then(|more| more.inside.as_ref());
        let (usage, caller) = match inside {
            Some(inside) => (inside.gate.usage()?, Caller::from(&inside.key)),
            None => permit.and_then(Permit::noted)?,
        };
        let asked = inside.map(|inside| &*inside.slot.0);
        let name = asked.and_then(|asked| asked.operation.get());
        let given = more.and_then(|more| more.name.as_deref());
        let name = given.or(name.map(|name| &**name));
        let cost = match asked {
            Some(asked) => asked.cost.get().copied().unwrap_or(0),
            None => self.cost,
        };
        let note = Note {
            key: Some(caller.key),
            credential: Some(caller.credential),
            carrier: Some(caller.carrier),
            server: self.server,
            operation: name.map_or(Operation::Known(self.method), Operation::text),
            outcome: 0,
            status,
            cost,
            time: None,
            address: None,
            is_sighting: false,
        };
        Some((usage, note))
    }
}

/// Notes a request that the layer turned away itself.
#[cold]
pub(super) fn note_refusal(rejection: &Rejection, head: &Parts, gate: &Gate, naming: &Naming) {
    let Some(usage) = gate.usage() else { return };
    let name = naming.name(gate, head);
    let address: Option<IpAddr> = rejection.key_id().and_then(|_| gate.client(head));
    let (key, credential): (Option<KeyId>, Option<CredentialId>) = (rejection.key_id(), None);
    let carrier: Option<Carrier> = rejection.carrier();
    usage.note_now(&Note {
        key,
        credential,
        carrier,
        server: naming.server,
        operation: name
            .as_deref()
            .map_or(Operation::Known(name_of(&head.method)), Operation::text),
        outcome: number_of(rejection.kind()),
        status: UsageStatus::Denied,
        cost: 0,
        time: None,
        address,
        is_sighting: false,
    });
}

/// Zero stands for what was let through.
fn number_of(kind: RejectionKind) -> u8 {
    kind.number().saturating_add(1)
}

/// What a request is named after. A method is the caller's text too.
#[inline]
fn name_of(method: &Method) -> KnownName {
    match *method {
        Method::GET => KnownName::Get,
        Method::POST => KnownName::Post,
        Method::PUT => KnownName::Put,
        Method::DELETE => KnownName::Delete,
        Method::HEAD => KnownName::Head,
        Method::OPTIONS => KnownName::Options,
        Method::CONNECT => KnownName::Connect,
        Method::PATCH => KnownName::Patch,
        Method::TRACE => KnownName::Trace,
        _ => KnownName::Other,
    }
}
