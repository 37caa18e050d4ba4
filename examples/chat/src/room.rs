//! The service: one room, a WebSocket for each that is in it, and an end to the socket with the session that opened it.

use axum::extract::State;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::response::Response;
use axum::{Router, routing::get};
use quash_verify::{Denied, StartError, TokenGuard, Verifier};
use tokio::sync::broadcast;

/// What is said, to everybody who is there.
type Room = broadcast::Sender<String>;

/// Who falls further behind than this many words loses the oldest.
const WORDS: usize = 64;
/// The longest that may be said at once, in bytes.
const LONGEST: usize = 4096;

/// A chat at `/chat` for whoever has a live token.
pub(crate) async fn service(issuer: &str, credential: &str) -> Result<Router, StartError> {
    let verifier = Verifier::builder(issuer).credential(credential).start().await?;
    let room = Room::new(WORDS);
    Ok(Router::new().route("/chat", get(join)).layer(verifier.layer()).with_state(room))
}

async fn join(guard: TokenGuard, State(room): State<Room>, upgrade: WebSocketUpgrade) -> Response {
    upgrade.max_message_size(LONGEST).on_upgrade(async move |mut socket| {
        tokio::select! {
            () = talk(&mut socket, guard.accepted().user_id(), &room) => {}
            // A log-out, a password reset, a lock: whatever ends the session ends this, within milliseconds.
            why = guard.revoked() => {
                // Who has gone already needn't be told.
                let _ = socket.send(Message::Close(Some(closing(why)))).await;
            }
        }
    })
}

/// Passes on what is said, until the socket is closed.
async fn talk(socket: &mut WebSocket, name: &str, room: &Room) {
    let mut said = room.subscribe();
    loop {
        tokio::select! {
            word = said.recv() => match word {
                Ok(word) => if socket.send(Message::text(word)).await.is_err() { return },
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return,
            },
            message = socket.recv() => match message {
                Some(Ok(Message::Text(text))) => {
                    // There is one who hears it: the one who says it.
                    let _ = room.send(format!("{name}: {text}"));
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => {}
            },
        }
    }
}

/// What a client is told: whether to sign in anew, or to try again.
fn closing(why: Denied) -> CloseFrame {
    let (code, reason) = match why {
        Denied::Refused(_) => (close_code::POLICY, "the session has ended"),
        Denied::Stale | Denied::KeysAway => {
            (close_code::AGAIN, "nobody can tell whether the session goes on")
        }
    };
    CloseFrame { code, reason: reason.into() }
}
