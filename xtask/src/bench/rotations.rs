//! Durable rotations over HTTP: quash on SQLite against Simple JWT on SQLite, in alternating rounds.

use std::time::Duration;

use super::load::{rotations_per_second, sign_in};
use super::table::{Outcome, Target};
use super::{Row, quash, rounds, simplejwt};
use crate::failure::{Context, Result};
use crate::python::{self, Ready};

const ROUNDS: usize = 3;
const SPAN: Duration = Duration::from_secs(8);

/// quash against Simple JWT.
pub(super) const ROW: Row = Row {
    work: "durable rotations, SQLite",
    baseline: "Simple JWT, SQLite",
    target: Target::AtLeast(50.0),
    measure,
};

fn measure() -> Result<Outcome> {
    let python = match python::ready()? {
        Ready::Found(python) => python,
        Ready::Missing(missing) => return Ok(Outcome::NotMeasured(missing.to_string())),
    };
    let quash = quash::prepare(quash::build()?)?.serve()?;
    let simple_jwt = simplejwt::start(&python)?;
    let mut ours = sign_in(quash.address(), quash::CLIENTS).context("signing in to quash")?;
    let mut theirs = sign_in(simple_jwt.address(), simplejwt::CLIENTS).context("signing in to Simple JWT")?;
    let figures = rounds::compare(
        ROUNDS,
        || rotations_per_second(&mut ours, SPAN).context("rotating with quash"),
        || rotations_per_second(&mut theirs, SPAN).context("rotating with Simple JWT"),
    )?;
    Ok(Outcome::Compared { figures, unit: "/s" })
}
