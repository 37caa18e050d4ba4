//! `[cookies]`: refresh tokens in a cookie instead of a body.

use quash_server::RefreshCookie;

use crate::settings::engine::fault::Reported;
use crate::settings::engine::key::{DefaultsTo, Key};
use crate::settings::engine::kind::Words;
use crate::settings::engine::section::Section;
use crate::settings::engine::table::{Naming, Table};

pub(super) const TABLE: Table =
    Table { name: "cookies", doc: "refresh tokens in cookies", naming: Naming::One, keys: &[&REFRESH] };

const REFRESH: Key<Words<RefreshCookie>> = Key {
    name: "refresh",
    kind: Words(&[("off", RefreshCookie::Off), ("on", RefreshCookie::On)]),
    unset: DefaultsTo("\"off\""),
    doc: "`on` puts refresh tokens only into the cookie `__Host-quash-refresh`, which scripts can't read; \
          access tokens stay in bodies. Requests from pages of other sites are then refused, except for \
          those in `http.cors_origins`.",
};

pub(super) fn read(mut section: Section<'_>) -> Result<RefreshCookie, Reported> {
    section.read(&REFRESH)
}
