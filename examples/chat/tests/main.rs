//! The chat in its own process beside a server: its sockets close with the session that opened them.

#[path = "../../../crates/quash-server/tests/support/mod.rs"]
mod support;

#[path = "../../tests/example/mod.rs"]
mod example;

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use http::header::AUTHORIZATION;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};

use example::{Example, TERM, now};
use support::{Plan, World};

const CHAT: &str = env!("CARGO_BIN_EXE_quash-example-chat");
/// Longer than any message takes on this machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A participant.
struct Guest(WebSocketStream<TcpStream>);

impl Guest {
    /// Joins with a token, or returns the status of the refusal.
    async fn join(example: &Example, token: &str) -> Result<Self, u16> {
        let mut request = format!("ws://{}/chat", example.address).into_client_request().expect("a request");
        request
            .headers_mut()
            .insert(AUTHORIZATION, format!("Bearer {token}").parse().expect("a header value"));
        let stream = TcpStream::connect(example.address).await.expect("it listens");
        match tokio_tungstenite::client_async(request, stream).await {
            Ok((socket, _)) => Ok(Self(socket)),
            Err(Error::Http(answer)) => Err(answer.status().as_u16()),
            Err(error) => panic!("{error}"),
        }
    }

    async fn say(&mut self, word: &str) {
        self.0.send(Message::text(word)).await.expect("an open socket");
    }

    async fn hear(&mut self, within: Duration) -> Message {
        timeout(within, self.0.next()).await.expect("in time").expect("an open socket").expect("a message")
    }
}

fn text(message: &Message) -> &str {
    message.to_text().expect("text")
}

#[tokio::test]
async fn only_sockets_of_the_ended_session_close() {
    let world = World::planned(now(Plan::default())).await;
    let example = Example::beside(&world, CHAT).await;
    let (pair, other) = (world.sign_in("dana").await, world.sign_in("noor").await);
    let mut dana = Guest::join(&example, &pair.access).await.expect("a participant");
    dana.say("is anybody here?").await;
    assert_eq!(text(&dana.hear(PATIENCE).await), "dana: is anybody here?");
    let mut noor = Guest::join(&example, &other.access).await.expect("a participant");
    noor.say("I am").await;
    for guest in [&mut dana, &mut noor] {
        assert_eq!(text(&guest.hear(PATIENCE).await), "noor: I am");
    }

    assert_eq!(world.log_out(&pair.access, &pair.refresh).await.status, 200);
    let Message::Close(Some(closing)) = dana.hear(TERM).await else { panic!("expected a close frame") };
    assert_eq!((closing.code, closing.reason.as_str()), (CloseCode::Policy, "the session has ended"));
    assert_eq!(Guest::join(&example, &pair.access).await.err(), Some(401), "the token is refused");
    noor.say("dana?").await;
    assert_eq!(text(&noor.hear(PATIENCE).await), "noor: dana?");
}
