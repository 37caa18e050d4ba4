//! A token that is watched for longer than a request, in Python.

use std::sync::{Arc, Mutex, PoisonError};

use pyo3::IntoPyObjectExt;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use quash_verify::TokenGuard;
use tokio::task::AbortHandle;

use crate::follow::answers::{Answer, Answers, Reply};
use crate::follow::follower::Follower;
use crate::live::Live;

/// A watched token. It belongs to the process that made it.
#[pyclass(frozen, weakref, module = "quash_verify._native")]
pub(crate) struct Watch {
    generation: u64,
    /// `None` only while it is dropped.
    watched: Option<Watched>,
}

struct Watched {
    follower: Arc<Follower>,
    guard: TokenGuard,
    tasks: Mutex<Vec<AbortHandle>>,
}

/// Answers with a new watch.
pub(crate) fn answer(follower: Arc<Follower>, guard: TokenGuard) -> Answer {
    Answer::Made(Box::new(|py| {
        let watched = Watched { follower, guard, tasks: Mutex::default() };
        Watch { generation: quash_fork::generation(), watched: Some(watched) }.into_py_any(py)
    }))
}

impl Watch {
    fn watched(&self) -> PyResult<&Watched> {
        let watched = self.watched.as_ref().filter(|_| self.generation == quash_fork::generation());
        watched.ok_or_else(|| {
            PyRuntimeError::new_err("the token is watched in the parent process: watch it again in this one")
        })
    }
}

#[pymethods]
impl Watch {
    /// The token as it was accepted.
    #[getter]
    fn live(&self) -> PyResult<Live> {
        Ok(Live::new(self.watched()?.guard.accepted().clone()))
    }

    /// Answers once the token is no longer accepted.
    #[pyo3(name = "_begin_ended")]
    fn begin_ended(&self, answers: &Answers, number: u64) -> PyResult<()> {
        self.watched()?.begin(answers.reply(number));
        Ok(())
    }

    /// Ends watching.
    fn close(&self) {
        if let Ok(watched) = self.watched() {
            watched.end();
        }
    }
}

impl Watched {
    fn begin(&self, reply: Reply) {
        let guard = self.guard.clone();
        let task = self.follower.spawn(async move { reply.send(Answer::Ended(guard.revoked().await)) });
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.retain(|task| !task.is_finished());
        tasks.push(task);
    }

    fn end(&self) {
        for task in self.tasks.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            task.abort();
        }
    }
}

impl Drop for Watch {
    /// In a child process, dropping it would lock what the parent's thread holds.
    fn drop(&mut self) {
        match self.watched.take() {
            Some(watched) if self.generation == quash_fork::generation() => watched.end(),
            inherited => std::mem::forget(inherited),
        }
    }
}
