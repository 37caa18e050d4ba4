//! The mutants of the protocol between the nodes that share a store. The promises that they break are
//! listed in
//! `crates/quash-server/tests/sim_nodes/main.rs`.

use super::mutants::Mutant;

const NODE_FOLLOWER: &str = "crates/quash-service/src/node/follower.rs";
const NODE_LEASE: &str = "crates/quash-service/src/node/lease.rs";
const CONTEXT: &str = "crates/quash-service/src/context.rs";
const BARRIER: &str = "crates/quash-service/src/use_cases/feed/barrier.rs";
const ROTATION: &str = "crates/quash-service/src/use_cases/keys/rotation.rs";
const FRESHNESS: &str = "crates/quash-core/src/watch/follower.rs";
const ROWS: &str = "crates/quash-store/src/coordination/rows.rs";
const SIGHTINGS: &str = "crates/quash-store/src/coordination/sightings.rs";
const LINK: &str = "crates/quash-server/tests/sim_nodes/link.rs";
const NODE: &str = "crates/quash-server/tests/sim_nodes/node.rs";

pub(crate) const NODE_MUTANTS: &[Mutant] = &[
    Mutant {
        name: "nodes: a read that was under way proves a check",
        file: NODE_FOLLOWER,
        text: "        let round = Round { began, seq: followed.head.seq, ring: followed.head.ring };",
        replacement: "        let began = self.clock.uptime();\n        \
                      let round = Round { began, seq: followed.head.seq, ring: followed.head.ring };",
    },
    Mutant {
        name: "nodes: a replica is read",
        file: LINK,
        text: "const REPLICAS: bool = false;",
        replacement: "const REPLICAS: bool = true;",
    },
    Mutant {
        name: "nodes: a proof is published before its entries",
        file: NODE_FOLLOWER,
        text: "        self.apply(followed).await?;",
        replacement: "        self.publisher.prove(began, self.until);\n        \
                      tokio::time::sleep(SHORTEST).await;\n        self.apply(followed).await?;",
    },
    Mutant {
        name: "nodes: a check doesn't look at the end of the node's lease",
        file: FRESHNESS,
        text: "Self::Until(until) | Self::Proven { until, .. } => uptime < until,",
        replacement: "Self::Until(until) => uptime < until,\n            Self::Proven { .. } => true,",
    },
    Mutant {
        name: "nodes: a lease is granted whose row wasn't written",
        file: NODE_LEASE,
        text: "        is_failing = fault.is_some();\n",
        replacement: "        is_failing = fault.is_some();\n        let (at, until) = (clock.uptime(), began + node.term);\n        \
                      node.recorded.send_replace(Some(Recorded { at, until }));\n",
    },
    Mutant {
        name: "nodes: reads prolong a lease whose row isn't renewed",
        file: NODE_FOLLOWER,
        text: "            self.publisher.prove(at, self.until);",
        replacement: "            self.publisher.prove(at, at + Duration::from_secs(2));",
    },
    Mutant {
        name: "nodes: a lease counts with a head that was read before its row was written",
        file: NODE_FOLLOWER,
        text: ".filter(|recorded| recorded.at <= at)",
        replacement: ".filter(|recorded| recorded.at <= at || true)",
    },
    Mutant {
        name: "nodes: a lease counts without the keys of its head",
        file: NODE_FOLLOWER,
        text: "            && published.ring >= round.ring\n",
        replacement: "",
    },
    Mutant {
        name: "nodes: a node's lease counts from the answer",
        file: NODE_LEASE,
        text: "until: began + self.term };",
        replacement: "until: clock.uptime() + self.term };",
    },
    Mutant {
        name: "nodes: a node confirms what it has read, and not what it has published",
        file: NODE_FOLLOWER,
        // Shows in the keys, which another task loads. A confirmation of entries alone breaks no promise: it can't leave
        // the process between the read and the application of its entries, which is one step.
        text: "        self.node.published.send_if_modified(|before| std::mem::replace(before, published) != published);",
        replacement: "        let read = self.unproven.back().map_or(published, |round| Known { seq: round.seq, ring: round.ring });\n        \
                      self.node.published.send_if_modified(|before| std::mem::replace(before, read) != read);",
    },
    Mutant {
        name: "nodes: a barrier doesn't wait for nodes",
        file: BARRIER,
        text: "waiting.retain(waits_for);",
        replacement: "waiting.retain(|lease| waits_for(lease) && !lease.id.is_node());",
    },
    Mutant {
        name: "nodes: a barrier waits only for the leases of its own node",
        file: NODE,
        text: "NodeCoordination::over(Arc::clone(&world.rows))",
        replacement: "NodeCoordination::over(Arc::default())",
    },
    Mutant {
        name: "nodes: a barrier waits for less than a lease's term",
        file: SIGHTINGS,
        text: "        first + counted(term)",
        replacement: "        first + counted(term) / 2",
    },
    Mutant {
        name: "nodes: a barrier doesn't read the rows again after the commit",
        file: ROWS,
        text: "        let listed = self.read(now).into_iter().filter(|(_, row, _)| !row.has_left);",
        replacement: "\
        type Read = (Duration, Vec<(InstanceId, Row, Duration)>);
        static EARLIER: Mutex<BTreeMap<usize, Read>> = Mutex::new(BTreeMap::new());
        let place = std::ptr::from_ref(self) as usize;
        let mut earlier = EARLIER.lock().unwrap_or_else(PoisonError::into_inner);
        let read = earlier.entry(place).or_insert_with(|| (now, self.read(now)));
        if read.0 > now || read.0 + Duration::from_secs(1) <= now {
            *read = (now, self.read(now));
        }
        let listed = read.1.clone().into_iter().filter(|(_, row, _)| !row.has_left);",
    },
    Mutant {
        name: "nodes: a row is deleted although it was renewed",
        file: ROWS,
        text: "is_some_and(|row| row.renewal == renewal)",
        replacement: "is_some_and(|row| row.renewal == renewal || true)",
    },
    Mutant {
        name: "nodes: the renewals of a row that was deleted begin again at 1",
        file: ROWS,
        text: "\
        rows.renewals += 1;
        let renewal = rows.renewals;
        let row = rows.of.entry(lease.id.clone())",
        replacement: "\
        let renewal = rows.of.get(lease.id).map_or(1, |row| row.renewal + 1);
        let row = rows.of.entry(lease.id.clone())",
    },
    Mutant {
        name: "nodes: an older key signs than the one that the request has read of",
        file: CONTEXT,
        text: "        let mut grant = grant;\n",
        replacement: "        let mut grant = Grant { ring: 0, ..grant };\n",
    },
    Mutant {
        name: "nodes: a request that signs doesn't compare the settings that define tokens",
        file: CONTEXT,
        text: "if !node.has_settings(grant.settings) {",
        replacement: "if false && !node.has_settings(grant.settings) {",
    },
    Mutant {
        name: "nodes: a check doesn't compare the settings that define tokens",
        file: NODE_FOLLOWER,
        text: "if head.settings != self.node.settings {",
        replacement: "if false && head.settings != self.node.settings {",
    },
    Mutant {
        name: "nodes: the end of the lease is compared before signing",
        file: CONTEXT,
        text: "\
                let issued = self.sign(&grant, &signing, now)?;
                // Read after signing: this process may have been paused, and the key be revoked meanwhile.
                if self.guard.is_fresh() {",
        replacement: "\
                let is_fresh = self.guard.is_fresh();
                let issued = self.sign(&grant, &signing, now)?;
                if is_fresh {",
    },
    Mutant {
        name: "nodes: the revocation of a key doesn't wait for other nodes",
        file: ROTATION,
        text: "            context.keys_at_all_nodes(revoked.seq).await?;\n",
        replacement: "",
    },
];
