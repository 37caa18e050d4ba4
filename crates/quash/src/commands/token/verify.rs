//! `quash token verify`: would a service that has these keys accept this token? It is judged offline: no server, store
//! or data directory is asked.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use clap::builder::{NonEmptyStringValueParser, PossibleValuesParser, TypedValueParser};
use quash_core::model::{ClaimNames, Clock, limits};
use quash_core::token::{Algorithm, Claims, TokenType, Unverified};
use serde::Serialize;
use serde_json::{Map, Value};

use super::super::place::Place;
use super::judge::{Expectations, Judgement, Keys, judge};
use super::{check_source, keys, part, read_stdin};
use crate::control::refusal_in_words;
use crate::error::{CommandError, Exit};
use crate::moment::Moment;
use crate::output;
use crate::settings::{ShortSecrets, Span, Zero, fault_of_claim_name};
use quash_server::SystemClock;

const EXAMPLE: &str = "quash token verify - --jwks FILE < file";

/// Judge a token on standard input offline, with keys from a file
///
/// The token is judged as a service would judge it that has these keys: no server, store or data directory is asked,
/// and no setting is read. What was revoked isn't seen: a token that is accepted here may belong to a session that has
/// ended, and a refresh token may be spent. `quash token inspect -` knows that of this server's own tokens.
///
/// The exit code is 0 for a token that is accepted and 6 for one that is refused.
#[derive(Args)]
pub(in crate::commands) struct VerifyArgs {
    /// `-`: the token is read from standard input, and never from the command line
    #[arg(value_name = "-")]
    source: String,
    /// The public keys that may have signed it: a JWK set, as servers publish it at /.well-known/jwks.json
    #[arg(long, value_name = "FILE", conflicts_with_all = ["public_key_file", "secret_file", "algorithm", "insecure_short_secret"])]
    jwks: Option<PathBuf>,
    /// The one public key that may have signed it, in PEM or as a JWK
    #[arg(long, value_name = "FILE", requires = "algorithm", conflicts_with_all = ["secret_file", "insecure_short_secret"])]
    public_key_file: Option<PathBuf>,
    /// The secret that may have signed it; nobody but the file's owner and group may use it, and one line end is dropped
    #[arg(long, value_name = "FILE", requires = "algorithm")]
    secret_file: Option<PathBuf>,
    /// What that key or secret signs with
    #[arg(long, value_parser = algorithm_parser())]
    algorithm: Option<Algorithm>,
    /// Let a secret pass that is shorter than its hash or stands in a tutorial
    #[arg(long, requires = "secret_file")]
    insecure_short_secret: bool,
    /// What its iss must be; without this it may be anything, or missing
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    issuer: Option<String>,
    /// What its aud must name, may be given several times: one of them is enough; without this it may be anything, or missing
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    audience: Vec<String>,
    /// What it must be for
    #[arg(long = "type", value_name = "TYPE", default_value = "access", value_parser = type_parser())]
    purpose: TokenType,
    /// The longest that it may hold, from iat to exp, such as 5m; without this as long as it says
    #[arg(long, value_name = "SPAN", value_parser = max_lifetime)]
    max_lifetime: Option<Duration>,
    /// Allowed difference between clocks, up to 5m
    #[arg(long, value_name = "SPAN", default_value = "0s", value_parser = leeway)]
    leeway: Duration,
    /// The claim that says whose it is, where it has another name
    #[arg(long, value_name = "NAME", default_value = "user_id", value_parser = claim_name)]
    user_id_claim: String,
    /// The claim that says what it is for, where it has another name
    #[arg(long, value_name = "NAME", default_value = "token_type", value_parser = claim_name)]
    token_type_claim: String,
    /// The claim with its id, where it has another name
    #[arg(long, value_name = "NAME", default_value = "jti", value_parser = claim_name)]
    jti_claim: String,
}

/// Longer spans are slips, or a token that never ends.
const LONGEST: Duration = Duration::from_secs(36_525 * 24 * 3600);

/// The judgement as it is shown.
#[derive(Serialize)]
struct Verdict {
    /// Whether it is accepted.
    accepted: bool,
    /// Why it isn't.
    reason: Option<String>,
    /// Whether one of the keys signed it.
    signature_good: bool,
    /// What its header says that it was signed with.
    algorithm: Option<String>,
    /// The key's id, as its header names it.
    kid: Option<String>,
    /// What it is for, where the signature is good.
    #[serde(rename = "type")]
    purpose: Option<&'static str>,
    /// What it says, where the signature is good.
    claims: Option<Map<String, Value>>,
    /// When that was found.
    judged_at: Moment,
}

pub(super) fn run(args: &VerifyArgs, place: &Place) -> Result<ExitCode, CommandError> {
    check_source(&args.source, EXAMPLE)?;
    let (keys, expected) = (args.keys()?, args.expectations()?);
    let text = read_stdin(EXAMPLE)?;
    // A line end belongs to the file or the pipe. Anything else around a token makes it another text.
    let token = text.strip_suffix('\n').map_or(text.as_str(), |text| text.strip_suffix('\r').unwrap_or(text));
    let now = SystemClock.now();
    let verdict = Verdict::new(judge(token, &keys, &expected, now), Moment(now));
    place.print(&verdict, || verdict.to_text())?;
    if !verdict.signature_good && says_refresh(token, &expected.names) {
        output::note(
            "quash signs refresh tokens with a key that is not published: ask the server with `quash token inspect -`",
        );
    }
    Ok(if verdict.accepted { ExitCode::SUCCESS } else { ExitCode::from(Exit::Refused.code()) })
}

/// Whether a token that no key has signed says that it is a refresh token.
fn says_refresh(token: &str, names: &ClaimNames) -> bool {
    let payload = Unverified::parse(token).and_then(|unverified| unverified.payload_unverified());
    payload
        .and_then(|payload| Claims::parse(&payload, names))
        .is_ok_and(|claims| claims.token_type == Some(TokenType::Refresh))
}

impl VerifyArgs {
    fn keys(&self) -> Result<Keys, CommandError> {
        match (&self.jwks, &self.public_key_file, &self.secret_file, self.algorithm) {
            (Some(path), ..) => keys::of_set(path),
            (None, Some(path), _, Some(algorithm)) => keys::of_public_key(path, algorithm),
            (None, None, Some(path), Some(algorithm)) => {
                keys::of_secret(path, algorithm, ShortSecrets::allowed_if(self.insecure_short_secret))
            }
            _ => Err(CommandError::new(Exit::Usage, "there is no key to judge the token with").hint(
                "give --jwks FILE, or --public-key-file FILE or --secret-file FILE with --algorithm; \
                 `quash token inspect -` judges tokens of this server",
            )),
        }
    }

    fn expectations(&self) -> Result<Expectations, CommandError> {
        let names = ClaimNames {
            token_type: self.token_type_claim.clone(),
            jti: self.jti_claim.clone(),
            user_id: self.user_id_claim.clone(),
            ..ClaimNames::default()
        };
        let all = [&names.token_type, &names.jti, &names.user_id, &names.refresh_exp];
        if let Some(twice) =
            all.iter().enumerate().find_map(|(at, name)| all[..at].contains(name).then_some(name))
        {
            return Err(CommandError::new(Exit::Usage, format!("two claims are called {twice}"))
                .hint("give each claim a name of its own"));
        }
        Ok(Expectations {
            purpose: self.purpose,
            issuer: self.issuer.clone(),
            audience: self.audience.clone(),
            max_lifetime: self.max_lifetime.unwrap_or(Duration::MAX),
            leeway: self.leeway,
            names,
        })
    }
}

impl Verdict {
    fn new(judgement: Judgement, judged_at: Moment) -> Self {
        let Judgement { verdict, genuine, header, token_type, claims } = judgement;
        let (algorithm, kid) = header.map(|header| (header.algorithm, header.kid)).unzip();
        Self {
            accepted: verdict.is_ok(),
            reason: verdict.err().map(refusal_in_words),
            signature_good: genuine,
            algorithm,
            kid: kid.flatten(),
            purpose: token_type.map(TokenType::as_str),
            claims,
            judged_at,
        }
    }

    fn to_text(&self) -> String {
        let verdict =
            self.reason.as_ref().map_or_else(|| "accepted".to_owned(), |reason| format!("refused: {reason}"));
        let signature = if self.signature_good {
            "good: one of the keys made it"
        } else {
            "NOT good: none of the keys made it"
        };
        let header = |member: &Option<String>| member.clone().unwrap_or_else(|| "none".into());
        let mut lines = vec![
            output::clean(&verdict),
            output::pairs(&[
                ("signature", signature.into()),
                ("algorithm", header(&self.algorithm)),
                ("kid", header(&self.kid)),
            ]),
        ];
        if self.signature_good {
            lines.push(part("claims", self.claims.as_ref(), self.judged_at.0));
        }
        lines.join("\n")
    }
}

fn algorithm_parser() -> impl TypedValueParser<Value = Algorithm> {
    let names = PossibleValuesParser::new(Algorithm::ALL.map(Algorithm::as_str));
    names.try_map(|name| Algorithm::parse(&name).ok_or("isn't an algorithm that is known"))
}

fn type_parser() -> impl TypedValueParser<Value = TokenType> {
    let names = PossibleValuesParser::new(TokenType::ALL.map(TokenType::as_str));
    names.try_map(|name| {
        TokenType::ALL.into_iter().find(|kind| kind.as_str() == name).ok_or("isn't a type that is known")
    })
}

fn max_lifetime(text: &str) -> Result<Duration, String> {
    Span { least: Duration::from_secs(1), most: LONGEST, zero: Zero::Refused }.of_flag(text)
}

fn leeway(text: &str) -> Result<Duration, String> {
    Span { least: Duration::from_secs(1), most: limits::LEEWAY, zero: Zero::Allowed }.of_flag(text)
}

fn claim_name(text: &str) -> Result<String, String> {
    fault_of_claim_name(text)
        .map_or_else(|| Ok(text.to_owned()), |wrong| Err(format!("it {}; {}", wrong.fault, wrong.remedy)))
}
