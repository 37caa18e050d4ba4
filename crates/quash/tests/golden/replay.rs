//! The replay: each site of the recording on a server of its own, its cases in their order. Counts the kinds
//! of cases.

use super::compare::{Given, Wanted, compare, recorded, recorded_at_log_out};
use super::deviations::{instead, listed, with_reason};
use super::recording::{Case, cases};
use super::site::{Run, Site};
use super::wallet::Wallet;
use crate::support::Answer;
use crate::support::http::request_in_bytes;

/// The result of a replay.
#[derive(Default)]
pub(crate) struct Tally {
    /// Cases that were answered as recorded.
    pub(crate) as_recorded: usize,
    /// Cases that differ as listed in the table.
    pub(crate) listed: usize,
    /// Cases whose recorded answer can't be compared, answered as listed in the table.
    pub(crate) pages: usize,
    /// Cases answered as recorded that were also sent to log-out.
    pub(crate) also_at_log_out: usize,
    /// Unexpected differences.
    pub(crate) faults: Vec<String>,
}

/// The kind of a case.
enum Counted {
    AsRecorded,
    Listed,
    Page,
}

/// Replays everything.
pub(crate) fn replay(run: Run) -> Tally {
    let cases = cases();
    let sites: Vec<&[Case]> = cases.chunk_by(|one, next| one.site == next.site).collect();
    std::thread::scope(|scope| {
        let begun: Vec<_> =
            sites.into_iter().map(|cases| scope.spawn(move || replay_site(cases, run))).collect();
        begun.into_iter().map(|site| site.join().expect("a site")).fold(Tally::default(), Tally::and)
    })
}

fn replay_site(cases: &[Case], run: Run) -> Tally {
    let first = cases.first().expect("a site has cases");
    let site = Site::start(&first.site, &first.settings, run);
    let mut wallet = Wallet::fill(&site);
    let mut tally = Tally::default();
    for case in cases {
        wallet.before(case);
        let judged = judge(case, &send(case, &wallet), &wallet, run).and_then(|(counted, given)| {
            let again = matches!(counted, Counted::AsRecorded) && is_refused_to_all(case);
            tally.also_at_log_out += usize::from(again);
            if again {
                again_at_log_out(case, &wallet)?
            }
            Ok((counted, given))
        });
        match judged {
            Ok((counted, given)) => {
                tally.count(&counted);
                given.into_iter().for_each(|(id, token)| wallet.keep(id, token));
            }
            Err(fault) => tally.faults.push(format!("{} {} {}: {fault}", case.number, case.site, case.label)),
        }
    }
    tally
}

/// Determines the kind of a case, and returns the tokens of its answer.
fn judge(
    case: &Case,
    answer: &Answer,
    wallet: &Wallet<'_>,
    run: Run,
) -> Result<(Counted, Vec<Given>), String> {
    let compared = |wanted: Wanted| compare(&with_reason(wanted, case, run), answer, wallet);
    let as_recorded = if case.is_page() { None } else { Some(compared(recorded(case))) };
    match (as_recorded, listed(case, run)) {
        (Some(Ok(given)), None) => Ok((Counted::AsRecorded, given)),
        (Some(Ok(_)), Some(_)) => Err("is listed, and doesn't differ".into()),
        (Some(Err(fault)), None) => Err(format!("isn't listed, and {fault}")),
        (None, None) => {
            Err(format!("was a page, and isn't listed; now it is {}: {}", answer.status, answer.text))
        }
        (differs, Some(listed)) => {
            let given = compared(instead(listed, case, wallet.site))
                .map_err(|fault| format!("is listed, but {fault}"))?;
            Ok((if differs.is_some() { Counted::Listed } else { Counted::Page }, given))
        }
    }
}

/// Returns whether a request that a guarded path refused is also refused at log-out, which also accepts
/// expired tokens, and sliding tokens regardless of the site's settings.
fn is_refused_to_all(case: &Case) -> bool {
    let body = &case.response.body;
    let is_sliding = case.tokens.values().any(|token| token.text("token_type") == Some("sliding"));
    let logs_out = body.contains("Token is expired") || (is_sliding && !body.contains("SlidingToken"));
    !case.is_of_simple_jwt() && case.response.status == 401 && !logs_out
}

/// Checks a refusal by Simple JWT's authentication at log-out, where quash reproduces it exactly.
fn again_at_log_out(case: &Case, wallet: &Wallet<'_>) -> Result<(), String> {
    let again = ask("POST", "/api/logout/", case, b"", wallet);
    compare(&recorded_at_log_out(case), &again, wallet)
        .map(|_| ())
        .map_err(|fault| format!("at log-out {fault}"))
}

/// Sends a case to its path.
fn send(case: &Case, wallet: &Wallet<'_>) -> Answer {
    let path = wallet.path(case);
    let path = if case.is_of_simple_jwt() || case.is_of_nothing() { path } else { guarded(&path) };
    let body = case.request.body.as_deref().map(|body| wallet.fill_in(body, case)).unwrap_or_default();
    // The recording escapes bytes that aren't text.
    let body = if case.label == "invalid utf8" { with_bytes(&body) } else { body.into_bytes() };
    ask(&case.method, &path, case, &body, wallet)
}

fn ask(method: &str, path: &str, case: &Case, body: &[u8], wallet: &Wallet<'_>) -> Answer {
    let filled = |value: &String| latin_1(&wallet.fill_in(value, case));
    let headers: Vec<(&str, Vec<u8>)> =
        case.request.headers.iter().map(|(name, value)| (name.as_str(), filled(value))).collect();
    let headers: Vec<(&str, &[u8])> = headers.iter().map(|(name, value)| (*name, value.as_slice())).collect();
    request_in_bytes(wallet.site.server.address, method, path, &headers, body).expect("an answer")
}

/// Returns the guarded path of quash for a guarded path of a recorded site.
fn guarded(path: &str) -> String {
    path.split_once('?').map_or_else(|| "/v1/me".into(), |(_, query)| format!("/v1/me?{query}"))
}

fn with_bytes(spelled: &str) -> Vec<u8> {
    let (before, after) = spelled.split_once(r"\xff").expect("it is there");
    [before.as_bytes(), &[0xff], after.as_bytes()].concat()
}

/// Encodes a text as Latin-1, as the recorded headers were.
fn latin_1(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(c).expect("a character of Latin 1")).collect()
}

impl Tally {
    fn count(&mut self, counted: &Counted) {
        match counted {
            Counted::AsRecorded => self.as_recorded += 1,
            Counted::Listed => self.listed += 1,
            Counted::Page => self.pages += 1,
        }
    }

    fn and(mut self, other: Self) -> Self {
        self.faults.extend(other.faults);
        Self {
            as_recorded: self.as_recorded + other.as_recorded,
            listed: self.listed + other.listed,
            pages: self.pages + other.pages,
            also_at_log_out: self.also_at_log_out + other.also_at_log_out,
            faults: self.faults,
        }
    }
}
