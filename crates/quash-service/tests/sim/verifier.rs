//! A verifier: what it knows is the real thing (`quash_core::watch`), what carries it there is the world's network.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use quash_core::model::{Clock, Refusal, Seq, Timestamp, TokenPolicy};
use quash_core::token::{Authentic, TokenType};
use quash_core::watch::frame::{Cursor, Frame, LeaseGrant, LeaseNonce, Snapshot};
use quash_core::watch::{Follower, Lease, Verdict, admit};
use quash_service::{Binding, Delivery, FeedRefused, InstanceId, LeaseAsked};
use tokio::sync::mpsc;

use crate::TERM;
use crate::chance::Chance;
use crate::wait::pass;
use crate::world::World;

/// One verifier, with a clock of its own that runs a little too fast or too slow.
pub(crate) struct Verifier {
    pub(crate) number: usize,
    pub(crate) clock: Arc<dyn Clock>,
    chance: Chance,
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    follower: Option<Follower>,
    cursor: Option<Cursor>,
    policy: TokenPolicy,
    /// How often it has begun anew.
    life: u32,
    /// When its process has been started again.
    back_at: Duration,
}

/// What a verifier says of a token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Said {
    Accepted { cursor: Seq },
    Revoked,
    Unsure,
    Refused,
}

/// What reaches the one task that changes what is known.
enum Message {
    Frame(Frame),
    Granted { sent_at: Duration, asked_from: Seq, grant: LeaseGrant },
    Wanted(u64),
    Lost,
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let memory = self.memory.lock().expect("no panic");
        write!(f, "at {:?}: {:?}, {:?}", self.clock.uptime(), memory.cursor, memory.follower)
    }
}

/// What a process calls itself: nobody else does, nor did it before.
fn instance(number: usize, life: u32) -> [u8; 16] {
    (u128::try_from(number).expect("few") << 64 | u128::from(life)).to_be_bytes()
}

impl Verifier {
    pub(crate) fn new(number: usize, clock: Arc<dyn Clock>, chance: Chance) -> Self {
        Self { number, clock, chance, memory: Mutex::default() }
    }

    /// What it says of a token: what is revoked is so in every state; else it must be able to vouch.
    pub(crate) fn judge(&self, token: &Arc<Authentic>) -> Said {
        let memory = self.memory.lock().expect("no panic");
        let Some(follower) = &memory.follower else { return Said::Unsure };
        // The clock is read after what is known.
        let (now, uptime): (Timestamp, Duration) = (self.clock.now(), self.clock.uptime());
        match admit(Arc::clone(token), &[TokenType::Access], &memory.policy, follower.revoked(), now) {
            Err(Verdict::Refused(Refusal::TokenRevoked(_))) => Said::Revoked,
            Err(Verdict::Refused(_)) => Said::Refused,
            Err(Verdict::Behind { .. }) => Said::Unsure,
            Ok(_) if follower.freshness().holds(uptime) => Said::Accepted { cursor: follower.revoked().cursor() },
            Ok(_) => Said::Unsure,
        }
    }

    /// Whether it can vouch for what it knows.
    pub(crate) fn is_fresh(&self) -> bool {
        let memory = self.memory.lock().expect("no panic");
        memory.follower.as_ref().is_some_and(|follower| follower.freshness().holds(self.clock.uptime()))
    }

    /// It forgets everything, as a process does that is killed, and isn't back before so much time has passed.
    pub(crate) fn crash(&self, down: Duration) {
        let mut memory = self.memory.lock().expect("no panic");
        *memory = Memory { life: memory.life.wrapping_add(1), back_at: self.clock.uptime() + down, ..Memory::default() };
    }

    /// Follows the feed for ever.
    pub(crate) async fn follow(self: Arc<Self>, world: Arc<World>) {
        loop {
            let back_at = self.memory.lock().expect("no panic").back_at;
            pass(back_at.saturating_sub(self.clock.uptime())).await;
            if self.take_snapshot(&world).await.is_none() {
                pass(self.chance.millis(200)).await;
                continue;
            }
            self.follow_from_there(&world).await;
        }
    }

    async fn take_snapshot(&self, world: &World) -> Option<()> {
        let snapshot = world.call(self.number, &self.chance, async |service| service.feed_snapshot().await).await?.ok()?;
        // As it comes over the wire, where bits may flip.
        let text = world.kept_on_the_way(world.over_the_wire(&snapshot, &self.chance), &self.chance);
        let snapshot: Snapshot = serde_json::from_str(&text).ok()?;
        let (revoked, policy) = (snapshot.revoked().ok()?, snapshot.policy.tokens(Vec::new()).ok()?);
        let mut memory = self.memory.lock().expect("no panic");
        let term = snapshot.policy.term();
        match &mut memory.follower {
            Some(follower) => follower.replace(revoked).ok()?,
            none => *none = Some(Follower::tenant(revoked, term)),
        }
        memory.policy = policy;
        memory.cursor = Some(snapshot.cursor);
        Some(())
    }

    /// Follows until something is wrong.
    async fn follow_from_there(self: &Arc<Self>, world: &Arc<World>) {
        let (send, mut messages) = mpsc::unbounded_channel();
        let (life, Some(after)) = ({ self.memory.lock().expect("no panic").life }, self.cursor()) else { return };
        let stream = tokio::spawn(Arc::clone(self).stream(Arc::clone(world), self.chance.fork(), after, send.clone()));
        let mut next_lease = Duration::ZERO;
        loop {
            let wait = next_lease.saturating_sub(self.clock.uptime());
            let message = tokio::select! {
                biased;
                message = messages.recv() => message.unwrap_or(Message::Lost),
                () = pass(wait) => {
                    next_lease = self.clock.uptime() + TERM / 3;
                    if self.memory.lock().expect("no panic").life != life || self.misses_something() {
                        stream.abort();
                        return;
                    }
                    self.ask_for_a_lease(world, &send);
                    continue;
                }
            };
            if self.memory.lock().expect("no panic").life != life || self.take(message, world, &send).is_none() {
                stream.abort();
                return;
            }
        }
    }

    fn take(self: &Arc<Self>, message: Message, world: &Arc<World>, send: &mpsc::UnboundedSender<Message>) -> Option<()> {
        let mut memory = self.memory.lock().expect("no panic");
        let follower = memory.follower.as_mut()?;
        match message {
            Message::Frame(frame) => {
                follower.follow(&frame.entries().ok()?).ok()?;
                if frame.cursor.seq() == follower.revoked().cursor() {
                    memory.cursor = Some(frame.cursor);
                }
            }
            Message::Granted { sent_at, asked_from, grant } => {
                let lease = Lease { sent_at, cursor: asked_from, head: grant.cursor().seq(), chain: grant.chain() };
                follower.grant(lease).ok()?;
            }
            Message::Wanted(seq) => {
                let has_it = follower.revoked().cursor() >= Seq::from_u64(seq);
                drop(memory);
                if has_it {
                    self.ask_for_a_lease(world, send);
                }
            }
            Message::Lost => return None,
        }
        Some(())
    }

    /// Whether a lease shows entries that the stream must have lost.
    fn misses_something(&self) -> bool {
        let memory = self.memory.lock().expect("no panic");
        let since = memory.follower.as_ref().and_then(Follower::missing_since);
        since.is_some_and(|since| since + TERM / 3 < self.clock.uptime())
    }

    fn cursor(&self) -> Option<Cursor> {
        self.memory.lock().expect("no panic").cursor.clone()
    }

    /// Answers may come late, twice, or in another order.
    fn ask_for_a_lease(self: &Arc<Self>, world: &Arc<World>, send: &mpsc::UnboundedSender<Message>) {
        let Some(cursor) = self.cursor() else { return };
        let (world, chance, send, number) = (Arc::clone(world), self.chance.fork(), send.clone(), self.number);
        let sent_at = self.clock.uptime();
        let life = self.memory.lock().expect("no panic").life;
        let id = InstanceId { name: "api".into(), number: instance(number, life) };
        tokio::spawn(async move {
            let asked = LeaseAsked { id, cursor: cursor.clone(), nonce: LeaseNonce([0; 16]), binding: Binding::Bound };
            match world.call(number, &chance, async |service| service.lease(&asked).await).await {
                Some(Ok(grant)) => {
                    let Ok(grant) = serde_json::from_str::<LeaseGrant>(&world.over_the_wire(&grant, &chance)) else { return };
                    for _ in 0..if chance.once_in(10) { 2 } else { 1 } {
                        let _ = send.send(Message::Granted { sent_at, asked_from: cursor.seq(), grant: grant.clone() });
                        pass(world.delay(&chance)).await;
                    }
                }
                Some(Err(FeedRefused::SnapshotRequired)) => {
                    let _ = send.send(Message::Lost);
                }
                Some(Err(_)) | None => {}
            }
        });
    }

    async fn stream(self: Arc<Self>, world: Arc<World>, chance: Chance, after: Cursor, send: mpsc::UnboundedSender<Message>) {
        let opened = world.call(self.number, &chance, async |service| service.feed_stream(&after).await).await;
        if let (Some(Ok(mut reader)), life) = (opened, world.life()) {
            // A connection ends with the process at its other end, and silently where the network swallows everything.
            while let Some(Some(delivery)) = world.while_alive(life, reader.next()).await {
                pass(world.delay(&chance)).await;
                if world.is_cut(self.number) && !chance.once_in(3) {
                    break;
                }
                let message = match delivery {
                    Delivery::Entries(_) if world.faulty(&chance, 1) => continue,
                    Delivery::Entries(frame) => match serde_json::from_str(&world.over_the_wire(&frame, &chance)) {
                        Ok(frame) => Message::Frame(frame),
                        Err(_) => Message::Lost,
                    },
                    Delivery::Wanted(wanted) => Message::Wanted(wanted.seq),
                    Delivery::Nothing => continue,
                    Delivery::Resync => Message::Lost,
                };
                if let (Message::Frame(frame), true) = (&message, world.faulty(&chance, 1)) {
                    let _ = send.send(Message::Frame(frame.clone()));
                }
                let _ = send.send(message);
            }
        }
        pass(chance.millis(100)).await;
        let _ = send.send(Message::Lost);
    }
}
