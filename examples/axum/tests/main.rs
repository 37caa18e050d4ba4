//! The axum example in its own process beside a server: which requests it accepts and refuses, and that every
//! cause in the table of ends that ends quash's own tokens has its effect there.

#[path = "../../../crates/quash-server/tests/support/mod.rs"]
mod support;

#[path = "../../../crates/quash-server/tests/support/end_cause_triggers.rs"]
mod end_cause_triggers;

#[path = "../../tests/example/mod.rs"]
mod example;

use end_cause_triggers::{Taken, own_causes, plan, take, ways};
use example::{Example, assert_same_refusal, now};
use support::{Plan, World};

const AXUM: &str = env!("CARGO_BIN_EXE_quash-example-axum");
const ORDERS: &str = "/orders";

#[tokio::test]
async fn log_out_leads_to_the_servers_own_refusal() {
    let world = World::planned(now(Plan::default())).await;
    let example = Example::beside(&world, AXUM).await;
    let (dana, noor) = (world.sign_in("dana").await, world.sign_in("noor").await);
    let answer = example.ask(ORDERS, &dana.access).await;
    assert_eq!((answer.status, answer.text()), (200, "orders of dana"));
    assert_eq!(world.log_out(&dana.access, &dana.refresh).await.status, 200);
    let refused = example.until_refused(ORDERS, &dana.access).await;
    assert_same_refusal(&refused, &world.me(&dana.access).await);
    let others = example.ask(ORDERS, &noor.access).await;
    assert_eq!((others.status, others.text()), (200, "orders of noor"), "other users aren't affected");
    assert_eq!(example.ask(ORDERS, &dana.refresh).await.status, 401, "a refresh token isn't accepted");
}

#[tokio::test]
async fn every_end_cause_reaches_a_remote_verifier() {
    let mut walked = 0;
    for road in own_causes() {
        for way in ways(road) {
            // Shown if the test fails.
            println!("{way:?}");
            let world = World::planned(now(plan(road))).await;
            let example = Example::beside(&world, AXUM).await;
            let pair = world.sign_in("dana").await;
            let before = pair.access.clone();
            assert_eq!(
                example.ask(ORDERS, &before).await.status,
                200,
                "{way:?}: the token is valid before the session ends"
            );
            let taken = take(*way, &world, pair).await;
            example.until_refused(ORDERS, &before).await;
            let refused = example.until_refused(ORDERS, &taken.pair().access).await;
            assert_same_refusal(&refused, &world.me(&taken.pair().access).await);
            if let Taken::Access(pair) = &taken {
                let next = world.refresh(&pair.refresh).await.pair();
                assert_eq!(
                    example.ask(ORDERS, &next.access).await.status,
                    200,
                    "{way:?}: the session continues"
                );
            }
            walked += 1;
        }
    }
    assert!(walked >= own_causes().count(), "each cause has a way");
}

/// All code of the example that uses quash is in `orders.rs`.
#[test]
fn the_service_takes_at_most_15_lines() {
    let (service, rest) = (include_str!("../src/orders.rs"), include_str!("../src/main.rs"));
    let is_code = |line: &&str| !(line.trim().is_empty() || line.trim_start().starts_with("//"));
    let lines = service.lines().filter(is_code).count();
    assert!((1..=15).contains(&lines), "{lines} lines");
    let elsewhere: Vec<_> = rest.lines().filter(is_code).filter(|line| line.contains("quash_")).collect();
    assert_eq!(elsewhere, [""; 0]);
}
