//! Each end cause of quash's own tokens, triggered in each possible way, from the request to a refused access token.

use crate::support;

use quash_core::model::{EndCause, Event};
use quash_store::Store;
use serde_json::json;

use crate::end_cause_triggers::{Taken, own_causes, plan, take, ways};
use support::World;

#[tokio::test]
async fn every_end_cause_refuses_access_tokens() {
    let mut without_a_way = Vec::new();
    for cause in own_causes() {
        if ways(cause).is_empty() {
            without_a_way.push(cause);
        }
        for way in ways(cause) {
            let world = World::planned(plan(cause)).await;
            let pair = world.sign_in("dana").await;
            let taken = take(*way, &world, pair).await;
            let refused = world.me(&taken.pair().access).await;
            assert_eq!(
                (refused.status, refused.json()["code"].as_str()),
                (401, Some("token_not_valid")),
                "{way:?}"
            );
            let noted = world.store.audit(0, None, u32::MAX).await.expect("entries");
            let row = cause.row();
            let entry = (row.event.unwrap_or(Event::SessionEnded), Some(row.reason));
            assert!(
                noted.iter().any(|audit| (audit.new.event, audit.new.reason) == entry),
                "{way:?}: {noted:#?}"
            );
            match taken {
                Taken::Access(pair) => world.assert_live(&world.refresh(&pair.refresh).await.pair()).await,
                Taken::Session(pair) => {
                    let refused = world.refresh(&pair.refresh).await;
                    // Nothing remains of a deleted account that could give the reason.
                    let reason = Some(row.reason.as_str()).filter(|_| cause != EndCause::Deleted);
                    assert_eq!((refused.status, refused.reason().as_deref()), (401, reason), "{way:?}");
                    world.assert_dead(&pair).await;
                }
            }
        }
    }
    assert_eq!(without_a_way, []);
}

/// The test above would fail for each way whose log entry is forgotten: no other mechanism refuses an access
/// token.
#[tokio::test]
async fn end_causes_need_their_log_entries() {
    for cause in own_causes() {
        for way in ways(cause) {
            let world = World::planned(plan(cause)).await;
            world.store.empty_entries();
            let pair = world.sign_in("dana").await;
            let taken = take(*way, &world, pair).await;
            let answer = world.me(&taken.pair().access).await;
            // The guard lets it pass, and then its account isn't found.
            let nobody =
                matches!(cause, EndCause::Deleted | EndCause::NameChanged).then(|| json!("user_not_found"));
            let expected = if nobody.is_some() { 401 } else { 200 };
            assert_eq!(
                (answer.status, answer.json().get("code")),
                (expected, nobody.as_ref()),
                "{way:?}: {answer}"
            );
        }
    }
}
