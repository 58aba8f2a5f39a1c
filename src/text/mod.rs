//! From text to ids.
