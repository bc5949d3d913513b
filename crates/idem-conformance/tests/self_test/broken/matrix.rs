//! Which case catches which flaw.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use idem_conformance::{Case, Harness};
use tokio::time::{Duration, timeout};

use super::{Broken, Flaw};

/// Longer than a case needs to give up on a store that hangs.
const HUNG: Duration = Duration::from_secs(60);

/// The case fails on the broken store, citing its rule. That it passes on the store without the flaw is
/// `reference_passes`.
async fn expect_caught(flaw: Flaw, group: &str, name: &str) {
    let case = idem_conformance::all()
        .iter()
        .find(|case| case.group() == group && case.name() == name)
        .unwrap_or_else(|| panic!("there is no case {group}::{name}"));
    let complaint = complaint(case, &Broken::new(flaw)).await;
    let complaint = complaint.unwrap_or_else(|| panic!("{case:?} passes although {flaw:?}"));
    assert!(
        cites_a_rule(&complaint) || complaint.contains("failed without a reason"),
        "{case:?} failed on {flaw:?} without saying why: {complaint}"
    );
}

/// `S1:` to `S10:`, `G1:` to `G8:`, `Watch:`, `Sweep:` or `Browse:`.
fn cites_a_rule(complaint: &str) -> bool {
    complaint.split_whitespace().any(|word| {
        let rule = word.strip_suffix(':').unwrap_or_default();
        let number = rule.strip_prefix(['S', 'G']).map(str::parse::<u8>);
        matches!(number, Some(Ok(1..=10))) || matches!(rule, "Watch" | "Sweep" | "Browse")
    })
}

/// How the case fails; `None` when it does not.
async fn complaint(case: &Case, harness: &dyn Harness) -> Option<String> {
    let run = AssertUnwindSafe(case.run(harness)).catch_unwind();
    match timeout(HUNG, run).await {
        Ok(Ok(Ok(()))) => None,
        Ok(Ok(Err(skipped))) => panic!("{case:?} was {skipped}"),
        Ok(Err(panic)) => Some(
            panic
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
                .unwrap_or_default(),
        ),
        Err(_) => panic!("{case:?} hangs"),
    }
}

macro_rules! caught {
    ($($test:ident: $flaw:ident by $group:ident :: $case:ident;)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                expect_caught(Flaw::$flaw, stringify!($group), stringify!($case)).await;
            }
        )+
    };
}

caught! {
    s1_check_then_insert: CheckThenInsert by create::s1_single_winner_over_several_handles;
    s1_island_per_handle: IslandPerHandle by create::s1_single_winner_over_several_handles;
    s1_create_overwrites: CreateOverwrites
        by create::s1_a_create_over_a_record_tells_it_and_changes_nothing;
    s1_loser_told_itself: LoserToldItself by create::s1_every_loser_is_told_the_winner;
    s1_loser_told_unavailable: LoserToldUnavailable by create::s1_every_loser_is_told_the_winner;
    s1_loser_told_old_record: LoserToldOldRecord by create::s1_a_loser_is_told_what_the_winner_left;
    s1_earlier_stamp_wins: EarlierStampWins by create::s1_stamps_decide_nothing;
    g5_create_forgets_itself: CreateForgetsItself by create::g5_a_create_sent_again_finds_itself;

    s1_create_takes_gone_for_new: CreateTakesGoneForNew
        by delete::s3_a_delete_and_a_create_never_both_lose;
    s1_expired_removed_then_inserted: ExpiredRemovedThenInserted
        by time::s1_single_winner_over_an_expired_record;

    s2_token_half_compared: TokenHalfCompared by version::s2_every_byte_of_the_token_counts;
    s2_revision_modulo_8_bits: RevisionModulo8Bits by version::s2_every_bit_of_the_revision_counts;
    s2_revision_modulo_32_bits: RevisionModulo32Bits
        by version::s2_every_bit_of_the_revision_counts;
    s2_revision_as_double: RevisionAsDouble by version::s2_every_bit_of_the_revision_counts;

    s2_unfenced_update: UnfencedUpdate by update::s2_another_token_is_refused;
    g3_unfenced_update: UnfencedUpdate by time::g3_a_superseded_complete_changes_nothing;
    s2_revision_ignored: RevisionIgnored by update::s2_an_older_revision_is_refused;
    s2_token_ignored: TokenIgnored by update::s2_another_token_is_refused;
    s2_newer_revision_taken: NewerRevisionTaken by update::s2_a_newer_revision_is_refused;
    g3_unfenced_renew: UnfencedRenew by time::g3_a_superseded_renew_changes_nothing;
    g3_unfenced_checkpoint: UnfencedRenew by time::g3_a_superseded_checkpoint_changes_nothing;
    s2_check_then_update: CheckThenUpdate by update::s2_single_winner_of_concurrent_updates;
    s2_lost_updates: CheckThenUpdate by update::s2_no_update_is_lost_under_contention;
    s2_upsert: Upsert by update::s2_an_update_never_resurrects_a_deleted_record;
    s2_upsert_of_nothing: Upsert by update::s2_an_update_of_an_absent_key_is_refused;
    s2_refused_told_absent: RefusedToldAbsent by update::s2_another_token_is_refused;
    s2_version_not_advanced: VersionNotAdvanced by update::s2_an_update_advances_the_version;
    g5_update_forgets_itself: UpdateForgetsItself by update::g5_an_update_sent_again_finds_itself;
    s2_stale_replica: StaleReplica by update::s2_a_finished_write_is_seen_by_every_handle;
    s2_read_cache: ReadCache by update::s2_a_finished_write_is_seen_by_every_handle;

    s3_unfenced_delete: UnfencedDelete by delete::s3_another_token_is_refused;
    s3_delete_ignores_revision: DeleteIgnoresRevision by delete::s3_another_revision_is_refused;
    s3_check_then_delete: CheckThenDelete by delete::s3_single_winner_of_concurrent_deletes;
    s3_tombstone: Tombstone by delete::s3_a_deleted_key_is_as_new;
    s3_delete_of_nothing_done: DeleteOfNothingDone by delete::s3_a_delete_of_an_absent_key_is_refused;
    g5_delete_of_nothing_done: DeleteOfNothingDone by delete::g5_a_delete_sent_again_harms_nothing;

    s4_app_clock: AppClock by time::s4_every_handle_tells_the_same_age;
    s4_app_clock_when_refused: AppClock by time::s4_a_refusal_tells_the_age;
    s4_age_zero: AgeZero by time::s4_the_age_is_the_time_since_the_last_write;
    s4_age_in_seconds: AgeInSeconds by time::s4_the_age_is_the_time_since_the_last_write;
    s4_age_backwards: AgeBackwards by time::s4_the_age_never_runs_backwards;
    s4_age_from_creation: AgeFromCreation by time::s4_an_update_starts_the_age_anew;
    s4_refused_told_no_age: RefusedToldNoAge by time::s4_a_refusal_tells_the_age;
    s4_restart_forgets_age: RestartForgetsAge by restart::s4_the_age_goes_on_over_a_restart;
    s4_remaining_is_ttl: RemainingIsTtl by time::s4_the_time_left_is_the_ttl_less_the_age;

    s4_remaining_of_first_ttl: RemainingOfFirstTtl by time::s4_the_time_left_is_of_the_last_write;
    s4_remaining_rounded_up: RemainingRoundedUp by time::s4_the_time_left_is_the_ttl_less_the_age;
    s4_remaining_is_zero: RemainingIsZero by time::s4_the_time_left_is_of_the_last_write;
    s4_expired_keeps_age: ExpiredKeepsAge
        by time::s4_a_create_over_an_expired_record_starts_the_age_anew;
    s4_deleted_keeps_age: DeletedKeepsAge by time::s4_a_create_after_a_delete_starts_the_age_anew;

    s5_ttl_over_30_days_is_over: TtlOver30DaysIsOver by time::s5_a_long_ttl_is_not_over_at_once;
    s5_ttl_in_32_bits_of_micros: TtlIn32BitsOfMicros by time::s5_a_long_ttl_is_not_over_at_once;
    s5_ttl_in_32_bits_of_millis: TtlIn32BitsOfMillis by time::s5_a_long_ttl_is_not_over_at_once;
    s5_ttl_capped: TtlCapped by time::s5_a_long_ttl_is_not_over_at_once;
    s5_ttl_panics: TtlPanics by time::s5_a_long_ttl_is_not_over_at_once;
    s4_process_clock: ProcessClock by time::s4_another_process_tells_the_same_age;
    s4_stepping_clock: SteppingClock by time::s4_a_step_of_the_clock_changes_no_age;
    s4_restart_does_nothing: RestartDoesNothing by restart::s4_a_restart_is_another_run;
    s5_ttl_zero_is_for_ever: TtlZeroIsForEver by time::s5_a_ttl_of_nothing_is_not_for_ever;
    s5_unreadable_for_ever: UnreadableForEver by time::s5_an_unknown_format_expires_like_any_other;

    g1_ttl_is_lease: TtlIsLease by time::g1_a_lapsed_lease_that_nobody_claimed_may_still_complete;
    g1_ttl_is_lease_forgets_attempts: TtlIsLease by time::g1_a_lease_that_ran_out_is_taken_over;
    s5_ttl_in_seconds: TtlInSeconds by time::s5_a_record_lives_as_long_as_its_ttl;
    s5_expired_to_get: ExpiredToGet by time::s5_a_get_of_an_expired_record_finds_nothing;
    s5_expired_stops_create: ExpiredStopsCreate by time::s5_a_create_over_an_expired_record_is_new;
    s5_expired_to_update: ExpiredToUpdate by time::s5_an_update_of_an_expired_record_is_refused;
    s5_expired_to_delete: ExpiredToDelete by time::s5_a_delete_of_an_expired_record_is_refused;
    s1_expired_check_then_insert: ExpiredCheckThenInsert
        by time::s1_single_winner_over_an_expired_record;
    s5_update_keeps_ttl: UpdateKeepsTtl by time::s5_an_update_can_shorten_a_life;
    s5_update_shortens_ttl: UpdateShortensTtl by time::s5_an_update_can_lengthen_a_life;

    s6_evicting: Evicting by capacity::s6_nothing_is_evicted;
    s6_full_evicts: FullEvicts by capacity::s6_a_full_store_refuses_and_evicts_nothing;
    s6_full_is_unavailable: FullIsUnavailable by capacity::s6_a_full_store_refuses_and_evicts_nothing;
    s6_full_update_loses_record: FullUpdateLosesRecord
        by capacity::s6_an_update_of_a_full_store_is_whole_or_refused;
    s6_restart_forgets: RestartForgets by restart::s6_records_outlive_a_restart;
    g1_restart_forgets: RestartForgets by restart::g1_an_execution_outlives_a_restart;

    s7_falsy_payload_lost: FalsyPayloadLost by fidelity::s7_payloads_are_bytes;
    g2_falsy_payload_lost: FalsyPayloadLost by engine::g2_a_falsy_answer_is_an_answer;
    s7_text_payload: TextPayload by fidelity::s7_payloads_are_bytes;
    g2_text_payload: TextPayload by engine::g2_a_replay_is_byte_for_byte;
    s7_c_string: CString by fidelity::s7_payloads_are_bytes;
    s7_payload_cut: PayloadCut by size::s7_a_payload_of_16_mib_comes_back_whole;
    s7_failure_cut: FailureCut by size::s7_every_payload_is_as_long_as_it_was;
    s7_checkpoint_cut: CheckpointCut by size::s7_every_payload_is_as_long_as_it_was;
    s7_empty_checkpoint_lost: EmptyCheckpointLost by fidelity::s7_no_checkpoint_is_not_an_empty_one;
    s7_signed_revision: SignedRevision by fidelity::s7_numbers_come_back_at_the_ends_of_their_ranges;
    s7_signed_attempt: SignedAttempt by fidelity::s7_numbers_come_back_at_the_ends_of_their_ranges;
    s7_own_stamp: OwnStamp by fidelity::s7_every_state_comes_back_whole;
    s7_failure_is_success: FailureIsSuccess by fidelity::s7_every_state_comes_back_whole;
    g2_failure_is_success: FailureIsSuccess by engine::g2_a_failure_is_replayed;
    s7_unreadable_is_absent: UnreadableIsAbsent by fidelity::s7_a_damaged_record_is_refused_and_stays;
    s7_unreadable_overwritten: UnreadableOverwritten
        by fidelity::s7_an_unknown_format_is_refused_and_stays;

    s8_keys_concatenated: KeysConcatenated by keys::s8_pairs_that_look_alike_do_not_collide;
    s8_scope_ignored: ScopeIgnored by keys::s8_hostile_scopes_are_scopes_like_any_other;
    s8_keys_cut: KeysCut by keys::s8_long_keys_are_told_apart_by_their_last_byte;
    s8_keys_folded: KeysFolded by keys::s8_hostile_keys_are_keys_like_any_other;
    s8_keys_trimmed: KeysTrimmed by keys::s8_hostile_keys_are_keys_like_any_other;
    s8_delete_by_pattern: DeleteByPattern by keys::s8_hostile_keys_are_keys_like_any_other;
    s8_keys_normalised: KeysNormalised by keys::s8_hostile_keys_are_keys_like_any_other;

    s8_keys_as_numbers: KeysAsNumbers by keys::s8_hostile_keys_are_keys_like_any_other;
    s8_keys_without_ignorable: KeysWithoutIgnorable
        by keys::s8_hostile_keys_are_keys_like_any_other;
    s8_keys_full_width_folded: KeysFullWidthFolded
        by keys::s8_hostile_keys_are_keys_like_any_other;
    s8_empty_scope_is_null: EmptyScopeIsNull by keys::s8_the_empty_scope_is_a_scope;

    s9_too_large_is_full: TooLargeIsFull by size::s9_a_payload_over_the_limit_is_too_large;
    s9_too_large_is_cut: TooLargeIsCut by size::s9_a_payload_over_the_limit_is_too_large;
    s9_lost_reply_is_unavailable: LostReplyIsUnavailable by faults::g5_a_create_whose_reply_is_lost;
    s9_lost_update_is_unavailable: LostReplyIsUnavailable
        by faults::g5_an_update_whose_reply_is_lost;
    s9_lost_delete_is_unavailable: LostReplyIsUnavailable by faults::g5_a_delete_whose_reply_is_lost;
    s9_lost_request_is_success: LostReplyIsSuccess by faults::g5_a_create_that_is_lost;
    s9_failed_get_is_absent: FailedGetIsAbsent by faults::s9_a_get_whose_reply_is_lost_is_never_absent;
    s9_fault_is_config: FaultIsConfig by faults::s9_a_store_out_of_reach_says_so;
    g5_fault_is_config: FaultIsConfig by faults::g5_a_claim_whose_reply_is_lost_is_acquired;

    s10_half_written: HalfWritten by dropped::s10_a_dropped_update_is_applied_or_not;
    s10_leaked_slots: LeakedSlots by dropped::s10_dropped_calls_harm_no_others;
    s10_leaked_slots_of_gets: LeakedSlotsOfGets by dropped::s10_dropped_calls_use_nothing_up;
    s10_leaked_slots_of_updates: LeakedSlotsOfUpdates by dropped::s10_dropped_calls_use_nothing_up;
    s10_blocks_in_place: BlocksInPlace by load::s10_calls_work_on_a_runtime_with_one_thread;
    s10_two_slots_per_call: TwoSlotsPerCall by load::s10_a_thousand_calls_at_once_all_end;
    s10_hangs_on_delete: HangsOnDelete by delete::s3_a_delete_at_its_version_removes_the_record;
    s10_answers_mixed_up: AnswersMixedUp by dropped::s10_a_dropped_get_harms_nothing;

    watch_never_wakes: NeverWakes by optional::watch_wakes_on_an_ending_elsewhere;
    watch_wake_up_lost: WakeUpLost by optional::watch_keeps_a_wake_up_for_who_is_not_looking;
    watch_delete_wakes_nobody: DeleteWakesNobody by optional::watch_wakes_on_a_delete;
    watch_always_ready: AlwaysReady by optional::watch_is_quiet_while_nothing_changes;
    sweep_sweeps_early: SweepsEarly by time::sweep_takes_nothing_before_its_ttl;
    sweep_select_then_sweep: SelectThenSweep by time::sweep_never_takes_a_record_made_anew;
    browse_by_offset: BrowseByOffset by optional::browse_lists_every_record_while_others_go;
    browse_ends_at_short_page: BrowseEndsAtShortPage
        by time::browse_lists_what_lives_among_what_expired;
    sweep_sweeps_live: SweepsLive by time::sweep_purges_what_expired_and_nothing_else;
    sweep_sweeps_nothing: SweepsNothing by time::sweep_purges_what_expired_and_nothing_else;
    sweep_sweeps_too_many: SweepsTooMany by time::sweep_purges_what_expired_and_nothing_else;
    browse_skips: BrowseSkips by optional::browse_lists_every_record;
    browse_filter_ignored: BrowseFilterIgnored
        by optional::browse_lists_what_passes_and_nothing_else;
    browse_filter_ends_early: BrowseFilterEndsEarly
        by optional::browse_lists_what_passes_and_nothing_else;
    browse_lists_expired: BrowseListsExpired by time::browse_lists_nothing_that_expired;
    browse_takes_any_cursor: BrowseTakesAnyCursor by optional::browse_refuses_a_foreign_cursor;
    browse_fails_on_damage: BrowseFailsOnDamage by optional::browse_tells_what_cannot_be_read;
    browse_hides_damage: BrowseHidesDamage by optional::browse_tells_what_cannot_be_read;
}
