//! Reads the dictionary `SIMPLE_JWT` in a Python file: literals, `timedelta(…)` and names. Nothing is executed; any
//! other expression is [`Literal::Other`].

use std::time::Duration;

use super::tokens::{Token, tokens};

/// The deepest nesting of brackets.
const DEPTH: usize = 32;

/// A value.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Literal {
    None,
    Bool(bool),
    Number(f64),
    Text(String),
    List(Vec<Literal>),
    Dict(Vec<(Literal, Literal)>),
    Span(Duration),
    /// A name, such as `settings.SECRET_KEY`.
    Name(String),
    /// `**NAME` in a dictionary, in place of a key.
    Spread,
    /// An expression that isn't evaluated.
    Other,
}

/// The dictionary `SIMPLE_JWT`.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct SimpleJwt {
    pub(super) entries: Vec<Entry>,
    /// It includes another dictionary, which isn't read.
    pub(super) has_spread: bool,
    /// The file changes it afterwards, which isn't read.
    pub(super) is_changed: bool,
}

/// A setting in the dictionary.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) value: Literal,
}

struct Parser<'t> {
    tokens: &'t [(Token, usize)],
    at: usize,
    depth: usize,
}

/// Returns `SIMPLE_JWT`, or the dictionary that the file consists of.
///
/// # Errors
/// There is none, or it isn't closed.
pub(super) fn simple_jwt(source: &str) -> Result<SimpleJwt, String> {
    let tokens = tokens(source)?;
    let start = assigned(&tokens)
        .or_else(|| tokens.first().filter(|(first, _)| *first == Token::Mark('{')).map(|_| 0));
    let at = start.ok_or("it has no dictionary SIMPLE_JWT = {…}")?;
    let mut parser = Parser { tokens: &tokens, at, depth: 0 };
    let Literal::Dict(items) = parser.value()? else {
        return Err("SIMPLE_JWT isn't a dictionary {…}".into());
    };
    let rest = tokens.get(parser.at..).unwrap_or_default();
    let has_operator = match (tokens.get(parser.at - 1), rest.first()) {
        (_, Some((Token::Mark('|'), _))) => true,
        (_, Some((Token::Mark(';'), _))) => false,
        // Another statement begins on a line of its own.
        (Some((_, last)), Some((_, next))) => last == next,
        _ => false,
    };
    let mut read = SimpleJwt { is_changed: has_operator || is_changed(rest), ..SimpleJwt::default() };
    for (name, value) in items {
        match name {
            Literal::Text(name) => read.entries.push(Entry { name, value }),
            Literal::Spread => read.has_spread = true,
            _ => return Err("SIMPLE_JWT has a key that isn't a text".into()),
        }
    }
    Ok(read)
}

/// Returns whether statements change the entries of `SIMPLE_JWT`.
fn is_changed(tokens: &[(Token, usize)]) -> bool {
    const METHODS: [&str; 5] = ["update", "setdefault", "pop", "popitem", "clear"];
    tokens.iter().enumerate().any(|(at, (token, _))| {
        if !matches!(token, Token::Name(name) if name == "SIMPLE_JWT") {
            return false;
        }
        let is_deleted = at
            .checked_sub(1)
            .and_then(|at| tokens.get(at))
            .is_some_and(|(before, _)| matches!(before, Token::Name(name) if name == "del"));
        let mut rest = tokens.get(at + 1..).unwrap_or_default().iter().map(|(token, _)| token);
        is_deleted
            || match rest.next() {
                Some(Token::Mark('.')) => {
                    matches!(rest.next(), Some(Token::Name(name)) if METHODS.contains(&name.as_str()))
                }
                Some(Token::Mark('|')) => rest.next() == Some(&Token::Mark('=')),
                Some(Token::Mark('[')) => is_assigned(rest),
                _ => false,
            }
    })
}

/// Returns whether an item is assigned to, given what follows its opening bracket.
fn is_assigned<'t>(rest: impl Iterator<Item = &'t Token>) -> bool {
    let mut depth = 1_usize;
    let mut rest = rest.skip_while(|token| {
        let is_inside = depth > 0;
        match token {
            Token::Mark('[') => depth += 1,
            Token::Mark(']') => depth = depth.saturating_sub(1),
            _ => {}
        }
        is_inside
    });
    match (rest.next(), rest.next()) {
        (Some(Token::Mark('=')), next) => next != Some(&Token::Mark('=')),
        (Some(Token::Mark('+' | '-' | '*' | '/' | '|')), Some(Token::Mark('='))) => true,
        _ => false,
    }
}

/// Returns where the value of the last assignment to `SIMPLE_JWT` outside of brackets begins.
fn assigned(tokens: &[(Token, usize)]) -> Option<usize> {
    let (mut depth, mut found) = (0_usize, None);
    for (at, (token, _)) in tokens.iter().enumerate() {
        match token {
            Token::Mark('(' | '[' | '{') => depth += 1,
            Token::Mark(')' | ']' | '}') => depth = depth.saturating_sub(1),
            Token::Name(name) if depth == 0 && name == "SIMPLE_JWT" => {
                let rest = tokens.get(at + 1..).unwrap_or_default();
                // An annotation, as in `SIMPLE_JWT: dict = {…}`, ends before the sign.
                let is_annotated = rest.first().is_some_and(|(token, _)| *token == Token::Mark(':'));
                let sign = if is_annotated {
                    rest.iter().position(|(token, _)| *token == Token::Mark('='))
                } else {
                    rest.first().filter(|(token, _)| *token == Token::Mark('=')).map(|_| 0)
                };
                found = sign.map(|sign| at + sign + 2).or(found);
            }
            _ => {}
        }
    }
    found
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|(token, _)| token)
    }

    fn line(&self) -> usize {
        self.tokens.get(self.at).or(self.tokens.last()).map_or(1, |(_, line)| *line)
    }

    fn takes(&mut self, mark: char) -> bool {
        let is_next = self.peek() == Some(&Token::Mark(mark));
        self.at += usize::from(is_next);
        is_next
    }

    /// Parses an expression up to a comma, a colon or a closing bracket.
    fn value(&mut self) -> Result<Literal, String> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(format!("line {}: brackets are nested too deeply", self.line()));
        }
        // The dictionary of the file may be followed by other statements.
        let mut value = if self.depth == 1 { self.operand()? } else { self.sum()? };
        let is_end = matches!(self.peek(), None | Some(Token::Mark(',' | ':' | ')' | ']' | '}')));
        if self.depth > 1 && !is_end {
            value = self.skip();
        }
        self.depth -= 1;
        Ok(value)
    }

    fn sum(&mut self) -> Result<Literal, String> {
        let mut value = self.product()?;
        while let Some(sign) = self.operator(['+', '-']) {
            value = match (value, sign, self.product()?) {
                (Literal::Number(a), '+', Literal::Number(b)) => Literal::Number(a + b),
                (Literal::Number(a), '-', Literal::Number(b)) => Literal::Number(a - b),
                (Literal::Span(a), '+', Literal::Span(b)) => {
                    a.checked_add(b).map_or(Literal::Other, Literal::Span)
                }
                _ => Literal::Other,
            };
        }
        Ok(value)
    }

    fn product(&mut self) -> Result<Literal, String> {
        let mut value = self.operand()?;
        while let Some(sign) = self.operator(['*', '/']) {
            value = match (value, sign, self.operand()?) {
                (Literal::Number(a), '*', Literal::Number(b)) => Literal::Number(a * b),
                (Literal::Number(a), '/', Literal::Number(b)) => Literal::Number(a / b),
                _ => Literal::Other,
            };
        }
        Ok(value)
    }

    fn operator(&mut self, signs: [char; 2]) -> Option<char> {
        signs.into_iter().find(|sign| self.takes(*sign))
    }

    fn operand(&mut self) -> Result<Literal, String> {
        let Some(token) = self.peek().cloned() else {
            return Err("it ends in the middle of SIMPLE_JWT".into());
        };
        self.at += 1;
        match token {
            Token::Number(number) => Ok(Literal::Number(number)),
            Token::Text(mut text) => {
                // Adjacent texts are one.
                while let Some(Token::Text(more)) = self.peek() {
                    text.push_str(more);
                    self.at += 1;
                }
                Ok(Literal::Text(text))
            }
            Token::Mark('-') => match self.peek().cloned() {
                Some(Token::Number(number)) => {
                    self.at += 1;
                    Ok(Literal::Number(-number))
                }
                _ => Ok(self.skip()),
            },
            Token::Mark('(') => {
                let (mut items, has_comma) = self.items(')')?;
                // Parentheses without a comma only group.
                let single = if has_comma || items.len() != 1 { None } else { items.pop() };
                Ok(single.unwrap_or(Literal::List(items)))
            }
            Token::Mark('[') => self.items(']').map(|(items, _)| Literal::List(items)),
            Token::Mark('{') => self.dict(),
            Token::Name(name) => self.name(name),
            Token::Mark(_) => Ok(self.skip()),
            Token::Other => Ok(Literal::Other),
        }
    }

    /// Parses a name with its attributes, and a call of `timedelta`.
    fn name(&mut self, mut name: String) -> Result<Literal, String> {
        while self.takes('.') {
            let Some(Token::Name(next)) = self.peek().cloned() else { return Ok(self.skip()) };
            self.at += 1;
            name = format!("{name}.{next}");
        }
        let is_span = name == "timedelta" || name.ends_with(".timedelta");
        match (name.as_str(), self.peek()) {
            (_, Some(Token::Mark('('))) if is_span => {
                self.at += 1;
                self.span()
            }
            (_, Some(Token::Mark('(' | '['))) => Ok(self.skip()),
            ("True", _) => Ok(Literal::Bool(true)),
            ("False", _) => Ok(Literal::Bool(false)),
            ("None", _) => Ok(Literal::None),
            _ => Ok(Literal::Name(name)),
        }
    }

    fn span(&mut self) -> Result<Literal, String> {
        const UNITS: [(&str, f64); 7] = [
            ("days", 86_400.0),
            ("seconds", 1.0),
            ("microseconds", 1e-6),
            ("milliseconds", 1e-3),
            ("minutes", 60.0),
            ("hours", 3600.0),
            ("weeks", 604_800.0),
        ];
        let (mut seconds, mut place) = (Some(0.0), 0);
        while !self.takes(')') {
            let named = match (self.peek(), self.tokens.get(self.at + 1).map(|(token, _)| token)) {
                (Some(Token::Name(name)), Some(Token::Mark('='))) => Some(name.clone()),
                _ => None,
            };
            self.at += if named.is_some() { 2 } else { 0 };
            let value = self.value()?;
            let unit = match &named {
                Some(name) => UNITS.iter().find(|(unit, _)| unit == name),
                None => UNITS.get(place),
            };
            place += 1;
            seconds = match (seconds, unit, value) {
                (Some(seconds), Some((_, unit)), Literal::Number(number)) => Some(seconds + number * unit),
                _ => None,
            };
            self.end_of_item(')')?;
        }
        let span = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        Ok(span.map_or(Literal::Other, Literal::Span))
    }

    fn items(&mut self, end: char) -> Result<(Vec<Literal>, bool), String> {
        let (mut items, mut has_comma) = (Vec::new(), false);
        while !self.takes(end) {
            items.push(self.value()?);
            has_comma |= self.peek() == Some(&Token::Mark(','));
            self.end_of_item(end)?;
        }
        Ok((items, has_comma))
    }

    fn dict(&mut self) -> Result<Literal, String> {
        let mut items = Vec::new();
        while !self.takes('}') {
            if self.takes('*') {
                self.skip();
                items.push((Literal::Spread, Literal::Other));
                self.end_of_item('}')?;
                continue;
            }
            let key = self.value()?;
            let value = if self.takes(':') { self.value()? } else { Literal::Other };
            items.push((key, value));
            self.end_of_item('}')?;
        }
        Ok(Literal::Dict(items))
    }

    /// Takes the comma after an item; none is needed before the end.
    fn end_of_item(&mut self, end: char) -> Result<(), String> {
        if self.takes(',') || self.peek() == Some(&Token::Mark(end)) {
            return Ok(());
        }
        Err(format!("line {}: expected a comma or `{end}`", self.line()))
    }

    /// Skips the rest of an expression.
    fn skip(&mut self) -> Literal {
        let mut depth = 0_usize;
        while let Some(token) = self.peek() {
            match token {
                Token::Mark('(' | '[' | '{') => depth += 1,
                Token::Mark(')' | ']' | '}' | ',') if depth == 0 => break,
                Token::Mark(')' | ']' | '}') => depth -= 1,
                _ => {}
            }
            self.at += 1;
        }
        Literal::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Literal {
        let entries = simple_jwt(&format!("SIMPLE_JWT = {{'x': {text}}}\n")).expect("a dictionary").entries;
        entries.into_iter().next().expect("an entry").value
    }

    #[test]
    fn literals_spans_and_names_are_read() {
        for (text, expected) in [
            ("'a' \"b\"", Literal::Text("ab".into())),
            (r"r'a\b'", Literal::Text(r"a\b".into())),
            ("'''a\nb'''", Literal::Text("a\nb".into())),
            ("(True, None,)", Literal::List(vec![Literal::Bool(true), Literal::None])),
            ("('Bearer')", Literal::Text("Bearer".into())),
            ("-60 * 5", Literal::Number(-300.0)),
            ("timedelta(days=1, hours=2)", Literal::Span(Duration::from_secs(93_600))),
            ("datetime.timedelta(1)", Literal::Span(Duration::from_secs(86_400))),
            ("timedelta(minutes=60 * 2)", Literal::Span(Duration::from_secs(7200))),
            ("timedelta(minutes=30 + 60 * 5 - 6 / 2)", Literal::Span(Duration::from_secs(19_620))),
            ("(1 + 2) * 3", Literal::Number(9.0)),
            ("0x10 + 0o17 + 0b11 + 1_0 + 25e-1", Literal::Number(46.5)),
            ("2 ** 3", Literal::Other),
            ("7 // 2", Literal::Other),
            ("1 + 7 % 2", Literal::Other),
            ("[1, 2][0]", Literal::Other),
            ("3j", Literal::Other),
            ("settings.SECRET_KEY", Literal::Name("settings.SECRET_KEY".into())),
            ("os.environ['KEY']", Literal::Other),
            ("env('KEY', default={'a': 1})", Literal::Other),
            ("timedelta(days=N)", Literal::Other),
            ("timedelta(days=-1)", Literal::Other),
            ("f'{x}'", Literal::Other),
            ("'a' if DEBUG else 'b'", Literal::Other),
            ("lambda user: user.id", Literal::Other),
            ("'%s' % x", Literal::Other),
        ] {
            assert_eq!(value(text), expected, "{text}");
        }
    }

    #[test]
    fn the_last_assignment_of_a_file_counts() {
        let source = "from x import y\n# SIMPLE_JWT = 1\nSIMPLE_JWT = {'a': 1}\nif DEBUG:\n    pass\n\
             SIMPLE_JWT: dict[str, Any] = {\n  'b': 2,  # two\n}\nOTHER = {'SIMPLE_JWT': 3}\n";
        let SimpleJwt { entries, is_changed, has_spread } = simple_jwt(source).expect("a dictionary");
        assert!(!is_changed && !has_spread);
        assert_eq!(entries, [Entry { name: "b".into(), value: Literal::Number(2.0) }]);
        assert_eq!(simple_jwt("{'c': 1}").map(|read| read.entries.len()), Ok(1));
    }

    #[test]
    fn changes_are_noticed() {
        let read =
            |more: &str| simple_jwt(&format!("SIMPLE_JWT = {{'a': 1}}{more}\n")).expect("a dictionary");
        for more in [
            "\nSIMPLE_JWT['b'] = 2",
            "\nif DEBUG:\n    SIMPLE_JWT[KEYS[0]] += 2",
            "\nSIMPLE_JWT.update(OTHER)",
            "\nSIMPLE_JWT |= OTHER",
            "\ndel SIMPLE_JWT['a']",
            " | {'b': 2}",
            " if DEBUG else {}",
        ] {
            assert!(read(more).is_changed, "{more}");
        }
        for more in [
            "",
            "; x = 1",
            "\nX = SIMPLE_JWT['a']\nif SIMPLE_JWT['a'] == 1:\n    Y = 0xFF",
            "\nSIMPLE_JWT.get('a')",
            "  # SIMPLE_JWT['b'] = 2",
        ] {
            assert!(!read(more).is_changed, "{more}");
        }
        let spread = simple_jwt("SIMPLE_JWT = {**OTHER, 'a': 1, **more(x, y)}").expect("a dictionary");
        assert!(spread.has_spread && !spread.is_changed);
        assert_eq!(spread.entries, [Entry { name: "a".into(), value: Literal::Number(1.0) }]);
    }

    #[test]
    fn malformed_files_are_refused() {
        let deep = format!("SIMPLE_JWT = {}", "[".repeat(100_000));
        for source in [
            "",
            "x = 1",
            "SIMPLE_JWT = [1]",
            "SIMPLE_JWT = {",
            "SIMPLE_JWT = {'a': 'b",
            "SIMPLE_JWT = {1: 2}",
            "SIMPLE_JWT =",
            &deep,
        ] {
            assert!(simple_jwt(source).is_err(), "{source:.40}");
        }
    }
}
