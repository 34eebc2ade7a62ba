//! Administration over HTTP (feature `admin`): an API for programs.
//!
//! It stands above everything else and is one user of it among others: whatever it does, it does
//! through the [`KeyManager`](crate::KeyManager), in the name and within the rights of a key that the
//! crate's own layer has admitted.

mod api;

pub use self::api::AdminApi;
#[cfg(any(test, feature = "testing"))]
pub(crate) use self::api::read_as_each;
