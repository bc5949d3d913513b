//! The checks find what is wrong, and nothing where nothing is.

mod clients;
mod effects;
mod failovers;
mod store;
mod story;
