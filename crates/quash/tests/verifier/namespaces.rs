//! A site that issues its own tokens: its verifier asks about names and revokes them at a real server.

use std::path::Path;
use std::time::Duration;

use quash_core::model::Clock;
use quash_verify::{AskError, Named, Revocation, RevokeError, SystemClock, Verifier, VerifyError, WhenStale};
use serde_json::json;
use tokio::task::block_in_place;

use super::support::{Server, on, quash, store};
use super::wait::until;

const WITHIN: Duration = Duration::from_secs(2);
/// Longer than anything here takes on a busy machine.
const DEADLINE: Duration = Duration::from_secs(30);
/// The rows of `quash policy show` that end tokens of all namespaces.
const EVERYWHERE: [&str; 2] = ["everything_revoked", "store_restored"];

fn start(room: &Path, listen: &str) -> Server {
    let settings = ["--set", "foreign.site.namespace=shop", "--set", "foreign.site.max_lifetime=1d"];
    Server::start_with(quash(), &room.join("data"), &[&settings[..], &["--listen", listen]].concat())
}

/// A server with the namespace shop, and a credential for it.
fn server(room: &Path) -> (Server, String) {
    let server = start(room, "127.0.0.1:0");
    let added = server.run(&["client", "add", "site", "--namespace", "shop"], "");
    assert_eq!(added.code(), 0, "{}", added.stderr);
    assert!(added.stderr.contains("(feed; revoke and query revocations in shop)"), "{}", added.stderr);
    let wrong = server.run(&["client", "add", "wiki", "--namespace", "wiki"], "");
    assert_eq!(wrong.code(), 2, "{}", wrong.stderr);
    for kind in ["client", "verifier"] {
        assert!(server.run(&[kind, "list"], "").stdout.contains("site"), "{kind}");
    }
    (server, added.stdout.trim().to_owned())
}

async fn verifier(server: &Server, credential: &str) -> Verifier {
    let address = format!("http://{}", server.address);
    Verifier::builder(address).credential(credential).start().await.expect("a verifier")
}

fn of_user(position: Option<u64>) -> Named<'static> {
    let issued_at = SystemClock.now().as_secs();
    let (session, subject) = (Some("f0c1"), Some("17"));
    Named {
        namespace: Some("shop"),
        session,
        subject,
        position,
        issued_at,
        expires_at: issued_at + 300,
        ..Named::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sites_revoke_their_own_tokens_within_a_request() {
    let room = tempfile::tempdir().expect("a temporary directory");
    let (server, credential) = block_in_place(|| server(room.path()));
    let (worker, other) = tokio::join!(verifier(&server, &credential), verifier(&server, &credential));
    let deny = WhenStale::Deny;
    let old = of_user(worker.head());
    assert_eq!(worker.ask(&old, deny).await, Ok(()));

    // A change of the password, in the same second as the sign-ins before and after it.
    let changed = [Revocation::subject("17").reason("password_changed")];
    let receipt = worker.revoke(Some("shop"), &changed, Some("row-1"), false).await.expect("a receipt");
    assert!(worker.caught_up(receipt.seq, WITHIN).await && other.caught_up(receipt.seq, WITHIN).await);
    let new = Named { session: Some("a9b8"), ..of_user(Some(receipt.seq)) };
    for process in [&worker, &other] {
        let denied = process.ask(&old, deny).await;
        assert!(matches!(denied, Err(AskError::Denied(VerifyError::Refused(_)))), "{denied:?}");
        assert_eq!(process.ask(&new, deny).await, Ok(()));
    }
    let again = worker.revoke(Some("shop"), &changed, Some("row-1"), false).await;
    assert_eq!(again, Ok(receipt), "with the same key");

    let ended = [Revocation::session("a9b8").reason("log_out")];
    let receipt = other.revoke(Some("shop"), &ended, None, true).await.expect("a receipt");
    assert_eq!((receipt.written, receipt.confirmed, receipt.stale), (1, Some(2), Some(0)));
    assert!(matches!(worker.ask(&new, deny).await, Err(AskError::Denied(VerifyError::Refused(_)))));

    let elsewhere = worker.revoke(Some("wiki"), &ended, None, false).await;
    assert_eq!(elsewhere, Err(RevokeError::NotAllowed { namespace: Some("wiki".into()) }));
    let wrong = worker.revoke(Some("shop"), &[Revocation::session("")], None, false).await;
    assert!(
        matches!(&wrong, Err(RevokeError::Invalid(text)) if text.contains("1 to 255 bytes")),
        "{wrong:?}"
    );
    let unknown = worker.ask(&Named { namespace: Some("wiki"), ..new }, deny).await;
    assert_eq!(unknown, Err(AskError::UnknownNamespace("wiki".into())));

    // The process that was just restarted knows them from the snapshot.
    let restarted = verifier(&server, &credential).await;
    assert!(restarted.ask(&old, deny).await.is_err() && restarted.ask(&new, deny).await.is_err());
    block_in_place(|| server.terminate());
}

/// Every row of the table that ends tokens of a namespace, by a client and by a command, up to a refusal at a
/// verifier in another process than the server.
#[tokio::test(flavor = "multi_thread")]
async fn every_end_cause_of_namespaces_reaches_a_remote_verifier() {
    let room = tempfile::tempdir().expect("a temporary directory");
    let (mut server, credential) = block_in_place(|| server(room.path()));
    let verifier = verifier(&server, &credential).await;
    let shown = block_in_place(|| server.run(&["policy", "show", "--json"], "").json());
    let rows = shown["roads"].as_array().expect("roads").iter();
    let rows: Vec<_> = rows.filter_map(|row| row["road"].as_str()).collect();
    let of_namespaces = rows.iter().filter(|row| row.starts_with("namespace_") || EVERYWHERE.contains(row));
    let of_namespaces: Vec<_> = of_namespaces.collect();
    assert_eq!(of_namespaces.len(), 4 + EVERYWHERE.len(), "{rows:?}");
    for (index, row) in of_namespaces.into_iter().enumerate() {
        for is_a_client in [true, false] {
            // Shown if the test fails.
            println!("{row}, {}", if is_a_client { "by a client" } else { "by a command" });
            until("it follows", DEADLINE, || verifier.head().is_some()).await;
            let names = [format!("session-{index}"), format!("token-{index}"), format!("user-{index}")];
            let names = names.map(|name| format!("{name}-{is_a_client}"));
            let [session, token, subject] = &names;
            let named = Named {
                session: Some(session),
                token: Some(token),
                subject: Some(subject),
                ..of_user(verifier.head())
            };
            assert_eq!(verifier.ask(&named, WhenStale::Deny).await, Ok(()), "valid before the event");
            let (revocation, arguments) = match *row {
                "namespace_session_revoked" => (Revocation::session(session), ["--session", session]),
                "namespace_token_revoked" => (Revocation::token(token), ["--token-id", token]),
                "namespace_subject_revoked" => (Revocation::subject(subject), ["--subject", subject]),
                "namespace_revoked" => (Revocation::everything(), ["--everything", "--yes"]),
                // No client may do these.
                "everything_revoked" if !is_a_client => {
                    block_in_place(|| assert_ok(&server, &["revoke", "everything", "--yes"]));
                    is_refused(&verifier, &named).await;
                    continue;
                }
                // That is an operation on SQLite's file.
                "store_restored" if store::is_postgres() => continue,
                "store_restored" if !is_a_client => {
                    server = block_in_place(|| restored(server, room.path()));
                    is_refused(&verifier, &named).await;
                    continue;
                }
                row if EVERYWHERE.contains(&row) => continue,
                row => panic!("{row} has no way"),
            };
            if is_a_client {
                verifier.revoke(Some("shop"), &[revocation], None, false).await.expect("a receipt");
            } else {
                let command = [&["revoke", "namespace", "shop"][..], &arguments].concat();
                block_in_place(|| assert_ok(&server, &command));
            }
            is_refused(&verifier, &named).await;
        }
    }
    block_in_place(|| server.terminate());
}

#[track_caller]
fn assert_ok(server: &Server, command: &[&str]) {
    let finished = server.run(command, "");
    assert_eq!(finished.code(), 0, "{}", finished.stderr);
}

async fn is_refused(verifier: &Verifier, named: &Named<'_>) {
    let is_refused = || {
        let decided = verifier.ask_now(named, WhenStale::Deny);
        matches!(decided, Some(Err(AskError::Denied(VerifyError::Refused(_)))))
    };
    until("it is refused", DEADLINE, is_refused).await;
}

/// Replaces the database with a backup, and starts the server again at its address.
fn restored(server: Server, room: &Path) -> Server {
    let (listen, backup) = (server.address.to_string(), room.join("backup"));
    let backup = backup.to_str().expect("UTF-8");
    assert_ok(&server, &["backup", backup]);
    assert_eq!(server.terminate().code(), 0);
    let finished = on(&room.join("data"), &["restore", backup], "");
    assert_eq!(finished.code(), 0, "{}", finished.stderr);
    start(room, &listen)
}

#[test]
fn operators_revoke_names_of_known_namespaces() {
    let room = tempfile::tempdir().expect("a temporary directory");
    let (server, _) = server(room.path());
    let revoke =
        |arguments: &[&str]| server.run(&[&["revoke", "namespace"][..], arguments, &["--json"]].concat(), "");
    let revoked = revoke(&["shop", "--subject", "17"]).json();
    assert_eq!((&revoked["scope"], &revoked["target"]), (&json!("subject"), &json!("17")));
    assert!(revoked["seq"].is_u64(), "{revoked}");
    let waited = revoke(&["shop", "--everything", "--yes", "--wait"]);
    assert_eq!((waited.code(), &waited.json()["verifiers"]), (0, &json!([])));
    let long = "x".repeat(256);
    for (arguments, code, text) in [
        (&["wiki", "--subject", "17"][..], 4, "the settings have no namespace \\\"wiki\\\""),
        (&["shop", "--session", ""], 2, "the name of the session has 0 bytes"),
        (&["shop", "--token-id", &long], 2, "the name of the token has 256 bytes"),
        (&["shop", "--everything"], 2, "this signs all users out"),
        (&["shop"], 2, "--session <SID>"),
    ] {
        let refused = revoke(arguments);
        assert_eq!(refused.code(), code, "{arguments:?}: {}", refused.stderr);
        assert!(refused.stderr.contains(text), "{arguments:?}: {}", refused.stderr);
    }
    server.terminate();
}
