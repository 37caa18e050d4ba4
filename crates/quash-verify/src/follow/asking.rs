//! Introspection over HTTP, for the time while the verifier is stale.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::http::Http;
use super::keeping::Message;
use crate::introspection::{Answer, Introspect};

pub(crate) struct Asking {
    pub(crate) http: Arc<Http>,
    pub(crate) keeping: mpsc::Sender<Message>,
}

impl Introspect for Asking {
    fn ask<'a>(&'a self, token: &'a str) -> Pin<Box<dyn Future<Output = Answer> + Send + 'a>> {
        Box::pin(async move {
            let answer = self.http.introspect(token).await.unwrap_or_else(|fault| {
                tracing::warn!(%fault, "failed to ask the issuer about a token");
                Answer::Away
            });
            if answer == Answer::Inactive {
                self.let_it_be_known().await;
            }
            answer
        })
    }
}

impl Asking {
    /// Waits until older leases no longer count. The token may have been revoked a moment ago by an entry
    /// that hasn't arrived: a lease requested before the refusal would make the verifier fresh without that
    /// entry, and the refused token would be accepted again.
    async fn let_it_be_known(&self) {
        let (taken, known) = oneshot::channel();
        if self.keeping.send(Message::Refused(taken)).await.is_ok() {
            // The keeping task ends only with the process.
            let _ = known.await;
        }
    }
}
