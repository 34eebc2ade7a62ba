//! What one gate asks of a key, beyond being genuine.

use std::sync::Arc;

use crate::extract::Places;
use crate::policy::{Policy, ScopeRule, ServerRule};

/// The requirements of one gate.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    /// Which server stands behind the gate.
    pub(crate) server: ServerRule,
    /// Whether read-only keys are refused.
    pub(crate) full_access: bool,
    /// All of these must be met.
    pub(crate) scopes: Vec<ScopeRule>,
    /// Whether signatures are verified behind the gate, which hands the presented key on for it.
    pub(crate) signatures_inside: bool,
    /// Then all of these.
    pub(crate) policies: Vec<Arc<dyn Policy>>,
    /// How much of the key's limits and quotas a request takes.
    pub(crate) cost: u32,
    /// Whether limits and quotas are charged behind the gate, where it is known what a request is.
    pub(crate) charged_inside: bool,
    /// Whether anybody is told how the key's limits stand after an admitted request.
    pub(crate) tell_limits: bool,
    /// Where keys may stand.
    pub(crate) places: Places,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            server: ServerRule::Unnamed,
            full_access: false,
            scopes: Vec::new(),
            signatures_inside: false,
            policies: Vec::new(),
            cost: 1,
            charged_inside: false,
            tell_limits: true,
            places: Places::default(),
        }
    }
}
