//! Shared checks of settings.

use crate::error::{Error, Result};

/// Checks that a setting is a number from 0 on, also in single precision, in which it may be used.
pub(super) fn check_not_negative(what: &str, value: f64) -> Result<()> {
    if (value as f32).is_finite() && value >= 0.0 {
        return Ok(());
    }
    Err(Error::input(what, "a finite number of at least 0", value.to_string()))
}
