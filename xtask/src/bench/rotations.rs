//! Durable rotations over HTTP: quash against Simple JWT, both on SQLite or both on one PostgreSQL, in alternating
//! rounds.

use std::time::Duration;

use super::load::{rotations_per_second, sign_in};
use super::table::{Outcome, Target};
use super::{Row, quash, rounds, server::Server, simplejwt};
use crate::failure::{Context, Result};
use crate::python::{self, Ready};
use crate::services;

const ROUNDS: usize = 3;
const SPAN: Duration = Duration::from_secs(8);

/// quash against Simple JWT.
pub(super) const ROW: Row = Row {
    work: "durable rotations, SQLite",
    baseline: "Simple JWT, SQLite",
    target: Target::AtLeast(50.0),
    measure: on_sqlite,
};
/// The same, with both on one server of PostgreSQL.
pub(super) const POSTGRES: Row = Row {
    work: "durable rotations, PostgreSQL",
    baseline: "Simple JWT, PostgreSQL",
    target: Target::AtLeast(20.0),
    measure: on_postgres,
};

fn on_sqlite() -> Result<Outcome> {
    let python = match python::baseline()? {
        Ready::Found(python) => python,
        Ready::Missing(missing) => return Ok(Outcome::NotMeasured(missing.to_string())),
    };
    let quash = quash::prepare(quash::build()?)?.serve()?;
    compare(&quash, &simplejwt::start(&python, &[])?)
}

fn on_postgres() -> Result<Outcome> {
    let python = match python::baseline()? {
        Ready::Found(python) => python,
        Ready::Missing(missing) => return Ok(Outcome::NotMeasured(missing.to_string())),
    };
    let binary = quash::build()?;
    let postgres = match services::postgres()? {
        Ok(postgres) => postgres,
        Err(missing) => return Ok(Outcome::NotMeasured(missing)),
    };
    let quash = quash::prepare_on(binary, &postgres.create_database("quash")?)?.serve()?;
    postgres.create_database("simplejwt")?;
    compare(&quash, &simplejwt::start(&python, &postgres.libpq("simplejwt"))?)
}

fn compare(quash: &Server, simple_jwt: &Server) -> Result<Outcome> {
    let mut ours = sign_in(quash.address(), quash::CLIENTS).context("signing in to quash")?;
    let mut theirs = sign_in(simple_jwt.address(), simplejwt::CLIENTS).context("signing in to Simple JWT")?;
    let figures = rounds::compare(
        ROUNDS,
        || rotations_per_second(&mut ours, SPAN).context("rotating with quash"),
        || rotations_per_second(&mut theirs, SPAN).context("rotating with Simple JWT"),
    )?;
    Ok(Outcome::Compared { figures, unit: "/s" })
}
