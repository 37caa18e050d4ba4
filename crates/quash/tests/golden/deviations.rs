//! Deviations: intended differences from the recording, with the expected answer. They are listed in
//! `table.rs`. A case that differs without being listed fails the test, as does a listed case that doesn't
//! differ.

use std::collections::BTreeMap;

use super::compare::{Wanted, recorded};
use super::recording::Case;
use super::site::{Run, Site};
use super::table::{DEVIATIONS, REASONS};

/// An intended difference, as a row of the guide: the behaviour of Simple JWT, that of quash, and the reason.
pub(crate) struct Deviation {
    pub(crate) theirs: &'static str,
    pub(crate) ours: &'static str,
    pub(crate) why: &'static str,
    pub(crate) cases: &'static [Listed],
}

/// A case that differs.
pub(crate) struct Listed {
    /// Its index in the recording.
    pub(crate) number: usize,
    /// Its label in the recording, to make the table readable.
    pub(crate) label: &'static str,
    only_in: Option<Run>,
    instead: Instead,
}

/// The expected answer.
enum Instead {
    /// This status and body, on the paths of Simple JWT.
    Body(u16, &'static str),
    /// A problem document with this status, code and text.
    Problem(u16, &'static str, &'static str),
    /// A guarded path accepts the request.
    Opened,
    /// The recorded answer, but with another value in a claim of one token, or without that claim.
    Claim(&'static str, &'static str, Option<&'static str>),
}

impl Deviation {
    /// Returns its row in the guide.
    pub(crate) fn row(&self) -> String {
        let Self { theirs, ours, why, .. } = self;
        format!("| {theirs} | {ours} | {why} |")
    }
}

impl Listed {
    const fn new(number: usize, label: &'static str, instead: Instead) -> Self {
        Self { number, label, only_in: None, instead }
    }

    pub(crate) const fn body(number: usize, label: &'static str, status: u16, body: &'static str) -> Self {
        Self::new(number, label, Instead::Body(status, body))
    }

    pub(crate) const fn problem(
        number: usize,
        label: &'static str,
        status: u16,
        code: &'static str,
        detail: &'static str,
    ) -> Self {
        Self::new(number, label, Instead::Problem(status, code, detail))
    }

    pub(crate) const fn opened(number: usize, label: &'static str) -> Self {
        Self::new(number, label, Instead::Opened)
    }

    /// Describes a token with this value of a claim, or without it.
    pub(crate) const fn claim(
        number: usize,
        label: &'static str,
        place: &'static str,
        claim: &'static str,
        says: Option<&'static str>,
    ) -> Self {
        Self::new(number, label, Instead::Claim(place, claim, says))
    }

    pub(crate) const fn in_standard_only(self) -> Self {
        Self { only_in: Some(Run::Standard), ..self }
    }
}

/// Returns the entry of the table for a case in this run.
pub(crate) fn listed(case: &Case, run: Run) -> Option<&'static Listed> {
    let of_case = |listed: &&Listed| {
        listed.number == case.number && listed.only_in.is_none_or(|only_in| only_in == run)
    };
    DEVIATIONS.iter().flat_map(|deviation| deviation.cases).find(of_case)
}

/// Returns the expected answer to a listed case.
pub(crate) fn instead(listed: &Listed, case: &Case, site: &Site) -> Wanted {
    let challenge = |status: u16| (status == 401).then(|| site.challenge.clone());
    match listed.instead {
        Instead::Body(status, body) => {
            let mut headers = BTreeMap::from(
                [("Content-Type", "application/json"), ("Allow", "POST, OPTIONS"), ("Vary", "Accept")]
                    .map(|(name, value)| (name.to_owned(), value.to_owned())),
            );
            headers.extend(challenge(status).map(|challenge| ("WWW-Authenticate".to_owned(), challenge)));
            Wanted::Exactly { status, headers, body: body.to_owned(), tokens: case.tokens.clone() }
        }
        Instead::Problem(status, code, detail) => Wanted::Problem {
            status,
            code: Some(code.to_owned()),
            detail: detail.to_owned(),
            challenge: challenge(status),
        },
        Instead::Opened => Wanted::Opened { subject: None, name: None },
        Instead::Claim(place, claim, value) => {
            let mut wanted = recorded(case);
            if let Wanted::Exactly { tokens, .. } = &mut wanted {
                let claims = tokens
                    .get_mut(place)
                    .and_then(|token| token.claims.as_object_mut())
                    .expect("a recorded token");
                match value {
                    Some(value) => drop(claims.insert(claim.to_owned(), value.into())),
                    None => drop(claims.shift_remove(claim)),
                }
            }
            wanted
        }
    }
}

/// Adds the reason to a refusal, if quash sends one.
pub(crate) fn with_reason(mut wanted: Wanted, case: &Case, run: Run) -> Wanted {
    let reason = REASONS.iter().find(|(number, _)| run == Run::Standard && *number == case.number);
    if let (Wanted::Exactly { body, .. }, Some((_, reason))) = (&mut wanted, reason) {
        let open = body.strip_suffix('}').expect("an object").to_owned();
        *body = format!("{open},\"reason\":\"{reason}\"}}");
    }
    wanted
}
