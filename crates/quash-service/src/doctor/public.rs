//! Checks of the answer at `http.public_url`.

use std::time::Duration;

use super::http::RENEWED_BEFORE;
use super::{CertificateEnd, Facts, KeyPhase, PublicAnswer, PublicFacts, Verdict, span};

/// The difference of clocks that a slow answer can't explain.
const CLOCKS_DIFFER: Duration = Duration::from_secs(10);
/// A difference that refuses tokens of a verifier on another machine.
const CLOCKS_CONFLICT: Duration = Duration::from_secs(60);

fn probed(facts: &Facts) -> Option<(&str, &PublicFacts)> {
    Some((&facts.settings.as_ref()?.public_url.as_ref()?.text, facts.public.as_ref()?))
}

fn answered(facts: &Facts) -> Option<(&str, &PublicAnswer)> {
    let (url, public) = probed(facts)?;
    Some((url, public.answer.as_ref().ok()?))
}

pub(super) fn answer(facts: &Facts) -> Option<Verdict> {
    let (url, public) = probed(facts)?;
    const REMEDY: &str =
        "check that the server and its proxy run, and that the name leads to them, as seen from this machine";
    const REASON: &str = "clients reach quash at this address";
    let has_bad_certificate =
        matches!(public.certificate, Some(CertificateEnd::Expired(_) | CertificateEnd::NotYetValid));
    Some(match &public.answer {
        // The check of the certificate tells it.
        Err(_) if has_bad_certificate => Verdict::Fine,
        Err(fault) => Verdict::problem(format!("{url}/livez doesn't answer: {fault}"), REASON, REMEDY),
        Ok(PublicAnswer { status: 200 | 300..=399, .. }) => Verdict::Fine,
        Ok(PublicAnswer { status, .. }) => {
            Verdict::problem(format!("{url}/livez answers {status}, not 200"), REASON, REMEDY)
        }
    })
}

pub(super) fn redirect(facts: &Facts) -> Option<Verdict> {
    let (url, answer) = answered(facts)?;
    let Some(location) = &answer.location else { return Some(Verdict::Fine) };
    let is_loop = location.trim_end_matches('/') == format!("{url}/livez");
    Some(Verdict::problem(
        if is_loop {
            format!("{url}/livez redirects to itself")
        } else {
            format!("{url}/livez redirects to {location}")
        },
        "clients that don't follow redirects fail, others send passwords twice; in a loop, none arrives",
        "set http.public_url to the address that answers without a redirect, and remove the rule of the proxy",
    ))
}

pub(super) fn instance(facts: &Facts) -> Option<Verdict> {
    let (url, answer) = answered(facts)?;
    if answer.status != 200 {
        return Some(Verdict::Fine);
    }
    let stored = facts.stored()?;
    let published = |phase: KeyPhase| !matches!(phase, KeyPhase::Revoked);
    let own: Vec<_> = stored.keys.iter().filter(|key| published(key.state)).map(|key| &key.kid).collect();
    let Some(kids) = &answer.kids else {
        return Some(Verdict::problem(
            format!("{url}/.well-known/jwks.json isn't a key set"),
            "something else than quash answers there, or the proxy doesn't pass the path on",
            "let the proxy pass all paths on to this server, or correct http.public_url",
        ));
    };
    // Secrets aren't published, so there may be nothing to compare.
    if kids.is_empty() || own.is_empty() || kids.iter().any(|kid| own.contains(&kid)) {
        return Some(Verdict::Fine);
    }
    Some(Verdict::problem(
        format!("the keys at {url} aren't those of this database"),
        "another installation of quash answers there: links in mails and tokens lead to the wrong one",
        "correct http.public_url, or the server that the proxy passes requests on to",
    ))
}

pub(super) fn certificate(facts: &Facts) -> Option<Verdict> {
    let (url, public) = probed(facts)?;
    const REASON: &str = "clients refuse an expired certificate";
    let remedy = "renew the certificate, and check that its automatic renewal works";
    Some(match public.certificate {
        Some(CertificateEnd::Expired(ago)) => Verdict::problem(
            format!("the certificate at {url} has expired {} ago", span(ago)),
            REASON,
            remedy,
        ),
        Some(CertificateEnd::NotYetValid) => Verdict::problem(
            format!("the certificate at {url} isn't valid yet"),
            "clients refuse it, or this machine's clock is behind",
            "check this machine's clock, and the certificate",
        ),
        Some(CertificateEnd::Left(left)) if left < RENEWED_BEFORE => {
            Verdict::warning(format!("the certificate at {url} expires in {}", span(left)), REASON, remedy)
        }
        Some(CertificateEnd::Left(_)) | None => Verdict::Fine,
    })
}

pub(super) fn clock(facts: &Facts) -> Option<Verdict> {
    let (url, answer) = answered(facts)?;
    let difference = answer.clock_difference?;
    let finding = || format!("this machine's clock differs from that of {url} by {}", span(difference));
    const REASON: &str =
        "tokens seem expired, or not valid yet, to services with another clock; codes and links expire early";
    const REMEDY: &str = "synchronize the clocks of both machines with NTP";
    Some(if difference > CLOCKS_CONFLICT {
        Verdict::problem(finding(), REASON, REMEDY)
    } else if difference > CLOCKS_DIFFER {
        Verdict::warning(finding(), REASON, REMEDY)
    } else {
        Verdict::Fine
    })
}
