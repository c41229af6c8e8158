//! What the page was made of, to be taken from it: links that hold the whole of a file.

use super::markup::Markup;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

/// A file within the page.
#[derive(Clone)]
pub struct File {
    pub name: String,
    pub mime: &'static str,
    pub text: String,
}

/// Links that save the files. They need no script, unless a file is larger than a browser takes from a link (2 MB).
pub fn links(files: &[File], page: &mut Markup) {
    page.leaf("h2", &[], "Data");
    page.element("p", &[("class", "files")], |links| {
        for file in files {
            let data = BASE64_STANDARD.encode(&file.text);
            let data = format!("data:{};base64,{data}", file.mime);
            links.leaf("a", &[("download", &file.name), ("href", &data)], &file.name);
            links.text(" ");
        }
    });
}

/// A name that every system takes for a file's, of what runs are called.
pub fn file_name(label: &str, extension: &str) -> String {
    let plain = |c: char| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    let name: String = label.chars().map(plain).collect();
    format!("{}.{extension}", name.trim_matches(['.', '-']))
}
