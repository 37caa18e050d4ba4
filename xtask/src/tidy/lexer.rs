//! A minimal lexer for Rust that tells code from comments and strings, and tests from other code. It builds
//! no syntax tree: rules look for sequences of tokens.

/// A token's kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// A name, a keyword or a number.
    Word,
    /// The content of a string literal, with its escapes.
    Text,
    /// Punctuation: `::` and `->` are one token, all else is one character each.
    Mark,
}

/// A token of a source file. Comments, lifetimes and character literals are skipped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Token<'a> {
    pub(crate) kind: Kind,
    /// The text as in the source.
    pub(crate) text: &'a str,
    /// The line, from 1.
    pub(crate) line: usize,
    /// Whether the token is in an item under `#[cfg(test)]`, or in a file under `#![cfg(test)]`.
    pub(crate) in_test: bool,
}

impl Token<'_> {
    /// Returns whether this is the given word or punctuation.
    pub(crate) fn is(&self, text: &str) -> bool {
        self.kind != Kind::Text && self.text == text
    }
}

/// Returns the indices at which this sequence of words and punctuation begins.
pub(crate) fn rows(tokens: &[Token<'_>], row: &[&str]) -> Vec<usize> {
    let is_row = |window: &[Token<'_>]| window.iter().zip(row).all(|(token, text)| token.is(text));
    tokens.windows(row.len()).enumerate().filter(|(_, window)| is_row(window)).map(|(at, _)| at).collect()
}

/// Splits a source text into tokens.
pub(crate) fn lex(source: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = source;
    let mut line = 1;
    while let Some(first) = rest.chars().next() {
        let (kind, from, to, length) = next(rest, first);
        if let Some(kind) = kind {
            tokens.push(Token { kind, text: &rest[from..to], line, in_test: false });
        }
        line += rest[..length].matches('\n').count();
        rest = &rest[length..];
    }
    mark_tests(&mut tokens);
    tokens
}

/// Returns the next token's kind (`None` if it is skipped), the range of its text, and its total length.
fn next(rest: &str, first: char) -> (Option<Kind>, usize, usize, usize) {
    if rest.starts_with("//") {
        return left_out(rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return left_out(block_comment(rest));
    }
    if first == '\'' {
        return left_out(character_or_lifetime(rest));
    }
    if let Some((from, to, length)) = string(rest) {
        return (Some(Kind::Text), from, to, length);
    }
    if is_word(first) {
        let length = word(rest);
        // A byte literal, `b'x'`: its prefix is part of it.
        if &rest[..length] == "b" && rest[length..].starts_with('\'') {
            return left_out(length + character_or_lifetime(&rest[length..]));
        }
        let from = if rest.starts_with("r#") { 2 } else { 0 };
        return (Some(Kind::Word), from, length, length);
    }
    let length = if rest.starts_with("::") || rest.starts_with("->") { 2 } else { first.len_utf8() };
    (Some(Kind::Mark).filter(|_| !first.is_whitespace()), 0, length, length)
}

fn left_out(length: usize) -> (Option<Kind>, usize, usize, usize) {
    (None, 0, 0, length)
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn word(rest: &str) -> usize {
    let prefix = if rest.starts_with("r#") { 2 } else { 0 };
    rest[prefix..].find(|c| !is_word(c)).map_or(rest.len(), |at| prefix + at)
}

fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < rest.len() {
        let here = &rest[at..];
        if here.starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if here.starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += here.chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

fn character_or_lifetime(rest: &str) -> usize {
    let mut chars = rest[1..].chars();
    match (chars.next(), chars.next()) {
        (Some('\\'), Some(escaped)) => {
            let after = 2 + escaped.len_utf8();
            rest[after..].find('\'').map_or(rest.len(), |at| after + at + 1)
        }
        (Some(character), Some('\'')) => 2 + character.len_utf8(),
        _ => 1 + word(&rest[1..]),
    }
}

/// Parses a string literal at the start of `rest`: returns the range of its content, and its length.
fn string(rest: &str) -> Option<(usize, usize, usize)> {
    let prefix = ["br", "cr", "b", "c", "r"].into_iter().find(|prefix| {
        let after = rest.strip_prefix(prefix).unwrap_or_default();
        after.starts_with('"')
            || (prefix.ends_with('r')
                && after.trim_start_matches('#').starts_with('"')
                && after.starts_with('#'))
    });
    let prefix = prefix.unwrap_or("");
    let hashes = rest[prefix.len()..].len() - rest[prefix.len()..].trim_start_matches('#').len();
    let open = prefix.len() + hashes;
    if !rest[open..].starts_with('"') || (hashes > 0 && !prefix.ends_with('r')) {
        return None;
    }
    let inside = open + 1;
    let end = if prefix.ends_with('r') {
        rest[inside..].find(&format!("\"{}", "#".repeat(hashes)))
    } else {
        unescaped_quote(&rest[inside..])
    };
    let end = end.map_or(rest.len(), |at| inside + at);
    Some((inside, end, (end + 1 + hashes).min(rest.len())))
}

fn unescaped_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            '"' if !escaped => return Some(at),
            _ => escaped = c == '\\' && !escaped,
        }
    }
    None
}

/// Marks the tokens that exist only in tests.
fn mark_tests(tokens: &mut [Token<'_>]) {
    let mut at = 0;
    while at < tokens.len() {
        let Some((end_of_attribute, inner)) = test_attribute(tokens, at) else {
            at += 1;
            continue;
        };
        let end = if inner { tokens.len() } else { end_of_item(tokens, end_of_attribute) };
        for token in &mut tokens[at..end] {
            token.in_test = true;
        }
        at = end;
    }
}

/// Parses `#[cfg(test)]`, `#[cfg(all(test, ..))]` or `#![cfg(test)]` at `at`: returns its end, and whether it
/// is an inner attribute.
fn test_attribute(tokens: &[Token<'_>], at: usize) -> Option<(usize, bool)> {
    if !tokens[at].is("#") {
        return None;
    }
    let inner = tokens.get(at + 1)?.is("!");
    let open = at + 1 + usize::from(inner);
    if !(tokens.get(open)?.is("[") && tokens.get(open + 1)?.is("cfg")) {
        return None;
    }
    let length = tokens[open..].iter().position(|token| token.is("]"))?;
    let words = &tokens[open..open + length];
    let says = |word: &str| words.iter().any(|token| token.is(word));
    (says("test") && !says("not") && !says("any")).then_some((open + length + 1, inner))
}

/// Returns the end of the item whose attributes continue at `at`: after its closing brace, or its semicolon.
fn end_of_item(tokens: &[Token<'_>], at: usize) -> usize {
    let (mut braces, mut others) = (0_usize, 0_usize);
    for (index, token) in tokens.iter().enumerate().skip(at) {
        if token.kind == Kind::Text {
            continue;
        }
        match token.text {
            "(" | "[" => others += 1,
            ")" | "]" => others = others.saturating_sub(1),
            "{" => braces += 1,
            "}" => {
                braces = braces.saturating_sub(1);
                if braces == 0 {
                    return index + 1;
                }
            }
            ";" if braces == 0 && others == 0 => return index + 1,
            _ => {}
        }
    }
    tokens.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(source: &str) -> Vec<&str> {
        lex(source).iter().map(|token| token.text).collect()
    }

    #[test]
    fn comments_lifetimes_and_characters_are_left_out() {
        assert_eq!(shown("a /* b /* c */ d */ e // f\ng"), ["a", "e", "g"]);
        assert_eq!(
            shown(r"&'static str, 'x', '\'', b'\\', '\u{1F600}', '\n'; z"),
            ["&", "str", ",", ",", ",", ",", ",", ";", "z"]
        );
    }

    #[test]
    fn string_literals_become_text_tokens() {
        assert_eq!(
            shown(r####"f("a\"b", r"c\", r#"d"e"#, b"f", br##"g"#h"##)"####),
            ["f", "(", r#"a\"b"#, ",", r"c\", ",", "d\"e", ",", "f", ",", "g\"#h", ")"]
        );
        assert_eq!(lex("r#type").first().map(|token| (token.kind, token.text)), Some((Kind::Word, "type")));
        assert_eq!(lex("\"SELECT\"")[0].kind, Kind::Text);
    }

    #[test]
    fn lines_count_through_everything() {
        let tokens = lex("a\n/*\n\n*/ b \"x\ny\" c");
        assert_eq!(tokens.iter().map(|token| token.line).collect::<Vec<_>>(), [1, 4, 4, 5]);
    }

    #[test]
    fn unterminated_literals_end_with_the_file() {
        for source in ["\"a", "/* a", "r#\"a\"", "'", "'\\", "b'", "r#", "\"\\"] {
            lex(source);
        }
    }

    #[test]
    fn test_only_items_are_marked() {
        let source = "fn a() {} #[cfg(test)] #[derive(X)] mod tests { fn b() { if x {} } } fn c() {} #[cfg(not(test))] fn d() {}";
        let in_test = |word: &str| lex(source).iter().find(|token| token.is(word)).map(|token| token.in_test);
        assert_eq!(["a", "b", "c", "d"].map(in_test), [Some(false), Some(true), Some(false), Some(false)]);
        assert!(lex("#![cfg(test)] fn a() {}").iter().all(|token| token.in_test));
        assert!(
            lex("#[cfg(all(test, unix))] use x::[u8; 2]; fn a() {}")
                .iter()
                .any(|token| token.is("a") && !token.in_test)
        );
    }

    #[test]
    fn sequences_match_only_code() {
        let tokens = lex("std::env::var(x); \"env::var\" // env::var");
        assert_eq!(rows(&tokens, &["env", "::", "var"]), [2]);
    }
}
