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
    /// Takes a key that was there, and is gone when it looks, for its own new record.
    CreateTakesGoneForNew,
    /// Removes an expired record and then inserts, which is one step within a handle alone.
    ExpiredRemovedThenInserted,

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
    /// Compares the first 8 bytes of the token.
    TokenHalfCompared,
    /// Compares the revision's last byte.
    RevisionModulo8Bits,
    /// Compares the revision's last 4 bytes.
    RevisionModulo32Bits,
    /// Compares revisions as floating-point numbers.
    RevisionAsDouble,

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
    /// Reads a clock that began with the process.
    ProcessClock,
    /// Reads the wall clock, which steps.
    SteppingClock,
    /// Is not restarted by its harness.
    RestartDoesNothing,
    /// Tells the whole ttl as the time left.
    RemainingIsTtl,
    /// Counts the time left from the ttl that the claim was created with.
    RemainingOfFirstTtl,
    /// Tells the time left in whole seconds, rounded up.
    RemainingRoundedUp,
    /// Tells that no time is left.
    RemainingIsZero,
    /// A create over an expired record keeps its age.
    ExpiredKeepsAge,
    /// A create after a delete keeps the age.
    DeletedKeepsAge,

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
    /// Takes a ttl over 30 days for a date, which is long past.
    TtlOver30DaysIsOver,
    /// Keeps a ttl as microseconds in 32 bits.
    TtlIn32BitsOfMicros,
    /// Keeps a ttl as milliseconds in 32 bits.
    TtlIn32BitsOfMillis,
    /// Keeps no record for longer than a day.
    TtlCapped,
    /// Panics at a ttl that does not fit 32 bits of milliseconds.
    TtlPanics,
    /// Takes a ttl of nothing for "no ttl".
    TtlZeroIsForEver,
    /// Cannot tell when a record is over that it cannot read.
    UnreadableForEver,

    // S6: nothing goes
    /// Keeps the last ten thousand records, or fewer.
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
    /// Cuts failures at 64 KiB.
    FailureCut,
    /// Cuts checkpoints at 64 KiB.
    CheckpointCut,
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
    /// Takes keys that are digits for numbers.
    KeysAsNumbers,
    /// Skips characters that nobody sees.
    KeysWithoutIgnorable,
    /// Folds full-width characters.
    KeysFullWidthFolded,
    /// Takes the empty scope for NULL, which equals nothing.
    EmptyScopeIsNull,

    // S9: errors
    /// Says `Unavailable` where the reply was lost.
    LostReplyIsUnavailable,
    /// Takes a failed get for absence.
    FailedGetIsAbsent,
    /// Reports faults as its own misconfiguration.
    FaultIsConfig,
    /// Says `New` where the reply was lost.
    LostReplyIsSuccess,
    /// Says `Full` where a record can never fit.
    TooLargeIsFull,
    /// Cuts what is too large, and says nothing.
    TooLargeIsCut,

    // S10: dropped calls
    /// Writes the version, pauses, and then writes the rest.
    HalfWritten,
    /// A dropped call keeps its slot.
    LeakedSlots,
    /// A dropped get keeps its slot.
    LeakedSlotsOfGets,
    /// A dropped update keeps its slot.
    LeakedSlotsOfUpdates,
    /// Blocks its thread for a moment, as only a runtime with several threads allows.
    BlocksInPlace,
    /// Takes a second slot while it holds its first.
    TwoSlotsPerCall,
    /// Never answers a delete.
    HangsOnDelete,
    /// A dropped get leaves its answer to the next.
    AnswersMixedUp,

    // Optional
    /// Never wakes anybody.
    NeverWakes,
    /// Wakes only who is waiting at that very moment.
    WakeUpLost,
    /// Wakes on updates alone.
    DeleteWakesNobody,
    /// Always says that something may have changed.
    AlwaysReady,
    /// Sweeps live records as well.
    SweepsLive,
    /// Sweeps nothing.
    SweepsNothing,
    /// Sweeps more than it was told to.
    SweepsTooMany,
    /// Sweeps what is over within a second.
    SweepsEarly,
    /// Looks for what expired, and then deletes it, with a pause between the two.
    SelectThenSweep,
    /// Skips a record between two pages.
    BrowseSkips,
    /// Goes on after a number of records.
    BrowseByOffset,
    /// Takes a page that expired records made short for the last.
    BrowseEndsAtShortPage,
    /// Lists all records, whatever the filter.
    BrowseFilterIgnored,
    /// Takes a page of which nothing passes the filter for the last.
    BrowseFilterEndsEarly,
    /// Lists what expired.
    BrowseListsExpired,
    /// Takes any cursor for the beginning.
    BrowseTakesAnyCursor,
    /// Fails a page for one record that cannot be read.
    BrowseFailsOnDamage,
    /// Lists what can be read, and says nothing of the rest.
    BrowseHidesDamage,
}
