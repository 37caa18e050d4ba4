//! Sending mails: retried until sent, at most twice if the outcome is unknown, and never delaying a response.

use quash_service::MailerError;
use serde_json::json;

use super::ask;
use crate::support::{World, link, secs};

fn not_now() -> MailerError {
    MailerError::NotNow("away".into())
}

#[tokio::test]
async fn mails_are_retried_until_sent() {
    let world = World::open().await;
    world.mailbox.fail((0..6).map(|_| not_now()));
    ask(&world, json!({ "username": "dana" })).await;
    assert!(world.mails().await.is_empty());
    for pause in [2, 4, 8, 16, 32] {
        world.wait(secs(pause - 1));
        assert!(world.mails().await.is_empty(), "not before its time");
        world.wait(secs(1));
        assert!(world.mails().await.is_empty());
    }
    world.wait(secs(64));
    let mails = world.mails().await;
    assert_eq!(mails.len(), 1);
    assert_eq!(super::reset(&world, &link(&mails[0])).await.status, 200);
}

#[tokio::test]
async fn uncertain_mails_are_sent_once_more() {
    let world = World::open().await;
    world.mailbox.fail((0..9).map(|_| MailerError::Doubtful("the connection ended".into())));
    ask(&world, json!({ "username": "dana" })).await;
    let mut sent = 0;
    for _ in 0..20 {
        sent += world.mails().await.len();
        world.wait(secs(60));
    }
    assert_eq!(sent, 2);
}

#[tokio::test]
async fn permanent_refusals_and_late_mails_are_dropped() {
    let world = World::open().await;
    world.mailbox.fail([MailerError::Never("550".into())]);
    ask(&world, json!({ "username": "dana" })).await;
    for _ in 0..5 {
        assert!(world.mails().await.is_empty());
        world.wait(secs(60));
    }
    world.mailbox.fail((0..1000).map(|_| not_now()));
    ask(&world, json!({ "username": "dana" })).await;
    for _ in 0..20 {
        assert!(world.mails().await.is_empty());
        world.wait(secs(600));
    }
    let due =
        quash_store::Store::mails_due(&*world.store, quash_core::model::Timestamp::from_millis(i64::MAX), 9)
            .await;
    assert_eq!(due, Ok(Vec::new()), "nothing is left");
}
