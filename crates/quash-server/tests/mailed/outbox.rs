//! Sending mails: retried until sent, at most twice if the outcome is unknown, and never delaying a response.

use quash_service::PostFault;
use serde_json::json;

use crate::ask;
use crate::support::{World, link, secs};

fn not_now() -> PostFault {
    PostFault::NotNow("away".into())
}

#[tokio::test]
async fn a_mail_is_sent_again_until_it_is_sent() {
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
    assert_eq!(crate::reset(&world, &link(&mails[0])).await.status, 200);
}

#[tokio::test]
async fn a_mail_that_may_have_been_sent_is_sent_once_more_and_no_more() {
    let world = World::open().await;
    world.mailbox.fail((0..9).map(|_| PostFault::Doubtful("the connection ended".into())));
    ask(&world, json!({ "username": "dana" })).await;
    let mut sent = 0;
    for _ in 0..20 {
        sent += world.mails().await.len();
        world.wait(secs(60));
    }
    assert_eq!(sent, 2);
}

#[tokio::test]
async fn a_refusal_for_good_and_an_hour_too_late_are_the_end_of_a_mail() {
    let world = World::open().await;
    world.mailbox.fail([PostFault::Never("550".into())]);
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
