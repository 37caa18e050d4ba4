//! `quash token verify`: verifies a token offline, as a service with these keys would. Uses no server, store
//! or data directory.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use clap::builder::{NonEmptyStringValueParser, PossibleValuesParser, TypedValueParser};
use quash_core::model::{ClaimNames, Clock, limits};
use quash_core::token::{Algorithm, Claims, TokenType, Unverified};
use serde::Serialize;
use serde_json::{Map, Value};

use super::super::context::CommandContext;
use super::offline::{Expectations, Keys, Verification, verify_offline};
use super::{check_source, keys, part, read_stdin};
use crate::error::{CommandError, Exit};
use crate::moment::Moment;
use crate::output;
use crate::settings::{ShortSecrets, Span, Zero, fault_of_claim_name};
use quash_server::SystemClock;

const EXAMPLE: &str = "quash token verify - --jwks FILE < file";

/// Verify a token from standard input offline, with keys from a file
///
/// The token is verified as a service with these keys would do it: no server, store or data directory is
/// used, and no setting is read. Revocations aren't seen: an accepted token may belong to a session that has
/// ended, and a refresh token may be spent. `quash token inspect -` shows that for this server's own tokens.
///
/// The exit code is 0 for a token that is accepted and 6 for one that is refused.
#[derive(Args)]
pub(in crate::commands) struct VerifyArgs {
    /// `-`: the token is read from standard input, never from the command line
    #[arg(value_name = "-")]
    source: String,
    /// The public keys that may have signed it: a JWK set, as servers publish it at /.well-known/jwks.json
    #[arg(long, value_name = "FILE", conflicts_with_all = ["public_key_file", "secret_file", "algorithm", "insecure_short_secret"])]
    jwks: Option<PathBuf>,
    /// The one public key that may have signed it, in PEM or as a JWK
    #[arg(long, value_name = "FILE", requires = "algorithm", conflicts_with_all = ["secret_file", "insecure_short_secret"])]
    public_key_file: Option<PathBuf>,
    /// The secret that may have signed it; only the file's owner and group may have access, and one line end
    /// is dropped
    #[arg(long, value_name = "FILE", requires = "algorithm")]
    secret_file: Option<PathBuf>,
    /// The algorithm of that key or secret
    #[arg(long, value_parser = algorithm_parser())]
    algorithm: Option<Algorithm>,
    /// Accept a secret that is shorter than its hash or is published in a tutorial
    #[arg(long, requires = "secret_file")]
    insecure_short_secret: bool,
    /// The required iss; by default it may be anything, or missing
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    issuer: Option<String>,
    /// An accepted aud, of which one must match; may be given several times. By default it may be anything,
    /// or missing
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    audience: Vec<String>,
    /// The required token type
    #[arg(long = "type", value_name = "TYPE", default_value = "access", value_parser = type_parser())]
    purpose: TokenType,
    /// The longest accepted lifetime, from iat to exp, such as 5m; by default unlimited
    #[arg(long, value_name = "SPAN", value_parser = max_lifetime)]
    max_lifetime: Option<Duration>,
    /// The allowed difference between clocks, up to 5m
    #[arg(long, value_name = "SPAN", default_value = "0s", value_parser = leeway)]
    leeway: Duration,
    /// The name of the claim with the user's id
    #[arg(long, value_name = "NAME", default_value = "user_id", value_parser = claim_name)]
    user_id_claim: String,
    /// The name of the claim with the token's type
    #[arg(long, value_name = "NAME", default_value = "token_type", value_parser = claim_name)]
    token_type_claim: String,
    /// The name of the claim with the token's id
    #[arg(long, value_name = "NAME", default_value = "jti", value_parser = claim_name)]
    jti_claim: String,
}

/// The longest `--max-lifetime`; a longer span is a mistake.
const LONGEST: Duration = Duration::from_secs(36_525 * 24 * 3600);

/// The result as it is printed.
#[derive(Serialize)]
struct Verdict {
    accepted: bool,
    /// The reason for the refusal.
    reason: Option<String>,
    signature_good: bool,
    /// The algorithm in the token's header.
    algorithm: Option<String>,
    /// The key id in the token's header.
    kid: Option<String>,
    /// `None` unless the signature is good.
    #[serde(rename = "type")]
    purpose: Option<&'static str>,
    /// `None` unless the signature is good.
    claims: Option<Map<String, Value>>,
    judged_at: Moment,
}

pub(super) fn run(args: &VerifyArgs, context: &CommandContext) -> Result<ExitCode, CommandError> {
    check_source(&args.source, EXAMPLE)?;
    let (keys, expected) = (args.keys()?, args.expectations()?);
    let text = read_stdin(EXAMPLE)?;
    // A line end belongs to the file or the pipe. Any other text around a token makes it invalid.
    let token = text.strip_suffix('\n').map_or(text.as_str(), |text| text.strip_suffix('\r').unwrap_or(text));
    let now = SystemClock.now();
    let verdict = Verdict::new(verify_offline(token, &keys, &expected, now), Moment(now));
    context.print(&verdict, || verdict.to_text())?;
    if !verdict.signature_good && says_refresh(token, &expected.names) {
        output::note(
            "quash signs refresh tokens with a key that is not published: ask the server with `quash token inspect -`",
        );
    }
    Ok(if verdict.accepted { ExitCode::SUCCESS } else { ExitCode::from(Exit::Refused.code()) })
}

/// Returns whether the unverified claims of a token say that it is a refresh token.
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
            _ => Err(CommandError::new(Exit::Usage, "there is no key to verify the token with").hint(
                "give --jwks FILE, or --public-key-file FILE or --secret-file FILE with --algorithm; \
                 `quash token inspect -` checks tokens of this server",
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
            return Err(CommandError::new(Exit::Usage, format!("two claims have the name {twice}"))
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
    fn new(verification: Verification, judged_at: Moment) -> Self {
        let Verification { verdict, genuine, header, token_type, claims } = verification;
        let (algorithm, kid) = header.map(|header| (header.algorithm, header.kid)).unzip();
        Self {
            accepted: verdict.is_ok(),
            reason: verdict.err().map(|refusal| refusal.to_string()),
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
    // Ed25519 is the name of RFC 9864 for EdDSA.
    let names =
        PossibleValuesParser::new(Algorithm::ALL.map(Algorithm::as_str).into_iter().chain(["Ed25519"]));
    names.try_map(|name| Algorithm::parse(&name).ok_or("isn't a known algorithm"))
}

fn type_parser() -> impl TypedValueParser<Value = TokenType> {
    let names = PossibleValuesParser::new(TokenType::ALL.map(TokenType::as_str));
    names.try_map(|name| {
        TokenType::ALL.into_iter().find(|kind| kind.as_str() == name).ok_or("isn't a known type")
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
