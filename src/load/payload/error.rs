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
    #[error("payload `{text}`: not hexadecimal: {why}")]
    Hex { text: String, why: String },
    #[error("payload `{text}`: not base64: {why}")]
    Base64 { text: String, why: String },
    #[error("payload file {0} is empty: there is no line to send")]
    EmptyFile(String),
    #[error("payload file {path}: byte {at} is not UTF-8 text, which a template is")]
    FileNotText { path: String, at: usize },
    #[error("payload file {0} has not been read")]
    Unread(String),
    #[error("`{text}` is not a range of {kind}: {why}")]
    Range { text: String, kind: &'static str, why: String },
    #[error("template field `%{{{0}` is not closed: expected `}}`")]
    OpenField(String),
    #[error(
        "unknown template field `%{{{0}}}`; there are uuid, int:A..B, float:A..B, bool, seq, total, client, \
         index, ms, s, ns, time, hex:N, text:N and pick:A,B"
    )]
    UnknownField(String),
    #[error("template field `%{{{field}}}`: {why}")]
    Field { field: String, why: String },
    #[error("payload `{template}` gives no valid JSON: {why} (use template: for other text)")]
    NotJson { template: String, why: String },
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
    #[error("encoding {encoding} is for text, and payload `{body}` is not: use none, base64, hex or bits")]
    NotText { encoding: String, body: String },
}
