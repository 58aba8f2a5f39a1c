//! Models with exits: where inputs leave, with what, and how such models are stored.

#[path = "../common/mod.rs"]
mod common;
mod depth;
mod files;
mod pipelines;
