//! The intended differences between quash and the recorded sites: each as a row of the guide, with its
//! recorded cases and their expected answers.

use super::deviations::{Deviation, Listed};

const PAIR: &str = r#"{"refresh":"{{T0}}","access":"{{T1}}"}"#;
const BAD_CREDENTIALS: &str = r#"{"detail":"No active account found with the given credentials"}"#;
const NO_ACTIVE_ACCOUNT: &str = r#"{"detail":"No active account found for the given token."}"#;
const INVALID: &str = r#"{"detail":"Token is invalid","code":"token_not_valid"}"#;
const BLACKLISTED: &str = r#"{"detail":"Token is blacklisted","code":"token_not_valid"}"#;
const WITHOUT_ID: &str = r#"{"detail":"Token has no id","code":"token_not_valid"}"#;
const WITHOUT_TYPE: &str = r#"{"detail":"Token has no type","code":"token_not_valid"}"#;
const WITHOUT_USER: &str =
    r#"{"detail":"Token contained no recognizable user identification","code":"token_not_valid"}"#;
const USER_NOT_FOUND: &str = r#"{"detail":"User not found","code":"user_not_found"}"#;
const USER_INACTIVE: &str = r#"{"detail":"User is inactive","code":"user_inactive"}"#;
const PASSWORD_CHANGED: &str =
    r#"{"detail":"The user's password has been changed.","code":"password_changed"}"#;
const ANOTHER_PASSWORD: &str = r#"{"detail":"The user's password has been changed."}"#;
const REQUIRED: &str = r#"{"username":["This field is required."],"password":["This field is required."]}"#;
const OPTIONS: &str = r#"{"name":"Token Obtain Pair","description":"Takes a set of user credentials and returns an access and refresh JSON web\ntoken pair to prove the authentication of those credentials.","renders":["application/json"],"parses":["application/json","application/x-www-form-urlencoded","multipart/form-data"],"actions":{"POST":{"username":{"type":"string","required":true,"read_only":false,"label":"Username"},"password":{"type":"string","required":true,"read_only":false,"label":"Password"}}}}"#;
const OPTIONS_OF_REFRESH: &str = r#"{"name":"Token Refresh","description":"Takes a refresh type JSON web token and returns an access type JSON web\ntoken if the refresh token is valid.","renders":["application/json"],"parses":["application/json","application/x-www-form-urlencoded","multipart/form-data"],"actions":{"POST":{"refresh":{"type":"string","required":true,"read_only":false,"label":"Refresh"},"access":{"type":"string","required":false,"read_only":true,"label":"Access"}}}}"#;

/// The table.
pub(crate) const DEVIATIONS: &[Deviation] = &[
    Deviation {
        theirs: "after a log-out the access token is valid until it expires",
        ours: "it is refused at the next request",
        why: "a log-out must end access",
        cases: &[Listed::problem(
            122,
            "me with access after blacklist",
            401,
            "token_not_valid",
            "Token is blacklisted",
        )],
    },
    Deviation {
        theirs: "reuse is refused, the successors stay valid",
        ours: "reuse ends the session",
        why: "the server can't distinguish owner and thief",
        cases: &[
            Listed::body(192, "rotate new still works after reuse of old", 401, BLACKLISTED),
            Listed::body(194, "verify ok access", 401, BLACKLISTED),
        ],
    },
    Deviation {
        theirs: "rotation without blacklisting branches: each use of the old token returns another new one",
        ours: "each returns the current one",
        why: "a branch looks like a theft",
        cases: &[Listed::claim(196, "old again", "T2", "jti", Some("2983e225218c4beeb3d6e5b4a976fa07"))],
    },
    Deviation {
        theirs: "without the app `token_blacklist` blacklisting answers 200 and does nothing",
        ours: "it ends the session",
        why: "a success must have an effect",
        cases: &[
            Listed::body(206, "rotate w/o app", 401, BLACKLISTED),
            Listed::body(207, "again", 401, BLACKLISTED),
        ],
    },
    Deviation {
        theirs: "500 for odd claims, odd user ids and a missing `jti`",
        ours: "401; blacklisting a valid token answers 200",
        why: "invalid input is the client's error, not the server's",
        cases: &[
            Listed::body(76, "refresh exp string num", 401, INVALID),
            Listed::body(79, "refresh exp huge", 401, INVALID),
            Listed::body(80, "refresh exp huge2", 401, INVALID),
            Listed::body(81, "refresh no jti", 401, WITHOUT_ID),
            Listed::body(92, "refresh user 'abc'", 401, NO_ACTIVE_ACCOUNT),
            Listed::body(93, "refresh user list", 401, INVALID),
            Listed::body(131, "blacklist user abc", 200, "{}"),
            Listed::problem(156, "me user abc", 401, "user_not_found", "User not found"),
        ],
    },
    Deviation {
        theirs: "a `user_id` that is `null` or has more than 64 bits counts as an unknown user",
        ours: "401 `token_not_valid`",
        why: "a malformed claim doesn't identify a deleted user",
        cases: &[
            Listed::body(94, "refresh user huge", 401, INVALID),
            Listed::problem(157, "me user null", 401, "token_not_valid", "Token is invalid"),
        ],
    },
    Deviation {
        theirs: "a token without `user_id`, or with `0`, is refreshed and blacklisted",
        ours: "401",
        why: "each session belongs to an account",
        cases: &[
            Listed::body(88, "refresh no user_id", 401, WITHOUT_USER),
            Listed::body(95, "refresh user 0", 401, NO_ACTIVE_ACCOUNT),
            Listed::body(130, "blacklist no user", 401, WITHOUT_USER),
        ],
    },
    Deviation {
        theirs: "a token without `iat` is accepted",
        ours: "401 `token_not_valid`",
        why: "without it quash can't know whether the token is older than a revocation",
        cases: &[Listed::body(82, "refresh no iat", 401, INVALID)],
    },
    Deviation {
        theirs: "a refresh copies `user_id` as it is written, and an `aud` or `iss` that no setting asks for",
        ours: "the settings determine these claims of a new token",
        why: "the presented token must not determine the audience of the next one",
        cases: &[
            Listed::claim(90, "refresh user int 1", "T1", "user_id", Some("1")),
            Listed::claim(98, "refresh aud present unexpected", "T1", "aud", None),
            Listed::claim(99, "refresh iss present unexpected", "T1", "iss", None),
        ],
    },
    Deviation {
        theirs: "custom claims of a token are copied to its successors only",
        ours: "those of the first adopted token become the account's, until an operator sets others",
        why: "a site that moves keeps its claims after the next sign-in",
        cases: &[
            Listed::claim(172, "sliding ok", "T0", "role", Some("admin")),
            Listed::claim(176, "sliding refresh ok", "T0", "role", Some("admin")),
            Listed::claim(177, "sliding refresh old again", "T0", "role", Some("admin")),
        ],
    },
    Deviation {
        theirs: "a token from before a password change is blacklisted when it is refused, and the next refusal says so",
        ours: "each refusal says that the password was changed",
        why: "a client that tries again learns the cause",
        cases: &[Listed::body(200, "refresh after pw change 2nd", 401, ANOTHER_PASSWORD)],
    },
    Deviation {
        theirs: "`verify` answers 200 or 400 for a blacklisted token, and 200 for a token without a type, of a deleted or \
                 deactivated user, or from before a password change",
        ours: "401 for a token that would be refused",
        why: "the question is whether the token would be accepted",
        cases: &[
            Listed::body(113, "verify no type", 401, WITHOUT_TYPE),
            Listed::body(116, "verify unknown user", 401, USER_NOT_FOUND),
            Listed::body(117, "verify inactive user", 401, USER_INACTIVE),
            Listed::body(121, "verify blacklisted refresh (BAR False)", 401, BLACKLISTED),
            Listed::body(188, "deleted user verify", 401, USER_NOT_FOUND),
            Listed::body(193, "verify blacklisted (BAR True)", 401, BLACKLISTED),
            Listed::body(201, "verify after pw change", 401, PASSWORD_CHANGED),
        ],
    },
    Deviation {
        theirs: "names are case-sensitive",
        ours: "case is folded: `Dana` is `dana`",
        why: "two names that look alike belong to one person, or are an attack",
        cases: &[Listed::body(21, "case differs username", 200, PAIR)],
    },
    Deviation {
        theirs: "passwords are trimmed",
        ours: "they are used as sent",
        why: "a blank is a character",
        cases: &[Listed::body(20, "whitespace trimmed", 401, BAD_CREDENTIALS)],
    },
    Deviation {
        theirs: "`AllowAllUsersModelBackend` lets deactivated users sign in",
        ours: "they can't sign in",
        why: "deactivation must prevent signing in",
        cases: &[Listed::body(229, "login inactive w/ AllowAll", 401, BAD_CREDENTIALS)],
    },
    Deviation {
        theirs: "the path without its trailing slash is a redirect, which turns POST into GET",
        ours: "both paths behave the same",
        why: "the redirect loses the body",
        cases: &[
            Listed::body(47, "no trailing slash POST", 200, PAIR),
            Listed::body(48, "no trailing slash GET", 405, r#"{"detail":"Method \"GET\" not allowed."}"#),
        ],
    },
    Deviation {
        theirs: "`bearer` in lower case is ignored",
        ours: "it is accepted, except with `tokens.compat = \"strict\"`",
        why: "RFC 9110 11.1",
        cases: &[Listed::opened(139, "me lowercase bearer").in_standard_only()],
    },
    Deviation {
        theirs: "a view with `JWTStatelessUserAuthentication` checks only the signature",
        ours: "a path that quash guards checks the account too",
        why: "deleted and deactivated users, and tokens from before a password change, are refused",
        cases: &[
            Listed::problem(169, "stateless unknown user ok", 401, "user_not_found", "User not found"),
            Listed::problem(170, "stateless inactive ok", 401, "user_inactive", "User is inactive"),
            Listed::problem(
                203,
                "stateless after pw change",
                401,
                "password_changed",
                "The user's password has been changed.",
            ),
        ],
    },
    Deviation {
        theirs: "permissions such as `AllowAny` and `IsAdminUser` restrict access",
        ours: "a path that quash guards accepts every valid token",
        why: "authorization is the site's responsibility",
        cases: &[
            Listed::problem(
                165,
                "open no header",
                401,
                "not_authenticated",
                "Authentication credentials were not provided.",
            ),
            Listed::opened(168, "admin-only forbidden"),
        ],
    },
    Deviation {
        theirs: "`DEFAULT_THROTTLE_RATES` answers 429 after so many requests",
        ours: "429 while one network has too many passwords compared at once",
        why: "quash limits costly work; a proxy limits the request rate",
        cases: &[Listed::body(233, "t2 throttled", 400, REQUIRED)],
    },
    Deviation {
        theirs: "HTML for browsers, translated texts",
        ours: "JSON, English and `code`",
        why: "clients match `code`",
        cases: &[
            Listed::body(4, "success accept html", 200, PAIR),
            Listed::problem(49, "unknown path", 404, "not_found", "Not found."),
            Listed::body(230, "de wrong pw", 401, BAD_CREDENTIALS),
            Listed::body(231, "fr missing", 400, REQUIRED),
        ],
    },
    Deviation {
        theirs: "`OPTIONS` names `text/html`, and an app that blacklisting needs",
        ours: "it describes quash's own endpoints",
        why: "clients must not expect HTML",
        cases: &[
            Listed::body(45, "OPTIONS", 200, OPTIONS),
            Listed::body(46, "OPTIONS refresh", 200, OPTIONS_OF_REFRESH),
        ],
    },
];

/// Refusals with an additional member for the reason in `compat = "standard"`, including those of cases that
/// are otherwise answered as recorded.
pub(crate) const REASONS: &[(usize, &str)] = &[
    (119, "log_out"),
    (120, "log_out"),
    (121, "log_out"),
    (191, "reuse"),
    (192, "reuse"),
    (193, "reuse"),
    (194, "reuse"),
    (206, "log_out"),
    (207, "log_out"),
    (216, "log_out"),
];
