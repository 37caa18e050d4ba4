//! The times until which the leases of rows may count, by the clock of the process that reads the rows.
//!
//! A row states no time, because no clock is compared with another's. It has the number of its newest
//! renewal, which no other renewal has. A process notes when a read first returned that number: the holder
//! used the lease no later than a term after that.

use std::collections::HashMap;
use std::time::Duration;

use quash_core::model::InstanceId;

use super::counted;

/// The renewals that this process has seen, and when it first saw them.
#[derive(Default)]
pub(crate) struct Sightings(HashMap<InstanceId, Sighting>);

struct Sighting {
    renewal: u64,
    /// The uptime at which a read had first returned the renewal.
    first: Duration,
}

impl Sightings {
    /// The uptime until which a lease may count whose row a read has returned at `now`.
    pub(crate) fn until(&mut self, id: &InstanceId, renewal: u64, term: Duration, now: Duration) -> Duration {
        let first = match self.0.get_mut(id) {
            Some(seen) if seen.renewal == renewal => seen.first,
            Some(seen) => {
                *seen = Sighting { renewal, first: now };
                now
            }
            None => {
                self.0.insert(id.clone(), Sighting { renewal, first: now });
                now
            }
        };
        first + counted(term)
    }

    /// Forgets the processes that have no row any more.
    pub(crate) fn keep(&mut self, is_listed: impl Fn(&InstanceId) -> bool) {
        self.0.retain(|id, _| is_listed(id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: Duration = Duration::from_secs(10);

    #[test]
    fn leases_count_from_the_first_sight_of_their_renewal() {
        let (mut seen, id) = (Sightings::default(), InstanceId { name: "api".into(), number: [1; 16] });
        let secs = Duration::from_secs;
        assert_eq!(seen.until(&id, 7, T, secs(100)), secs(100) + counted(T));
        assert_eq!(seen.until(&id, 7, T, secs(105)), secs(100) + counted(T), "the same renewal");
        assert_eq!(seen.until(&id, 9, T, secs(106)), secs(106) + counted(T), "renewed");
        seen.keep(|_| false);
        assert_eq!(seen.until(&id, 9, T, secs(120)), secs(120) + counted(T), "forgotten, then seen again");
    }
}
