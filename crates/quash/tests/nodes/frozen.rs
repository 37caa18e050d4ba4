//! A node that is frozen (SIGSTOP) while sessions end at another.

use std::thread;
use std::time::Duration;

use quash_core::model::{Seeded, draw};

use super::site::{PASSWORD, Site};
use super::{RECOVERED, log_out, me};
use crate::support::wait::{pause, within};
use crate::support::{Pair, rounds};

/// The sessions that end while the node is frozen.
const SESSIONS: usize = 4;
/// The shortest and the longest time for which it is frozen. A lease is over after ten seconds.
const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(15);
/// The longest time in the short form.
const BRIEFLY: Duration = Duration::from_millis(500);

#[test]
fn soak_a_frozen_node_accepts_nothing_that_ended_meanwhile() {
    let Some(site) = Site::new() else { return };
    let (a, b) = (site.start("a"), site.start("b"));
    a.add_account("dana", PASSWORD);
    let (longest, chance) = (if rounds(0, 1) == 1 { LONGEST } else { BRIEFLY }, Seeded::new(5));
    for round in 0..rounds(3, 60) {
        let pairs: Vec<Pair> = (0..SESSIONS).map(|_| a.sign_in("dana", PASSWORD)).collect();
        assert!(pairs.iter().all(|pair| me(&b, pair) == 200), "round {round}");
        let share = f64::from(u16::from_be_bytes(draw(&chance))) / f64::from(u16::MAX);
        let span = SHORTEST + (longest - SHORTEST).mul_f64(share);
        b.freeze();
        let statuses: Vec<u16> = thread::scope(|scope| {
            let asked: Vec<_> = pairs.iter().map(|pair| scope.spawn(|| me(&b, pair))).collect();
            pairs.iter().for_each(|pair| log_out(&a, pair));
            pause(span);
            b.thaw();
            asked.into_iter().map(|asked| asked.join().expect("it doesn't panic")).collect()
        });
        // The requests are read when the node runs again. If its lease is over, they wait for the next one.
        assert!(
            statuses.iter().all(|status| matches!(status, 401 | 503)),
            "round {round}, {span:?}: {statuses:?}"
        );
        let recovers = within(RECOVERED, || {
            let statuses: Vec<u16> = pairs.iter().map(|pair| me(&b, pair)).collect();
            assert!(!statuses.contains(&200), "round {round}, {span:?}: {statuses:?}");
            statuses.iter().all(|status| *status == 401)
        });
        assert!(recovers, "round {round}, {span:?}");
    }
}
