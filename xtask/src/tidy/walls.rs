//! Rules for places in the sources: where SQL may be, which files make the two proofs `Authentic` and `Live`,
//! and where a guard may take a lock.

use super::code::is_test_path;
use super::lexer::{Kind, Token, rows};
use super::report::{Finding, Rule};

const SQL: Rule = Rule {
    name: "sql-only-in-store",
    why: "a query outside quash-store bypasses its transactions, and works with one database only",
    remedy: "use a method of the trait in crates/quash-store, or add one",
};
const PROOF: Rule = Rule {
    name: "proofs-have-one-maker",
    why: "`Authentic` proves that a signature was verified, `Live` that revocation was checked; made in another file they prove nothing",
    remedy: "call `token::authenticate` or `watch::admit`; only token/token.rs and watch/gate.rs make them",
};

const LOCK: Rule = Rule {
    name: "checks-take-no-lock",
    why: "a check of a known token must not wait, neither for the publisher nor for another check",
    remedy: "load it from an `ArcSwap` or an atomic; code that follows an issuer, asks it or waits for it is in the files of FILES_WITH_LOCKS in xtask/src/tidy/walls.rs",
};

/// The files of quash-verify that may take a lock: a check that needs only the current state calls none of
/// them. The test issuer has a lock, but its verifiers don't take it.
const FILES_WITH_LOCKS: [&str; 6] =
    ["follow/", "builder.rs", "shared/catch_up.rs", "introspection.rs", "issuer/proofs.rs", "test.rs"];
const LOCKS: [&str; 5] = ["Mutex", "RwLock", "Condvar", "Semaphore", "parking_lot"];
/// The calls that take the lock inside a `tokio::sync::watch`.
const LOCKING_CALLS: [&str; 6] =
    ["borrow", "borrow_and_update", "wait_for", "send_if_modified", "send_modify", "send_replace"];

const PART: Rule = Rule {
    name: "parts-import-no-context",
    why: "use cases stand above the context, and the context above its parts: an import upwards is a circle",
    remedy: "pass the value as an argument, or move the function to crates/quash-service/src/use_cases",
};

const SERVICE: &str = "crates/quash-service/src/";

/// Each proof, and the one file that makes it.
const PROOFS: [(&str, &str); 2] =
    [("Authentic", "crates/quash-core/src/token/token.rs"), ("Live", "crates/quash-core/src/watch/gate.rs")];

/// Returns the places in a source file that break these rules.
pub(crate) fn findings(path: &str, tokens: &[Token<'_>]) -> Vec<Finding> {
    let mut findings = Vec::new();
    if path.starts_with("crates/") && !path.starts_with("crates/quash-store/") && !is_test_path(path) {
        let texts = tokens.iter().filter(|token| token.kind == Kind::Text && !token.in_test);
        findings.extend(texts.filter_map(|token| {
            Some(SQL.found(path, token.line, format!("a string with {}", statement(token.text)?)))
        }));
    }
    for (proof, maker) in PROOFS {
        if path != maker && path.starts_with("crates/") {
            findings.extend(
                made(proof, tokens).map(|token| PROOF.found(path, token.line, format!("makes a {proof}"))),
            );
        }
    }
    findings.extend(
        upward(path, tokens)
            .map(|(name, token)| PART.found(path, token.line, format!("an import of crate::{name}"))),
    );
    if is_lock_free_file(path) {
        findings.extend(locks(tokens).map(|token| LOCK.found(path, token.line, token.text)));
    }
    findings
}

/// Returns where a file of the application crate imports a module that stands above it.
fn upward<'t, 'a>(
    path: &str,
    tokens: &'t [Token<'a>],
) -> impl Iterator<Item = (&'static str, &'t Token<'a>)> {
    let above: &[&str] = match path.strip_prefix(SERVICE) {
        None | Some("lib.rs" | "start.rs") => &[],
        Some("context.rs") => &["use_cases"],
        Some(file) if file.starts_with("use_cases/") => &[],
        Some(_) => &["context", "use_cases"],
    };
    above.iter().flat_map(|name| {
        let imports = rows(tokens, &["crate", "::", name]).into_iter().map(|at| &tokens[at]);
        imports.filter(|token| !token.in_test).map(|token| (*name, token))
    })
}

fn is_lock_free_file(path: &str) -> bool {
    let in_the_guard = path.strip_prefix("crates/quash-verify/src/");
    let may = in_the_guard.is_some_and(|room| FILES_WITH_LOCKS.iter().any(|locked| room.starts_with(locked)));
    (in_the_guard.is_some() || path.starts_with("crates/quash-core/src/")) && !may && !is_test_path(path)
}

/// Returns the places where a lock is named or taken.
fn locks<'t, 'a>(tokens: &'t [Token<'a>]) -> impl Iterator<Item = &'t Token<'a>> {
    let named = tokens.iter().filter(|token| LOCKS.iter().any(|lock| token.is(lock)));
    let taken =
        LOCKING_CALLS.into_iter().flat_map(|call| rows(tokens, &[".", call, "("])).map(|at| &tokens[at + 1]);
    named.chain(taken).filter(|token| !token.in_test)
}

/// Returns the SQL statement in a text, if there is one. SQL keywords are written in capitals here.
fn statement(text: &str) -> Option<&'static str> {
    let words: Vec<&str> = text
        .split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '*'))
        .filter(|word| !word.is_empty())
        .collect();
    let has = |word: &str| words.contains(&word);
    let pair = |first: &str, second: &str| words.windows(2).any(|pair| pair == [first, second]);
    if has("SELECT") {
        Some("SELECT")
    } else if pair("INSERT", "INTO") || pair("REPLACE", "INTO") {
        Some("INSERT INTO")
    } else if has("UPDATE") && has("SET") {
        Some("UPDATE .. SET")
    } else if pair("DELETE", "FROM") {
        Some("DELETE FROM")
    } else {
        None
    }
}

/// Returns the places where a proof is made: its name before `{` or `(`, in a file that imports it. Private
/// fields let the compiler check this, except within their own module.
fn made<'t, 'a>(proof: &'static str, tokens: &'t [Token<'a>]) -> impl Iterator<Item = &'t Token<'a>> {
    let known = is_used(proof, tokens);
    tokens.iter().enumerate().filter_map(move |(at, token)| {
        let opens = tokens.get(at + 1).is_some_and(|next| next.is("{") || next.is("("));
        if !(token.is(proof) && opens) {
            return None;
        }
        let before = |back: usize| at.checked_sub(back).map_or("", |at| tokens[at].text);
        let named = match before(1) {
            // `SessionState::Live { .. }` is another `Live`; `gate::Live(..)` is the proof.
            "::" => ["gate", "watch", "token", "quash_core"].contains(&before(2)),
            "struct" | "enum" | "impl" | "for" | "trait" | "->" | "&" | "mut" | "dyn" | ":" | "fn" => false,
            _ => known,
        };
        named.then_some(token)
    })
}

/// Returns whether a `use` names the proof.
fn is_used(proof: &str, tokens: &[Token<'_>]) -> bool {
    let uses = tokens.iter().enumerate().filter(|(_, token)| token.is("use"));
    uses.into_iter().any(|(at, _)| {
        tokens[at..].iter().take_while(|token| !token.is(";")).any(|token| token.is(proof) || token.is("*"))
    })
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
    fn parts_import_neither_context_nor_use_cases() {
        let upward = "use crate::context::Context;\nuse crate::use_cases::end;";
        let found = |file: &str| found(&format!("crates/quash-service/src/{file}"), upward);
        assert_eq!(found("keys/mod.rs"), ["parts-import-no-context:1", "parts-import-no-context:2"]);
        assert_eq!(found("context.rs"), ["parts-import-no-context:2"]);
        for above in ["use_cases/account/add.rs", "start.rs", "lib.rs"] {
            assert!(found(above).is_empty(), "{above}");
        }
    }

    #[test]
    fn sql_is_found_outside_the_store() {
        for sql in ["SELECT 1", "insert or INSERT INTO a VALUES (1)", "UPDATE a\n SET b = 1", "DELETE FROM a"]
        {
            let source = format!("f(\"{sql}\")");
            assert_eq!(found("crates/quash-service/src/a.rs", &source), ["sql-only-in-store:1"], "{sql}");
            for free in ["crates/quash-store/src/sqlite/a.rs", "crates/quash/tests/a.rs", "xtask/src/a.rs"] {
                assert!(found(free, &source).is_empty(), "{free}");
            }
        }
        for words in ["select one", "UPDATE it", "SETTINGS", "RESELECT"] {
            assert!(
                found("crates/quash-service/src/a.rs", &format!("f(\"{words}\") // SELECT")).is_empty(),
                "{words}"
            );
        }
    }

    #[test]
    fn proofs_made_in_other_files_are_found() {
        let source = "use crate::watch::{Live};\nfn f() { Live(x) }";
        assert_eq!(found("crates/quash-core/src/watch/feed.rs", source), ["proofs-have-one-maker:2"]);
        assert!(found("crates/quash-core/src/watch/gate.rs", source).is_empty());
        let source =
            "use super::token::*;\nlet a = Authentic { claims };\nlet b = token::Authentic { claims };";
        assert_eq!(
            found("crates/quash-core/src/token/issue.rs", source),
            ["proofs-have-one-maker:2", "proofs-have-one-maker:3"]
        );
    }

    #[test]
    fn naming_a_proof_is_allowed() {
        let source = "use crate::watch::Live; impl Live { fn f(&self) -> Live { g() } } impl X for Live {} fn h(a: &Live) {}";
        assert!(found("crates/quash-core/src/watch/feed.rs", source).is_empty());
        let source = "enum State { Live { since: u64 }, Ended } fn f() { State::Live { since: 1 } }";
        assert!(found("crates/quash-core/src/model/session.rs", source).is_empty());
    }

    #[test]
    fn locks_in_checks_are_found() {
        let source = "use std::sync::{Arc, Mutex};\nfn f(a: &A) { a.proven.borrow(); }\n#[cfg(test)] mod tests { use std::sync::RwLock; }";
        for path in ["crates/quash-verify/src/shared.rs", "crates/quash-core/src/watch/gate.rs"] {
            assert_eq!(found(path, source), ["checks-take-no-lock:1", "checks-take-no-lock:2"], "{path}");
        }
        for free in [
            "crates/quash-verify/src/follow/keys.rs",
            "crates/quash-verify/src/shared/catch_up.rs",
            "crates/quash-verify/src/shared/tests.rs",
            "crates/quash-verify/tests/routes.rs",
            "crates/quash-service/src/keys.rs",
        ] {
            assert!(found(free, source).is_empty(), "{free}");
        }
        let source = "use std::borrow::Borrow; fn f(unlocked: &A) -> Seq { unlocked.cursor() } // a Mutex";
        assert!(found("crates/quash-verify/src/shared.rs", source).is_empty());
    }
}
