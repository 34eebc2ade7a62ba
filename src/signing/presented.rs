//! The key that a request presented, on its way from the gate to where signatures are verified.

use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::clock::Moment;

/// The text of the presented key, and when the request was judged.
///
/// The gate takes the key out of the request, and the signature can be verified only with it. This
/// carries it there in the request's extensions, where nobody outside the crate can name its type.
#[derive(Clone)]
pub(crate) struct PresentedSecret {
    text: Arc<Zeroizing<Vec<u8>>>,
    judged_at: Moment,
}

impl PresentedSecret {
    pub(crate) fn new(text: &[u8], judged_at: Moment) -> Self {
        Self {
            text: Arc::new(Zeroizing::new(text.to_vec())),
            judged_at,
        }
    }

    /// The whole text of the key.
    pub(crate) fn text(&self) -> &[u8] {
        &self.text
    }

    /// The reading of the clock by which the key was judged.
    pub(crate) fn judged_at(&self) -> Moment {
        self.judged_at
    }
}

impl fmt::Debug for PresentedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PresentedSecret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    #[test]
    fn it_shows_nothing_of_the_key() {
        let now = Moment::new(Timestamp::from_millis(0), 0);
        let secret = PresentedSecret::new(b"mcp_sk_ATgKlpEaBS64QGLi", now);
        assert_eq!(format!("{secret:?}"), "PresentedSecret(…)");
        let mut extensions = http::Extensions::new();
        extensions.insert(secret);
        assert!(!format!("{extensions:?}").contains("ATgK"));
    }
}
