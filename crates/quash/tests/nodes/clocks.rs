//! Two nodes whose clocks differ. Needs libfaketime; without it, the tests print that they were skipped.

use serde_json::json;

use super::site::{PASSWORD, Site};
use super::{REFRESH, me};
use crate::support::Server;
use crate::support::faketime::FakeClock;
use crate::support::wait::within;

/// The sign-ins with each difference.
const ROUNDS: usize = 20;

/// A node with the right clock, and one whose clock is ahead.
fn nodes(site: &Site, clock: &FakeClock) -> [Server; 2] {
    let a = site.start("a");
    a.add_account("dana", PASSWORD);
    [a, site.start_by("b", clock.command())]
}

#[test]
fn tokens_of_a_node_whose_clock_is_ahead_are_accepted() {
    let (Some(clock), Some(site)) = (FakeClock::right(), Site::new()) else { return };
    let [a, b] = nodes(&site, &clock);
    for ahead in ["+0.1s", "+1.5s", "+50s"] {
        clock.set(ahead);
        for round in 0..ROUNDS {
            let pair = b.sign_in("dana", PASSWORD);
            assert_eq!(me(&a, &pair), 200, "{ahead}, round {round}");
            let refreshed = a.post_json(REFRESH, &json!({ "refresh": pair.refresh }), None).pair();
            assert_eq!(me(&b, &refreshed), 200, "{ahead}, round {round}");
        }
    }
    clock.set("+90s");
    let pair = b.sign_in("dana", PASSWORD);
    assert_eq!((me(&a, &pair), me(&b, &pair)), (401, 200), "further ahead than nodes may be");
}

#[test]
fn refreshes_repeated_at_a_node_whose_clock_is_behind_are_within_the_grace() {
    let (Some(clock), Some(site)) = (FakeClock::right(), Site::new()) else { return };
    let [a, b] = nodes(&site, &clock);
    clock.set("+20s");
    let pair = b.sign_in("dana", PASSWORD);
    let body = json!({ "refresh": pair.refresh });
    let [first, again] = [&b, &a].map(|node| node.post_json(REFRESH, &body, None).pair());
    assert_eq!(first.refresh, again.refresh);
    assert_eq!((me(&a, &again), me(&b, &again)), (200, 200));
}

#[test]
fn a_node_with_a_wrong_clock_signs_nothing_until_it_is_set() {
    let (Some(clock), Some(site)) = (FakeClock::right(), Site::new()) else { return };
    let [a, b] = nodes(&site, &clock);
    let pair = b.sign_in("dana", PASSWORD);
    for wrong in ["+400s", "-400s"] {
        clock.set(wrong);
        let has_stopped = within(30, || b.get("/readyz", None).status == 503);
        assert!(has_stopped, "{wrong}: its lease ends");
        let ready = b.get("/readyz?verbose=1", None);
        assert!(ready.text.contains("clock differs from the database's"), "{wrong}: {}", ready.text);
        let body = json!({ "username": "dana", "password": PASSWORD });
        assert_eq!(b.post_json("/api/token/", &body, None).status, 503, "{wrong}");
        assert_eq!((me(&a, &pair), me(&b, &pair)), (200, 503), "{wrong}");
        clock.set("+0s");
        assert!(within(30, || me(&b, &pair) == 200), "{wrong}: it recovers");
    }
    clock.set("+40s");
    assert!(within(30, || b.get("/readyz", None).status == 200));
    let log = b.terminate().stderr;
    assert!(
        log.contains("400 s ahead of the database's") || log.contains("399 s ahead of the database's"),
        "{log}"
    );
    assert!(log.contains("s behind the database's: set it"), "{log}");
}
