//! The checks find what is wrong, and nothing where nothing is.

mod against_search;
mod clients;
mod effects;
mod failovers;
mod held;
mod record;
mod second_opinion;
mod store;
mod story;
