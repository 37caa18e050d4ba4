//! Counts requests within a fixed time from the first one.

use std::time::Duration;

use super::bounded_map::BoundedMap;
use super::{CounterKey, RequestKind, RequestLimit};

/// The requests for mails of networks, and what is counted for each account.
pub(super) struct Requests {
    mails: BoundedMap<(RequestKind, CounterKey), Count>,
    changes: BoundedMap<(RequestKind, CounterKey), Count>,
    notices: BoundedMap<(RequestKind, CounterKey), Count>,
}

#[derive(Clone, Copy)]
struct Count {
    since: Duration,
    count: u32,
}

/// The most networks, accounts with a change, and owners that are counted, each. Beyond it, those whose last counted request is oldest
/// are forgotten; the last half never is.
const REMEMBERED: usize = 20_000;

impl Requests {
    /// Counts a request under each limit and returns `true`, or counts nothing if one is used up.
    pub(super) fn take(&mut self, limits: &[RequestLimit], now: Duration) -> bool {
        if limits.iter().any(|limit| self.recent(limit, now).is_some_and(|recent| recent.count >= limit.most))
        {
            return false;
        }
        for limit in limits {
            let Count { since, count } = self.recent(limit, now).unwrap_or(Count { since: now, count: 0 });
            self.of(limit.kind).put((limit.kind, limit.key), Count { since, count: count + 1 });
        }
        true
    }

    fn recent(&mut self, limit: &RequestLimit, now: Duration) -> Option<Count> {
        let found = self.of(limit.kind).of(&(limit.kind, limit.key));
        found.filter(|count| now.saturating_sub(count.since) < limit.span)
    }

    fn of(&mut self, kind: RequestKind) -> &mut BoundedMap<(RequestKind, CounterKey), Count> {
        match kind {
            RequestKind::MailFrom(_) | RequestKind::MailFromUnknown => &mut self.mails,
            RequestKind::AddressChange => &mut self.changes,
            RequestKind::LockNotice => &mut self.notices,
        }
    }
}

impl Default for Requests {
    fn default() -> Self {
        let [mails, changes, notices] = [(); 3].map(|()| BoundedMap::new(REMEMBERED));
        Self { mails, changes, notices }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counters::WindowKind;

    const HOUR: Duration = Duration::from_secs(3600);

    fn mail(n: u32, most: u32) -> RequestLimit {
        let kind = RequestKind::MailFrom(WindowKind::Subnet);
        RequestLimit { kind, key: CounterKey(u128::from(n).to_be_bytes()), most, span: HOUR }
    }

    #[test]
    fn a_used_up_limit_counts_nothing() {
        let mut requests = Requests::default();
        let (narrow, wide) = (mail(1, 2), mail(2, 3));
        assert_eq!([0; 3].map(|_| requests.take(&[narrow, wide], HOUR)), [true, true, false]);
        assert!(requests.take(&[wide], HOUR), "the third one of it");
        assert!(!requests.take(&[wide], HOUR * 2 - Duration::from_millis(1)));
        assert!(requests.take(&[narrow, wide], HOUR * 2), "an hour after the first one");
    }

    #[test]
    fn kinds_with_the_same_key_are_counted_apart() {
        let mut requests = Requests::default();
        let mail = mail(1, 1);
        for kind in [
            mail.kind,
            RequestKind::MailFrom(WindowKind::Home),
            RequestKind::AddressChange,
            RequestKind::LockNotice,
        ] {
            let limit = RequestLimit { kind, ..mail };
            assert_eq!([0; 2].map(|_| requests.take(&[limit], HOUR)), [true, false], "{kind:?}");
        }
    }

    #[test]
    fn counted_networks_are_limited() {
        let (mut requests, most) = (Requests::default(), u32::try_from(REMEMBERED).expect("a small number"));
        assert!((0..most / 2).all(|n| requests.take(&[mail(n, 1)], HOUR)));
        assert!(!requests.take(&[mail(0, 1)], HOUR), "one of the last half");
        assert!((most / 2..3 * most).all(|n| requests.take(&[mail(n, 1)], HOUR)));
        assert!(requests.mails.len() <= REMEMBERED);
        assert!(requests.take(&[mail(0, 1)], HOUR), "forgotten");
    }
}
