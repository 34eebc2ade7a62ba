//! A key does only what its scopes allow.

use std::sync::Arc;

use crate::key::{Scope, ScopeSet};
use crate::rejection::Rejection;

/// Which scopes a request needs: all of a list, or any one of it.
#[derive(Clone, Debug)]
pub struct ScopeRule {
    scopes: Arc<[Scope]>,
    any: bool,
}

impl ScopeRule {
    /// Every one of `scopes`.
    pub fn all(scopes: impl IntoIterator<Item = Scope>) -> Self {
        Self {
            scopes: scopes.into_iter().collect(),
            any: false,
        }
    }

    /// At least one of `scopes`. An empty list asks for nothing.
    pub fn any(scopes: impl IntoIterator<Item = Scope>) -> Self {
        Self {
            scopes: scopes.into_iter().collect(),
            any: true,
        }
    }

    /// Checks what a key holds. The refusal names what is needed, never what is held.
    pub(crate) fn check(&self, held: &ScopeSet) -> Result<(), Rejection> {
        let granted = if self.any {
            held.grants_any(&self.scopes)
        } else {
            held.grants_all(&self.scopes)
        };
        if granted {
            Ok(())
        } else {
            Err(Rejection::scope_missing(Arc::clone(&self.scopes)))
        }
    }
}
