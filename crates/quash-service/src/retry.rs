//! Load, decide, commit, announce: the loop of every use case that writes.

use quash_core::model::{Refusal, limits};
use quash_store::StoreError;

use crate::failure::{Failure, StartError};

/// The outcome of an attempt that wasn't committed.
pub(crate) enum Uncommitted<F> {
    /// The rows have changed since they were loaded.
    Conflict,
    /// The use case has failed.
    Failed(F),
}

/// The number of conflicts in a use case. It loads and decides again after each, up to a limit.
#[derive(Default)]
pub(crate) struct Conflicts(u32);

/// Runs a block that loads, decides, commits and announces, and runs it again after a conflict, at most
/// [`limits::CONFLICTS`] times. Within the block, `?` and `return` end the attempt with a
/// `Result<_, Uncommitted<_>>`; the macro's value is the `Result` of the use case.
///
/// It is a macro because the compiler can't prove that a function over an async closure returns a `Send`
/// future.
macro_rules! retry {
    ($attempt:block) => {{
        let mut conflicts = $crate::retry::Conflicts::default();
        loop {
            let attempted: Result<_, $crate::retry::Uncommitted<_>> = async { $attempt }.await;
            match attempted {
                Ok(value) => break Ok(value),
                Err(attempt) => {
                    if let Some(failure) = conflicts.failure(attempt) {
                        break Err(failure);
                    }
                }
            }
        }
    }};
}
pub(crate) use retry;

/// Repeats a step of a start if another process has done it first.
pub(crate) async fn repeated<T, F>(mut step: impl FnMut() -> F) -> Result<T, StartError>
where
    F: Future<Output = Result<T, StartError>>,
{
    let mut conflicts = 0;
    loop {
        match step().await {
            Err(StartError::Store(StoreError::Conflict)) if conflicts < limits::CONFLICTS => conflicts += 1,
            done => return done,
        }
    }
}

impl Conflicts {
    /// Counts a conflict. Returns the failure that ends the use case, if there is one.
    pub(crate) fn failure<F: From<Failure>>(&mut self, attempt: Uncommitted<F>) -> Option<F> {
        match attempt {
            Uncommitted::Failed(failure) => Some(failure),
            Uncommitted::Conflict if self.0 < limits::CONFLICTS => {
                self.0 += 1;
                None
            }
            Uncommitted::Conflict => Some(Failure::from(StoreError::Conflict).into()),
        }
    }
}

impl<F: From<Failure>> From<StoreError> for Uncommitted<F> {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict => Self::Conflict,
            error => Self::Failed(Failure::from(error).into()),
        }
    }
}

impl<F: From<Failure>> From<Failure> for Uncommitted<F> {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure.into())
    }
}

impl<F: From<Failure>> From<Refusal> for Uncommitted<F> {
    fn from(refusal: Refusal) -> Self {
        Self::Failed(Failure::from(refusal).into())
    }
}
