//! The verifier in Python. `quash_verify.Verifier` subclasses it and adds what waits for an event loop.

use std::sync::Arc;
use std::time::Duration;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};
use quash_core::model::Invalid;
use quash_verify::{VerifierState, VerifyError, WhenStale};
use zeroize::Zeroizing;

use crate::config::{self, Config};
use crate::errors::Failure;
use crate::exit;
use crate::follow::answers::{Answer, Answers, Reply, wait};
use crate::follow::follower::Follower;
use crate::follow::records;
use crate::follow::slot::Place;
use crate::issuer::TestIssuer;
use crate::key::Key;
use crate::live::Live;
use crate::named::{Names, NamesTuple, OwnedNamed};
use crate::revocations::Batch;
use crate::secret::TextOrBytes;
use crate::watch;

/// The native part of `quash_verify.Verifier`.
#[pyclass(frozen, subclass, weakref, module = "quash_verify._native")]
pub(crate) struct Verifier {
    config: Config,
    place: Place,
}

type Metrics = (&'static str, u64, u64, usize, u64, u64, u64, u64, Option<String>);

#[pymethods]
impl Verifier {
    #[new]
    #[pyo3(signature = (issuer, *, credential=None, also_at=vec![], audience=vec![], secrets=vec![], namespace=None, when_stale=None,
                        start_within=10.0, insecure_http=false, _test_issuer=None))]
    #[expect(clippy::too_many_arguments, reason = "Python names them")]
    fn create(
        issuer: String,
        credential: Option<String>,
        also_at: Vec<String>,
        audience: Vec<String>,
        secrets: Vec<TextOrBytes>,
        namespace: Option<String>,
        when_stale: Option<&Bound<'_, PyAny>>,
        start_within: f64,
        insecure_http: bool,
        _test_issuer: Option<PyRef<'_, TestIssuer>>,
    ) -> PyResult<Self> {
        let secrets = secrets.into_iter().map(TextOrBytes::into_bytes);
        let config = Config {
            issuer,
            also_at,
            credential: credential.map(Zeroizing::new),
            audience,
            secrets: secrets.collect(),
            namespace,
            when_stale: when_stale.map(config::when_stale).transpose()?.unwrap_or_default(),
            start_within: config::seconds("start_within", start_within)?,
            insecure_http,
            test: _test_issuer.map(|issuer| Arc::clone(&issuer.issuer)),
        };
        Ok(Self { config, place: Place::new() })
    }

    /// Checks a token. Waits only where local data doesn't suffice.
    #[pyo3(signature = (token, *, when_stale=None))]
    fn check(
        slf: &Bound<'_, Self>,
        token: &Bound<'_, PyAny>,
        when_stale: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        let py = slf.py();
        let this = slf.get();
        if let Some(live) = this.now(py, token, when_stale)? {
            return Ok(Py::new(py, live)?.into_any());
        }
        if let Some(waiting) = gevent(py)? {
            return Ok(waiting.call1((slf.getattr("_begin_check")?, token, when_stale))?.unbind());
        }
        let (token, when_stale) = (owned(token)?, this.when_stale(when_stale)?);
        let follower = this.follower(py)?;
        wait(py, |reply| check_on(follower, token, when_stale, reply))?.into_python(py)
    }

    /// Checks a token with local data; None where that doesn't suffice.
    #[pyo3(name = "_check_now", signature = (token, when_stale))]
    fn check_now(
        &self,
        py: Python<'_>,
        token: &Bound<'_, PyAny>,
        when_stale: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Option<Live>> {
        self.now(py, token, when_stale)
    }

    /// Returns the token if local data suffices to accept it, and if this key verified it. None where it must be
    /// decided otherwise.
    #[pyo3(name = "_accept_now")]
    fn accept_now(&self, token: &Bound<'_, PyAny>, key: &Key) -> PyResult<Option<Live>> {
        pass_records_on(token.py());
        let slot = self.place.slot();
        let (Some(follower), Some(text)) = (slot.follower(), text(token)?) else { return Ok(None) };
        let accepted = follower.accept_now(text, self.config.when_stale);
        Ok(accepted.filter(|accepted| key.has_verified(accepted)).map(Live::new))
    }

    #[pyo3(name = "_begin_check")]
    fn begin_check(
        &self,
        py: Python<'_>,
        answers: &Answers,
        number: u64,
        token: &Bound<'_, PyAny>,
        when_stale: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let (token, when_stale) = (owned(token)?, self.when_stale(when_stale)?);
        check_on(self.follower(py)?, token, when_stale, answers.reply(number));
        Ok(())
    }

    /// Asks about a session or token that another system has issued and verified, by its names. Waits only where
    /// local data doesn't suffice.
    #[pyo3(signature = (namespace, *, session=None, token=None, subject=None, position=None, issued_at, expires_at,
                        when_stale=None))]
    #[expect(clippy::too_many_arguments, reason = "Python names them")]
    fn ask(
        slf: &Bound<'_, Self>,
        namespace: Option<&str>,
        session: Option<&Bound<'_, PyAny>>,
        token: Option<&Bound<'_, PyAny>>,
        subject: Option<&Bound<'_, PyAny>>,
        position: Option<&Bound<'_, PyAny>>,
        issued_at: &Bound<'_, PyAny>,
        expires_at: &Bound<'_, PyAny>,
        when_stale: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let py = slf.py();
        let this = slf.get();
        let names = Names { namespace, session, token, subject, position, issued_at, expires_at };
        if this.asked_now(py, &names, when_stale)? {
            return Ok(());
        }
        if let Some(waiting) = gevent(py)? {
            let names = (namespace, session, token, subject, position, issued_at, expires_at);
            return waiting.call1((slf.getattr("_begin_ask")?, names, when_stale)).map(drop);
        }
        let (named, when_stale) = (OwnedNamed::of(&names.read()?), this.when_stale(when_stale)?);
        let follower = this.follower(py)?;
        wait(py, |reply| ask_on(follower, named, when_stale, reply))?.into_python(py).map(drop)
    }

    /// Asks with local data; returns whether that suffices.
    #[pyo3(name = "_ask_now", signature = (names, when_stale))]
    fn ask_now(
        &self,
        py: Python<'_>,
        names: NamesTuple<'_>,
        when_stale: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<bool> {
        self.asked_now(py, &Names::of(&names), when_stale)
    }

    #[pyo3(name = "_begin_ask")]
    fn begin_ask(
        &self,
        py: Python<'_>,
        answers: &Answers,
        number: u64,
        names: NamesTuple<'_>,
        when_stale: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let (named, when_stale) = (OwnedNamed::of(&Names::of(&names).read()?), self.when_stale(when_stale)?);
        ask_on(self.follower(py)?, named, when_stale, answers.reply(number));
        Ok(())
    }

    /// Revokes in a namespace, or sessions of quash's own, and returns the members of the receipt.
    #[pyo3(name = "_revoke")]
    fn revoke(
        slf: &Bound<'_, Self>,
        namespace: Option<&str>,
        revocations: &Bound<'_, PyAny>,
        key: Option<&str>,
        waits: bool,
    ) -> PyResult<Py<PyAny>> {
        let py = slf.py();
        pass_records_on(py);
        if let Some(waiting) = gevent(py)? {
            let begin = slf.getattr("_begin_revoke")?;
            return Ok(waiting.call1((begin, namespace, revocations, key, waits))?.unbind());
        }
        let batch = Batch::read(namespace, revocations, key, None)?;
        let follower = slf.get().follower(py)?;
        wait(py, |reply| revoke_on(follower, batch, waits, reply))?.into_python(py)
    }

    #[pyo3(name = "_begin_revoke")]
    #[expect(clippy::too_many_arguments, reason = "those of revoke, and where the answer goes")]
    fn begin_revoke(
        &self,
        py: Python<'_>,
        answers: &Answers,
        number: u64,
        namespace: Option<&str>,
        revocations: &Bound<'_, PyAny>,
        key: Option<&str>,
        waits: bool,
    ) -> PyResult<()> {
        let batch = Batch::read(namespace, revocations, key, None)?;
        revoke_on(self.follower(py)?, batch, waits, answers.reply(number));
        Ok(())
    }

    /// Leaves revocations to this process's follower, which sends them until the issuer answers. Returns at once.
    fn revoke_later(
        &self,
        py: Python<'_>,
        namespace: Option<&str>,
        revocations: &Bound<'_, PyAny>,
        key: &str,
    ) -> PyResult<()> {
        pass_records_on(py);
        let batch = Batch::read(namespace, revocations, Some(key), Some(self.config.now()))?;
        self.follower(py)?.revoke_later(batch).map_err(|failure| failure.into_error(py))
    }

    #[pyo3(name = "_begin_watch", signature = (answers, number, token, when_stale))]
    fn begin_watch(
        &self,
        py: Python<'_>,
        answers: &Answers,
        number: u64,
        token: &Bound<'_, PyAny>,
        when_stale: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let (token, when_stale) = (owned(token)?, self.when_stale(when_stale)?);
        watch_on(self.follower(py)?, token, when_stale, answers.reply(number));
        Ok(())
    }

    /// Checks a token, and watches it.
    #[pyo3(name = "_watch", signature = (token, when_stale))]
    fn watch(
        slf: &Bound<'_, Self>,
        token: &Bound<'_, PyAny>,
        when_stale: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        let py = slf.py();
        if let Some(waiting) = gevent(py)? {
            return Ok(waiting.call1((slf.getattr("_begin_watch")?, token, when_stale))?.unbind());
        }
        let (token, when_stale) = (owned(token)?, slf.get().when_stale(when_stale)?);
        let follower = slf.get().follower(py)?;
        wait(py, |reply| watch_on(follower, token, when_stale, reply))?.into_python(py)
    }

    #[pyo3(name = "_begin_warm")]
    fn begin_warm(&self, py: Python<'_>, answers: &Answers, number: u64) -> PyResult<()> {
        warm_on(self.follower(py)?, answers.reply(number));
        Ok(())
    }

    /// Starts now, and waits until the verifier has data.
    fn warm(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        if let Some(waiting) = gevent(py)? {
            return waiting.call1((slf.getattr("_begin_warm")?,)).map(drop);
        }
        let follower = slf.get().follower(py)?;
        wait(py, |reply| warm_on(follower, reply))?.into_python(py).map(drop)
    }

    /// Returns the number of the newest entry known here, for tokens that the application issues; None while the
    /// verifier can't vouch for it, and before it has started.
    fn head(&self) -> Option<u64> {
        self.place.slot().follower()?.verifier()?.head()
    }

    /// Waits until an entry is known here, and returns whether it is.
    #[pyo3(signature = (seq, within=0.05))]
    fn caught_up(slf: &Bound<'_, Self>, seq: u64, within: f64) -> PyResult<bool> {
        let py = slf.py();
        let span = config::seconds("within", within)?;
        if let Some(waiting) = gevent(py)? {
            return waiting.call1((slf.getattr("_begin_caught_up")?, seq, within))?.extract();
        }
        let follower = slf.get().follower(py)?;
        wait(py, |reply| caught_up_on(follower, seq, span, reply))?.into_python(py)?.extract(py)
    }

    #[pyo3(name = "_begin_caught_up")]
    fn begin_caught_up(
        &self,
        py: Python<'_>,
        answers: &Answers,
        number: u64,
        seq: u64,
        within: f64,
    ) -> PyResult<()> {
        let span = config::seconds("within", within)?;
        caught_up_on(self.follower(py)?, seq, span, answers.reply(number));
        Ok(())
    }

    /// Gives the lease back and ends the thread. Checks in this process are denied afterwards.
    fn close(&self, py: Python<'_>) {
        if let Some(follower) = self.place.close() {
            py.detach(|| follower.close());
        }
        pass_records_on(py);
    }

    /// The state: idle, boot, fresh, stale or behind.
    #[getter]
    fn state(&self) -> &'static str {
        let slot = self.place.slot();
        slot.follower()
            .map_or("idle", |follower| follower.verifier().map_or("boot", |of| state_name(of.state())))
    }

    #[pyo3(name = "_metrics")]
    fn metrics(&self) -> Metrics {
        let generation = quash_fork::generation();
        let slot = self.place.slot();
        let Some(follower) = slot.follower() else { return ("idle", 0, 0, 0, 0, 0, 0, generation, None) };
        let Some(verifier) = follower.verifier() else { return ("boot", 0, 0, 0, 0, 0, 0, generation, None) };
        let of = verifier.metrics();
        (
            state_name(of.state),
            of.cursor,
            of.lag,
            of.entries,
            of.accepted,
            of.refused,
            of.stale,
            generation,
            follower.instance(),
        )
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(PyTypeError::new_err(
            "a Verifier can't be pickled: its connection belongs to one process; create one in each process",
        ))
    }
}

impl Verifier {
    /// Decides with local data.
    #[inline]
    fn now(
        &self,
        py: Python<'_>,
        token: &Bound<'_, PyAny>,
        when_stale: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Option<Live>> {
        pass_records_on(py);
        let slot = self.place.slot();
        let text = text(token)?.ok_or_else(|| NOT_TEXT.into_error(py))?;
        let Some(follower) = slot.follower() else {
            return if slot.is_closed() { Err(Failure::Closed.into_error(py)) } else { Ok(None) };
        };
        match follower.check_now(text, self.when_stale(when_stale)?) {
            Some(Ok(accepted)) => Ok(Some(Live::new(accepted))),
            Some(Err(denied)) => Err(Failure::Denied(denied).into_error(py)),
            None => Ok(None),
        }
    }

    /// Asks with local data; returns whether that suffices.
    #[inline]
    fn asked_now(
        &self,
        py: Python<'_>,
        names: &Names<'_, '_>,
        when_stale: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<bool> {
        pass_records_on(py);
        let slot = self.place.slot();
        let named = names.read()?;
        let Some(follower) = slot.follower() else {
            return if slot.is_closed() { Err(Failure::Closed.into_error(py)) } else { Ok(false) };
        };
        match follower.ask_now(&named, self.when_stale(when_stale)?) {
            Some(Ok(())) => Ok(true),
            Some(Err(error)) => Err(Failure::from(error).into_error(py)),
            None => Ok(false),
        }
    }

    #[inline]
    fn when_stale(&self, given: Option<&Bound<'_, PyAny>>) -> PyResult<WhenStale> {
        given.map_or(Ok(self.config.when_stale), config::when_stale)
    }

    /// Returns this process's follower, and starts it unless it runs.
    fn follower(&self, py: Python<'_>) -> PyResult<Arc<Follower>> {
        let slot = self.place.slot();
        if let Some(follower) = slot.follower() {
            return Ok(Arc::clone(follower));
        }
        if slot.is_closed() || exit::is_exiting() {
            return Err(Failure::Closed.into_error(py));
        }
        let credential = self.credential(py)?;
        let started = slot.follower_or(|| Follower::start(&self.config, &credential));
        started.map(Arc::clone).map_err(|failure| failure.into_error(py))
    }

    /// Returns the given credential, or that of the environment.
    fn credential(&self, py: Python<'_>) -> PyResult<Zeroizing<String>> {
        if let Some(credential) = &self.config.credential {
            return Ok(credential.clone());
        }
        if self.config.test.is_some() {
            return Ok(Zeroizing::default());
        }
        let found = exit::counted(|| {
            py.import("quash_verify._credential")?.call_method0("find")?.extract::<String>()
        })?;
        Ok(Zeroizing::new(found))
    }
}

/// A token whose bytes aren't UTF-8 is invalid for every issuer.
const NOT_TEXT: Failure =
    Failure::Denied(VerifyError::Refused(quash_core::model::Refusal::TokenInvalid(Invalid::Malformed)));

/// Passes what the follower has logged on to Python.
#[inline]
fn pass_records_on(py: Python<'_>) {
    if records::are_pending() {
        records::pass_on(py);
    }
}

fn state_name(state: VerifierState) -> &'static str {
    match state {
        VerifierState::Boot => "boot",
        VerifierState::Fresh => "fresh",
        VerifierState::Stale => "stale",
        VerifierState::Behind => "behind",
        VerifierState::Left => "idle",
        _ => "stale",
    }
}

/// Returns a token's text; `None` if it isn't UTF-8.
#[inline]
fn text<'a>(token: &'a Bound<'_, PyAny>) -> PyResult<Option<&'a str>> {
    if let Ok(text) = token.cast::<PyString>() {
        Ok(text.to_str().ok())
    } else if let Ok(bytes) = token.cast::<PyBytes>() {
        Ok(std::str::from_utf8(bytes.as_bytes()).ok())
    } else {
        Err(PyTypeError::new_err(format!("a token is str or bytes, not {}", token.get_type().name()?)))
    }
}

fn owned(token: &Bound<'_, PyAny>) -> PyResult<Zeroizing<String>> {
    let text = text(token)?.ok_or_else(|| NOT_TEXT.into_error(token.py()))?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// Returns `_gevent.wait` where gevent has replaced Python's sockets: blocking the thread would block every
/// request of the worker.
fn gevent(py: Python<'_>) -> PyResult<Option<Bound<'_, PyAny>>> {
    let modules = py.import("sys")?.getattr("modules")?;
    let monkey = modules.call_method1("get", ("gevent.monkey",))?;
    // A process without gevent runs no Python code here.
    if monkey.is_none() || !monkey.call_method1("is_module_patched", ("socket",))?.is_truthy()? {
        return Ok(None);
    }
    py.import("quash_verify._gevent")?.getattr("wait").map(Some)
}

fn check_on(follower: Arc<Follower>, token: Zeroizing<String>, when_stale: WhenStale, reply: Reply) {
    let on = Arc::clone(&follower);
    follower.spawn(async move {
        let checked = on.check(&token, when_stale).await;
        reply.send(checked.map_or_else(Answer::Failed, Answer::Live));
    });
}

fn ask_on(follower: Arc<Follower>, named: OwnedNamed, when_stale: WhenStale, reply: Reply) {
    let on = Arc::clone(&follower);
    follower.spawn(async move {
        let asked = on.ask(&named.as_named(), when_stale).await;
        reply.send(asked.map_or_else(Answer::Failed, |()| Answer::Done));
    });
}

fn revoke_on(follower: Arc<Follower>, batch: Batch, waits: bool, reply: Reply) {
    let on = Arc::clone(&follower);
    follower.spawn(async move {
        reply.send(on.revoke(&batch, waits).await.map_or_else(Answer::Failed, Answer::Revoked));
    });
}

fn watch_on(follower: Arc<Follower>, token: Zeroizing<String>, when_stale: WhenStale, reply: Reply) {
    let on = Arc::clone(&follower);
    follower.spawn(async move {
        let watched = on.watch(&token, when_stale).await;
        reply.send(watched.map_or_else(Answer::Failed, |guard| watch::answer(on, guard)));
    });
}

fn warm_on(follower: Arc<Follower>, reply: Reply) {
    let on = Arc::clone(&follower);
    follower
        .spawn(async move { reply.send(on.settled().await.map_or_else(Answer::Failed, |_| Answer::Done)) });
}

fn caught_up_on(follower: Arc<Follower>, seq: u64, within: Duration, reply: Reply) {
    let on = Arc::clone(&follower);
    follower.spawn(async move {
        reply.send(on.caught_up(seq, within).await.map_or_else(Answer::Failed, Answer::Flag));
    });
}
