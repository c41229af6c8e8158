//! What is wrong with a description of payloads.

use crate::units::UnitError;

/// Text that describes no payload, or a description that cannot be carried out. One line each.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PayloadError {
    #[error(transparent)]
    Unit(#[from] UnitError),
    #[error("size `{0}` is negative: a payload has 0 bytes or more")]
    NegativeSize(String),
    #[error(
        "`{0}` is not a size of payloads: expected such as 100, 4KiB, gauss:100, gauss:100,5, uniform:10..200, \
         lognormal:100,0.5 or list:10,100,1KiB"
    )]
    UnknownSize(String),
    #[error("size `{size}`: `{spread}` is no spread: expected a number of 0 or more")]
    Spread { size: String, spread: String },
    #[error("size `{0}`: the smaller bound comes first")]
    EmptySizes(String),
    #[error(
        "payloads of {bytes} bytes are too large: with stamp and encoding at most {most} fit an MQTT packet"
    )]
    TooLarge { bytes: u64, most: u64 },
    #[error(
        "`{0}` is not a payload: expected hex, zeros, random, text, message-from, pattern:TEXT, \
         pattern-hex:DIGITS, text:TEXT, pick:A,B, lines:FILE, file:FILE, hex:DIGITS, base64:TEXT, \
         json:TEMPLATE, json:@FILE, template:TEMPLATE, template:@FILE, or int, long, float, double \
         (or binary-int and so on) with :MIN..MAX"
    )]
    UnknownBody(String),
    #[error("payload `{0}`: nothing stands behind the colon")]
    Nothing(String),
    #[error("a {0} of nothing: give it at least one entry")]
    Empty(&'static str),
    #[error("payload `{}`: not hexadecimal: {why}", brief(.text))]
    Hex { text: String, why: String },
    #[error("payload `{}`: not base64: {why}", brief(.text))]
    Base64 { text: String, why: String },
    #[error("payload file {0} is empty: there is no line to send")]
    EmptyFile(String),
    #[error("payload file {path}: byte {at} is not UTF-8 text, which a template is")]
    FileNotText { path: String, at: usize },
    #[error("payload file {path}, line {line}: {error}")]
    InFile { path: String, line: usize, error: Box<PayloadError> },
    #[error("payload file {0} has not been read")]
    Unread(String),
    #[error("`{text}` is not a range of {kind}: {why}")]
    Range { text: String, kind: &'static str, why: String },
    #[error("template field `%{{{}` is not closed: expected `}}`", brief(.0))]
    OpenField(String),
    #[error(
        "unknown template field `%{{{}}}`; there are uuid, int:A..B, float:A..B, bool, seq, total, client, \
         index, ms, s, ns, time, hex:N, text:N and pick:A,B",
        brief(.0)
    )]
    UnknownField(String),
    #[error("template field `%{{{}}}`: {why}", brief(.field))]
    Field { field: String, why: String },
    #[error("payload `{}` gives no valid JSON: {why} (use template: for other text)", brief(.template))]
    NotJson { template: String, line: usize, why: String },
    #[error("payload file {path}, line {line}: gives no valid JSON: {why}")]
    JsonFile { path: String, line: usize, why: String },
    #[error(
        "`{0}` is not a stamp: expected none, malaria, ms, ms:SEPARATOR, seq, seq:SEPARATOR, binary:ms, \
         binary:seq, binary:ms+seq, flags, flags:ms, flags:seq, flags:ms+seq or own"
    )]
    UnknownStamp(String),
    #[error("stamp `{0}`: a separator is not empty and starts with no digit, or the number would not end")]
    Separator(String),
    #[error(
        "`{0}` is not an encoding: expected none, base64, hex, bits, utf-16, utf-16le, utf-16be, us-ascii or \
         iso-8859-1"
    )]
    UnknownEncoding(String),
    #[error(
        "encoding {encoding} is for text, and payload `{}` is not: use none, base64, hex or bits",
        brief(.body)
    )]
    NotText { encoding: String, body: String },
}

/// One line of what may be a whole file.
fn brief(text: &str) -> String {
    const LONGEST: usize = 60;
    let mut brief: String = text.chars().take(LONGEST).flat_map(one_line).collect();
    if text.chars().nth(LONGEST).is_some() {
        brief.push_str("...");
    }
    brief
}

fn one_line(char: char) -> impl Iterator<Item = char> {
    let (plain, escaped) = match char.is_control() {
        true => (None, Some(char.escape_default())),
        false => (Some(char), None),
    };
    plain.into_iter().chain(escaped.into_iter().flatten())
}

impl PayloadError {
    /// The same, said of the file with this `text`, and of the line where it is wrong.
    pub(super) fn in_file(self, path: String, text: &str) -> PayloadError {
        let place = match &self {
            PayloadError::UnknownField(field) | PayloadError::Field { field, .. } => format!("%{{{field}}}"),
            PayloadError::OpenField(rest) => format!("%{{{rest}"),
            _ => String::new(),
        };
        let before = &text[..text.find(&place).unwrap_or(0)];
        let line = 1 + before.bytes().filter(|byte| *byte == b'\n').count();
        match self {
            PayloadError::NotJson { line, why, .. } => PayloadError::JsonFile { path, line, why },
            error => PayloadError::InFile { path, line, error: Box::new(error) },
        }
    }
}
