//! The guarantees of every store: each guard of each change, the numbering of the log, and reads. All stores
//! run the same tests; features of only one store have their own test files.

mod accounts;
mod adoption;
mod audit;
mod clients;
mod epochs;
mod keys;
mod log;
mod mail;
mod searches;
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
        mod postgres {
            $(mod $room {
                $(#[tokio::test]
                async fn $promise() {
                    let Some(database) = crate::support::postgres::database().await else { return };
                    let store = crate::support::InOrder::new(database.open().await);
                    crate::$room::$promise(&store).await;
                })+
            })+
        }
        mod pgbouncer {
            $(mod $room {
                $(#[tokio::test]
                async fn $promise() {
                    let Some(database) = crate::support::postgres::database().await else { return };
                    let Some(store) = database.open_pooled().await else { return };
                    crate::$room::$promise(&crate::support::InOrder::new(store)).await;
                })+
            })+
        }
    };
}

for_each_store! {
    accounts {
        a_new_store_is_empty
        an_account_is_read_back
        accounts_are_found_by_a_unique_address
        confirmed_addresses_win_over_names_and_other_addresses
        accounts_need_unused_subjects_names_and_addresses
        concurrent_changes_never_share_an_address
        a_name_is_never_the_subject_of_another_account
        concurrent_changes_never_make_a_name_a_subject
        accounts_are_ordered_by_name
        the_largest_number_counts_deleted_accounts
        rehashing_keeps_the_account_version
        sign_ins_can_update_the_lock_count
        known_devices_are_ordered_and_limited
        password_classes_are_listed_once_each
        only_live_sessions_are_counted
        the_idlest_session_was_rotated_longest_ago
        edits_change_only_named_fields_and_sessions
        edits_cannot_take_used_names_or_addresses
        deleted_accounts_lose_sessions_and_keep_subjects_reserved
        grouped_changes_are_atomic
    }
    audit {
        events_are_audited_in_order
        audit_entries_record_actor_reason_and_log_number
        failed_changes_are_not_audited
        sealed_audit_entries_are_not_resealed
        the_audit_is_pruned_from_its_beginning
        personal_data_of_deleted_accounts_is_blanked
        watermark_endings_use_the_first_later_entry
        audit_entries_are_found_by_filters_newest_first
    }
    sessions {
        a_session_is_read_back
        sessions_open_only_at_the_accounts_version
        a_session_id_is_used_once
        sessions_open_only_within_the_limit
        evicting_ends_the_evicted
        evicting_ended_sessions_is_refused
        a_conflict_after_an_eviction_undoes_it
        one_rotation_wins
        an_ended_session_does_not_rotate
        a_rotated_session_still_ends
        a_live_session_is_bound_to_a_device
        sessions_end_atomically
        a_session_ends_once
        sessions_are_paginated
        expired_sessions_are_deleted
        concurrently_submitted_changes_keep_their_order
    }
    searches {
        accounts_are_found_by_a_prefix
        accounts_are_found_by_their_status_at_a_time
        live_sessions_are_listed_newest_first
        empty_stores_have_no_pages_and_counts
    }
    adoption {
        an_adopted_session_is_read_back
        adopted_tokens_open_one_session
        revoked_foreign_tokens_open_no_session
        foreign_tokens_from_before_an_end_open_none
        foreign_tokens_are_revoked_once_unless_adopted
        sessions_and_foreign_tokens_end_atomically
        adopted_tokens_end_with_their_session
        session_rows_outlive_their_adopted_tokens
        adoptions_outlive_their_account
        freed_names_have_a_recorded_time
        adopted_claims_are_stored_once
    }
    watermarks {
        a_session_inserted_during_a_reset_is_refused
        a_session_inserted_after_the_end_of_everything_is_refused
        a_covered_session_does_not_rotate
        covered_sessions_can_still_be_ended
        ending_an_account_raises_a_watermark
        ending_an_account_sets_password_and_state
        ending_an_account_requires_its_version
        survivors_stay_live
        one_of_two_concurrent_end_others_wins
        concurrent_end_of_everything_leaves_no_survivor
        survivors_must_match_account_generation_and_state
        ending_everything_ends_all_accounts_sessions
    }
    log {
        numbers_are_gapless_and_chained
        names_are_revoked_together
        late_entries_supersede_none
        entries_of_a_later_time_are_not_superseded
        entries_are_kept_for_their_retention
        the_longest_lifetime_only_grows
        the_head_is_read_with_the_entries_after_a_number
        settings_are_applied_with_their_entry
        entries_are_found_by_key
        log_entries_are_paginated
        entries_report_if_they_are_newest
        newest_follows_the_log
        marking_comes_before_deleting
        pruning_keeps_entries_that_are_due_again
        pruning_stops_at_its_limit
        the_head_reports_pruned_entries
        numbering_continues_after_pruning
    }
    epochs {
        new_epochs_continue_the_chain_with_new_numbers
        an_epoch_ends_all_sessions_or_none
        epochs_begin_once_and_only_increase
        new_epochs_are_audited
    }
    mail {
        a_flow_is_read_back_with_its_account
        new_flows_replace_earlier_ones
        a_flow_is_used_once
        code_attempts_are_counted_one_by_one
        mails_are_read_when_due
        mails_are_ordered_by_priority
        the_newest_live_registration_is_found
        decoys_store_no_row
        mails_stay_due_until_sent
        sent_mails_still_count_for_their_recipient
        mails_do_not_count_before_their_request
        mails_do_not_wait_for_a_clock_that_was_set_back
        expired_flows_and_mails_are_deleted
    }
    clients {
        clients_are_found_by_secret_digest
        clients_need_unused_names_and_secrets
        clients_are_removed_only_if_unchanged
        clients_keep_their_namespace
        clients_are_changed_only_if_unchanged
        the_last_use_of_clients_only_moves_on
        clients_are_paginated
        client_changes_are_audited
        sessions_record_the_client_that_opened_them
    }
    keys {
        a_key_replaces_the_current_one
        each_change_of_the_keys_turns_the_ring
        retiring_keys_can_become_current_again
        a_key_is_dropped_only_while_retiring
        only_one_next_key_is_stored
        the_next_key_is_promoted_over_the_current_one
        keys_are_revoked_once_in_any_state
        keys_revoked_in_other_stores_can_be_added
        missing_current_keys_can_be_replaced
        remembered_settings_are_stored
        a_secret_is_written_once
    }
}
