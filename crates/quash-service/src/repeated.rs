//! The answers to requests with an `Idempotency-Key`, in this process's memory: after a restart, a repeated
//! request is carried out again, which revokes the same and more.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use quash_core::model::{Client, ClientName, Seq, Timestamp, limits};

/// The result of a request that revokes in a namespace.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NamesRevoked {
    /// The number with which a verifier knows all of the request's revocations.
    pub seq: Seq,
    /// The number of entries that were written: revoked sessions and tokens aren't written again.
    pub written: usize,
}

/// A client and its key. Another client may have its name later, but not the time of its addition.
type ClientKey = (ClientName, Timestamp, String);

/// The first answers of a kind of request, by client and key.
pub struct Repeated<T>(Mutex<Known<T>>);

struct Known<T> {
    slots: HashMap<ClientKey, Slot<T>>,
    /// The keys in the order of their first use, with its uptime.
    order: VecDeque<(Duration, ClientKey)>,
}

/// Locked while the first request is carried out, so that a concurrent one waits for its answer.
type Slot<T> = Arc<tokio::sync::Mutex<Option<T>>>;

impl<T> Default for Repeated<T> {
    fn default() -> Self {
        Self(Mutex::new(Known { slots: HashMap::new(), order: VecDeque::new() }))
    }
}

impl<T: Clone> Repeated<T> {
    /// Returns the first answer to a client's requests with this key, or carries the request out. A failure
    /// isn't remembered.
    ///
    /// # Errors
    /// The request has failed.
    pub async fn once<E>(
        &self,
        client: &Client,
        key: &str,
        uptime: Duration,
        request: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let slot = self.slot((client.name.clone(), client.created_at, key.to_owned()), uptime);
        let mut known = slot.lock().await;
        match &*known {
            Some(answer) => Ok(answer.clone()),
            None => {
                let answer = request.await?;
                *known = Some(answer.clone());
                Ok(answer)
            }
        }
    }

    fn slot(&self, key: ClientKey, uptime: Duration) -> Slot<T> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((since, oldest)) = known.order.front() {
            let is_over = uptime.saturating_sub(*since) >= limits::REPEATED_WITHIN;
            if !is_over && (known.order.len() < limits::REPEATED_KEYS || known.slots.contains_key(&key)) {
                break;
            }
            let oldest = oldest.clone();
            known.slots.remove(&oldest);
            known.order.pop_front();
        }
        if let Some(slot) = known.slots.get(&key) {
            return Arc::clone(slot);
        }
        let slot = Slot::<T>::default();
        known.order.push_back((uptime, key.clone()));
        known.slots.insert(key, Arc::clone(&slot));
        slot
    }
}

#[cfg(test)]
mod tests {
    use quash_core::model::Rights;

    use super::*;

    fn client(name: &str) -> Client {
        Client {
            name: ClientName::parse(name).expect("a name"),
            rights: Rights::default(),
            created_at: Timestamp::default(),
            namespace: None,
            expires_at: None,
            version: 0,
        }
    }

    async fn ask(repeated: &Repeated<u32>, name: &str, key: &str, secs: u64, answer: u32) -> u32 {
        let request = async { Ok::<_, ()>(answer) };
        repeated.once(&client(name), key, Duration::from_secs(secs), request).await.expect("an answer")
    }

    #[tokio::test]
    async fn repeated_keys_get_the_first_answer_for_ten_minutes() {
        let repeated = Repeated::default();
        assert_eq!(ask(&repeated, "a", "k", 0, 1).await, 1);
        assert_eq!(ask(&repeated, "a", "k", 599, 2).await, 1);
        assert_eq!(ask(&repeated, "b", "k", 599, 3).await, 3, "of another client");
        assert_eq!(ask(&repeated, "a", "j", 599, 4).await, 4);
        assert_eq!(ask(&repeated, "a", "k", 600, 5).await, 5);
        assert_eq!(ask(&repeated, "a", "j", 600, 6).await, 4);
    }

    #[tokio::test]
    async fn a_later_client_of_the_same_name_gets_no_answer_of_the_former() {
        let repeated = Repeated::default();
        assert_eq!(ask(&repeated, "a", "k", 0, 1).await, 1);
        let later = Client { created_at: Timestamp::from_secs(1), ..client("a") };
        let answer = repeated.once(&later, "k", Duration::ZERO, async { Ok::<_, ()>(2) }).await;
        assert_eq!(answer, Ok(2));
    }

    #[tokio::test]
    async fn failures_are_not_remembered() {
        let repeated = Repeated::default();
        let failed = repeated.once(&client("a"), "k", Duration::ZERO, async { Err::<u32, _>(()) }).await;
        assert_eq!(failed, Err(()));
        assert_eq!(ask(&repeated, "a", "k", 0, 2).await, 2);
    }

    #[tokio::test]
    async fn remembered_keys_are_limited() {
        let repeated = Repeated::default();
        for key in 0..=limits::REPEATED_KEYS {
            ask(&repeated, "a", &key.to_string(), 0, 1).await;
        }
        assert_eq!(repeated.0.lock().expect("free").slots.len(), limits::REPEATED_KEYS);
        assert_eq!(ask(&repeated, "a", "1", 0, 2).await, 1);
        assert_eq!(ask(&repeated, "a", "0", 0, 2).await, 2, "the oldest is forgotten");
    }
}
