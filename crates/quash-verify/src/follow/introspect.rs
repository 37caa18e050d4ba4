//! Introspection over HTTP, for the time while the verifier is stale.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::fault::IssuerError;
use super::http::Http;
use super::publisher_task::Message;
use crate::introspection::{Answer, Introspect, Question};

pub(crate) struct IntrospectionClient {
    pub(crate) http: Arc<Http>,
    pub(crate) publisher_task: mpsc::Sender<Message>,
}

impl Introspect for IntrospectionClient {
    fn ask<'a>(&'a self, question: Question<'a>) -> Pin<Box<dyn Future<Output = Answer> + Send + 'a>> {
        Box::pin(async move {
            let asked = match question {
                Question::Token(token) => self.http.introspect(token).await,
                Question::Name(body) => self.http.ask_about_name(body).await,
            };
            let answer = asked.unwrap_or_else(|fault| {
                tracing::warn!(%fault, "failed to ask the issuer about a token");
                match fault {
                    IssuerError::TimedOut | IssuerError::Unreachable => Answer::Silent,
                    _ => Answer::Unavailable,
                }
            });
            if answer == Answer::Inactive {
                self.invalidate_leases().await;
            }
            answer
        })
    }
}

impl IntrospectionClient {
    /// Waits until older leases no longer count. The token may have been revoked a moment ago by an entry
    /// that hasn't arrived: a lease requested before the refusal would make the verifier fresh without that
    /// entry, and the refused token would be accepted again.
    async fn invalidate_leases(&self) {
        let (reply, known) = oneshot::channel();
        if self.publisher_task.send(Message::Refused(reply)).await.is_ok() {
            // The keeping task ends only with the process.
            let _ = known.await;
        }
    }
}
