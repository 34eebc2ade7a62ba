//! The manual: what the crate defends against, why its defaults are what they are, and recipes.
//!
//! It holds no code. Read [`threats`] before you put keys in front of something that matters, look into
//! [`defaults`] before you change a setting, and take from [`how_to`] what you need. [`mcp`]
//! shows keys for some of the tools of an MCP server. [`performance`] says what a request costs and what
//! to tune, and [`capacity`] how much nodes and databases carry.

pub mod capacity;
pub mod defaults;
// Its examples need these features, and plain `cargo test` must pass without them.
#[cfg(any(not(doctest), all(feature = "axum", feature = "testing")))]
pub mod how_to;
// So do these.
#[cfg(any(not(doctest), all(feature = "axum", feature = "rmcp")))]
pub mod mcp;
pub mod performance;
pub mod threats;
