//! What can be wrong with a store.

/// One mistake that a store author can make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    // S1: create
    /// Looks, then inserts, with a pause between the two.
    CheckThenInsert,
    /// Two handles that do not know of each other's records.
    IslandPerHandle,
    /// Writes over what is there.
    CreateOverwrites,
    /// Tells a loser its own record.
    LoserToldItself,
    /// Tells a loser that the store is out of reach.
    LoserToldUnavailable,
    /// Tells a loser a copy of the record from before the last write.
    LoserToldOldRecord,
    /// Takes whoever has the earlier stamp for the one who came first.
    EarlierStampWins,
    /// Answers `New` to whoever sends the same create again.
    CreateForgetsItself,

    // S2: update
    /// Does not look at the version.
    UnfencedUpdate,
    /// Compares the token and not the revision.
    RevisionIgnored,
    /// Compares the revision and not the token.
    TokenIgnored,
    /// Takes any revision that is not older.
    NewerRevisionTaken,
    /// Does not look at the version when a lease is renewed.
    UnfencedRenew,
    /// Looks, then updates, with a pause between the two.
    CheckThenUpdate,
    /// Inserts where nothing is.
    Upsert,
    /// Tells whoever is refused that nothing is there.
    RefusedToldAbsent,
    /// Keeps the version that was there.
    VersionNotAdvanced,
    /// Answers `Done` to whoever sends the same update again.
    UpdateForgetsItself,
    /// Reads from a replica that lags one write behind.
    StaleReplica,
    /// Each handle remembers what it read first.
    ReadCache,

    // S3: delete
    /// Does not look at the version.
    UnfencedDelete,
    /// Compares the token and not the revision.
    DeleteIgnoresRevision,
    /// Looks, then deletes, with a pause between the two.
    CheckThenDelete,
    /// Marks the record as deleted, and still finds the mark when creating.
    Tombstone,
    /// Says `Done` where nothing is.
    DeleteOfNothingDone,

    // S4: age
    /// Takes the age from the clock of whoever asks.
    AppClock,
    /// Always tells zero.
    AgeZero,
    /// Tells whole seconds.
    AgeInSeconds,
    /// Tells an age that jumps back now and then.
    AgeBackwards,
    /// Counts the age from the first write.
    AgeFromCreation,
    /// Tells no age to whoever is refused.
    RefusedToldNoAge,
    /// Forgets the age when it restarts.
    RestartForgetsAge,
    /// Tells the whole ttl as the time left.
    RemainingIsTtl,

    // S5: expiry
    /// Takes the lease for the ttl.
    TtlIsLease,
    /// Rounds the ttl down to whole seconds.
    TtlInSeconds,
    /// A get finds what expired.
    ExpiredToGet,
    /// A create stops at what expired.
    ExpiredStopsCreate,
    /// An update finds what expired.
    ExpiredToUpdate,
    /// A delete finds what expired.
    ExpiredToDelete,
    /// Looks whether the record is expired, then creates, with a pause between the two.
    ExpiredCheckThenInsert,
    /// An update leaves the ttl as it was.
    UpdateKeepsTtl,
    /// An update leaves the shorter of the two ttls.
    UpdateShortensTtl,

    // S6: nothing goes
    /// Keeps the last thousand records, or fewer.
    Evicting,
    /// Makes room when it is full.
    FullEvicts,
    /// Says that it is out of reach when it is full.
    FullIsUnavailable,
    /// Drops the old record when the new one does not fit.
    FullUpdateLosesRecord,
    /// Forgets everything when it restarts.
    RestartForgets,

    // S7: fidelity
    /// Takes an empty payload for no record.
    FalsyPayloadLost,
    /// Stores text.
    TextPayload,
    /// Ends a payload at its first zero.
    CString,
    /// Cuts payloads at 1 MiB.
    PayloadCut,
    /// Takes an empty checkpoint for none.
    EmptyCheckpointLost,
    /// Keeps revisions as signed 64-bit integers, clamped.
    SignedRevision,
    /// Keeps attempts as signed 32-bit integers, clamped.
    SignedAttempt,
    /// Stamps records itself.
    OwnStamp,
    /// Takes a failure for a success.
    FailureIsSuccess,
    /// Takes what it cannot read for absent.
    UnreadableIsAbsent,
    /// Writes over what it cannot read.
    UnreadableOverwritten,

    // S8: keys
    /// Joins scope and key with nothing in between.
    KeysConcatenated,
    /// Looks at the key and not at the scope.
    ScopeIgnored,
    /// Cuts keys at 200 bytes.
    KeysCut,
    /// Compares keys without case.
    KeysFolded,
    /// Trims keys.
    KeysTrimmed,
    /// Deletes by pattern.
    DeleteByPattern,
    /// Takes look-alike characters for equal.
    KeysNormalised,

    // S9: errors
    /// Says `Unavailable` where the reply was lost.
    LostReplyIsUnavailable,
    /// Takes a failed get for absence.
    FailedGetIsAbsent,
    /// Reports faults as its own misconfiguration.
    FaultIsConfig,
    /// Says `New` where the reply was lost.
    LostReplyIsSuccess,

    // S10: dropped calls
    /// Writes the version, pauses, and then writes the rest.
    HalfWritten,
    /// A dropped call keeps its slot.
    LeakedSlots,
    /// A dropped get leaves its answer to the next.
    AnswersMixedUp,

    // Optional
    /// Never wakes anybody.
    NeverWakes,
    /// Wakes only who is waiting at that very moment.
    WakeUpLost,
    /// Wakes on updates alone.
    DeleteWakesNobody,
    /// Sweeps live records as well.
    SweepsLive,
    /// Sweeps nothing.
    SweepsNothing,
    /// Sweeps more than it was told to.
    SweepsTooMany,
    /// Skips a record between two pages.
    BrowseSkips,
    /// Lists what expired.
    BrowseListsExpired,
    /// Takes any cursor for the beginning.
    BrowseTakesAnyCursor,
}
