//! What runs of something took: seconds, and memory.

use std::fs;

/// Seconds of several runs, sorted.
pub struct Seconds(Vec<f64>);

impl Seconds {
    /// Of at least one run.
    pub fn new(mut seconds: Vec<f64>) -> Self {
        seconds.sort_by(f64::total_cmp);
        Self(seconds)
    }

    #[allow(dead_code)] // Not every example asks.
    pub fn least(&self) -> f64 {
        self.0[0]
    }

    pub fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// The run nearest to that share of all.
    pub fn quantile(&self, q: f64) -> f64 {
        self.0[((self.0.len() - 1) as f64 * q).round() as usize]
    }
}

/// The most memory that the process has had resident so far, where the system tells.
#[allow(dead_code)] // Not every example asks.
pub fn peak_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}
