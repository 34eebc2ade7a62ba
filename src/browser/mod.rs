//! What pages for people have in common: the admin page, and the pages on which programs are connected.
//!
//! 1. Whoever signs in presents a key to the gate, once. It is not kept; a session holds the
//!    proof that it was presented, and every request judges the key again: see [`Door`].
//! 2. [Cookies](Cookie) are of this host alone and hidden from scripts. They hold random bytes, and mean
//!    nothing elsewhere.
//! 3. A form counts if it comes from the page itself, as far as the browser says, and
//!    carries the [token](is_same) that the page was shown with.
//! 4. Answers are for one person: [no cache keeps them and no frame shows them](SHELTERED).

mod body;
mod cookie;
mod door;
mod headers;
mod origin;
mod sessions;
mod token;
mod word;

pub(crate) use self::body::{Bounds, FORM, Fault, read};
pub(crate) use self::cookie::Cookie;
pub(crate) use self::door::{Door, Standing};
pub(crate) use self::headers::SHELTERED;
#[cfg(feature = "admin")]
pub(crate) use self::origin::is_of_host;
#[cfg(feature = "oauth")]
pub(crate) use self::origin::is_of_origin;
pub(crate) use self::sessions::Lasts;
#[cfg(feature = "admin")]
pub(crate) use self::sessions::SessionHash;
#[cfg(feature = "oauth")]
pub(crate) use self::token::hex;
pub(crate) use self::token::{is_same, new_token};
pub(crate) use self::word::Word;
