//! The paths of the admin API, each operation with the right that it needs.

use std::sync::Arc;

use quash_core::model::Right::{Accounts, Audit, Clients, Keys, Read, Revoke, Sessions};

use crate::api::accounts;
use crate::api::admin::{self, account_actions as actions};
use crate::listed::{ListedMethods, ListedRouter, delete, get, patch, post, with_right};
use crate::state::AppState;

/// The paths of which some methods end something.
pub(super) fn ending(state: &Arc<AppState>) -> ListedRouter {
    let needs = |right, methods| with_right(state, right, methods);
    ListedRouter::new()
        .route(
            "/admin/v1/accounts/{subject}",
            needs(Read, get(admin::accounts::show, admin::accounts::describe_show)).and(needs(
                Accounts,
                patch(accounts::change, accounts::describe_change)
                    .delete(actions::delete, actions::describe_delete),
            )),
        )
        // The operations on the account with the subject `batch` are on the path of batches.
        .route(
            "/admin/v1/accounts/batch",
            needs(Read, get(admin::accounts::show_batch, admin::accounts::describe_show_batch)).and(needs(
                Accounts,
                post(accounts::batch, accounts::describe_batch)
                    .patch(accounts::change_batch, accounts::describe_change_batch)
                    .delete(actions::delete_batch, actions::describe_delete_batch),
            )),
        )
        .merge(action(state, "lock", post(actions::lock, actions::describe_lock)))
        .merge(action(state, "unlock", post(actions::unlock, actions::describe_unlock)))
        .merge(action(state, "deactivate", post(actions::deactivate, actions::describe_deactivate)))
        .merge(action(state, "reactivate", post(actions::reactivate, actions::describe_reactivate)))
        .merge(action(state, "require-reset", post(actions::require_reset, actions::describe_require_reset)))
        .merge(action(
            state,
            "temporary-password",
            post(actions::temporary_password, actions::describe_temporary_password),
        ))
        .route(
            "/admin/v1/accounts/{subject}/sessions/end-all",
            needs(Sessions, post(admin::sessions::end_all, admin::sessions::describe_end_all)),
        )
        .route(
            "/admin/v1/sessions/{sid}",
            needs(Read, get(admin::sessions::show, admin::sessions::describe_show))
                .and(needs(Sessions, delete(admin::sessions::end, admin::sessions::describe_end))),
        )
        .route(
            "/admin/v1/revocations",
            needs(Revoke, post(admin::revocations::revoke, admin::revocations::describe_revoke)),
        )
        .route(
            "/admin/v1/keys/{kid}/revoke",
            needs(Keys, post(admin::keys::revoke, admin::keys::describe_revoke)),
        )
}

/// The paths of which no method ends anything.
pub(super) fn ending_nothing(state: &Arc<AppState>) -> ListedRouter {
    let needs = |right, methods| with_right(state, right, methods);
    let create = post(admin::accounts::create, admin::accounts::describe_create);
    ListedRouter::new()
        .route(
            "/admin/v1/accounts",
            needs(Read, get(admin::accounts::list, admin::accounts::describe_list))
                .and(needs(Accounts, create)),
        )
        .route("/admin/v1/sessions", needs(Read, get(admin::sessions::list, admin::sessions::describe_list)))
        .route(
            "/admin/v1/verifiers",
            needs(Read, get(admin::status::verifiers, admin::status::describe_verifiers)),
        )
        .route("/admin/v1/nodes", needs(Read, get(admin::status::nodes, admin::status::describe_nodes)))
        .route(
            "/admin/v1/statistics",
            needs(Read, get(admin::status::statistics, admin::status::describe_statistics)),
        )
        .route(
            "/admin/v1/clients",
            needs(
                Clients,
                get(admin::clients::list, admin::clients::describe_list)
                    .post(admin::clients::add, admin::clients::describe_add),
            ),
        )
        .route(
            "/admin/v1/clients/{name}",
            needs(
                Clients,
                get(admin::clients::show, admin::clients::describe_show)
                    .patch(admin::clients::change, admin::clients::describe_change)
                    .delete(admin::clients::remove, admin::clients::describe_remove),
            ),
        )
        .route(
            "/admin/v1/clients/{name}/secret",
            needs(Clients, post(admin::clients::renew_secret, admin::clients::describe_renew_secret)),
        )
        .route("/admin/v1/keys", needs(Read, get(admin::keys::list, admin::keys::describe_list)))
        .route("/admin/v1/keys/rotate", needs(Keys, post(admin::keys::rotate, admin::keys::describe_rotate)))
        .route("/admin/v1/audit", needs(Audit, get(admin::audit::list, admin::audit::describe_list)))
        .route("/admin/v1/doctor", needs(Read, get(admin::doctor::show, admin::doctor::describe_show)))
}

/// An action on an account.
fn action(state: &Arc<AppState>, name: &str, methods: ListedMethods) -> ListedRouter {
    ListedRouter::new()
        .route(&format!("/admin/v1/accounts/{{subject}}/{name}"), with_right(state, Accounts, methods))
}
