//! Splits a Python file into names, numbers, texts and marks.

/// A token.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Token {
    Name(String),
    Number(f64),
    Text(String),
    Mark(char),
    /// A number that isn't read, such as `1j`.
    Other,
}

/// Splits a file into tokens, each with its line. White space and comments are left out.
pub(super) fn tokens(source: &str) -> Result<Vec<(Token, usize)>, String> {
    let mut tokens = Vec::new();
    let (mut rest, mut line) = (source.strip_prefix('\u{feff}').unwrap_or(source), 1);
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '#' => rest.find('\n').unwrap_or(rest.len()),
            _ if first.is_whitespace() || first == '\\' => first.len_utf8(),
            '"' | '\'' => {
                let (text, length) = text(rest, false).ok_or_else(|| unclosed(line))?;
                tokens.push((Token::Text(text), line));
                length
            }
            _ if first.is_alphabetic() || first == '_' => {
                let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
                let (name, after) = rest.split_at(length);
                let is_prefix = matches!(name.to_ascii_lowercase().as_str(), "r" | "u" | "b" | "br" | "rb");
                match after.chars().next() {
                    Some('"' | '\'') if is_prefix => {
                        let is_raw = name.to_ascii_lowercase().contains('r');
                        let (text, more) = text(after, is_raw).ok_or_else(|| unclosed(line))?;
                        tokens.push((Token::Text(text), line));
                        length + more
                    }
                    // The text after another prefix, such as that of an f-string, makes it an unknown expression.
                    _ => {
                        tokens.push((Token::Name(name.to_owned()), line));
                        length
                    }
                }
            }
            _ if first.is_ascii_digit() => {
                let (token, length) = number(rest);
                tokens.push((token, line));
                length
            }
            mark => {
                tokens.push((Token::Mark(mark), line));
                mark.len_utf8()
            }
        };
        let (taken, after) = rest.split_at(length);
        line += taken.matches('\n').count();
        rest = after;
    }
    Ok(tokens)
}

/// Reads a number, and returns its length in the file.
fn number(source: &str) -> (Token, usize) {
    let part = |from: usize| {
        let rest = source.get(from..).unwrap_or_default();
        let length = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '.'));
        from + length.unwrap_or(rest.len())
    };
    let is_based = |text: &str| text.starts_with('0') && text.contains(['x', 'X', 'o', 'O', 'b', 'B']);
    let mut length = part(0);
    let taken = source.get(..length).unwrap_or_default();
    // The sign of an exponent.
    if !is_based(taken)
        && taken.ends_with(['e', 'E'])
        && source.get(length..).is_some_and(|rest| rest.starts_with(['+', '-']))
    {
        length = part(length + 1);
    }
    let digits = source.get(..length).unwrap_or_default().replace('_', "").to_ascii_lowercase();
    let base = [("0x", 16), ("0o", 8), ("0b", 2)];
    let based = base.into_iter().find_map(|(prefix, base)| Some((digits.strip_prefix(prefix)?, base)));
    let number = match based {
        Some((digits, base)) => u32::from_str_radix(digits, base).ok().map(f64::from),
        None => digits.parse().ok(),
    };
    (number.map_or(Token::Other, Token::Number), length)
}

fn unclosed(line: usize) -> String {
    format!("line {line}: a text isn't closed")
}

/// Reads a text that begins with a quotation mark, and returns its length in the file.
fn text(source: &str, is_raw: bool) -> Option<(String, usize)> {
    let mark = if source.starts_with("\"\"\"") || source.starts_with("'''") {
        source.get(..3)?
    } else {
        source.get(..1)?
    };
    let (mut text, mut at) = (String::new(), mark.len());
    loop {
        let rest = source.get(at..)?;
        if rest.starts_with(mark) {
            return Some((text, at + mark.len()));
        }
        let mut chars = rest.chars();
        let first = chars.next()?;
        at += first.len_utf8();
        if first == '\n' && mark.len() == 1 {
            return None;
        }
        if first != '\\' {
            text.push(first);
            continue;
        }
        let escaped = chars.next()?;
        at += escaped.len_utf8();
        match escaped {
            _ if is_raw => text.extend(['\\', escaped]),
            'n' => text.push('\n'),
            't' => text.push('\t'),
            'r' => text.push('\r'),
            '\n' => {}
            '\\' | '\'' | '"' => text.push(escaped),
            other => text.extend(['\\', other]),
        }
    }
}
