//! A site that issues its own tokens: its verifier asks about names and revokes them at a real server.

use std::time::Duration;

use quash_core::model::Clock;
use quash_verify::{AskError, Named, Revocation, RevokeError, SystemClock, Verifier, VerifyError, WhenStale};
use tokio::task::block_in_place;

use super::support::{Server, quash};

const WITHIN: Duration = Duration::from_secs(2);

/// A server with the namespace shop, and a credential for it.
fn server(room: &std::path::Path) -> (Server, String) {
    let settings = ["--set", "foreign.site.namespace=shop", "--set", "foreign.site.max_lifetime=1d"];
    let server = Server::start_with(quash(), &room.join("data"), &settings);
    let added = server.run(&["client", "add", "site", "--namespace", "shop"], "");
    assert_eq!(added.code(), 0, "{}", added.stderr);
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
