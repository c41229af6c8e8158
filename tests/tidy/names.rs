//! The paths that code names: in `use`, in types and expressions, and in the arguments of macros.

use super::source::{Source, items, starts_with};
use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// A path, such as `["std", "net", "IpAddr"]`.
pub struct Name {
    pub segments: Vec<String>,
    pub line: usize,
    /// The module that names it.
    module: Vec<String>,
}

impl Name {
    /// The path from the root of the library on; `None` for what is none of its own, or stays in its module.
    pub fn rooted(&self) -> Option<&[String]> {
        let supers = self.segments.iter().take_while(|segment| *segment == "super").count();
        match self.segments[0].as_str() {
            "crate" | "malaria_bench" => Some(&self.segments[1..]),
            "super" if supers >= self.module.len() => Some(&self.segments[supers..]),
            _ => None,
        }
    }
}

/// All paths outside of tests.
pub fn names(source: &Source) -> Vec<Name> {
    let mut found = Vec::new();
    if !source.is_test {
        walk(source.tokens.clone(), &source.module, &mut found);
    }
    found
}

fn walk(tokens: TokenStream, module: &[String], found: &mut Vec<Name>) {
    for item in items(tokens).into_iter().filter(|item| !item.is_test()) {
        item.attributes.iter().for_each(|attribute| walk(attribute.stream(), module, found));
        match &item.tokens[..] {
            [.., TokenTree::Ident(name), TokenTree::Group(body)] if starts_with(&item.tokens, "mod") => {
                walk(body.stream(), &[module, &[name.to_string()]].concat(), found);
            }
            tokens => paths(tokens, &[], module, found),
        }
    }
}

/// The paths of `tokens`, which stand behind `prefix::`.
fn paths(tokens: &[TokenTree], prefix: &[String], module: &[String], found: &mut Vec<Name>) {
    let mut at = 0;
    while at < tokens.len() {
        match &tokens[at] {
            TokenTree::Ident(_) => at = path(tokens, at, prefix, module, found),
            TokenTree::Punct(star) if star.as_char() == '*' && !prefix.is_empty() => {
                let segments = [prefix, &["*".to_owned()]].concat();
                found.push(Name { segments, line: star.span().start().line, module: module.to_vec() });
                at += 1;
            }
            TokenTree::Group(group) => {
                walk(group.stream(), module, found);
                at += 1;
            }
            _ => at += 1,
        }
    }
}

/// The path that begins at `at`; the answer is where it has ended.
fn path(
    tokens: &[TokenTree],
    mut at: usize,
    prefix: &[String],
    module: &[String],
    found: &mut Vec<Name>,
) -> usize {
    let (mut segments, line) = (prefix.to_vec(), tokens[at].span().start().line);
    loop {
        match tokens.get(at) {
            Some(TokenTree::Ident(ident)) => segments.push(ident.to_string()),
            Some(TokenTree::Punct(star)) if star.as_char() == '*' => segments.push("*".into()),
            Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                let inner: Vec<_> = group.stream().into_iter().collect();
                paths(&inner, &segments, module, found);
                return at + 1;
            }
            // `::<T>`
            _ => break,
        }
        at += 1;
        let is_colon = |at: usize| matches!(tokens.get(at), Some(TokenTree::Punct(p)) if p.as_char() == ':');
        if !(is_colon(at) && is_colon(at + 1)) {
            break;
        }
        at += 2;
    }
    found.push(Name { segments, line, module: module.to_vec() });
    at
}
