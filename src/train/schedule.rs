//! Learning rates: a linear warm-up, then a decay.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

use super::check::check_not_negative;
use crate::error::{Error, Result};

/// A learning rate for every step.
///
/// It rises linearly from 0 during the warm-up, and then falls according to its [`Decay`]. Steps are counted from 0, the
/// number of updates so far: with a warm-up, the first update has rate 0, as in transformers and google-research.
///
/// The paper's pre-training (appendix A.1): batches of 4,096, a rate of 0.00176, and 3,125 of 125,000 steps of warm-up.
///
/// ```
/// use ndalbert::train::{Decay, Schedule, scale_learning_rate};
///
/// # fn main() -> ndalbert::Result<()> {
/// let rate = scale_learning_rate(0.00176, 64, 4096)?;
/// let schedule = Schedule::new(rate, 3_125, Decay::Linear { total_steps: 125_000 })?;
/// assert_eq!(schedule.rate_at(0), 0.0);
/// assert_eq!(schedule.rate_at(3_125), 0.00022);
/// assert_eq!(schedule.rate_at(125_000), 0.0);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Fields", into = "Fields")]
pub struct Schedule {
    learning_rate: f64,
    warmup_steps: u64,
    decay: Decay,
}

/// How a learning rate falls after the warm-up. Steps are counted from the beginning, including the warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Decay {
    /// No decay: `get_constant_schedule_with_warmup`.
    Constant,
    /// Linear from the end of the warm-up to 0: `get_linear_schedule_with_warmup`.
    Linear {
        /// The step from which on the rate is 0.
        total_steps: u64,
    },
    /// Half a cosine from the end of the warm-up to 0: `get_cosine_schedule_with_warmup`, which rises again after its last step, whereas this one stays at 0.
    Cosine {
        /// The step from which on the rate is 0.
        total_steps: u64,
    },
    /// As `(1 − progress)^power` from the end of the warm-up to an end: `get_polynomial_decay_schedule_with_warmup`.
    Polynomial {
        /// The step from which on the rate is `end_rate`.
        total_steps: u64,
        /// 1 for a line.
        power: f64,
        /// The last rate, below the highest.
        end_rate: f64,
    },
    /// Like [`Polynomial`](Self::Polynomial), but the decay begins at step 0, concurrently with the warm-up: google-research's `create_optimizer`. The highest rate is never reached; at the end of the warm-up, the rate drops to that of the decay.
    PolynomialFromStart {
        /// The step from which on the rate is `end_rate`.
        total_steps: u64,
        /// 1 for a line.
        power: f64,
        /// The last rate, below the highest. google-research's is 0.
        end_rate: f64,
    },
}

impl Schedule {
    /// A warm-up of `warmup_steps` to `learning_rate`, and a decay from there.
    ///
    /// # Errors
    /// [`Error::Input`] if a rate is negative or not finite, the last is not below the highest, the power is not greater than
    /// 0, or the warm-up takes all steps.
    pub fn new(learning_rate: f64, warmup_steps: u64, decay: Decay) -> Result<Self> {
        check_not_negative("learning rate", learning_rate)?;
        if let Some(total_steps) = decay.total_steps()
            && warmup_steps >= total_steps
        {
            let expected = format!("fewer than the {total_steps} steps in all");
            return Err(Error::input("steps of warm-up", expected, warmup_steps.to_string()));
        }
        let (power, end_rate) = decay.shape();
        if !(power.is_finite() && power > 0.0) {
            return Err(Error::input("power", "a finite number above 0", power.to_string()));
        }
        check_not_negative("last learning rate", end_rate)?;
        if end_rate > 0.0 && end_rate >= learning_rate {
            let expected = format!("less than the highest, {learning_rate}");
            return Err(Error::input("last learning rate", expected, end_rate.to_string()));
        }
        Ok(Self { learning_rate, warmup_steps, decay })
    }

    /// The rate of the update that `step` updates came before.
    pub fn rate_at(&self, step: u64) -> f64 {
        let Self { learning_rate, warmup_steps, decay } = *self;
        if step < warmup_steps {
            return learning_rate * (step as f64 / warmup_steps as f64);
        }
        let Some(total_steps) = decay.total_steps() else { return learning_rate };
        let start = match decay {
            Decay::PolynomialFromStart { .. } => 0,
            _ => warmup_steps,
        };
        let left = total_steps.saturating_sub(step) as f64 / (total_steps - start) as f64;
        let (power, end_rate) = decay.shape();
        let share = match decay {
            Decay::Cosine { .. } => 0.5 * (1.0 - (PI * left).cos()),
            _ => left.powf(power),
        };
        end_rate + (learning_rate - end_rate) * share
    }
}

impl Decay {
    fn total_steps(self) -> Option<u64> {
        match self {
            Self::Constant => None,
            Self::Linear { total_steps }
            | Self::Cosine { total_steps }
            | Self::Polynomial { total_steps, .. }
            | Self::PolynomialFromStart { total_steps, .. } => Some(total_steps),
        }
    }

    /// Power and last rate; a line to 0 where there are none.
    fn shape(self) -> (f64, f64) {
        match self {
            Self::Polynomial { power, end_rate, .. }
            | Self::PolynomialFromStart { power, end_rate, .. } => (power, end_rate),
            Self::Constant | Self::Linear { .. } | Self::Cosine { .. } => (1.0, 0.0),
        }
    }
}

/// `rate · √(batch_size / reference_batch_size)`: scales a rate to another batch size.
///
/// The paper's pre-training has 0.00176 at 4,096; a batch of 64 then gets 0.00022.
///
/// # Errors
/// [`Error::Input`] if a batch has no size, or the rate is negative or not finite.
pub fn scale_learning_rate(
    rate: f64,
    batch_size: usize,
    reference_batch_size: usize,
) -> Result<f64> {
    check_not_negative("learning rate", rate)?;
    for (what, size) in [("batch size", batch_size), ("reference batch size", reference_batch_size)]
    {
        if size == 0 {
            return Err(Error::input(what, "at least 1", "0"));
        }
    }
    Ok(rate * (batch_size as f64 / reference_batch_size as f64).sqrt())
}

/// A schedule as it is stored, before it is checked.
#[derive(Serialize, Deserialize)]
struct Fields {
    learning_rate: f64,
    warmup_steps: u64,
    decay: Decay,
}

impl TryFrom<Fields> for Schedule {
    type Error = Error;

    fn try_from(Fields { learning_rate, warmup_steps, decay }: Fields) -> Result<Self> {
        Self::new(learning_rate, warmup_steps, decay)
    }
}

impl From<Schedule> for Fields {
    fn from(Schedule { learning_rate, warmup_steps, decay }: Schedule) -> Self {
        Self { learning_rate, warmup_steps, decay }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn polynomial(total_steps: u64, power: f64, end_rate: f64) -> Decay {
        Decay::Polynomial { total_steps, power, end_rate }
    }

    #[test]
    fn schedules_that_make_no_sense_are_refused() {
        for (rate, warmup, decay, word) in [
            (f64::NAN, 0, Decay::Constant, "learning rate"),
            (-1e-3, 0, Decay::Constant, "learning rate"),
            (f64::INFINITY, 0, Decay::Constant, "learning rate"),
            (1e-3, 10, Decay::Linear { total_steps: 10 }, "warm-up"),
            (1e-3, 0, Decay::Cosine { total_steps: 0 }, "warm-up"),
            (1e-3, 0, polynomial(10, 0.0, 0.0), "power"),
            (1e-3, 0, polynomial(10, f64::NAN, 0.0), "power"),
            (1e-3, 0, polynomial(10, f64::INFINITY, 0.0), "power"),
            (1e-3, 0, polynomial(10, 1.0, 1e-3), "last"),
            (1e-3, 0, polynomial(10, 1.0, f64::NAN), "last"),
            (1e-3, 0, polynomial(10, 1.0, -1.0), "last"),
        ] {
            let error = Schedule::new(rate, warmup, decay).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn after_the_last_step_rates_stay_what_they_are() {
        let total_steps = 10;
        for (decay, last) in [
            (Decay::Linear { total_steps }, 0.0),
            (Decay::Cosine { total_steps }, 0.0),
            (polynomial(total_steps, 2.0, 0.25), 0.25),
            (Decay::PolynomialFromStart { total_steps, power: 0.5, end_rate: 0.25 }, 0.25),
        ] {
            let schedule = Schedule::new(1.0, 3, decay).unwrap();
            for step in [10, 11, 15, 20, u64::MAX] {
                assert_eq!(schedule.rate_at(step), last, "{decay:?}");
            }
        }
    }

    #[test]
    fn what_is_stored_is_read_back_to_the_bit_and_checked() {
        for i in 1..500u32 {
            let rate = f64::from(i).sqrt() * 1e-3;
            let decay = polynomial(1000, rate * 777.7, rate / 3.0);
            let schedule = Schedule::new(rate, 10, decay).unwrap();
            let json = serde_json::to_string(&schedule).unwrap();
            assert_eq!(serde_json::from_str::<Schedule>(&json).unwrap(), schedule, "{json}");
        }
        let json = r#"{"learning_rate":0.1,"warmup_steps":9,"decay":{"linear":{"total_steps":9}}}"#;
        let error = serde_json::from_str::<Schedule>(json).unwrap_err().to_string();
        assert!(error.contains("steps of warm-up"), "{error}");
    }

    #[test]
    fn rates_follow_the_root_of_the_batch_size() {
        assert_eq!(scale_learning_rate(0.00176, 4096, 4096).unwrap(), 0.00176);
        assert_eq!(scale_learning_rate(0.00176, 1024, 4096).unwrap(), 0.00088);
        assert_eq!(scale_learning_rate(0.5, 400, 100).unwrap(), 1.0);
        for (rate, batch, reference) in [(0.1, 0, 1), (0.1, 1, 0), (-0.1, 1, 1), (f64::NAN, 1, 1)] {
            assert!(scale_learning_rate(rate, batch, reference).is_err());
        }
    }
}
