//! What holds behind every integration, on axum.

mod cases;
mod support;
