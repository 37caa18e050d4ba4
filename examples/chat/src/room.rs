//! The service: one chat room, whose WebSockets close when the session that opened them ends.

use axum::extract::State;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::response::Response;
use axum::{Router, routing::get};
use quash_verify::{StartError, TokenGuard, Verifier, VerifyError};
use tokio::sync::broadcast;

/// The channel that sends each message to all participants.
type Room = broadcast::Sender<String>;

/// The capacity of the channel: a participant that falls further behind loses the oldest messages.
const WORDS: usize = 64;
/// The longest message, in bytes.
const LONGEST: usize = 4096;

/// Returns the service: a chat at `/chat` that requires a valid token.
pub(crate) async fn service(issuer: &str, credential: &str) -> Result<Router, StartError> {
    let verifier = Verifier::builder(issuer).credential(credential).start().await?;
    let room = Room::new(WORDS);
    Ok(Router::new().route("/chat", get(join)).layer(verifier.layer()).with_state(room))
}

async fn join(guard: TokenGuard, State(room): State<Room>, upgrade: WebSocketUpgrade) -> Response {
    upgrade.max_message_size(LONGEST).on_upgrade(async move |mut socket| {
        tokio::select! {
            () = talk(&mut socket, guard.accepted().user_id(), &room) => {}
            // A log-out, a password reset or a lock ends the session, and this socket within milliseconds.
            why = guard.revoked() => {
                // The client may have disconnected already.
                let _ = socket.send(Message::Close(Some(closing(why)))).await;
            }
        }
    })
}

/// Passes messages on until the socket is closed.
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
                    // Can't fail: this participant receives the message, too.
                    let _ = room.send(format!("{name}: {text}"));
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => {}
            },
        }
    }
}

/// Returns the close frame that tells the client whether to sign in again or to reconnect.
fn closing(why: VerifyError) -> CloseFrame {
    let (code, reason) = match why {
        VerifyError::Refused(_) => (close_code::POLICY, "the session has ended"),
        _ => (close_code::AGAIN, "the session can't be checked now"),
    };
    CloseFrame { code, reason: reason.into() }
}
