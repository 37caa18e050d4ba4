//! Asking the issuer about a token while what is known here can't be vouched for.

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
                tracing::warn!(%fault, "the issuer could not be asked about a token");
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
    /// The token may have been revoked a moment ago, and that may not have arrived. A lease that is under way wouldn't prove
    /// it: what has been refused once would be let in again.
    async fn let_it_be_known(&self) {
        let (taken, known) = oneshot::channel();
        if self.keeping.send(Message::Refused(taken)).await.is_ok() {
            // The keeping task ends with the process.
            let _ = known.await;
        }
    }
}
