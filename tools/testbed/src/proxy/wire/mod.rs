//! Where requests and replies begin and end.
//!
//! A fault that is to befall one request, and a reply that is to be lost only once the server has
//! answered that very request, need more than chunks of bytes: a client may send many commands at
//! once, and one command may arrive in many chunks.

mod conversation;
mod http;
mod mysql;
mod postgres;
mod request;
mod resp;

pub(super) use conversation::{Conversation, Piece};
pub(super) use request::{Request, RequestReader};
