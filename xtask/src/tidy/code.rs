//! Rules for code anywhere: exceptions to clippy's bans, global state, and ignored or unreliable tests.

use super::lexer::{Kind, Token, rows};
use super::report::{Finding, Rule};

const EXCEPTION: Rule = Rule {
    name: "bans-have-few-exceptions",
    why: "clippy.toml bans clocks and the environment, but clippy accepts an exception in any file",
    remedy: "take `now: Timestamp`, a `&dyn Clock` or a setting as an argument; the files of EXCEPTED in xtask/src/tidy/code.rs may lift the ban",
};
const GLOBAL: Rule = Rule {
    name: "no-global-state",
    why: "two servers in one process, as in tests, must not share state through a static",
    remedy: "make it a field of its owner and pass it as an argument; a `static` with a plain constant is fine",
};
const IGNORED: Rule = Rule {
    name: "no-ignored-test",
    why: "a test that doesn't run proves nothing, and soon no longer compiles or passes",
    remedy: "fix it or delete it; for a long test, run a short form by default and the long one under QUASH_SOAK=1",
};
const DEBUG_FIELD: Rule = Rule {
    name: "no-debug-output-in-logs",
    why: "an operator reads the log, and Debug shows names of types and variants instead of the cause",
    remedy: "log the field with `%`, or with its `as_str()`; derive thiserror's Error for an enum without a Display",
};
const SLEEP: Rule = Rule {
    name: "no-sleep-in-tests",
    why: "a test that sleeps is slow on a quick machine and wrong on a slow one",
    remedy: "pass a clock, or wait for the state with a deadline; only a file named wait.rs may poll",
};

/// The only file that reads clocks, for applications and the quash binary alike. A clock that counts from a
/// start keeps that start in a static there.
const CLOCK_FILE: &str = "crates/quash-verify/src/clock.rs";
/// The files of the product that may call what clippy.toml bans.
const EXCEPTED: [&str; 2] = [CLOCK_FILE, "crates/quash/src/settings/engine/environment.rs"];
const CELLS: [&str; 8] =
    ["OnceLock", "LazyLock", "OnceCell", "LazyCell", "Lazy", "Mutex", "RwLock", "ArcSwap"];

/// Returns the places in a source file that break these rules.
pub(crate) fn findings(path: &str, tokens: &[Token<'_>]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut forbid = |rule: &'static Rule, places: Vec<&Token<'_>>, found: &str| {
        findings.extend(places.into_iter().map(|token| rule.found(path, token.line, found)));
    };
    let anywhere = |row: &[&str]| rows(tokens, row).into_iter().map(|at| &tokens[at]).collect::<Vec<_>>();
    let in_product = |row: &[&str]| {
        // Examples count as product code: people copy them.
        let is_product =
            (path.starts_with("crates/") || path.starts_with("examples/")) && !is_test_path(path);
        anywhere(row).into_iter().filter(|token| is_product && !token.in_test).collect()
    };
    if !EXCEPTED.contains(&path) {
        let row = ["clippy", "::", "disallowed_methods"];
        forbid(&EXCEPTION, in_product(&row), "clippy::disallowed_methods");
    }
    if path != CLOCK_FILE && !is_test_path(path) {
        let statics = statics(tokens).into_iter().map(|at| &tokens[at]).filter(|token| !token.in_test);
        forbid(&GLOBAL, statics.collect(), "a static that is mutable or lazily initialized");
    }
    // The operator `?` never follows one of these.
    for before in ["(", ",", "="] {
        forbid(&DEBUG_FIELD, in_product(&[before, "?"]), "a field with `?`");
    }
    forbid(&IGNORED, anywhere(&["#", "[", "ignore"]), "#[ignore]");
    forbid(&IGNORED, conditional_ignores(tokens), "#[cfg_attr(.., ignore)]");
    if is_test_path(path) && !path.ends_with("/wait.rs") {
        forbid(&SLEEP, anywhere(&["sleep", "("]), "sleep(..)");
    }
    findings
}

/// Returns whether a file is built only for tests, benchmarks or fuzzing.
pub(super) fn is_test_path(path: &str) -> bool {
    path.starts_with("fuzz/")
        || path.contains("/tests/")
        || path.contains("/benches/")
        || path.ends_with("/tests.rs")
}

/// Returns the positions of statics that are mutable or lazily initialized.
fn statics(tokens: &[Token<'_>]) -> Vec<usize> {
    let ends = |token: &&Token<'_>| !(token.is("=") || token.is(";") || token.is("|"));
    let changes =
        |token: &Token<'_>| token.kind == Kind::Word && (token.text == "mut" || CELLS.contains(&token.text));
    let declared = rows(tokens, &["static"])
        .into_iter()
        .filter(|at| tokens[at + 1..].iter().take_while(ends).any(changes));
    let by_macro = ["lazy_static", "thread_local"].into_iter().flat_map(|word| rows(tokens, &[word, "!"]));
    declared.chain(by_macro).collect()
}

fn conditional_ignores<'t, 'a>(tokens: &'t [Token<'a>]) -> Vec<&'t Token<'a>> {
    let attributes = rows(tokens, &["#", "[", "cfg_attr"]).into_iter();
    attributes
        .filter_map(|at| {
            tokens[at..].iter().take_while(|token| !token.is("]")).find(|token| token.is("ignore"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::lexer::lex;
    use super::super::report::brief;
    use super::*;

    fn found(path: &str, source: &str) -> Vec<String> {
        brief(&findings(path, &lex(source)))
    }

    #[test]
    fn only_listed_files_lift_a_ban_of_clippy() {
        let source = "fn a() {\n #[expect(clippy::disallowed_methods, reason = \"x\")] let b = c(); }\n#[cfg(test)] mod tests { #![expect(clippy::disallowed_methods)] }";
        for path in ["crates/quash-core/src/a.rs", "examples/axum/src/main.rs"] {
            assert_eq!(found(path, source), ["bans-have-few-exceptions:2"], "{path}");
        }
        for free in [
            EXCEPTED[0],
            EXCEPTED[1],
            "crates/quash/tests/a.rs",
            "crates/quash-store/benches/a.rs",
            "xtask/src/a.rs",
        ] {
            assert!(found(free, source).is_empty(), "{free}");
        }
        let other = "#[expect(clippy::unwrap_used, reason = \"x\")] fn a() {} // clippy::disallowed_methods";
        assert!(found("crates/quash-core/src/a.rs", other).is_empty());
    }

    #[test]
    fn mutable_and_lazy_statics_are_found() {
        let path = "crates/quash-core/src/a.rs";
        assert_eq!(
            found(path, "static mut A: u8 = 0;\nstatic B: LazyLock<u8> = LazyLock::new(f);"),
            ["no-global-state:1", "no-global-state:2"]
        );
        assert_eq!(found(path, "thread_local! { static A: Cell<u8> = x }"), ["no-global-state:1"]);
        assert_eq!(found(path, "static A: std::sync::Mutex<u8> = x;"), ["no-global-state:1"]);
        assert!(
            found(
                path,
                "static A: &'static [u8] = B; fn a(x: &'static Mutex<u8>) {} struct C { once: OnceLock<u8> }"
            )
            .is_empty()
        );
        assert!(found("crates/quash/tests/a.rs", "static A: OnceLock<u8> = x;").is_empty());
    }

    #[test]
    fn logs_show_no_debug_output() {
        let path = "crates/quash-service/src/a.rs";
        let source =
            "fn a() -> R {\n warn!(?b, \"c\");\n warn!(%b, ?c);\n warn!(b = ?c);\n b(c?, d)?; e = f?; }";
        let rule = "no-debug-output-in-logs";
        assert_eq!(found(path, source), [2, 3, 4].map(|line| format!("{rule}:{line}")));
        assert!(found("crates/quash/tests/a.rs", source).is_empty());
    }

    #[test]
    fn no_test_is_ignored() {
        let source = "#[test]\n#[ignore]\nfn a() {}\n#[ignore = \"slow\"] fn b() {}\n#[cfg_attr(windows, ignore)] fn c() {}";
        assert_eq!(
            found("crates/quash/tests/a.rs", source),
            ["no-ignored-test:2", "no-ignored-test:4", "no-ignored-test:5"]
        );
        assert!(
            found("crates/quash/src/a.rs", "// #[ignore]\nlet todo = ignore; let x = \"#[ignore]\";")
                .is_empty()
        );
    }

    #[test]
    fn tests_dont_sleep() {
        let source = "std::thread::sleep(x)";
        assert_eq!(found("crates/quash/tests/http/a.rs", source), ["no-sleep-in-tests:1"]);
        assert!(found("crates/quash/tests/support/wait.rs", source).is_empty());
        assert!(found("crates/quash-store/src/a.rs", source).is_empty());
    }
}
