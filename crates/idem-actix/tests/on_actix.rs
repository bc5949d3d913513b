//! What holds behind every integration, on actix-web.

#[path = "../../idem-tower/tests/cases/mod.rs"]
mod cases;
mod support;
