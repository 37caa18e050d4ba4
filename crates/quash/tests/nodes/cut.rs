//! A node that is cut off from the database, and the database away.

use super::site::{PASSWORD, Site, at};
use super::{log_out, me};
use crate::support::wait::later;

mod link;

use link::Link;

/// The seconds in which a node recovers, also on a busy machine.
const RECOVERED: usize = 10;

#[test]
fn a_node_without_the_database_answers_503_and_recovers() {
    let Some(site) = Site::new() else { return };
    let link = Link::open(&site.url);
    let (a, b) = (site.start("a"), site.start_through("b", &at(&site.url, link.address)));
    a.add_account("dana", PASSWORD);
    let (ended, kept) = (a.sign_in("dana", PASSWORD), a.sign_in("dana", PASSWORD));
    assert_eq!((me(&b, &ended), me(&b, &kept)), (200, 200));
    link.cut();
    log_out(&a, &ended);
    for pair in [&ended, &kept] {
        let answer = b.get("/v1/me", Some(&pair.access));
        assert_eq!(answer.status, 503, "{}", answer.text);
        assert!(answer.header("retry-after").is_some(), "{:?}", answer.headers);
    }
    assert_eq!(me(&a, &kept), 200);
    link.mend();
    let recovers = (0..RECOVERED).any(|_| {
        later();
        me(&b, &kept) == 200
    });
    assert!(recovers, "without help");
    assert_eq!(me(&b, &ended), 401);
}
