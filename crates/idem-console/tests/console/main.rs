//! The console: what it answers over HTTP, and what it looks like in a real browser.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod browser;
mod over_http;
mod planted;
