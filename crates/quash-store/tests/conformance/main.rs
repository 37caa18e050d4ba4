//! The guarantees of every store: each guard of each change, the numbering of the log, and reads. All stores
//! run the same tests; features of only one store have their own test files.

mod accounts;
mod adoption;
mod audit;
mod clients;
mod epochs;
mod keys;
mod log;
mod post;
mod sessions;
#[path = "../support/mod.rs"]
mod support;
mod watermarks;

macro_rules! for_each_store {
    ($($room:ident { $($promise:ident)+ })+) => {
        mod memory {
            $(mod $room {
                $(#[tokio::test]
                async fn $promise() {
                    crate::$room::$promise(&quash_store::MemoryStore::new()).await;
                })+
            })+
        }
        mod sqlite {
            $(mod $room {
                $(#[tokio::test]
                async fn $promise() {
                    let directory = tempfile::tempdir().expect("a directory");
                    crate::$room::$promise(&crate::support::sqlite(directory.path())).await;
                })+
            })+
        }
    };
}

for_each_store! {
    accounts {
        a_new_store_is_empty
        an_account_is_read_back
        an_account_is_found_by_an_address_that_one_has
        a_confirmed_address_goes_before_a_name_and_a_name_before_another_address
        an_account_needs_an_unused_subject_name_and_address
        accounts_come_in_the_order_of_their_names
        the_largest_number_counts_deleted_accounts
        a_better_hash_is_no_new_version
        a_sign_in_may_say_how_often_the_account_was_locked
        a_known_device_is_the_last_that_has_signed_in_and_there_are_so_many
        the_classes_of_hashes_are_told_apart
        counting_leaves_out_what_is_not_live
        the_idlest_is_the_longest_unrotated
        an_edit_changes_what_it_names_and_ends_what_it_says
        an_edit_takes_nobody_elses_name_or_address
        a_deleted_account_is_gone_with_its_sessions_and_its_subject_is_nobodys
        changes_together_are_written_whole_or_not_at_all
    }
    audit {
        what_happens_is_in_the_audit_in_order
        an_entry_says_who_why_and_with_which_number_of_the_log
        what_is_not_written_is_not_in_the_audit
        what_was_sealed_once_is_not_sealed_again
        the_audit_forgets_from_its_beginning
        what_is_personal_about_a_deleted_account_is_blanked
        a_watermark_says_why_with_its_first_entry_after_the_opening
    }
    sessions {
        a_session_is_read_back
        a_session_opens_only_at_the_accounts_version
        a_session_id_is_used_once
        evicting_ends_the_evicted
        evicting_what_has_ended_is_refused
        a_conflict_after_an_eviction_undoes_it
        one_rotation_wins
        an_ended_session_does_not_rotate
        a_rotated_session_still_ends
        a_live_session_is_bound_to_a_device
        sessions_end_together_or_not_at_all
        a_session_ends_once
        sessions_come_in_pages
        spent_sessions_are_forgotten
        changes_handed_in_at_once_keep_their_order
    }
    adoption {
        an_adopted_session_is_read_back
        a_token_opens_one_session
        a_revoked_token_opens_none
        a_token_from_before_the_end_opens_none
        a_token_is_revoked_once_and_only_while_it_has_opened_none
        sessions_and_tokens_end_together_or_not_at_all
        the_token_dies_with_its_session
        a_row_is_kept_as_long_as_its_token_could_come_back
        an_adoption_outlives_its_account
        a_freed_name_is_remembered
        adopted_claims_become_the_accounts_once
    }
    watermarks {
        a_session_inserted_during_a_reset_is_refused
        a_session_inserted_after_the_end_of_everything_is_refused
        a_covered_session_does_not_rotate
        a_covered_session_may_still_be_ended
        the_end_of_an_account_is_a_watermark
        the_end_of_an_account_brings_password_and_state
        the_end_of_an_account_needs_its_version
        the_survivor_lives_on
        of_two_everywhere_else_at_once_one_wins
        everything_ended_meanwhile_leaves_no_survivor
        a_survivor_must_be_live_at_its_generation_and_of_the_account
        everything_ends_for_everyone
    }
    log {
        numbers_are_gapless_and_chained
        an_entry_is_remembered_as_long_as_it_says
        the_longest_lifetime_only_grows
        entries_are_found_by_key
        entries_come_in_pages
        entries_tell_whether_they_are_newest
        newest_follows_the_log
        marking_comes_before_deleting
        deleting_leaves_what_is_due_again
        pruning_stops_at_its_limit
        the_head_tells_what_was_deleted
        numbering_goes_on_after_pruning
    }
    epochs {
        an_epoch_goes_on_from_the_chain_and_is_numbered_from_its_start
        an_epoch_ends_all_sessions_or_none
        an_epoch_begins_once_and_only_above
        the_beginning_of_an_epoch_is_in_the_audit
    }
    post {
        a_flow_is_read_back_with_its_account
        a_flow_takes_the_place_of_the_one_before
        a_flow_is_used_once
        tries_are_spent_one_by_one
        mails_come_when_they_are_due
        mails_come_in_the_order_of_their_priority
        the_newest_live_registration_is_found
        a_decoy_leaves_no_row
        a_mail_is_tried_until_it_is_sent
        mails_for_somebody_are_counted_after_they_were_sent
        flows_and_mails_are_forgotten_past_their_time
    }
    clients {
        a_client_is_found_by_the_digest_of_its_secret
        a_client_needs_an_unused_name_and_secret
        a_client_is_removed_as_it_was_seen
        clients_come_in_pages
        adding_and_removing_a_client_is_in_the_audit
        a_session_knows_the_client_that_opened_it
    }
    keys {
        a_key_replaces_the_current_one
        a_retiring_key_is_resumed
        a_key_is_dropped_only_while_retiring
        one_key_is_next
        the_next_key_is_promoted_over_the_current_one
        a_key_is_struck_once_and_in_any_state
        a_key_that_was_struck_elsewhere_is_known_here
        where_none_is_current_another_takes_the_place
        a_setting_is_remembered
        a_secret_is_written_once
    }
}
