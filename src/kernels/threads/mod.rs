//! How work is split over threads, and memory on large pages.

mod crew;
pub(crate) mod pages;
pub(crate) mod parallel;
pub(super) mod split;
