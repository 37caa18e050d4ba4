//! Rules for code anywhere: clocks, environment, global state, unfinished code and unreliable tests.

use super::lexer::{Kind, Token, rows};
use super::report::{Finding, Rule};

const TIME: Rule = Rule {
    name: "time-is-an-argument",
    why: "a decision that reads a clock can't be replayed, nor tested at an exact time",
    remedy: "take `now: Timestamp` (at the edge a `&dyn Clock`); only crates/quash-verify/src/clock.rs reads one",
};
const SURROUNDINGS: Rule = Rule {
    name: "settings-are-arguments",
    why: "code that reads the environment depends on inputs that its callers can't see",
    remedy: "add a setting in crates/quash/src/settings/sections/ and pass it as an argument",
};
const GLOBAL: Rule = Rule {
    name: "no-global-state",
    why: "two servers in one process, as in tests, must not share state through a static",
    remedy: "make it a field of its owner and pass it as an argument; a `static` with a plain constant is fine",
};
const UNFINISHED: Rule = Rule {
    name: "nothing-unfinished",
    why: "unfinished code compiles and panics in use",
    remedy: "finish it, or remove the feature",
};
const IGNORED: Rule = Rule {
    name: "no-ignored-test",
    why: "a test that doesn't run proves nothing, and soon no longer compiles or passes",
    remedy: "fix it or delete it; for a long test, run a short form by default and the long one under QUASH_SOAK=1",
};
const SLEEP: Rule = Rule {
    name: "no-sleep-in-tests",
    why: "a test that sleeps is slow on a quick machine and wrong on a slow one",
    remedy: "pass a clock, or wait for the state with a deadline; only a file named wait.rs may poll",
};

/// The only file that reads clocks, for applications and the quash binary alike. A clock that counts from a
/// start keeps that start in a static there.
const CLOCK_FILES: [&str; 1] = ["crates/quash-verify/src/clock.rs"];
const CLOCKS: [&[&str]; 6] = [
    &["SystemTime", "::", "now"],
    &["Instant", "::", "now"],
    &["Utc", "::", "now"],
    // jiff's `Timestamp`; our own has no `now`.
    &["Timestamp", "::", "now"],
    &["Zoned", "::", "now"],
    &["clock_gettime", "("],
];
const SURROUNDING_READS: [&str; 6] = ["var", "var_os", "vars", "vars_os", "args", "args_os"];
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
    if !CLOCK_FILES.contains(&path) {
        for row in CLOCKS {
            forbid(&TIME, in_product(row), &row.concat());
        }
    }
    if !path.starts_with("crates/quash/src/settings/") && path != "crates/quash/src/lib.rs" {
        for read in SURROUNDING_READS {
            forbid(&SURROUNDINGS, in_product(&["env", "::", read]), &format!("env::{read}"));
        }
    }
    if !CLOCK_FILES.contains(&path) && !is_test_path(path) {
        let statics = statics(tokens).into_iter().map(|at| &tokens[at]).filter(|token| !token.in_test);
        forbid(&GLOBAL, statics.collect(), "a static that is mutable or lazily initialized");
    }
    for word in ["todo", "unimplemented"] {
        forbid(&UNFINISHED, anywhere(&[word, "!"]), &format!("{word}!"));
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
    fn only_the_clock_reads_a_clock() {
        let source = "fn a() {\n std::time::SystemTime::now(); }\n#[cfg(test)] mod tests { fn b() { Instant::now() } }";
        assert_eq!(found("crates/quash-core/src/a.rs", source), ["time-is-an-argument:2"]);
        for free in
            [CLOCK_FILES[0], "crates/quash/tests/a.rs", "crates/quash-store/benches/a.rs", "xtask/src/a.rs"]
        {
            assert!(found(free, source).is_empty(), "{free}");
        }
    }

    #[test]
    fn only_settings_read_the_environment() {
        let source = "let a = std::env::var(\"A\"); let b = env!(\"B\"); let c = env::args_os();";
        for path in ["crates/quash/src/mail.rs", "examples/axum/src/main.rs"] {
            assert_eq!(found(path, source), ["settings-are-arguments:1"; 2], "{path}");
        }
        for free in [
            "crates/quash/src/settings/sections/http.rs",
            "crates/quash/src/lib.rs",
            "crates/quash/tests/a.rs",
            "xtask/src/a.rs",
        ] {
            assert!(found(free, source).is_empty(), "{free}");
        }
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
    fn nothing_is_left_unfinished_or_ignored() {
        assert_eq!(
            found("crates/quash/src/a.rs", "todo!()\n;unimplemented!()"),
            ["nothing-unfinished:1", "nothing-unfinished:2"]
        );
        let source = "#[test]\n#[ignore]\nfn a() {}\n#[ignore = \"slow\"] fn b() {}\n#[cfg_attr(windows, ignore)] fn c() {}";
        assert_eq!(
            found("crates/quash/tests/a.rs", source),
            ["no-ignored-test:2", "no-ignored-test:4", "no-ignored-test:5"]
        );
        assert!(
            found("crates/quash/src/a.rs", "// todo!()\nlet todo = ignore; let x = \"unimplemented!()\";")
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
