//! The one list of cases, which becomes both the tests of [`suite!`](crate::suite) and [`all`].

use crate::{Case, cases};

#[doc(hidden)]
#[macro_export]
macro_rules! __cases {
    (($($then:tt)+) $args:tt) => {
        $($then)+! {
            $args
            create {
                s1_a_create_on_an_absent_key_is_new
                s1_a_create_over_a_record_tells_it_and_changes_nothing
                s1_single_winner_over_several_handles
                s1_every_loser_is_told_the_winner
                s1_a_loser_is_told_what_the_winner_left
                s1_stamps_decide_nothing
                g5_a_create_sent_again_finds_itself
            }
            update {
                s2_an_update_at_its_version_replaces_the_record
                s2_another_token_is_refused
                s2_an_older_revision_is_refused
                s2_a_newer_revision_is_refused
                s2_an_update_advances_the_version
                s2_an_update_of_an_absent_key_is_refused
                s2_an_update_never_resurrects_a_deleted_record
                s2_single_winner_of_concurrent_updates
                s2_no_update_is_lost_under_contention
                s2_a_finished_write_is_seen_by_every_handle
                g5_an_update_sent_again_finds_itself
            }
            delete {
                s3_a_delete_at_its_version_removes_the_record
                s3_another_token_is_refused
                s3_another_revision_is_refused
                s3_a_delete_of_an_absent_key_is_refused
                s3_a_deleted_key_is_as_new
                s3_single_winner_of_concurrent_deletes
                s3_a_delete_and_an_update_never_both_win
                s3_a_delete_and_a_create_never_both_lose
                g5_a_delete_sent_again_harms_nothing
            }
            version {
                s2_every_byte_of_the_token_counts
                s2_every_bit_of_the_revision_counts
            }
            keys {
                s8_hostile_keys_are_keys_like_any_other
                s8_hostile_scopes_are_scopes_like_any_other
                s8_the_empty_scope_is_a_scope
                s8_pairs_that_look_alike_do_not_collide
                s8_long_keys_are_told_apart_by_their_last_byte
            }
            fidelity {
                s7_every_state_comes_back_whole
                s7_no_checkpoint_is_not_an_empty_one
                s7_payloads_are_bytes
                s7_numbers_come_back_at_the_ends_of_their_ranges
                s7_an_unknown_format_is_refused_and_stays
                s7_a_damaged_record_is_refused_and_stays
            }
            size {
                s7_a_payload_of_16_mib_comes_back_whole
                s7_every_payload_is_as_long_as_it_was
                s9_a_payload_over_the_limit_is_too_large
            }
            capacity {
                s6_nothing_is_evicted
                s6_a_full_store_refuses_and_evicts_nothing
                s6_an_update_of_a_full_store_is_whole_or_refused
            }
            dropped {
                s10_a_dropped_create_is_applied_or_not
                s10_a_dropped_update_is_applied_or_not
                s10_a_dropped_delete_is_applied_or_not
                s10_a_dropped_get_harms_nothing
                s10_dropped_calls_harm_no_others
                s10_dropped_calls_use_nothing_up
            }
            load {
                s10_a_thousand_calls_at_once_all_end
                s10_calls_work_on_a_runtime_with_one_thread
            }
            faults {
                g5_a_create_whose_reply_is_lost
                g5_a_create_that_is_lost
                g5_an_update_whose_reply_is_lost
                g5_an_update_that_is_lost
                g5_a_delete_whose_reply_is_lost
                g5_a_delete_that_is_lost
                s9_a_get_whose_reply_is_lost_is_never_absent
                s9_a_store_out_of_reach_says_so
                s10_a_call_that_hangs_can_be_given_up
                g5_a_claim_whose_reply_is_lost_is_acquired
                g5_a_completion_whose_reply_is_lost_is_stored
                g5_a_retryable_ending_whose_reply_is_lost_is_stored
                g5_a_release_whose_reply_is_lost_is_a_release
                g5_a_checkpoint_whose_reply_is_lost_is_stored
                g6_nothing_runs_while_the_store_is_out_of_reach
                g5_a_completion_during_an_outage_lands
            }
            restart {
                s6_records_outlive_a_restart
                s4_the_age_goes_on_over_a_restart
                s10_a_handle_outlives_a_restart
                g1_an_execution_outlives_a_restart
                s4_a_restart_is_another_run
            }
            engine {
                g1_a_hundred_tasks_execute_once
                g2_a_hundred_waiting_tasks_get_one_answer
                g1_a_running_lease_is_respected
                g2_a_replay_is_byte_for_byte
                g2_a_failure_is_replayed
                g2_a_falsy_answer_is_an_answer
                g4_another_request_is_a_mismatch_in_every_state
                g1_a_retryable_key_runs_again
                g4_a_released_key_runs_any_request
                g2_a_waiter_gets_the_answer
                g1_waiters_for_a_released_key_run_one_at_a_time
            }
            optional {
                watch_wakes_on_an_ending_elsewhere
                watch_wakes_on_a_delete
                watch_keeps_a_wake_up_for_who_is_not_looking
                watch_survives_dropped_watchers
                watch_is_quiet_while_nothing_changes
                watch_wakes_a_waiting_claim
                browse_lists_every_record
                browse_lists_every_record_while_others_go
                browse_lists_what_passes_and_nothing_else
                browse_lists_nothing_that_is_gone
                browse_refuses_a_foreign_cursor
                browse_tells_what_cannot_be_read
            }
            time {
                s4_the_age_is_the_time_since_the_last_write
                s4_the_age_never_runs_backwards
                s4_an_update_starts_the_age_anew
                s4_every_handle_tells_the_same_age
                s4_another_process_tells_the_same_age
                s4_a_step_of_the_clock_changes_no_age
                s4_a_refusal_tells_the_age
                s4_the_time_left_is_the_ttl_less_the_age
                s4_the_time_left_is_of_the_last_write
                s4_a_create_over_an_expired_record_starts_the_age_anew
                s4_a_create_after_a_delete_starts_the_age_anew
                s5_a_long_ttl_is_not_over_at_once
                s5_a_ttl_of_nothing_is_not_for_ever
                s5_an_unknown_format_expires_like_any_other
                s5_a_record_lives_as_long_as_its_ttl
                s5_a_create_over_an_expired_record_is_new
                s5_an_update_of_an_expired_record_is_refused
                s5_a_delete_of_an_expired_record_is_refused
                s5_a_get_of_an_expired_record_finds_nothing
                s5_an_update_can_lengthen_a_life
                s5_an_update_can_shorten_a_life
                s1_single_winner_over_an_expired_record
                g1_a_lease_that_ran_out_is_taken_over
                g1_a_lapsed_lease_that_nobody_claimed_may_still_complete
                g1_work_that_outlasts_its_lease_keeps_it
                g1_halt_leaves_an_abandoned_key_alone
                g1_probe_decides_over_an_abandoned_key
                g4_another_request_never_takes_over
                g1_single_winner_of_concurrent_takeovers
                g3_a_superseded_complete_changes_nothing
                g3_a_superseded_fail_changes_nothing
                g3_a_superseded_fail_retryable_changes_nothing
                g3_a_superseded_release_changes_nothing
                g3_a_superseded_renew_changes_nothing
                g3_a_superseded_checkpoint_changes_nothing
                g3_superseded_work_is_stopped
                g3_a_completion_after_the_successors_is_superseded
                g3_a_completion_after_a_release_leaves_nothing
                g3_a_completion_never_lands_on_a_new_claim
                sweep_purges_what_expired_and_nothing_else
                sweep_takes_nothing_before_its_ttl
                sweep_never_takes_a_record_made_anew
                browse_lists_what_lives_among_what_expired
                browse_lists_nothing_that_expired
            }
        }
    };
}

macro_rules! collect {
    (() $($group:ident { $($case:ident)+ })+) => {
        &[$($(
            Case {
                group: stringify!($group),
                name: stringify!($case),
                run: |harness| Box::pin(cases::$group::$case(harness)),
            },
        )+)+]
    };
}

/// Every case, in the order of the rules' groups.
#[must_use]
pub fn all() -> &'static [Case] {
    const ALL: &[Case] = crate::__cases!((collect)());
    ALL
}
