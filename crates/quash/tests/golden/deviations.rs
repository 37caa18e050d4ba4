//! A deviation: a difference from the recording that is meant, and what is answered instead. The table of them is next
//! door. A case that differs and doesn't stand there fails the test, as does one that stands there and doesn't differ.

use std::collections::BTreeMap;

use crate::compare::{Wanted, recorded};
use crate::recording::Case;
use crate::site::{Run, Site};
use crate::table::{DEVIATIONS, REASONS};

/// A difference that is meant, as a row of the guide: what a site with Simple JWT does, what quash does, and why.
pub(crate) struct Deviation {
    pub(crate) theirs: &'static str,
    pub(crate) ours: &'static str,
    pub(crate) why: &'static str,
    pub(crate) cases: &'static [Listed],
}

/// A case that differs.
pub(crate) struct Listed {
    /// Its place in the recording.
    pub(crate) number: usize,
    /// Its label there, so that the table can be read.
    pub(crate) label: &'static str,
    only_in: Option<Run>,
    instead: Instead,
}

/// What is answered instead.
enum Instead {
    /// On the paths of Simple JWT: this status and body.
    Body(u16, &'static str),
    /// A problem, of this status and code, in these words.
    Problem(u16, &'static str, &'static str),
    /// A guarded path lets in.
    Opened,
    /// The recorded answer, but that a claim of one token says something else, or isn't there.
    Claim(&'static str, &'static str, Option<&'static str>),
}

impl Deviation {
    /// Its row in the guide.
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

    /// A token that says this in a claim, or doesn't have it.
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

/// What stands in the table about a case in this run.
pub(crate) fn listed(case: &Case, run: Run) -> Option<&'static Listed> {
    let of_case = |listed: &&Listed| {
        listed.number == case.number && listed.only_in.is_none_or(|only_in| only_in == run)
    };
    DEVIATIONS.iter().flat_map(|deviation| deviation.cases).find(of_case)
}

/// What must be answered to a case that is listed.
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

/// Adds to a refusal why it is one, where quash says so.
pub(crate) fn with_reason(mut wanted: Wanted, case: &Case, run: Run) -> Wanted {
    let reason = REASONS.iter().find(|(number, _)| run == Run::Standard && *number == case.number);
    if let (Wanted::Exactly { body, .. }, Some((_, reason))) = (&mut wanted, reason) {
        let open = body.strip_suffix('}').expect("an object").to_owned();
        *body = format!("{open},\"reason\":\"{reason}\"}}");
    }
    wanted
}
