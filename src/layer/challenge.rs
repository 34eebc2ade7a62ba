//! What a refusal tells programs to do about it: the header `WWW-Authenticate`.
//!
//! 1. A 401 says how to come by a key or token, and with what scopes.
//! 2. A 403 says which scopes were missing, where scopes were.
//! 3. A connection that may only read is told how to ask for more, with all that it has, if its owner
//!    may grant that at present. Where nobody can, there is no challenge: clients take one as a reason to
//!    ask the person again, and again.

use http::StatusCode;

use crate::key::{Scope, ScopeSet};
use crate::rejection::{Rejection, RejectionKind, StepUp};

/// What challenges say.
#[derive(Clone, Debug, Default)]
pub(super) struct Challenges {
    pub(super) are_off: bool,
    pub(super) resource_metadata: Option<String>,
    /// For those who come without a key or token, or with one that is no longer good.
    pub(super) scope: Option<String>,
    pub(super) full_access: Option<FullAccess>,
}

/// How connections ask for full access, where they can.
#[derive(Clone, Debug)]
#[cfg_attr(
    not(feature = "oauth"),
    allow(dead_code, reason = "only OAuth has a word for it")
)]
pub(super) struct FullAccess {
    word: &'static str,
    offered: Vec<Scope>,
}

impl FullAccess {
    #[cfg(feature = "oauth")]
    pub(super) fn new(word: &'static str, offered: &[Scope]) -> Self {
        Self {
            word,
            offered: offered.to_vec(),
        }
    }

    /// What a connection with these scopes is to ask for. Clients differ in whether they ask for what
    /// they have beside what they are told, so all of it is told.
    fn beside(&self, held: &ScopeSet) -> String {
        let held = self.offered.iter().filter(|scope| held.grants(scope));
        let words: Vec<&str> = held.map(Scope::as_str).chain([self.word]).collect();
        words.join(" ")
    }
}

impl Challenges {
    /// The challenge in an answer of this status, if there is one.
    pub(super) fn to(&self, rejection: &Rejection, status: StatusCode) -> Option<String> {
        if self.are_off {
            return None;
        }
        let mut params = Vec::new();
        match (status, rejection.kind()) {
            (StatusCode::UNAUTHORIZED, RejectionKind::Missing) => {}
            (
                StatusCode::UNAUTHORIZED,
                RejectionKind::Ambiguous | RejectionKind::SignatureAmbiguous,
            )
            | (StatusCode::BAD_REQUEST, _) => params.push(r#"error="invalid_request""#.to_owned()),
            (StatusCode::UNAUTHORIZED, _) => params.push(r#"error="invalid_token""#.to_owned()),
            (StatusCode::FORBIDDEN, RejectionKind::ToolDenied | RejectionKind::ReadOnly) => {
                params.push(INSUFFICIENT.to_owned());
                match (&self.full_access, rejection.step_up()) {
                    (Some(full), Some(StepUp::FullAccess(held))) => {
                        params.push(format!(r#"scope="{}""#, full.beside(held)));
                    }
                    (Some(_), Some(StepUp::Nothing)) => return None,
                    _ => {}
                }
            }
            (StatusCode::FORBIDDEN, RejectionKind::ScopeMissing) => {
                params.push(INSUFFICIENT.to_owned());
                params.push(format!(r#"scope="{}""#, scope_list(rejection)));
            }
            _ => return None,
        }
        if let Some(url) = &self.resource_metadata {
            params.push(format!(r#"resource_metadata="{url}""#));
        }
        if let (StatusCode::UNAUTHORIZED, Some(scope)) = (status, &self.scope) {
            params.push(format!(r#"scope="{scope}""#));
        }
        let space = if params.is_empty() { "" } else { " " };
        Some(format!("Bearer{space}{}", params.join(", ")))
    }
}

const INSUFFICIENT: &str = r#"error="insufficient_scope""#;

/// The scopes that a request needs, as OAuth writes them.
pub(super) fn scope_list(rejection: &Rejection) -> String {
    let scopes: Vec<&str> = rejection
        .required_scopes()
        .iter()
        .map(Scope::as_str)
        .collect();
    scopes.join(" ")
}

#[cfg(test)]
#[cfg(all(feature = "oauth", feature = "testing"))]
mod tests {
    use super::*;
    use crate::key::{Access, Connection, KeyInfo};
    use crate::testing::records::record;

    /// A key as it is known where it is judged.
    fn key(connection: bool, may_have_full: bool) -> KeyInfo {
        let mut info = KeyInfo::of(&record(1)).unwrap();
        info.access = Access::ReadOnly;
        info.scopes = ScopeSet::parse(["files:*", "mail:read"]).unwrap();
        info.connection = connection.then(|| {
            let mut own = Connection::new("assistant".parse().unwrap());
            own.may_have_full = may_have_full;
            own
        });
        info
    }

    fn challenge(full_access: Option<FullAccess>, key: &KeyInfo) -> Option<String> {
        let challenges = Challenges {
            full_access,
            ..Challenges::default()
        };
        let rejection = Rejection::new(RejectionKind::ReadOnly).of(
            key.id,
            key.connection.as_ref(),
            &key.scopes,
        );
        challenges.to(&rejection, StatusCode::FORBIDDEN)
    }

    #[test]
    fn a_connection_is_told_how_to_ask_for_full_access_if_its_owner_may_grant_it() {
        let offered = ["files:read", "files:write", "notes:read"].map(|s| s.parse().unwrap());
        let full = || Some(FullAccess::new("access/full", &offered));
        assert_eq!(
            challenge(full(), &key(true, true)).unwrap(),
            r#"Bearer error="insufficient_scope", scope="files:read files:write access/full""#
        );
        // Nobody is sent to ask for what is not theirs to have.
        assert_eq!(challenge(full(), &key(true, false)), None);
        // To keys, and without OAuth, it is no matter of scopes.
        let plain = r#"Bearer error="insufficient_scope""#;
        assert_eq!(challenge(full(), &key(false, false)).unwrap(), plain);
        for may in [true, false] {
            assert_eq!(challenge(None, &key(true, may)).unwrap(), plain);
        }
    }

    #[test]
    fn what_a_connection_has_is_no_part_of_other_refusals() {
        let key = key(true, true);
        let rejection = Rejection::new(RejectionKind::ToolDenied);
        let rejection = rejection.of(key.id, key.connection.as_ref(), &key.scopes);
        let challenges = Challenges {
            full_access: Some(FullAccess::new("access/full", &[])),
            ..Challenges::default()
        };
        assert_eq!(
            challenges.to(&rejection, StatusCode::FORBIDDEN).unwrap(),
            r#"Bearer error="insufficient_scope""#
        );
    }
}
