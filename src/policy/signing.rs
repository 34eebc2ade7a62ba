//! Keys whose requests must be signed, where nobody verifies signatures.

use crate::key::Signing;
use crate::rejection::Rejection;

/// Refuses a key that asks for signed requests, unless they are `verified` behind the gate.
pub(crate) fn check_signing(asked: Signing, verified: bool) -> Result<(), Rejection> {
    if asked == Signing::Required && !verified {
        return Err(Rejection::by_policy(
            "signing_not_supported",
            "The API key is for signed requests only, and signatures are not verified here",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_for_signed_requests_is_refused_only_where_none_are_verified() {
        for (asked, verified, passes) in [
            (Signing::ByLayer, false, true),
            (Signing::ByLayer, true, true),
            (Signing::Required, true, true),
            (Signing::Required, false, false),
        ] {
            let checked = check_signing(asked, verified);
            assert_eq!(checked.is_ok(), passes, "{asked} {verified}");
        }
    }
}
