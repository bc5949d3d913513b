//! The checks find what is wrong, and nothing where nothing is.

mod against_search;
mod clients;
mod effects;
mod failovers;
mod held;
mod record;
mod search;
mod store;
mod story;
