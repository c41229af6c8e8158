//! The project's files as tokens.

use proc_macro2::{Delimiter, Group, Spacing, TokenStream, TokenTree};
use std::collections::BTreeSet;
use std::path::Path;

/// One file.
pub struct Source {
    /// From the project's folder.
    pub path: String,
    /// Where it stands in the library: `["load", "payload"]`. Empty for its root and for what is no part of it.
    pub module: Vec<String>,
    /// Whether all of it is there for tests only.
    pub is_test: bool,
    pub lines: usize,
    pub tokens: TokenStream,
}

impl Source {
    pub fn new(path: &str, module: &[&str], is_test: bool, text: &str) -> Source {
        let tokens = text.parse().unwrap_or_else(|error| panic!("{path} is no Rust: {error}"));
        let module = module.iter().map(|&name| name.to_owned()).collect();
        Source { path: path.into(), module, is_test, lines: text.lines().count(), tokens }
    }

    /// Every file of the library by its modules, and the other files of `src`, `tests` and `benches`.
    pub fn all() -> Vec<Source> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut sources = Vec::new();
        descend(root, "src/lib.rs", &[], false, &mut sources);
        let mut rest = BTreeSet::new();
        ["src", "tests", "benches"].iter().for_each(|folder| list(root, folder, &mut rest));
        sources.iter().for_each(|source| assert!(rest.remove(&source.path), "{} read twice", source.path));
        for path in rest {
            let is_program = ["src/main.rs", "src/malaria.rs"].contains(&path.as_str());
            assert!(is_program || !path.starts_with("src"), "{path} is in no module: name it or remove it");
            sources.push(Source::new(&path, &[], !is_program, &read(root, &path)));
        }
        sources
    }

    /// The top module that it is part of.
    pub fn house(&self) -> Option<&str> {
        self.module.first().map(String::as_str)
    }
}

fn read(root: &Path, path: &str) -> String {
    std::fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The Rust files beneath `folder`.
fn list(root: &Path, folder: &str, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(root.join(folder)).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{folder}/{}", entry.file_name().to_str().unwrap());
        if entry.file_type().unwrap().is_dir() {
            list(root, &path, found);
        } else if path.ends_with(".rs") {
            found.insert(path);
        }
    }
}

/// A file of the library and those of its modules.
fn descend(root: &Path, path: &str, module: &[&str], is_test: bool, sources: &mut Vec<Source>) {
    let source = Source::new(path, module, is_test, &read(root, path));
    let items = items(source.tokens.clone());
    sources.push(source);
    for item in items {
        let [.., TokenTree::Ident(keyword), TokenTree::Ident(name), TokenTree::Punct(end)] = &item.tokens[..]
        else {
            continue;
        };
        if keyword == "mod" && end.as_char() == ';' {
            let name = name.to_string();
            let module = [module, &[name.as_str()]].concat();
            let path = format!("src/{}.rs", module.join("/"));
            descend(root, &path, &module, is_test || item.is_test(), sources);
        }
    }
}

/// What stands between two ends of items or statements.
pub struct Item {
    pub attributes: Vec<Group>,
    /// Without the attributes, with the end.
    pub tokens: Vec<TokenTree>,
}

impl Item {
    fn has_attribute(&self, is: impl Fn(&str) -> bool) -> bool {
        self.attributes.iter().any(|attribute| is(&attribute.stream().to_string().replace(' ', "")))
    }

    pub fn is_test(&self) -> bool {
        self.has_attribute(|text| text == "cfg(test)")
    }

    pub fn is_documented(&self) -> bool {
        self.has_attribute(|text| text.starts_with("doc="))
    }
}

/// Cuts at each semicolon, and at each brace that ends an item: not that of a `use` or of a value.
pub fn items(tokens: TokenStream) -> Vec<Item> {
    let mut items = Vec::new();
    let (mut attributes, mut current): (Vec<Group>, Vec<TokenTree>) = (Vec::new(), Vec::new());
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        let starts =
            current.is_empty() && matches!(&token, TokenTree::Punct(punct) if punct.as_char() == '#');
        if starts && let Some(TokenTree::Group(attribute)) = tokens.peek() {
            attributes.push(attribute.clone());
            tokens.next();
            continue;
        }
        let ends = match &token {
            TokenTree::Punct(punct) => punct.as_char() == ';',
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                !starts_with(&current, "use") && !current.iter().any(is_assignment)
            }
            _ => false,
        };
        current.push(token);
        if ends {
            items.push(Item {
                attributes: std::mem::take(&mut attributes),
                tokens: std::mem::take(&mut current),
            });
        }
    }
    items.push(Item { attributes, tokens: current });
    items
}

/// Whether a declaration begins with this keyword, behind `pub` and what `pub` is restricted to.
pub fn starts_with(tokens: &[TokenTree], keyword: &str) -> bool {
    let is = |token: &&TokenTree| !matches!(token, TokenTree::Group(_)) && token.to_string() != "pub";
    tokens.iter().find(is).is_some_and(|token| token.to_string() == keyword)
}

fn is_assignment(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == '=' && punct.spacing() == Spacing::Alone)
}
