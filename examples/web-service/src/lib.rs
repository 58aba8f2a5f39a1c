//! `ndalbert` behind `axum`: concurrent requests are answered in common batches, and nothing is
//! computed on the threads that serve connections.
//!
//! ```text
//! connection ─ routes ─ queue ─┐                 ┌─ answer ─ connection
//! connection ─ routes ─ queue ─┼─ one batch, one ┼─ answer ─ connection
//! connection ─ routes ─ queue ─┘   model thread  └─ answer ─ connection
//! └─ server ─┴─ reply ─┴────── batcher ──────────┘
//! ```
//!
//! `docs/web-service.md` has the reasons, and what was measured.

pub mod batcher;
pub mod client;
pub mod models;
pub mod reply;
pub mod routes;
pub mod server;
