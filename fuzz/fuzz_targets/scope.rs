//! Scopes: two sets and a scope, line by line.
//!
//! 1. What is read and written again is the same.
//! 2. The intersection of two sets grants what both grant, and nothing else.
//! 3. A set that covers another grants all that the other grants.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mcp_api_keys::key::{Scope, ScopeSet};

fuzz_target!(|text: &str| {
    let mut lines = text.lines();
    let mut set = || {
        let line = lines.next()?;
        ScopeSet::parse(line.split(' ').filter(|grant| !grant.is_empty())).ok()
    };
    let (Some(one), Some(other)) = (set(), set()) else {
        return;
    };
    assert_eq!(
        ScopeSet::parse(one.iter().map(|grant| grant.as_str())),
        Ok(one.clone())
    );
    assert!(one.covers(&one) && ScopeSet::all().covers(&one));
    let both = one.intersection(&other);
    assert!(one.covers(&both) && other.covers(&both));
    let Some(scope) = lines.next().and_then(|line| line.parse::<Scope>().ok()) else {
        return;
    };
    assert_eq!(
        both.grants(&scope),
        one.grants(&scope) && other.grants(&scope)
    );
    if one.covers(&other) && other.grants(&scope) {
        assert!(one.grants(&scope));
    }
});
