//! A key in clear text, and the one door it leaves by.

use std::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop};

/// A whole key in clear text.
///
/// It cannot be printed, copied or serialised: [`expose_secret`](Self::expose_secret) is the one
/// door. `Debug` shows prefix and handle, and the memory is overwritten when the value is dropped.
///
/// ```
/// use mcp_api_keys::key::KeyFormat;
///
/// let key = KeyFormat::default().generate(None)?;
/// assert!(key.expose_secret().starts_with("mcp_sk_"));
/// assert!(!format!("{key:?}").contains(key.expose_secret()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// ```compile_fail
/// let key = mcp_api_keys::key::KeyFormat::default().generate(None).unwrap();
/// println!("{key}");
/// ```
///
/// ```compile_fail
/// let key = mcp_api_keys::key::KeyFormat::default().generate(None).unwrap();
/// let copy = key.clone();
/// ```
///
/// ```compile_fail
/// let key = mcp_api_keys::key::KeyFormat::default().generate(None).unwrap();
/// serde_json::to_string(&key);
/// ```
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct ApiKey {
    text: String,
    /// How many bytes at the front are public: prefix and handle.
    #[zeroize(skip)]
    shown: usize,
}

impl ApiKey {
    pub(super) fn new(text: String, shown: usize) -> Self {
        Self { text, shown }
    }

    /// The whole key. Show it once, then forget it.
    pub fn expose_secret(&self) -> &str {
        &self.text
    }

    /// What stands before `handle` in the public part.
    pub(crate) fn masked_prefix(&self, handle: &super::Handle) -> String {
        let shown = self.text.get(..self.shown).unwrap_or_default();
        shown
            .strip_suffix(handle.as_str())
            .unwrap_or(shown)
            .to_owned()
    }

    /// Prefix, handle and an ellipsis: what lists and logs may show.
    pub fn masked(&self) -> String {
        format!("{}…", self.text.get(..self.shown).unwrap_or_default())
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}
