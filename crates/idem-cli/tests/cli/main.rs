//! The real program, run as an operator
mod doctor;
mod help;
mod idem;
mod planted;
mod sqlite;
mod story;
