//! The manual: what the crate defends against, why its defaults are what they are, and recipes.
//!
//! It holds no code. Read [`threats`] before you put keys in front of something that matters, look into
//! [`defaults`] before you change a setting, and take from [`how_to`] what you need.

pub mod defaults;
pub mod how_to;
pub mod threats;
