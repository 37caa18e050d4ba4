//! The native module `quash_verify._native`: quash-verify for Python, safe under servers that fork.
//!
//! `follow/` is the process-safety core; the other modules are what Python calls, and the values that it passes.

mod config;
mod errors;
mod exit;
mod follow;
mod issuer;
mod key;
mod live;
mod local_issuer;
mod named;
mod revocations;
mod secret;
mod verifier;
mod watch;
mod web;

use pyo3::prelude::*;

/// The native part of quash_verify.
#[pymodule(gil_used = true)]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    if !quash_fork::count_forks() {
        return Err(pyo3::exceptions::PyMemoryError::new_err("no memory to register a handler of forks"));
    }
    errors::prepare(module.py())?;
    follow::records::install();
    module.add_class::<verifier::Verifier>()?;
    module.add_class::<live::Live>()?;
    module.add_class::<watch::Watch>()?;
    module.add_class::<follow::answers::Answers>()?;
    module.add_class::<issuer::TestIssuer>()?;
    module.add_class::<key::Key>()?;
    module.add_function(wrap_pyfunction!(live::says, module)?)?;
    module.add_function(wrap_pyfunction!(web::bearer, module)?)?;
    module.add_function(wrap_pyfunction!(web::problem, module)?)?;
    module.add_function(wrap_pyfunction!(follow::records::take, module)?)?;
    module.add_function(wrap_pyfunction!(exit::begin_exit, module)?)?;
    module.add_function(wrap_pyfunction!(exit::end_waits, module)?)?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))
}
