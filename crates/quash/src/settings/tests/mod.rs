//! The layers of settings, their refusals, and the texts of the refusals.

mod documents;
mod hostile;
mod http_keys;
mod keys;
mod named;
mod schema;
mod secrets;
mod show;
mod tables;
mod test_sections;
mod wrong;

use std::ffi::OsString;
use std::time::Duration;

use quash_core::decide::AfterFailOver;
use quash_core::model::{
    AccountPolicy, ClaimsChange, ForeignTokens, InactiveAccounts, LastLogin, LocalParts, LockEnds,
    LockoutPolicy, LoginFields, NameChanges, Namespace, NamespaceClaims, NumericNames, Subjects, Timestamp,
    UserIdField, UserIdType,
};
use quash_core::token::{Algorithm, Expected, TokenType};
use quash_server::{Compat, RefreshCookie, Registration, SchemeCase};
use quash_service::{ForeignKeys, RefreshSigning};
use quash_store::StatementNames;

use self::wrong::{WRONG_KIND, WRONG_MEANING};
use super::*;
use crate::error::CommandError;

/// A settings file with every key, each with another value than its default.
const EVERY_KEY: &str = r#"
[tokens]
algorithm = "HS256"
signing_key = "a secret of this site that nobody else has, of sixty-five bytes!"
insecure_short_secret = true
access_token_lifetime = "10m"
refresh_token_lifetime = "2w"
sliding_token_lifetime = "1h"
sliding_token_refresh_lifetime = "7d"
rotate_refresh_tokens = false
blacklist_after_rotation = false
issuer = "https://auth.example"
audience = ["shop", "blog"]
user_id_field = "email"
user_id_claim = "who"
user_id_type = "int"
token_type_claim = "typ"
jti_claim = "id"
sliding_token_refresh_exp_claim = "until"
check_revoke_token = true
revoke_token_claim = "mark"
leeway = "5m"
auth_header_types = ["JWT"]
auth_header_name = "HTTP_X_ACCESS_TOKEN"
auth_token_classes = ["sliding", "access"]
check_user_is_active = false
update_last_login = true
foreign_tokens = "until 2027-01-15"
compat = "strict"
[foreign.django]
algorithm = "HS512"
shared_secret = "short"
kid = "one"
max_lifetime = "3d"
issuer = "*"
audience = "*"
namespace = "apart"
session_claim = "qsid"
position_claim = "qsq"
subject_claim = "uid"
token_claim = "none"
accepted = ["access", "sliding"]
insecure_short_secret = true
[keys]
rotate_every = "30d"
[rotation]
grace = "0s"
[sessions]
absolute_lifetime = "none"
max_per_account = 5
[accounts]
login_fields = ["username", "email"]
username_field = "phone_number"
change_username = false
numeric_names = true
subjects = "integer"
[claims]
on_change = "wait"
[passwords]
rehash = false
argon2_memory_mib = 64
argon2_passes = 3
argon2_lanes = 4
[lockout]
failures = 10
first_lock = "30s"
longest_lock = "2h"
end_sessions = "all"
network_failures = 100
network_window = "1h"
[audit]
keep = "30d"
[feed]
term = "2s"
[cookies]
refresh = "on"
[http]
listen = "0.0.0.0:80"
tls_cert = "certificate.pem"
tls_key = "/etc/quash/key.pem"
prefix = "/auth/v2"
paths = { token = "/auth/jwt/create/", me = "/auth/users/me/" }
cors_origins = ["https://app.example", "http://localhost:3000"]
cors_allow_headers = ["traceparent", "Sentry-Trace"]
cors_expose_headers = "server-timing"
cors_max_age = "1h"
behind_proxy = true
trusted_proxies = ["10.0.0.0/8", "unix"]
forwarding_header = "forwarded"
public_url = "https://id.example/auth"
idle_timeout = "2m"
memory_mib = 64
[registration]
enabled = true
link_lifetime = "2d"
[mail]
host = "smtp.example"
port = 2525
encryption = "starttls"
username = "quash"
password = "a password"
from = "Example <no-reply@mail.example>"
smtputf8 = true
[storage]
engine = "postgres"
url = "postgres://quash:a-password@db.example/quash"
group_access = true
[postgres]
after_failover = "evidence"
prepared = true
[log]
level = "trace"
format = "json"
[traces]
endpoint = "https://collector.example/otlp/"
authorization = "Bearer of-the-collector"
sampled_percent = 5
"#;

/// Loads settings from a file's text, variables and `--set` flags.
fn load_from(file: &str, variables: &[(&str, &str)], set: &[&str]) -> Result<Settings, Faults> {
    let dir = tempfile::tempdir().expect("a temporary directory");
    std::fs::write(dir.path().join("quash.toml"), file).expect("it is ours");
    let variables = variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    let flags = Flags { set: set.iter().map(|flag| (*flag).to_owned()).collect(), ..Flags::default() };
    load(&flags, &Environment::of(variables), dir.path()).map(|loaded| loaded.settings)
}

fn tcp(address: &str) -> Listen {
    Listen::Tcp(address.parse().expect("an address"))
}

fn port(listen: &Listen) -> u16 {
    match listen {
        Listen::Tcp(address) => address.port(),
        Listen::Unix(_) => 0,
    }
}

fn refused(file: &str, variables: &[(&str, &str)], set: &[&str]) -> String {
    let faults = load_from(file, variables, set).expect_err("it is refused");
    let error = CommandError::from(faults);
    assert_eq!(error.exit.code(), 2);
    format!("{} | {}", error.message, error.hint.unwrap_or_default())
}

#[test]
fn no_setting_is_required() {
    let settings = load_from("", &[], &[]).expect("defaults");
    assert_eq!(settings.policy, Policy::default());
    assert_eq!(settings.http, HttpSettings::default());
    assert!(settings.keys.algorithm == Algorithm::EdDsa && matches!(settings.engine, Engine::Sqlite));
    assert_eq!(settings.group_access, GroupAccess::Refused);
    assert_eq!((settings.listen, settings.tls), (tcp("127.0.0.1:7827"), None));
}

#[test]
fn every_key_is_read() {
    let settings = load_from(EVERY_KEY, &[], &[]).expect("all of it is valid");
    let Policy { tokens, rotation, sessions, accounts, audit, lockout, registration, feed } = settings.policy;
    assert_eq!((audit.keep, feed.term), (Duration::from_secs(30 * 86_400), Duration::from_secs(2)));
    assert_eq!(
        (tokens.access_lifetime, tokens.refresh_lifetime),
        (Duration::from_secs(600), Duration::from_secs(14 * 86_400))
    );
    assert_eq!(
        (tokens.issuer.as_deref(), tokens.audience.len(), tokens.leeway),
        (Some("https://auth.example"), 2, Duration::from_secs(300))
    );
    assert_eq!(
        (tokens.sliding_lifetime, tokens.sliding_refresh_lifetime),
        (Duration::from_secs(3600), Duration::from_secs(7 * 86_400))
    );
    let names = tokens.names;
    assert_eq!(
        [names.user_id, names.token_type, names.jti, names.refresh_exp],
        ["who", "typ", "id", "until"]
    );
    assert_eq!(
        (names.password_mark.as_deref(), names.user_id_field, names.user_id_type),
        (Some("mark"), UserIdField::Email, UserIdType::Integer)
    );
    assert_eq!(tokens.accepted, [TokenType::Sliding, TokenType::Access]);
    assert_eq!(tokens.foreign, ForeignTokens::Until(Timestamp::from_secs(1_799_971_200)));
    let expected = AccountPolicy {
        inactive: InactiveAccounts::Allowed,
        last_login: LastLogin::Recorded,
        lock_ends: LockEnds::All,
        claims_change: ClaimsChange::Wait,
        login_fields: LoginFields::NameOrEmail,
        names: NameChanges::Refused,
        numeric_names: NumericNames::Allowed,
        local_parts: LocalParts::Utf8,
        subjects: Subjects::Integer,
    };
    assert_eq!(accounts, expected);
    let (first_lock, longest_lock) = (Duration::from_secs(30), Duration::from_secs(7200));
    assert_eq!(
        lockout,
        LockoutPolicy {
            failures: 10,
            first_lock,
            longest_lock,
            network_failures: 100,
            network_window: Duration::from_secs(3600)
        }
    );
    assert_eq!((settings.rehash, settings.http.refresh_cookie), (Rehash::Never, RefreshCookie::On));
    assert_eq!(settings.argon2, Argon2 { memory_mib: 64, passes: 3, lanes: 4 });
    let KeySetup { algorithm, signing, rotate_every, foreign, refresh_tokens } = settings.keys;
    assert_eq!(refresh_tokens, RefreshSigning::LikeAccess);
    assert_eq!(rotate_every, Some(Duration::from_secs(30 * 86_400)));
    assert_eq!((algorithm, signing.map(|key| key.len()), foreign.len()), (Algorithm::Hs256, Some(64), 1));
    let claims = NamespaceClaims {
        session: Some("qsid".into()),
        position: Some("qsq".into()),
        subject: "uid".into(),
        token: None,
    };
    let accepted = vec!["access".to_owned(), "sliding".to_owned()];
    let max_lifetime = Duration::from_secs(3 * 86_400);
    assert_eq!(tokens.namespaces, [Namespace { name: "apart".into(), max_lifetime, accepted, claims }]);
    let django = &foreign[0];
    assert_eq!(
        (
            django.name.as_str(),
            django.namespace.as_ref().map_or("", |namespace| &namespace.name),
            django.max_lifetime.as_secs()
        ),
        ("django", "apart", 3 * 86_400)
    );
    assert_eq!((&django.iss, &django.aud), (&Expected::Anything, &Expected::Anything));
    assert!(
        matches!(&django.keys, ForeignKeys::Secret { algorithm: Algorithm::Hs512, kid: Some(kid), .. } if kid.as_str() == "one")
    );
    assert_eq!(settings.warnings.len(), 2, "{:?}", settings.warnings);
    assert_eq!((rotation.rotate, rotation.blacklist, rotation.grace), (false, false, Duration::ZERO));
    assert_eq!((sessions.absolute_lifetime, sessions.max_per_account), (None, 5));
    let header = settings.http.token_header;
    assert_eq!(
        (header.name.as_str(), header.schemes, header.case),
        ("x-access-token", vec!["JWT".to_owned()], SchemeCase::Exact)
    );
    assert_eq!(
        (settings.http.compat, settings.http.prefix.as_str(), settings.http.behind_proxy),
        (Compat::Strict, "/auth/v2", true)
    );
    assert_eq!((algorithm, settings.group_access), (Algorithm::Hs256, GroupAccess::Allowed));
    assert!(matches!(settings.engine, Engine::Postgres(_)), "{:?}", settings.engine);
    let Postgres { after_failover, names } = settings.postgres;
    assert_eq!((after_failover, names), (AfterFailOver::Evidence, StatementNames::Prepared));
    assert!(
        settings.http.username_field == "phone_number"
            && settings.http.paths != quash_server::Paths::default()
    );
    assert_eq!((settings.listen, settings.log.format), (tcp("0.0.0.0:80"), LogFormat::Json));
    let traces = settings.traces.expect("a collector");
    assert_eq!(
        (traces.url.as_str(), traces.sampled_percent),
        ("https://collector.example/otlp/v1/traces", 5)
    );
    assert_eq!(
        traces.authorization.as_ref().map(|value| value.as_bytes()),
        Some(&b"Bearer of-the-collector"[..])
    );
    assert!(!format!("{traces:?}").contains("of-the-collector"));
    let tls = settings.tls.expect("both files");
    assert!(
        tls.certificates.is_absolute() && tls.certificates.ends_with("certificate.pem"),
        "beside the settings file"
    );
    assert_eq!(tls.key, Path::new("/etc/quash/key.pem"));
    assert_eq!(settings.http.registration, Registration::Open);
    assert_eq!(registration.link_lifetime, Duration::from_secs(2 * 86_400));
    let smtp = settings.smtp.expect("a server");
    assert_eq!(
        (smtp.host.as_str(), smtp.port, smtp.encryption),
        ("smtp.example", 2525, Encryption::StartTls)
    );
    assert_eq!(smtp.from.to_string(), "Example <no-reply@mail.example>");
    assert_eq!(
        smtp.credentials.map(|(name, password)| (name, password.expose().to_owned())),
        Some(("quash".into(), "a password".into()))
    );
}

#[test]
fn mail_encryption_sets_the_port_and_a_warning() {
    for (encryption, port, warnings) in [("tls", 465, 0), ("starttls", 587, 0), ("none", 25, 1)] {
        let file = format!(
            "http.public_url = \"https://id.example\"\n[mail]\nhost = \"smtp.example\"\nfrom = \"a@b.example\"\nencryption = \"{encryption}\"\n"
        );
        let settings = load_from(&file, &[], &[]).expect("valid");
        assert_eq!(
            (settings.smtp.expect("a server").port, settings.warnings.len()),
            (port, warnings),
            "{encryption}"
        );
    }
}

#[test]
fn later_layers_override_earlier_ones() {
    let file = "[rotation]\ngrace = \"1s\"\n[http]\nlisten = \"127.0.0.1:1\"\n";
    let variables = [
        ("QUASH_ROTATION_GRACE", "2s"),
        ("QUASH_HTTP_LISTEN", "127.0.0.1:2"),
        ("QUASH_LISTEN", "127.0.0.1:3"),
        ("PATH", "/"),
    ];
    let seen = |settings: Result<Settings, Faults>| {
        settings.map(|settings| (settings.policy.rotation.grace.as_secs(), port(&settings.listen)))
    };
    assert_eq!(seen(load_from(file, &[], &[])), Ok((1, 1)));
    assert_eq!(seen(load_from(file, &variables[..2], &[])), Ok((2, 2)));
    assert_eq!(seen(load_from(file, &variables, &[])), Ok((2, 3)));
    assert_eq!(
        seen(load_from(file, &variables, &["rotation.grace=3s", "http.listen=127.0.0.1:4"])),
        Ok((3, 4))
    );
    let flags = Flags {
        listen: Some("127.0.0.1:5".into()),
        set: vec!["http.listen=127.0.0.1:4".into()],
        ..Flags::default()
    };
    let settings = load(&flags, &Environment::default(), Path::new("nowhere")).expect("valid").settings;
    assert_eq!(settings.listen, tcp("127.0.0.1:5"));
}

#[test]
fn plain_text_becomes_lists_switches_and_numbers() {
    let variables = [
        ("QUASH_TOKENS_AUDIENCE", "shop,blog"),
        ("QUASH_HTTP_BEHIND_PROXY", "true"),
        ("QUASH_HTTP_TRUSTED_PROXIES", "10.0.0.5,fd00::/8"),
        ("QUASH_SESSIONS_MAX_PER_ACCOUNT", "7"),
    ];
    let settings = load_from("", &variables, &[]).expect("valid");
    assert_eq!(settings.policy.tokens.audience, ["shop", "blog"]);
    assert!(settings.http.behind_proxy);
    assert_eq!(settings.policy.sessions.max_per_account, 7);
}

#[test]
fn a_fault_names_its_line() {
    let said =
        refused("# a comment\n[tokens]\nissuer = \"a\"\naccess_token_lifetime = \"15 min\"\n", &[], &[]);
    assert!(
        said.contains("tokens.access_token_lifetime = \"15 min\" has a blank in it (")
            && said.contains("quash.toml:4)"),
        "{said}"
    );
    assert!(said.contains("such as \"5m\""), "{said}");
    let said = refused("[tokens]\nissuer =\n", &[], &[]);
    assert!(said.contains("isn't TOML") && said.contains("quash.toml:2"), "{said}");
    let said = refused("[tokens]\nissuer = \"a\"\nissuer = \"b\"\n", &[], &[]);
    assert!(said.contains("duplicate key") && said.contains("quash.toml:3"), "{said}");
}

#[test]
fn unknown_keys_suggest_similar_ones() {
    for (file, variable, flag, meant) in [
        ("[tokens]\nacess_token_lifetime = \"5m\"", None, None, "did you mean access_token_lifetime?"),
        ("[token]\nissuer = \"a\"", None, None, "did you mean tokens?"),
        ("listen = \"127.0.0.1:1\"", None, None, "put it under [http]"),
        ("[tokens]\ngrace = \"1s\"", None, None, "did you mean grace under [rotation]?"),
        ("[tokens]\ncolour = \"red\"", None, None, "the keys of [tokens] are algorithm,"),
        ("[tokens]\njwk_url = \"https://a.example\"", None, None, "write jwks_url under [foreign.<name>]"),
        ("[tokens]\ntoken_obtain_serializer = \"a.B\"", None, None, "it names Python code"),
        ("[colours]\nred = 1", None, None, "the sections are tokens, foreign.<name>, keys, rotation,"),
        ("", Some("QUASH_TOKENS_ISUER"), None, "did you mean QUASH_TOKENS_ISSUER?"),
        ("", Some("QUASH_DATADIR"), None, "did you mean QUASH_DATA_DIR?"),
        ("", Some("QUASH_COLOUR"), None, "unset it"),
        ("", None, Some("http.lisen=1"), "did you mean http.listen?"),
        ("", None, Some("http.listen"), "write --set section.key=value"),
    ] {
        let variables: Vec<(&str, &str)> = variable.into_iter().map(|name| (name, "x")).collect();
        let flags: Vec<&str> = flag.into_iter().collect();
        let said = refused(file, &variables, &flags);
        assert!(said.contains(meant), "{file} {variables:?} {flags:?}: {said}");
    }
    let others = [
        ("QUASH_VECTORS", "x"),
        ("QUASH_SOAK", "1"),
        ("QUASH_TEST_PYTHON", "python"),
        ("QUASH_TEST_CHROMIUM", "x"),
        ("QUASH_TEST_AXE", "x"),
        ("QUASH_TEST_POSTGRES", "x"),
        ("QUASH_TEST_PGBOUNCER", "x"),
        ("QUASH_TEST_STORE", "x"),
        ("QUASH_TEST_POSTGRES_BIN", "x"),
    ];
    assert!(load_from("", &others, &[]).is_ok(), "variables of other programs of the project");
}

#[test]
fn values_of_wrong_type_or_meaning_are_refused() {
    for (line, fault) in WRONG_KIND.iter().chain(WRONG_MEANING) {
        let key = line.split(' ').next().unwrap_or_default();
        let said = refused(line, &[], &[]);
        assert!(said.contains(fault), "{line}: {said}");
        assert!(
            said.contains(key)
                || !line.contains('.')
                || fault.contains("isn't a setting")
                || key.ends_with(".x"),
            "{line}: {said}"
        );
    }
    assert!(
        load_from("tokens.issuer = \"http://localhost:8000\"", &[], &[]).is_ok(),
        "a developer's own machine"
    );
}

#[test]
fn all_faults_are_reported_in_order_of_origin() {
    let file = "[tokens]\nleeway = \"6m\"\nissuer = \"http://a.example\"\ncolour = 1\njti_claim = \"exp\"\n[log]\nlevel = \"loud\"\n";
    let faults = load_from(
        file,
        &[("QUASH_COLOUR", "x"), ("QUASH_ROTATION_GRACE", "soon")],
        &["http.prefix=api", "log.colour=red"],
    );
    let error = CommandError::from(faults.expect_err("all of it is wrong"));
    assert_eq!(
        (error.message.as_str(), error.hint.as_deref(), error.exit.code()),
        ("the settings have 9 faults", None, 2)
    );
    let wanted = [
        ("quash.toml:2", "tokens.leeway = \"6m\" is longer than 5m", "such as \"5m\""),
        ("quash.toml:3", "tokens.issuer = \"http://a.example\" is an http address", "https://"),
        ("quash.toml:4", "tokens.colour isn't a setting", "the keys of [tokens]"),
        ("quash.toml:5", "tokens.jti_claim = \"exp\" is the name of a claim", "another name"),
        ("quash.toml:7", "log.level = \"loud\" isn't a known word", "\"debug\" or \"trace\""),
        ("environment variable QUASH_COLOUR", "QUASH_COLOUR isn't a setting", "unset it"),
        ("environment variable QUASH_ROTATION_GRACE", "rotation.grace = \"soon\"", "such as \"5m\""),
        ("flag --set", "log.colour isn't a setting", "the sections are"),
        ("flag --set", "http.prefix = \"api\" isn't a path", "\"/api\""),
    ];
    assert_eq!(error.findings.len(), wanted.len(), "{:?}", error.findings);
    for (found, (place, message, hint)) in error.findings.iter().zip(wanted) {
        assert!(
            found.place.ends_with(place) && found.message.contains(message) && found.hint.contains(hint),
            "{found:?}"
        );
    }
}

#[test]
fn faults_beyond_a_hundred_are_only_counted() {
    let lines = |count: usize| (0..count).map(|n| format!("colour_{n} = 1\n")).collect::<String>();
    let error = |count| {
        CommandError::from(
            load_from(&format!("[log]\n{}", lines(count)), &[], &[]).expect_err("nobody knows these"),
        )
    };
    assert_eq!(
        (error(100).message.as_str(), error(100).findings.len()),
        ("the settings have 100 faults", 100)
    );
    assert_eq!(
        (error(101).message.as_str(), error(101).findings.len()),
        ("the settings have 101 faults; these are the first 100", 100)
    );
}

#[test]
fn faults_cause_no_follow_up_faults() {
    let said = refused("http.listen = \"0.0.0.0:80\"\nhttp.behind_proxy = \"yes\"", &[], &[]);
    assert!(said.contains("neither true nor false"), "{said}");
    let said = refused("[http]\nlisten =\n", &[("QUASH_HTTP_LISTEN", "0.0.0.0:80")], &[]);
    assert!(said.contains("isn't TOML"), "the proxy may be set in the file: {said}");
}

#[test]
fn tls_or_a_unix_socket_needs_no_proxy() {
    let tls = "[http]\ntls_cert = \"c.pem\"\ntls_key = \"k.pem\"\nlisten = \"[::]:443\"\n";
    assert_eq!(load_from(tls, &[], &[]).map(|settings| settings.listen), Ok(tcp("[::]:443")));
    let unix = load_from("", &[("QUASH_LISTEN", "unix:/run/quash.sock")], &[]).expect("valid");
    assert_eq!((unix.listen, unix.tls), (Listen::Unix("/run/quash.sock".into()), None));
}

#[test]
fn namespaces_need_no_keys() {
    let shop = "[foreign.site]\nnamespace = \"shop\"\nmax_lifetime = \"1d\"";
    let loaded = load_from(shop, &[], &[]).expect("settings");
    let claims = NamespaceClaims {
        session: None,
        position: None,
        subject: "user_id".into(),
        token: Some("jti".into()),
    };
    let (max_lifetime, accepted) = (Duration::from_secs(86_400), vec!["access".to_owned()]);
    let expected = Namespace { name: "shop".into(), max_lifetime, accepted, claims };
    assert_eq!(loaded.policy.tokens.namespaces, [expected]);
    assert!(loaded.keys.foreign.is_empty() && loaded.warnings.is_empty());
}

#[test]
fn sections_of_one_namespace_differ_in_their_keys_alone() {
    let section = |name: &str, lifetime: &str, more: &str| {
        format!(
            "[foreign.{name}]\nnamespace = \"shop\"\njwks_url = \"https://{name}.example\"\nmax_lifetime = \"{lifetime}\"\n{more}"
        )
    };
    let text = [section("a", "1h", "session_claim = \"qsid\"\n"), section("b", "1d", "")].concat();
    let loaded = load_from(&text, &[], &[]).expect("settings");
    let [shop] = loaded.policy.tokens.namespaces.as_slice() else { panic!("one namespace") };
    let (day, session) = (Duration::from_secs(86_400), Some("qsid"));
    assert_eq!((shop.max_lifetime, shop.claims.session.as_deref()), (day, session));
    for setup in &loaded.keys.foreign {
        assert_eq!((setup.max_lifetime, setup.namespace.as_ref()), (day, Some(shop)), "{}", setup.name);
    }
    assert!(loaded.warnings.iter().any(|warning| warning.contains("the first section applies")));
}

#[test]
fn claims_of_a_namespace_need_a_namespace() {
    for line in ["subject_claim = \"a\"", "token_claim = \"a\"", "accepted = \"access\""] {
        let text =
            format!("[foreign.site]\njwks_url = \"https://a.example/jwks\"\nmax_lifetime = \"1d\"\n{line}");
        let fault = refused(&text, &[], &[]);
        assert!(fault.contains("is set without namespace"), "{line}: {fault}");
    }
    let dropped = "[foreign.site]\njwks_url = \"https://a.example/jwks\"\nmax_lifetime = \"1d\"\nsession_claim = \"a\"\nposition_claim = \"b\"";
    let loaded = load_from(dropped, &[], &[]).expect("settings");
    assert_eq!(loaded.keys.foreign[0].dropped, ["a", "b"]);
    assert!(loaded.keys.foreign[0].namespace.is_none() && loaded.policy.tokens.namespaces.is_empty());
    let fault = refused("[foreign.site]\nmax_lifetime = \"1d\"", &[], &[]);
    assert!(fault.contains("is missing, and so is every alternative"), "{fault}");
}

#[test]
fn claims_of_a_namespace_have_names_of_their_own() {
    let of = |name: &str| {
        format!("[foreign.site]\nnamespace = \"shop\"\nmax_lifetime = \"1d\"\nsession_claim = \"{name}\"")
    };
    assert!(load_from(&of("sid"), &[], &[]).is_ok());
    for taken in ["user_id", "jti", "token_type"] {
        assert!(refused(&of(taken), &[], &[]).contains("is the name of another claim, too"), "{taken}");
    }
    assert!(refused(&of("exp"), &[], &[]).contains("is the name of a claim with another meaning"));
    assert!(refused(&of("a b"), &[], &[]).contains("isn't a valid claim name"));
}

#[test]
fn a_url_chooses_postgresql() {
    let url = "postgres://quash:a-password@db.example.org/quash";
    let of = |settings: Settings| match settings.engine {
        Engine::Postgres(url) => url.expose().to_owned(),
        other => panic!("{other:?}"),
    };
    let named = format!("[storage]\nurl = \"{url}\"\n");
    assert_eq!(of(load_from(&named, &[], &[]).expect("a database")), url);
    let both = format!("[storage]\nengine = \"postgres\"\nurl = \"{url}\"\n");
    let shown = load_from(&both, &[], &[]).expect("a database");
    assert!(!format!("{:?}", shown.engine).contains("a-password"));
    assert_eq!(of(shown), url);
    for engine in ["sqlite", "memory"] {
        let told = refused(&format!("[storage]\nengine = \"{engine}\"\nurl = \"{url}\"\n"), &[], &[]);
        assert!(told.contains("storage.url") && told.contains("names another engine"), "{told}");
        assert!(!told.contains("a-password"), "{told}");
    }
    let without = refused("[storage]\nengine = \"postgres\"\n", &[], &[]);
    assert!(without.contains("storage.engine") && without.contains("set storage.url"), "{without}");
}
