//! The network between one verifier and the issuer: it delays, loses, duplicates, splits, corrupts and
//! swallows messages, and replays old responses. A connection ends with the process at its other end,
//! sometimes silently.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use http::{Request, Response};
use http_body_util::BodyExt;
use quash_verify::{BodyStream, BoxFuture, Connection, IssuerError, Transport};
use tower::ServiceExt;

use crate::chance::Chance;
use crate::wait::pass;
use crate::world::World;

pub(crate) struct Network {
    pub(crate) world: Arc<World>,
    pub(crate) verifier: usize,
    pub(crate) chance: Chance,
}

/// The body of a response in transit.
struct Line {
    world: Arc<World>,
    verifier: usize,
    chance: Chance,
    /// The issuer's process at the other end.
    life: u64,
    body: Body,
    /// Sent by the issuer, but not yet received.
    under_way: VecDeque<Bytes>,
    /// Only the feed's content is hashed, and so may be corrupted: the rest is protected by TLS.
    is_feed: bool,
}

/// The time until a peer notices a dead connection, if it does.
const NOTICED_AFTER: Duration = Duration::from_millis(300);

impl Transport for Network {
    fn send(
        &self,
        request: Request<String>,
        _: Connection,
    ) -> BoxFuture<'_, Result<Response<Box<dyn BodyStream>>, IssuerError>> {
        let (world, chance) = (Arc::clone(&self.world), self.chance.fork());
        Box::pin(async move {
            pass(world.delay(&chance)).await;
            let (life, door) = world.door();
            let (true, Some(door)) = (!world.is_cut(self.verifier), door) else {
                return Err(nobody(&chance).await);
            };
            let path = request.uri().path().to_owned();
            let Some(answer) = world.while_alive(life, door.oneshot(request.map(Body::from))).await else {
                return Err(nobody(&chance).await);
            };
            pass(world.delay(&chance)).await;
            if world.is_cut(self.verifier) || world.faulty(&chance, 2) {
                return Err(nobody(&chance).await);
            }
            let (head, mut body) = answer.expect("a router never fails").into_parts();
            let is_feed = path.starts_with("/v1/feed");
            if is_feed && path != "/v1/feed" {
                // The issuer breaks an answer off that it can't complete.
                let Ok(whole) = body.collect().await else { return Err(nobody(&chance).await) };
                let whole = whole.to_bytes();
                body = world.kept_on_the_way(path, whole, &chance).into();
            }
            let line = Line {
                world,
                verifier: self.verifier,
                chance,
                life,
                body,
                under_way: VecDeque::new(),
                is_feed,
            };
            Ok(Response::from_parts(head, Box::new(line) as Box<dyn BodyStream>))
        })
    }
}

impl BodyStream for Line {
    /// Cancel-safe: nothing is lost if the caller stops waiting.
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Bytes>, IssuerError>> {
        Box::pin(async {
            while self.under_way.is_empty() {
                if self.body.is_end_stream() {
                    return Ok(None);
                }
                // Data from before the process was killed may still arrive.
                let Some(frame) = self.world.while_alive(self.life, self.body.frame()).await else {
                    return Err(nobody(&self.chance).await);
                };
                let Some(frame) = frame else { return Ok(None) };
                let Ok(frame) = frame else { return Err(nobody(&self.chance).await) };
                self.send(frame.into_data().expect("bytes"));
            }
            pass(self.world.delay(&self.chance)).await;
            if self.world.is_cut(self.verifier) && !self.chance.once_in(3) {
                return Err(nobody(&self.chance).await);
            }
            Ok(self.under_way.pop_front())
        })
    }
}

impl Line {
    fn send(&mut self, piece: Bytes) {
        if !self.is_feed || !self.world.faulty(&self.chance, 1) {
            self.under_way.push_back(piece);
            return;
        }
        match self.chance.below(6) {
            0 => {}
            1 => self.under_way.extend([piece.clone(), piece]),
            2..=4 => self.under_way.push_back(spoilt(&piece, &self.chance)),
            // Two pieces of one event, far apart in time.
            _ => {
                let place = usize::try_from(self.chance.below(piece.len().max(1) as u64)).expect("an index");
                self.under_way.extend([piece.slice(..place), piece.slice(place..)]);
            }
        }
    }
}

/// The peer is gone, which is noticed after a while, or never.
async fn nobody(chance: &Chance) -> IssuerError {
    if chance.once_in(6) {
        std::future::pending::<()>().await;
    }
    pass(NOTICED_AFTER).await;
    IssuerError::Unreachable
}

/// A flipped bit, a changed letter, or a missing end.
fn spoilt(piece: &Bytes, chance: &Chance) -> Bytes {
    let mut bytes = piece.to_vec();
    let another = |letters: &[u8]| *chance.pick(letters).expect("there are some");
    let place = usize::try_from(chance.below(bytes.len().max(1) as u64)).expect("an index");
    let Some(letter) = bytes.get_mut(place) else { return piece.clone() };
    match chance.below(4) {
        0 => *letter ^= 1 << chance.below(7),
        1 => bytes.truncate(place),
        // Still well-formed, but with another meaning.
        _ if letter.is_ascii_digit() => *letter = another(b"0123456789"),
        _ if letter.is_ascii_alphabetic() => *letter = another(b"abcdefghijklmnopqrstuvwxyzABCDEF"),
        _ => {}
    }
    bytes.into()
}
