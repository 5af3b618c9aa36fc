//! Reads as much Rust as the layering rule needs: which paths a file names, on which line, in which inline module.
//!
//! A lexer and not a parser: comments, strings, lifetimes and `#[cfg(test)]` items are taken out, and every path that
//! is left counts, in `use` trees and in the middle of an expression alike. It must not know any rule.

/// A path that a source file names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Path {
    /// `["crate", "mllp", "decode", "Decoder"]`; a glob or a trailing `self` is the module itself.
    pub(crate) segments: Vec<String>,
    /// The name that a `use` binds it to; empty for a glob and outside `use`.
    pub(crate) binds: String,
    /// Named by a `use` that others can see (`pub use`, `pub(crate) use`).
    pub(crate) reexport: bool,
    /// `mod a { mod b { … } }` around it within the file.
    pub(crate) inline: Vec<String>,
    /// From 1.
    pub(crate) line: usize,
}

/// What one file says.
#[derive(Debug, Default)]
pub(crate) struct Source {
    /// In the order of the file.
    pub(crate) paths: Vec<Path>,
    /// Lines without those of `#[cfg(test)]` items.
    pub(crate) lines: usize,
    /// `#[cfg(test)] mod name;`: files that are tests, too.
    pub(crate) test_modules: Vec<String>,
    /// `#![cfg(test)]`: the whole file is one.
    pub(crate) is_test: bool,
}

impl Source {
    /// Scans a file's text.
    pub(crate) fn scan(text: &str) -> Self {
        let mut source = Self {
            lines: text.lines().count(),
            ..Self::default()
        };
        let tokens = source.without_tests(&lex(text));
        source.collect(&tokens);
        source
    }

    /// Takes `#[cfg(test)]` items out, and their lines out of the count.
    fn without_tests(&mut self, tokens: &[Token]) -> Vec<Token> {
        let mut kept = Vec::with_capacity(tokens.len());
        let mut at = 0;
        while at < tokens.len() {
            if starts(tokens, at, &["#", "!", "["]) && is_cfg_test(tokens, at + 3) {
                self.is_test = true;
            }
            if !(starts(tokens, at, &["#", "["]) && is_cfg_test(tokens, at + 2)) {
                kept.push(tokens[at].clone());
                at += 1;
                continue;
            }
            let mut item = closing(tokens, at + 1) + 1;
            while starts(tokens, item, &["#", "["]) {
                item = closing(tokens, item + 1) + 1;
            }
            let end = item_end(tokens, item);
            let body = tokens.get(item..end).unwrap_or_default();
            if let Some(name) = body.iter().position(|token| token.is("mod"))
                && starts(body, name + 2, &[";"])
            {
                self.test_modules.push(body[name + 1].text.clone());
            }
            let last = tokens
                .get(end - 1)
                .map_or(tokens[at].line, |token| token.line);
            self.lines = self.lines.saturating_sub(last - tokens[at].line + 1);
            at = end;
        }
        kept
    }

    fn collect(&mut self, tokens: &[Token]) {
        let mut inline: Vec<(String, usize)> = Vec::new();
        let mut depth = 0;
        let mut at = 0;
        while at < tokens.len() {
            let token = &tokens[at];
            match token.text.as_str() {
                "{" => {
                    depth += 1;
                    if at >= 2 && tokens[at - 2].is("mod") {
                        inline.push((tokens[at - 1].text.clone(), depth));
                    }
                }
                "}" => {
                    if inline.last().is_some_and(|module| module.1 == depth) {
                        inline.pop();
                    }
                    depth = depth.saturating_sub(1);
                }
                "use" if !starts(tokens, at + 1, &["<"]) => {
                    let mut tree = UseTree {
                        tokens,
                        at: at + 1,
                        reexport: is_public(tokens, at),
                        inline: inline.iter().map(|module| module.0.clone()).collect(),
                        paths: &mut self.paths,
                    };
                    tree.read(&[]);
                    at = tree.at;
                    continue;
                }
                // The path of `pub(in crate::inbound)` grants, it does not import.
                _ if starts_path(tokens, at)
                    && !(at > 0 && tokens[at - 1].is("in") && restricts(tokens, at)) =>
                {
                    let mut segments = vec![token.text.clone()];
                    while starts(tokens, at + 1, &["::"])
                        && tokens.get(at + 2).is_some_and(Token::is_name)
                    {
                        segments.push(tokens[at + 2].text.clone());
                        at += 2;
                    }
                    self.paths.push(Path {
                        segments,
                        binds: String::new(),
                        reexport: false,
                        inline: inline.iter().map(|module| module.0.clone()).collect(),
                        line: token.line,
                    });
                }
                _ => {}
            }
            at += 1;
        }
    }
}

/// Reader of what follows `use`, up to its `;`.
struct UseTree<'a> {
    tokens: &'a [Token],
    at: usize,
    reexport: bool,
    inline: Vec<String>,
    paths: &'a mut Vec<Path>,
}

impl UseTree<'_> {
    /// One branch: up to `,`, `}` or `;`, which is left to the caller.
    fn read(&mut self, prefix: &[String]) {
        let mut segments = prefix.to_vec();
        let mut binds = None;
        let line = self.tokens.get(self.at).map_or(0, |token| token.line);
        while let Some(token) = self.tokens.get(self.at) {
            match token.text.as_str() {
                "," | "}" | ";" => break,
                "{" => {
                    loop {
                        self.at += 1;
                        self.read(&segments);
                        if !starts(self.tokens, self.at, &[","]) {
                            break;
                        }
                    }
                    self.at += 1; // the closing brace
                    return;
                }
                "::" => {}
                "*" => binds = Some(String::new()),
                "as" => {
                    self.at += 1;
                    binds = self.tokens.get(self.at).map(|token| token.text.clone());
                }
                "self" if !segments.is_empty() => {}
                name => segments.push(name.to_owned()),
            }
            self.at += 1;
        }
        // A trailing comma leaves an empty branch.
        if segments.len() > prefix.len() || !starts(self.tokens, self.at - 1, &[","]) {
            let binds = binds.unwrap_or_else(|| segments.last().cloned().unwrap_or_default());
            self.paths.push(Path {
                segments,
                binds,
                reexport: self.reexport,
                inline: self.inline.clone(),
                line,
            });
        }
    }
}

#[derive(Debug, Clone)]
struct Token {
    text: String,
    line: usize,
}

impl Token {
    fn is(&self, text: &str) -> bool {
        self.text == text
    }

    fn is_name(&self) -> bool {
        self.text
            .starts_with(|c: char| c.is_alphabetic() || c == '_')
    }
}

/// Names, `::` and single punctuation marks; a literal is one `"`.
fn lex(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let peek = |at: usize| chars.get(at).copied().unwrap_or('\0');
    let mut tokens = Vec::new();
    let (mut at, mut line) = (0, 1);
    while at < chars.len() {
        let from = at;
        let mut token = None;
        match (chars[at], peek(at + 1)) {
            ('/', '/') => at = skip(&chars, at, |c| c != '\n'),
            ('/', '*') => at = block_comment_end(&chars, at),
            ('"', _) => (at, token) = (string_end(&chars, at), Some("\"".to_owned())),
            ('\'', '\\') => {
                (at, token) = (
                    skip(&chars, at + 3, |c| c != '\'') + 1,
                    Some("\"".to_owned()),
                )
            }
            ('\'', _) if peek(at + 2) == '\'' => (at, token) = (at + 3, Some("\"".to_owned())),
            ('\'', _) => at = skip(&chars, at + 1, is_word), // a lifetime
            (c, _) if c.is_ascii_digit() => at = skip(&chars, at, is_word),
            (c, _) if is_word(c) => {
                at = skip(&chars, at, is_word);
                let word: String = chars[from..at].iter().collect();
                let hashes = skip(&chars, at, |c| c == '#') - at;
                let raw = matches!(word.as_str(), "r" | "br" | "cr");
                if raw && peek(at + hashes) == '"' {
                    at = raw_string_end(&chars, at + hashes + 1, hashes);
                    token = Some("\"".to_owned());
                } else if raw && hashes == 1 {
                    at += 1; // r#name: the name follows
                } else if !matches!((word.as_str(), peek(at)), ("b" | "c", '"') | ("b", '\'')) {
                    token = Some(word);
                }
            }
            (':', ':') => (at, token) = (at + 2, Some("::".to_owned())),
            (c, _) => (at, token) = (at + 1, (!c.is_whitespace()).then(|| c.to_string())),
        }
        if let Some(text) = token {
            tokens.push(Token { text, line });
        }
        let end = at.min(chars.len());
        line += chars[from..end].iter().filter(|c| **c == '\n').count();
    }
    tokens
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn skip(chars: &[char], from: usize, while_: impl Fn(char) -> bool) -> usize {
    let rest = chars.get(from..).unwrap_or_default();
    from + rest.iter().position(|c| !while_(*c)).unwrap_or(rest.len())
}

fn string_end(chars: &[char], open: usize) -> usize {
    let mut at = open + 1;
    while at < chars.len() && chars[at] != '"' {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

fn raw_string_end(chars: &[char], from: usize, hashes: usize) -> usize {
    let mut at = from;
    loop {
        at = skip(chars, at, |c| c != '"') + 1;
        if at >= chars.len() || skip(chars, at, |c| c == '#') - at >= hashes {
            return at + hashes;
        }
    }
}

fn block_comment_end(chars: &[char], open: usize) -> usize {
    let (mut at, mut depth) = (open, 0);
    while at < chars.len() {
        match chars.get(at..at + 2) {
            Some(['/', '*']) => (at, depth) = (at + 2, depth + 1),
            Some(['*', '/']) => (at, depth) = (at + 2, depth - 1),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn starts(tokens: &[Token], at: usize, texts: &[&str]) -> bool {
    texts
        .iter()
        .enumerate()
        .all(|(n, text)| tokens.get(at + n).is_some_and(|token| token.is(text)))
}

/// `cfg(test)` or `cfg(all(…, test, …))` at `at`.
fn is_cfg_test(tokens: &[Token], at: usize) -> bool {
    if starts(tokens, at, &["cfg", "(", "test", ")"]) {
        return true;
    }
    if !starts(tokens, at, &["cfg", "(", "all", "("]) {
        return false;
    }
    let mut depth = 0;
    for (n, token) in tokens[at + 3..closing(tokens, at + 3)].iter().enumerate() {
        match token.text.as_str() {
            "(" => depth += 1,
            ")" => depth -= 1,
            // Not `test = "…"`, nor `not(test)`.
            "test" if depth == 1 && !starts(tokens, at + 3 + n + 1, &["="]) => return true,
            _ => {}
        }
    }
    false
}

/// Where the bracket at `open` closes.
fn closing(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match token.text.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    tokens.len().saturating_sub(1)
}

/// Just behind the item that starts at `from`: its `;`, or the brace that closes its body. A field, a variant
/// or a match arm ends at its comma.
fn item_end(tokens: &[Token], from: usize) -> usize {
    const ITEMS: &[&str] = &[
        "pub",
        "use",
        "mod",
        "fn",
        "struct",
        "enum",
        "impl",
        "trait",
        "const",
        "static",
        "type",
        "unsafe",
        "async",
        "extern",
        "macro_rules",
        "let",
    ];
    let is_item = tokens
        .get(from)
        .is_some_and(|token| ITEMS.contains(&token.text.as_str()));
    let mut at = from;
    while at < tokens.len() {
        match tokens[at].text.as_str() {
            "(" | "[" => at = closing(tokens, at),
            "{" => return closing(tokens, at) + 1,
            ";" => return at + 1,
            "," if !is_item => return at + 1,
            "}" => return at,
            _ => {}
        }
        at += 1;
    }
    at
}

fn is_public(tokens: &[Token], use_at: usize) -> bool {
    let Some(before) = use_at.checked_sub(1) else {
        return false;
    };
    if !tokens[before].is(")") {
        return tokens[before].is("pub");
    }
    let open = tokens[..before].iter().rposition(|token| token.is("("));
    open.and_then(|open| open.checked_sub(1))
        .is_some_and(|at| tokens[at].is("pub"))
}

/// A name that `::` follows, and that is not in the middle of a path.
fn starts_path(tokens: &[Token], at: usize) -> bool {
    if !tokens[at].is_name() || !starts(tokens, at + 1, &["::"]) {
        return false;
    }
    let before = |back: usize| at.checked_sub(back).map(|at| &tokens[at]);
    match before(1) {
        Some(token) if token.is("::") => {
            !before(2).is_some_and(|token| token.is_name() || token.is(">"))
        }
        _ => true,
    }
}

/// Whether the `in` before `at` is that of `pub(in …)`.
fn restricts(tokens: &[Token], at: usize) -> bool {
    at >= 3 && tokens[at - 2].is("(") && tokens[at - 3].is("pub")
}
