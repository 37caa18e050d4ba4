//! A node that is cut off from the database or far away from it, and the database away.

use std::thread;
use std::time::Duration;

use super::site::{PASSWORD, Site, account_of, at};
use super::{RECOVERED, log_out, me};
use crate::support::wait::within;
use crate::support::{Pair, rounds};

pub(super) mod link;

use link::Link;

/// The sessions that end while the node is cut off.
const SESSIONS: usize = 4;
/// The delay of a slow link.
const FAR: Duration = Duration::from_millis(300);

#[test]
fn soak_a_node_without_the_database_answers_503_and_recovers() {
    let Some(site) = Site::new() else { return };
    let link = Link::open(&site.url);
    let (a, b) = (site.start("a"), site.start_through("b", &at(&site.url, link.address)));
    a.add_account("dana", PASSWORD);
    for round in 0..rounds(1, 40) {
        let ended: Vec<Pair> = (0..SESSIONS).map(|_| a.sign_in("dana", PASSWORD)).collect();
        let kept = a.sign_in("dana", PASSWORD);
        assert!(ended.iter().chain([&kept]).all(|pair| me(&b, pair) == 200), "round {round}");
        link.cut();
        thread::scope(|scope| {
            for pair in ended.iter().chain([&kept]) {
                let (a, b, kept) = (&a, &b, &kept);
                scope.spawn(move || {
                    if pair.access != kept.access {
                        log_out(a, pair);
                    }
                    let answer = b.get("/v1/me", Some(&pair.access));
                    assert_eq!(answer.status, 503, "round {round}: {}", answer.text);
                    assert!(answer.header("retry-after").is_some(), "round {round}: {:?}", answer.headers);
                });
            }
        });
        assert_eq!(me(&a, &kept), 200, "round {round}");
        link.mend();
        let recovers = within(RECOVERED, || {
            let statuses: Vec<u16> = ended.iter().map(|pair| me(&b, pair)).collect();
            assert!(!statuses.contains(&200), "round {round}: {statuses:?}");
            me(&b, &kept) == 200
        });
        assert!(recovers, "round {round}: without help");
        assert!(ended.iter().all(|pair| me(&b, pair) == 401), "round {round}");
    }
}

#[test]
fn soak_a_node_with_a_slow_link_accepts_nothing_that_ended() {
    let Some(site) = Site::new() else { return };
    let link = Link::open(&site.url);
    let (a, b) = (site.start("a"), site.start_through("b", &at(&site.url, link.address)));
    link.delay(FAR);
    for round in 0..rounds(3, 500) {
        let name = account_of(round, &a);
        let (ended, kept) = (a.sign_in(&name, PASSWORD), a.sign_in(&name, PASSWORD));
        assert_eq!((me(&b, &ended), me(&b, &kept)), (200, 200), "round {round}");
        log_out(&a, &ended);
        assert_eq!((me(&b, &ended), me(&b, &kept)), (401, 200), "round {round}");
    }
}
