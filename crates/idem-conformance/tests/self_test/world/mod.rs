//! The simulated world: the promises are kept in thousands of schedules, and broken stores break
//! them.

mod flaws;
mod regressions;
mod schedules;
mod strategy;
