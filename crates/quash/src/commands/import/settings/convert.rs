//! The counterpart at quash of each setting of Simple JWT.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::python::{Literal, SimpleJwt};

/// The result for a setting.
#[derive(Serialize)]
pub(super) struct Carried {
    pub(super) setting: String,
    pub(super) outcome: Outcome,
    pub(super) detail: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    /// quash has the same setting.
    Carried,
    /// quash behaves in another way.
    Differs,
    /// quash has no such setting.
    NotCarried,
    /// It has no effect at quash, or its default.
    Irrelevant,
}

/// How a setting is carried over.
#[derive(Clone, Copy)]
enum Rule {
    Span,
    Switch,
    Text,
    Texts,
    Algorithm,
    SigningKey,
    VerifyingKey,
    JwkUrl,
    UserIdField,
    TokenClasses,
    /// It names code of the site: the default, and why quash has no place for other code.
    Code(&'static str, &'static str),
}

const SERIALIZER: &str =
    "quash has no serializers: import the claims that it adds with `quash import django --claims`";
const SENDER: &str = "quash calls no code of the site: the audit has each sign-in (`quash audit list`)";

/// All settings of Simple JWT, in the order of its documentation.
const RULES: &[(&str, Rule)] = &[
    ("ACCESS_TOKEN_LIFETIME", Rule::Span),
    ("REFRESH_TOKEN_LIFETIME", Rule::Span),
    ("ROTATE_REFRESH_TOKENS", Rule::Switch),
    ("BLACKLIST_AFTER_ROTATION", Rule::Switch),
    ("UPDATE_LAST_LOGIN", Rule::Switch),
    ("ALGORITHM", Rule::Algorithm),
    ("SIGNING_KEY", Rule::SigningKey),
    ("VERIFYING_KEY", Rule::VerifyingKey),
    ("AUDIENCE", Rule::Texts),
    ("ISSUER", Rule::Text),
    ("JSON_ENCODER", Rule::Code("", "claims at quash are JSON values already")),
    ("JWK_URL", Rule::JwkUrl),
    ("LEEWAY", Rule::Span),
    ("AUTH_HEADER_TYPES", Rule::Texts),
    ("AUTH_HEADER_NAME", Rule::Text),
    ("USER_ID_FIELD", Rule::UserIdField),
    ("USER_ID_CLAIM", Rule::Text),
    (
        "USER_AUTHENTICATION_RULE",
        Rule::Code(
            "rest_framework_simplejwt.authentication.default_user_authentication_rule",
            "quash calls no code of the site: deactivate the accounts that must not sign in",
        ),
    ),
    ("ON_LOGIN_SUCCESS", Rule::Code("rest_framework_simplejwt.serializers.default_on_login_success", SENDER)),
    ("ON_LOGIN_FAILED", Rule::Code("rest_framework_simplejwt.serializers.default_on_login_failed", SENDER)),
    ("AUTH_TOKEN_CLASSES", Rule::TokenClasses),
    ("TOKEN_TYPE_CLAIM", Rule::Text),
    ("JTI_CLAIM", Rule::Text),
    (
        "TOKEN_USER_CLASS",
        Rule::Code(
            "rest_framework_simplejwt.models.TokenUser",
            "it is the object that the site's views get: the site keeps it",
        ),
    ),
    ("SLIDING_TOKEN_REFRESH_EXP_CLAIM", Rule::Text),
    ("SLIDING_TOKEN_LIFETIME", Rule::Span),
    ("SLIDING_TOKEN_REFRESH_LIFETIME", Rule::Span),
    (
        "TOKEN_OBTAIN_SERIALIZER",
        Rule::Code("rest_framework_simplejwt.serializers.TokenObtainPairSerializer", SERIALIZER),
    ),
    (
        "TOKEN_REFRESH_SERIALIZER",
        Rule::Code("rest_framework_simplejwt.serializers.TokenRefreshSerializer", SERIALIZER),
    ),
    (
        "TOKEN_VERIFY_SERIALIZER",
        Rule::Code("rest_framework_simplejwt.serializers.TokenVerifySerializer", SERIALIZER),
    ),
    (
        "TOKEN_BLACKLIST_SERIALIZER",
        Rule::Code("rest_framework_simplejwt.serializers.TokenBlacklistSerializer", SERIALIZER),
    ),
    (
        "SLIDING_TOKEN_OBTAIN_SERIALIZER",
        Rule::Code("rest_framework_simplejwt.serializers.TokenObtainSlidingSerializer", SERIALIZER),
    ),
    (
        "SLIDING_TOKEN_REFRESH_SERIALIZER",
        Rule::Code("rest_framework_simplejwt.serializers.TokenRefreshSlidingSerializer", SERIALIZER),
    ),
    ("CHECK_REVOKE_TOKEN", Rule::Switch),
    ("REVOKE_TOKEN_CLAIM", Rule::Text),
    ("CHECK_USER_IS_ACTIVE", Rule::Switch),
];

/// Settings that Simple JWT refuses.
const REMOVED: [&str; 4] = ["AUTH_HEADER_TYPE", "AUTH_TOKEN_CLASS", "SECRET_KEY", "TOKEN_BACKEND_CLASS"];

const ALGORITHMS: [&str; 12] = [
    "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384",
    "EdDSA",
];
/// The longest `leeway`.
const LEEWAY: Duration = Duration::from_secs(300);
/// The longest lifetime of a token.
const LIFETIME: Duration = Duration::from_secs(3653 * 86_400);

/// The settings file while it is made.
struct Conversion<'e> {
    entries: BTreeMap<&'e str, &'e Literal>,
    tokens: Vec<String>,
    settings: Vec<Carried>,
}

/// Converts `SIMPLE_JWT`: returns the text of a settings file, and what became of each setting.
pub(super) fn convert(read: &SimpleJwt) -> (String, Vec<Carried>) {
    // Of equal keys, Python keeps the last.
    let entries = read.entries.iter().map(|entry| (entry.name.as_str(), &entry.value)).collect();
    let mut conversion = Conversion { entries, tokens: Vec::new(), settings: Vec::new() };
    if read.is_changed {
        let detail = "the file changes the dictionary afterwards, which isn't read: its values may be others";
        conversion.note("SIMPLE_JWT", Outcome::NotCarried, detail);
    }
    if read.has_spread {
        let detail =
            "the dictionary includes another one with `**`, which isn't read: its values may be others";
        conversion.note("SIMPLE_JWT", Outcome::NotCarried, detail);
    }
    for (name, rule) in RULES {
        conversion.apply(name, *rule);
    }
    conversion.name_others();
    let Conversion { entries, tokens, settings } = conversion;
    let mut toml = String::from("# The settings of Simple JWT, as quash has them.\n[tokens]\n");
    for line in tokens {
        toml.push_str(&line);
        toml.push('\n');
    }
    if entries.get("CHECK_REVOKE_TOKEN") == Some(&&Literal::Bool(true)) {
        toml.push_str("\n# The site's services compare tokens with the hash in their own table.\n[passwords]\nrehash = false\n");
    }
    (toml, settings)
}

impl Conversion<'_> {
    fn apply(&mut self, name: &'static str, rule: Rule) {
        let value = self.entries.get(name).map(|value| (*value).clone());
        let Some(value) = value else { return self.unset(name, rule) };
        match (rule, value) {
            (Rule::SigningKey, _) => self.signing_key(name),
            (Rule::VerifyingKey, _) => self.note(name, Outcome::Irrelevant, "quash derives it from the signing key"),
            (Rule::JwkUrl, Literal::None) => self.note(name, Outcome::Irrelevant, "it is unset"),
            (Rule::JwkUrl, _) => self.note(
                name,
                Outcome::NotCarried,
                "quash publishes its keys itself, at /.well-known/jwks.json; to accept the tokens of this issuer, write \
                 its address as `jwks_url` into a section [foreign.<name>]",
            ),
            (Rule::Code("", _), Literal::None) => {
                self.note(name, Outcome::Irrelevant, "it is unset");
            }
            (Rule::Code(default, _), Literal::Text(text)) if text == default => {
                self.note(name, Outcome::Irrelevant, "it is Simple JWT's default");
            }
            (Rule::Code(_, reason), _) => self.note(name, Outcome::NotCarried, reason),
            (_, Literal::Other | Literal::Name(_)) => self.note(
                name,
                Outcome::NotCarried,
                "its value is an expression, which isn't evaluated: write its value into [tokens] yourself",
            ),
            (Rule::Span, value) => self.span(name, &value),
            (Rule::Switch, Literal::Bool(value)) => self.carry(name, value.to_string()),
            (Rule::Text, Literal::Text(text)) if !text.is_empty() => self.carry(name, quoted(&text)),
            (Rule::Text | Rule::Texts, Literal::None) if matches!(name, "ISSUER" | "AUDIENCE") => {
                self.note(name, Outcome::Irrelevant, "it is unset");
            }
            (Rule::Text, Literal::None) => {
                self.note(name, Outcome::NotCarried, "each token of quash has this claim");
            }
            (Rule::Texts, Literal::Text(text)) => self.carry(name, format!("[{}]", quoted(&text))),
            (Rule::Texts, Literal::List(list)) => match texts(&list) {
                Some(texts) => self.carry(name, list_of(&texts)),
                None => self.wrong(name, "texts"),
            },
            (Rule::Algorithm, Literal::Text(text)) if ALGORITHMS.contains(&text.as_str()) => {
                self.carry(name, quoted(&text));
            }
            (Rule::Algorithm, Literal::Text(_)) => self.note(
                name,
                Outcome::NotCarried,
                "quash doesn't have it: choose ES256 or another algorithm of docs/reference/settings.md, and new keys",
            ),
            (Rule::UserIdField, Literal::Text(text)) => match text.as_str() {
                "id" | "pk" => self.carry(name, quoted("id")),
                "username" | "email" => self.carry(name, quoted(&text)),
                _ => self.note(
                    name,
                    Outcome::Differs,
                    "it becomes the subject of each account: name it with `quash import django --subject-column`",
                ),
            },
            (Rule::TokenClasses, Literal::List(list)) => self.token_classes(name, &list),
            (Rule::Switch, _) => self.wrong(name, "True or False"),
            (Rule::Text | Rule::Algorithm | Rule::UserIdField, _) => self.wrong(name, "a text"),
            (Rule::Texts | Rule::TokenClasses, _) => self.wrong(name, "a list of texts"),
        }
    }

    /// A setting that has Simple JWT's default.
    fn unset(&mut self, name: &'static str, rule: Rule) {
        match (name, rule) {
            ("ALGORITHM", _) => {
                self.tokens.push("algorithm = \"HS256\" # Simple JWT's default".into());
                let detail = "algorithm = \"HS256\", Simple JWT's default, so that services with the site's secret need no \
                              change; quash's own is EdDSA";
                self.note(name, Outcome::Carried, detail);
            }
            (_, Rule::SigningKey) => self.signing_key(name),
            ("ROTATE_REFRESH_TOKENS" | "BLACKLIST_AFTER_ROTATION", _) => self.note(
                name,
                Outcome::Differs,
                &format!(
                    "on at quash, off by default in Simple JWT: `{} = false` turns it off",
                    name.to_lowercase()
                ),
            ),
            _ => self.note(name, Outcome::Irrelevant, "it is unset, and has the same effect at quash"),
        }
    }

    /// Names the place for the secret. It is never read.
    fn signing_key(&mut self, name: &'static str) {
        self.tokens
            .push("# The text of SIGNING_KEY, which is SECRET_KEY unless it is set; mode 0600.".into());
        self.tokens.push("signing_key_file = \"django.secret\"".into());
        let detail = "a secret, which isn't copied: write its text into the file django.secret next to quash.toml, with \
                      mode 0600; it must not be shorter than the hash of its algorithm";
        self.note(name, Outcome::Carried, detail);
    }

    fn span(&mut self, name: &'static str, value: &Literal) {
        let span = match value {
            Literal::Span(span) => Some(*span),
            Literal::Number(seconds) if name == "LEEWAY" => Duration::try_from_secs_f64(*seconds).ok(),
            _ => None,
        };
        let (least, most) = if name == "LEEWAY" { (0, LEEWAY) } else { (1, LIFETIME) };
        match span {
            None => self.wrong(name, "a timedelta"),
            Some(span) if span > most => self.note(
                name,
                Outcome::NotCarried,
                &format!("it is longer than {} seconds, the longest span at quash", most.as_secs()),
            ),
            Some(span) if span.as_secs() < least => {
                self.note(
                    name,
                    Outcome::NotCarried,
                    "it is shorter than a second, the shortest span at quash",
                );
            }
            Some(span) => self.carry(name, quoted(&spelled(span.as_secs()))),
        }
    }

    fn token_classes(&mut self, name: &'static str, list: &[Literal]) {
        let kind = |class: &str| match class.rsplit('.').next() {
            Some("AccessToken") => Some("access".to_owned()),
            Some("SlidingToken") => Some("sliding".to_owned()),
            _ => None,
        };
        let kinds = texts(list)
            .and_then(|classes| classes.iter().map(|class| kind(class)).collect::<Option<Vec<_>>>());
        match kinds {
            Some(kinds) => self.carry(name, list_of(&kinds)),
            None => self.note(
                name,
                Outcome::NotCarried,
                "guarded paths of quash accept access and sliding tokens only",
            ),
        }
    }

    fn name_others(&mut self) {
        let others: Vec<_> = self
            .entries
            .keys()
            .filter(|name| !RULES.iter().any(|(known, _)| known == *name))
            .map(ToString::to_string)
            .collect();
        for name in others {
            let detail = if REMOVED.contains(&name.as_str()) {
                "Simple JWT has removed this setting, and refuses it"
            } else {
                "Simple JWT has no such setting"
            };
            self.settings.push(Carried {
                setting: name,
                outcome: Outcome::NotCarried,
                detail: detail.into(),
            });
        }
    }

    fn carry(&mut self, name: &'static str, value: String) {
        let line = format!("{} = {value}", name.to_lowercase());
        self.note(name, Outcome::Carried, &line);
        self.tokens.push(line);
    }

    fn wrong(&mut self, name: &'static str, expected: &str) {
        self.note(
            name,
            Outcome::NotCarried,
            &format!("its value isn't {expected}: write it into [tokens] yourself"),
        );
    }

    fn note(&mut self, name: &'static str, outcome: Outcome, detail: &str) {
        self.settings.push(Carried { setting: name.to_owned(), outcome, detail: detail.to_owned() });
    }
}

impl Outcome {
    /// The word in a report.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Carried => "carried over",
            Self::Differs => "differs",
            Self::NotCarried => "not carried over",
            Self::Irrelevant => "irrelevant",
        }
    }
}

fn texts(list: &[Literal]) -> Option<Vec<String>> {
    let text = |literal: &Literal| match literal {
        Literal::Text(text) => Some(text.clone()),
        _ => None,
    };
    list.iter().map(text).collect()
}

fn list_of(texts: &[String]) -> String {
    let texts: Vec<_> = texts.iter().map(|text| quoted(text)).collect();
    format!("[{}]", texts.join(", "))
}

/// Writes a TOML text, in which JSON's escapes are valid.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

/// Writes a span in its largest unit.
fn spelled(secs: u64) -> String {
    let units = [(86_400, "d"), (3600, "h"), (60, "m")];
    let unit = units.into_iter().find(|(size, _)| secs > 0 && secs.is_multiple_of(*size));
    unit.map_or_else(|| format!("{secs}s"), |(size, unit)| format!("{}{unit}", secs / size))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::python::simple_jwt;
    use super::*;

    #[test]
    fn each_setting_is_reported_once_without_its_secret() {
        let source = "SIMPLE_JWT = {'SIGNING_KEY': 'hunter2', 'ACCESS_TOKEN_LIFETIME': timedelta(minutes=90),\n\
             'LEEWAY': 10, 'AUDIENCE': 'shop', 'AUTH_HEADER_TYPES': ('Bearer', 'JWT'), 'ALGORITHM': 'HS512',\n\
             'AUTH_TOKEN_CLASSES': ('rest_framework_simplejwt.tokens.SlidingToken',), 'CHECK_REVOKE_TOKEN': True,\n\
             'ISSUER': 'https://a\"b', 'REFRESH_TOKEN_LIFETIME': DAYS, 'X': 1, 'SECRET_KEY': 'hunter2'}";
        let (toml, settings) = convert(&simple_jwt(source).expect("a dictionary"));
        let names: BTreeSet<_> = settings.iter().map(|one| one.setting.as_str()).collect();
        assert_eq!((names.len(), settings.len()), (RULES.len() + 2, RULES.len() + 2));
        assert!(
            !toml.contains("hunter2") && settings.iter().all(|one| !one.detail.contains("hunter2")),
            "{toml}"
        );
        for line in [
            "access_token_lifetime = \"90m\"",
            "leeway = \"10s\"",
            "audience = [\"shop\"]",
            "auth_header_types = [\"Bearer\", \"JWT\"]",
            "algorithm = \"HS512\"",
            "auth_token_classes = [\"sliding\"]",
            "check_revoke_token = true",
            "issuer = \"https://a\\\"b\"",
            "rehash = false",
        ] {
            assert!(toml.lines().any(|one| one == line), "{line} isn't in {toml}");
        }
        let outcome = |name: &str| settings.iter().find(|one| one.setting == name).map(|one| one.outcome);
        assert_eq!(outcome("REFRESH_TOKEN_LIFETIME"), Some(Outcome::NotCarried));
        assert_eq!(outcome("ROTATE_REFRESH_TOKENS"), Some(Outcome::Differs));
        assert_eq!(outcome("X"), Some(Outcome::NotCarried));
        assert_eq!(outcome("SIMPLE_JWT"), None);
    }

    #[test]
    fn what_is_not_read_is_reported() {
        for source in ["SIMPLE_JWT = {'LEEWAY': 1}\nSIMPLE_JWT['LEEWAY'] = 2", "SIMPLE_JWT = {**BASE}"] {
            let (_, settings) = convert(&simple_jwt(source).expect("a dictionary"));
            let first = settings.first().map(|one| (one.setting.as_str(), one.outcome));
            assert_eq!(first, Some(("SIMPLE_JWT", Outcome::NotCarried)), "{source}");
        }
    }

    #[test]
    fn values_beyond_the_bounds_are_not_carried() {
        for (entry, name) in [
            ("'LEEWAY': 301", "LEEWAY"),
            ("'ACCESS_TOKEN_LIFETIME': timedelta(0)", "ACCESS_TOKEN_LIFETIME"),
            ("'ACCESS_TOKEN_LIFETIME': timedelta(days=4000)", "ACCESS_TOKEN_LIFETIME"),
            ("'ALGORITHM': 'ES512'", "ALGORITHM"),
            ("'JTI_CLAIM': None", "JTI_CLAIM"),
            ("'AUTH_TOKEN_CLASSES': ('UntypedToken',)", "AUTH_TOKEN_CLASSES"),
            ("'ROTATE_REFRESH_TOKENS': 'yes'", "ROTATE_REFRESH_TOKENS"),
        ] {
            let (toml, settings) =
                convert(&simple_jwt(&format!("SIMPLE_JWT = {{{entry}}}")).expect("a dictionary"));
            let one = settings.iter().find(|one| one.setting == name).expect("it is reported");
            assert_eq!(one.outcome, Outcome::NotCarried, "{entry}");
            assert!(!toml.contains(&name.to_lowercase()), "{toml}");
        }
    }
}
