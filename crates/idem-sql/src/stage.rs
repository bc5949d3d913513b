//! [`Stage`].

/// How far a call had come when it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Nothing that stays was sent: there was no connection yet, or no commit.
    Connecting,
    /// The statement may have reached the database and may have been applied.
    Sent,
}
