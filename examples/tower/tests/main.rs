//! The tower example in its own process beside a server: which requests it accepts and refuses.

#[path = "../../../crates/quash-server/tests/support/mod.rs"]
mod support;

#[path = "../../tests/example/mod.rs"]
mod example;

use example::{Example, assert_same_refusal, now};
use support::{Plan, World};

const TOWER: &str = env!("CARGO_BIN_EXE_quash-example-tower");

#[tokio::test]
async fn log_out_leads_to_the_servers_own_refusal() {
    let world = World::planned(now(Plan::default())).await;
    let example = Example::beside(&world, TOWER).await;
    let (dana, noor) = (world.sign_in("dana").await, world.sign_in("noor").await);
    let answer = example.ask("/", &dana.access).await;
    assert_eq!((answer.status, answer.text()), (200, "hello dana"));
    assert_eq!(world.log_out(&dana.access, &dana.refresh).await.status, 200);
    let refused = example.until_refused("/", &dana.access).await;
    assert_same_refusal(&refused, &world.me(&dana.access).await);
    let others = example.ask("/", &noor.access).await;
    assert_eq!((others.status, others.text()), (200, "hello noor"), "other users aren't affected");
}
