//! The secret of a webhook, and signing with it.

use std::fmt;
use std::str::FromStr;

use base64ct::{Base64, Encoding};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::error::Error;

/// What a webhook and its receiver both know: `whsec_` and 24 to 64 bytes in base 64. It is printed
/// nowhere.
#[derive(Clone)]
pub struct WebhookSecret(Zeroizing<Vec<u8>>);

impl WebhookSecret {
    /// The value of `webhook-signature` for a message.
    ///
    /// ```
    /// use mcp_api_keys::webhook::WebhookSecret;
    ///
    /// let secret: WebhookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse()?;
    /// let signature = secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
    /// assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        // A code takes a secret of any length.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else {
            return String::new();
        };
        mac.update(id.as_bytes());
        mac.update(format!(".{timestamp}.").as_bytes());
        mac.update(body);
        let code = mac.finalize().into_bytes();
        format!("v1,{}", Base64::encode_string(&code))
    }
}

impl FromStr for WebhookSecret {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let shape = || {
            let message = "must be whsec_ and 24 to 64 bytes in base 64";
            Error::invalid("webhook_secret", message)
        };
        let digits = text.strip_prefix("whsec_").ok_or_else(shape)?;
        let bytes = Base64::decode_vec(digits).map(Zeroizing::new);
        let bytes = bytes.map_err(|_| shape())?;
        if !(24..=64).contains(&bytes.len()) {
            return Err(shape());
        }
        Ok(Self(bytes))
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_has_its_shape_and_is_not_shown() {
        let text = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let secret: WebhookSecret = text.parse().unwrap();
        assert!(!format!("{secret:?}").contains("MfKQ"));
        for wrong in [
            "",
            "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "whsec_",
            "whsec_MfKQ9r8GKYqrTwjU",
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS!",
        ] {
            let error = wrong.parse::<WebhookSecret>().unwrap_err();
            assert!(!error.to_string().contains("MfKQ"), "{error}");
        }
    }

    #[test]
    fn every_part_of_a_message_is_signed() {
        let secret: WebhookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse().unwrap();
        let signature = secret.sign("a", 1, b"b");
        assert_ne!(signature, secret.sign("c", 1, b"b"));
        assert_ne!(signature, secret.sign("a", 2, b"b"));
        assert_ne!(signature, secret.sign("a", 1, b"c"));
    }
}
