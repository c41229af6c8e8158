//! The rules, each a function from a file to what breaks it there.

use super::names::names;
use super::source::{Source, items, starts_with};
use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// The modules of each floor, from the ground up; some are yet to come.
pub const FLOORS: [&[&str]; 10] = [
    &["clock", "units", "seed", "cpu", "signals"],
    &["wire", "stats", "search"],
    &["client", "record"],
    &["load", "script", "transport"],
    &["engine", "scrape"],
    &["crew", "stage", "doctor"],
    &["run", "fleet", "reflector"],
    &["report", "gate", "live"],
    &["experiment", "capacity"],
    &["cli"],
];
/// The highest floor without any input and output.
const SANS_IO: usize = 3;
const LONGEST_FUNCTION: usize = 70;
const LONGEST_FILE: usize = 600;
const DOCUMENTED: [&str; 5] = ["engine", "crew", "stage", "run", "fleet"];

pub fn floor(module: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&module))
}

fn broken(source: &Source, line: usize, rule: &str) -> String {
    format!("{}:{line}: {rule}", source.path)
}

/// Imports go strictly down.
pub fn floors(source: &Source) -> Vec<String> {
    let Some(house) = source.house() else { return Vec::new() };
    let Some(own) = floor(house) else {
        return vec![broken(
            source,
            1,
            &format!("`{house}` has no floor: give it one in tests/tidy/rules.rs"),
        )];
    };
    let mut found = Vec::new();
    for name in names(source) {
        let Some(path) = name.rooted() else { continue };
        // `pub(crate)` names nothing.
        let Some(target) = path.first().map(String::as_str) else { continue };
        let why = match floor(target) {
            _ if target == house => continue,
            Some(floor) if floor < own => continue,
            Some(floor) if floor == own => format!("`{target}` lives on the same floor {own}"),
            Some(floor) => format!("`{target}` lives above, on floor {floor}"),
            None => format!("`{target}` is on no floor"),
        };
        let fix = "imports go strictly down: hand it in from above, or move what both need down";
        found.push(broken(
            source,
            name.line,
            &format!("`{house}` (floor {own}) names `{target}`, but {why}; {fix}"),
        ));
    }
    // One line may name it twice.
    found.dedup();
    found
}

/// No socket, thread or clock in `crew` and on the floors without input and output.
pub fn sans_io(source: &Source) -> Vec<String> {
    let Some(house) = source.house() else { return Vec::new() };
    let bound = house == "crew" || floor(house).is_some_and(|floor| floor <= SANS_IO);
    // These are what reads the machine.
    if !bound || ["clock", "cpu", "signals"].contains(&house) {
        return Vec::new();
    }
    let names = names(source).into_iter().filter(|name| reaches_out(&name.segments));
    let fix = "time and bytes come in as parameters: let `engine`, `stage` or the caller do it";
    names
        .map(|name| {
            let path = name.segments.join("::");
            broken(source, name.line, &format!("`{house}` is sans-IO and names `{path}`; {fix}"))
        })
        .collect()
}

fn reaches_out(segments: &[String]) -> bool {
    let segments: Vec<_> = segments.iter().map(String::as_str).collect();
    let is_clock = |segment: &&str| ["Instant", "SystemTime"].contains(segment);
    match segments[..] {
        ["std", "net", ref rest @ ..] => {
            let types = ["IpAddr", "Ipv4Addr", "Ipv6Addr", "SocketAddr", "SocketAddrV4", "SocketAddrV6"];
            !rest.first().is_some_and(|name| types.contains(name))
        }
        ["std", "thread" | "fs" | "process" | "os" | "*", ..] => true,
        ["libc" | "io_uring" | "rustix" | "core_affinity" | "signal_hook", ..] => true,
        [.., "clock", "now" | "*"] | [.., "thread" | "process" | "fs", _] if segments[0] != "self" => true,
        _ => segments.iter().any(is_clock),
    }
}

/// Functions and files that a reader can hold.
pub fn sizes(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    if source.lines > LONGEST_FILE {
        let lines = source.lines;
        found.push(broken(source, lines, &format!("{lines} lines, at most {LONGEST_FILE}: split the file")));
    }
    for function in functions(source.tokens.clone()) {
        let (lines, name) = (function.lines, function.name);
        if lines > LONGEST_FUNCTION {
            let rule = format!("`{name}` has {lines} lines, at most {LONGEST_FUNCTION}: split it");
            found.push(broken(source, function.line, &rule));
        }
    }
    found
}

pub struct Function {
    pub name: String,
    pub line: usize,
    /// From `fn` to the closing brace.
    pub lines: usize,
}

/// All functions with a body, also within macros and other functions.
pub fn functions(tokens: TokenStream) -> Vec<Function> {
    let mut found = Vec::new();
    let tokens: Vec<_> = tokens.into_iter().collect();
    for (at, token) in tokens.iter().enumerate() {
        if let TokenTree::Group(group) = token {
            found.extend(functions(group.stream()));
        }
        let (TokenTree::Ident(keyword), Some(TokenTree::Ident(name))) = (token, tokens.get(at + 1)) else {
            continue;
        };
        let is_end = |token: &&TokenTree| match token {
            TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
            token => token.to_string() == ";",
        };
        if keyword == "fn"
            && let Some(TokenTree::Group(body)) = tokens[at..].iter().find(is_end)
        {
            let line = keyword.span().start().line;
            let lines = body.span_close().end().line - line + 1;
            found.push(Function { name: name.to_string(), line, lines });
        }
    }
    found
}

/// In `src`, `unsafe` is for the engine alone. Tests and benches that need it say so with an `allow`.
pub fn safe(source: &Source) -> Vec<String> {
    if source.house() == Some("engine") || !source.path.starts_with("src/") {
        return Vec::new();
    }
    let fix = "`unsafe` is for src/engine only: do it there, behind a safe function";
    unsafes(source.tokens.clone()).into_iter().map(|line| broken(source, line, fix)).collect()
}

fn unsafes(tokens: TokenStream) -> Vec<usize> {
    let lines = tokens.into_iter().map(|token| match token {
        TokenTree::Ident(ident) if ident == "unsafe" => vec![ident.span().start().line],
        TokenTree::Group(group) => unsafes(group.stream()),
        _ => Vec::new(),
    });
    lines.flatten().collect()
}

/// Public items of the floors that others build on have a comment. Fields, variants, what is implemented for a
/// trait, and `new`, of which its type speaks, may go without.
pub fn documented(source: &Source) -> Vec<String> {
    if source.is_test || !source.house().is_some_and(|house| DOCUMENTED.contains(&house)) {
        return Vec::new();
    }
    undocumented(source.tokens.clone(), false)
        .into_iter()
        .map(|(line, item)| {
            broken(source, line, &format!("public `{item}` has no comment: say what it is for"))
        })
        .collect()
}

/// `in_trait`: all of it is public.
fn undocumented(tokens: TokenStream, in_trait: bool) -> Vec<(usize, String)> {
    const KINDS: [&str; 8] = ["fn", "struct", "enum", "trait", "const", "static", "type", "union"];
    let mut found = Vec::new();
    for item in items(tokens).into_iter().filter(|item| !item.is_test()) {
        let is_public = match &item.tokens[..] {
            [TokenTree::Ident(first), TokenTree::Ident(_), ..] => in_trait || first == "pub",
            _ => false,
        };
        // `const fn`: the last of its keywords tells the kind.
        let kind = item.tokens.windows(2).position(|pair| {
            let [kind, name] = [&pair[0], &pair[1]].map(ToString::to_string);
            KINDS.contains(&kind.as_str()) && !KINDS.contains(&name.as_str())
        });
        if let Some(at) = kind.filter(|_| is_public && !item.is_documented()) {
            let (line, item) =
                (item.tokens[at].span().start().line, format!("{} {}", item.tokens[at], item.tokens[at + 1]));
            if item != "fn new" {
                found.push((line, item));
            }
        }
        let is_impl_of_trait =
            starts_with(&item.tokens, "impl") && item.tokens.iter().any(|token| token.to_string() == "for");
        let nests =
            ["impl", "mod"].iter().any(|keyword| starts_with(&item.tokens, keyword)) && !is_impl_of_trait;
        let is_trait = is_public && starts_with(&item.tokens, "trait");
        if let Some(TokenTree::Group(body)) = item.tokens.last().filter(|_| nests || is_trait) {
            found.extend(undocumented(body.stream(), is_trait));
        }
    }
    found
}
