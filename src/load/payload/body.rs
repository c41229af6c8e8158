//! What bodies hold, as it is described.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::list::{join, split};
use super::{FieldTemplate, NumberRange, PayloadError};

/// What a body holds. The first six have the length that [`SizePlan`](super::SizePlan) says, the others one of
/// their own.
///
/// ```
/// use malaria_bench::load::BodyPlan;
///
/// for text in [
///     "hex",                         // malaria's: random characters of 0-9a-fA-F
///     "zeros",                       // bytes of value 0
///     "random",                      // random bytes: nothing on the way can compress them
///     "text",                        // random printable ASCII
///     "pattern:0123456789",          // this text, over and over
///     "pattern-hex:00FF",            // these bytes, over and over
///     "message-from",                // chirino's: `Message from <client id>`, a line end, letters
///     "text:hello",                  // this text
///     "hex:DEADBEEF",                // these bytes
///     "pick:on,off",                 // one of these at random; `\,` is a comma
///     "json:{\"t\":%{float:-1..1}}", // see `FieldTemplate`
///     "template:t=%{int:0..100}",    // the same for other text
///     "int:0..100",                  // a number as text; also long, float, double
///     "binary-float:0..1",           // a number as 4 or 8 bytes, big-endian
///     "lines:values.csv",            // the lines of a file in turn, see `BodyPlan::resolve`
///     "file:image.png",              // a whole file
///     "json:@reading.json",          // a template from a file
/// ] {
///     let plan: BodyPlan = text.parse()?;
///     assert_eq!(plan.to_string(), text);
/// }
/// assert_eq!("base64:3q2+7w==".parse::<BodyPlan>()?, "hex:deadbeef".parse()?);
///
/// let plan: BodyPlan = "lines:values.csv".parse()?;
/// assert_eq!(plan.file(), Some("values.csv"));
/// let plan = plan.resolve(b"1,20.5\n2,20.7\n".to_vec())?; // what the caller read from it
/// assert_eq!(plan, BodyPlan::Lines(vec![b"1,20.5".to_vec(), b"2,20.7".to_vec()]));
/// # Ok::<(), malaria_bench::load::PayloadError>(())
/// ```
#[derive(Clone, PartialEq, Debug, Default)]
pub enum BodyPlan {
    /// Random characters of `0123456789abcdefABCDEF`, each as often.
    #[default]
    MalariaHex,
    Zeros,
    /// Random bytes.
    Random,
    /// Random characters from space to `~`.
    Text,
    /// These bytes over and over; at least one.
    Pattern(Vec<u8>),
    /// `Message from <client id>`, a line end, and letters: the one at byte i is the (i modulo 26)th. Cut to
    /// size. Characters beyond ASCII become `?`, as in chirino's mqtt-benchmark.
    MessageFrom,
    /// These bytes.
    Fixed(Vec<u8>),
    /// One of these at random, each as often.
    Pick(Vec<Vec<u8>>),
    /// One after the other by the number of the message, and again from the first. At least one.
    Lines(Vec<Vec<u8>>),
    /// A number as text.
    Number(NumberRange),
    /// A number as 4 or 8 bytes, big-endian.
    BinaryNumber(NumberRange),
    Template(FieldTemplate),
    /// The contents of a file that has not been read yet.
    FromFile {
        kind: FileKind,
        path: String,
    },
}

/// What becomes of a file's contents.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FileKind {
    /// [`BodyPlan::Lines`]
    Lines,
    /// [`BodyPlan::Fixed`]
    Whole,
    /// [`BodyPlan::Template`] that gives JSON
    Json,
    /// [`BodyPlan::Template`]
    Template,
}

/// In the flag byte of tuanhiep's JMeter sampler: a string.
const STRING_FLAG: u8 = 0x02;

impl BodyPlan {
    /// The path of the file to read for this plan.
    pub fn file(&self) -> Option<&str> {
        match self {
            BodyPlan::FromFile { path, .. } => Some(path),
            _ => None,
        }
    }

    /// The plan with the `contents` of its file; one without a file stays as it is. Lines end in LF or CR LF;
    /// an empty line is an empty message. A line end at the end of a template is not part of it.
    pub fn resolve(self, contents: Vec<u8>) -> Result<BodyPlan, PayloadError> {
        let BodyPlan::FromFile { kind, path } = self else {
            return Ok(self);
        };
        match kind {
            FileKind::Whole => Ok(BodyPlan::Fixed(contents)),
            FileKind::Lines if contents.is_empty() => Err(PayloadError::EmptyFile(path)),
            FileKind::Lines => {
                let whole = contents.strip_suffix(b"\n").unwrap_or(&contents);
                let lines = whole.split(|byte| *byte == b'\n');
                let lines = lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line).to_vec());
                Ok(BodyPlan::Lines(lines.collect()))
            }
            FileKind::Json | FileKind::Template => {
                let text = String::from_utf8(contents).map_err(|error| {
                    let at = error.utf8_error().valid_up_to();
                    PayloadError::FileNotText { path: path.clone(), at }
                })?;
                let text = text.strip_suffix('\n').unwrap_or(&text);
                let text = text.strip_suffix('\r').unwrap_or(text);
                let template = match kind {
                    FileKind::Json => FieldTemplate::json(text),
                    _ => FieldTemplate::text(text),
                };
                template.map(BodyPlan::Template).map_err(|error| error.in_file(path, text))
            }
        }
    }

    /// An error for lists and patterns without an entry, which text cannot describe.
    pub(super) fn check(&self) -> Result<(), PayloadError> {
        match self {
            BodyPlan::Pattern(pattern) if pattern.is_empty() => Err(PayloadError::Empty("pattern")),
            BodyPlan::Pick(items) if items.is_empty() => Err(PayloadError::Empty("list of payloads")),
            BodyPlan::Lines(lines) if lines.is_empty() => Err(PayloadError::Empty("list of lines")),
            BodyPlan::FromFile { path, .. } => Err(PayloadError::Unread(path.clone())),
            _ => Ok(()),
        }
    }

    /// Whether every body is UTF-8.
    pub(super) fn is_text(&self) -> bool {
        let utf8 = |bytes: &Vec<u8>| std::str::from_utf8(bytes).is_ok();
        match self {
            // A pattern is cut anywhere.
            BodyPlan::Pattern(pattern) => pattern.is_ascii(),
            BodyPlan::Fixed(bytes) => utf8(bytes),
            BodyPlan::Pick(items) | BodyPlan::Lines(items) => items.iter().all(utf8),
            BodyPlan::Random | BodyPlan::BinaryNumber(_) | BodyPlan::FromFile { .. } => false,
            BodyPlan::MalariaHex
            | BodyPlan::Zeros
            | BodyPlan::Text
            | BodyPlan::MessageFrom
            | BodyPlan::Number(_)
            | BodyPlan::Template(_) => true,
        }
    }

    /// What it is in the flag byte of [`PayloadStamp::Flags`](super::PayloadStamp::Flags).
    pub(super) fn flag(&self) -> u8 {
        match self {
            BodyPlan::BinaryNumber(range) => range.kind().flag(),
            BodyPlan::Zeros | BodyPlan::Pattern(_) => 0,
            body if body.is_text() => STRING_FLAG,
            _ => 0,
        }
    }
}

impl FromStr for BodyPlan {
    type Err = PayloadError;

    fn from_str(text: &str) -> Result<BodyPlan, PayloadError> {
        let Some((kind, rest)) = text.split_once(':') else {
            return match text {
                "hex" => Ok(BodyPlan::MalariaHex),
                "zeros" => Ok(BodyPlan::Zeros),
                "random" => Ok(BodyPlan::Random),
                "text" => Ok(BodyPlan::Text),
                "message-from" => Ok(BodyPlan::MessageFrom),
                _ => Err(PayloadError::UnknownBody(text.into())),
            };
        };
        if rest.is_empty() && matches!(kind, "pattern" | "pattern-hex" | "lines" | "file" | "json") {
            return Err(PayloadError::Nothing(text.into()));
        }
        let file = |kind, path: &str| match path {
            "" => Err(PayloadError::Nothing(text.into())),
            path => Ok(BodyPlan::FromFile { kind, path: path.into() }),
        };
        match kind {
            "pattern" => Ok(BodyPlan::Pattern(rest.into())),
            "pattern-hex" => hex(text, rest).map(BodyPlan::Pattern),
            "text" => Ok(BodyPlan::Fixed(rest.into())),
            "hex" => hex(text, rest).map(BodyPlan::Fixed),
            "base64" => {
                let error = |why: String| PayloadError::Base64 { text: text.into(), why };
                STANDARD.decode(rest).map(BodyPlan::Fixed).map_err(|why| error(why.to_string()))
            }
            "pick" => Ok(BodyPlan::Pick(split(rest, &[',']).into_iter().map(String::into_bytes).collect())),
            "lines" => file(FileKind::Lines, rest),
            "file" => file(FileKind::Whole, rest),
            "json" => match rest.strip_prefix('@') {
                Some(path) => file(FileKind::Json, path),
                None => FieldTemplate::json(rest).map(BodyPlan::Template),
            },
            "template" => match rest.strip_prefix('@') {
                Some(path) => file(FileKind::Template, path),
                None => FieldTemplate::text(rest).map(BodyPlan::Template),
            },
            _ => number(text),
        }
    }
}

/// `int:0..100` and `binary-int:0..100`.
fn number(text: &str) -> Result<BodyPlan, PayloadError> {
    let plan = match text.strip_prefix("binary-") {
        Some(text) => text.parse().map(BodyPlan::BinaryNumber),
        None => text.parse().map(BodyPlan::Number),
    };
    plan.map_err(|error| match error {
        PayloadError::UnknownBody(_) => PayloadError::UnknownBody(text.into()),
        error => error,
    })
}

/// The bytes that hexadecimal `digits` stand for.
fn hex(text: &str, digits: &str) -> Result<Vec<u8>, PayloadError> {
    let error = |why: String| PayloadError::Hex { text: text.into(), why };
    if let Some(char) = digits.chars().find(|char| !char.is_ascii_hexdigit()) {
        return Err(error(format!("`{char}` is no digit")));
    }
    if !digits.len().is_multiple_of(2) {
        return Err(error(format!("{} digits are no whole bytes", digits.len())));
    }
    let digit = |digit: u8| char::from(digit).to_digit(16).expect("checked above") as u8;
    Ok(digits.as_bytes().chunks_exact(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect())
}

impl fmt::Display for BodyPlan {
    /// Reads back as the same plan, but for lines whose file has been read: they have no text form of their own, and
    /// print as their number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BodyPlan::MalariaHex => f.write_str("hex"),
            BodyPlan::Zeros => f.write_str("zeros"),
            BodyPlan::Random => f.write_str("random"),
            BodyPlan::Text => f.write_str("text"),
            BodyPlan::Pattern(bytes) => write_bytes(f, "pattern", "pattern-hex", bytes),
            BodyPlan::MessageFrom => f.write_str("message-from"),
            BodyPlan::Fixed(bytes) => write_bytes(f, "text", "hex", bytes),
            BodyPlan::Pick(items) => {
                let items: Vec<_> =
                    items.iter().map(|item| String::from_utf8_lossy(item).into_owned()).collect();
                write!(f, "pick:{}", join(&items, &[',']))
            }
            BodyPlan::Lines(lines) => write!(f, "{} lines", lines.len()),
            BodyPlan::Number(range) => write!(f, "{}:{range}", range.kind().name()),
            BodyPlan::BinaryNumber(range) => write!(f, "binary-{}:{range}", range.kind().name()),
            BodyPlan::Template(template) if template.is_json() => write!(f, "json:{template}"),
            BodyPlan::Template(template) => write!(f, "template:{template}"),
            BodyPlan::FromFile { kind: FileKind::Lines, path } => write!(f, "lines:{path}"),
            BodyPlan::FromFile { kind: FileKind::Whole, path } => write!(f, "file:{path}"),
            BodyPlan::FromFile { kind: FileKind::Json, path } => write!(f, "json:@{path}"),
            BodyPlan::FromFile { kind: FileKind::Template, path } => write!(f, "template:@{path}"),
        }
    }
}

/// As text where it prints on one line.
fn write_bytes(f: &mut fmt::Formatter<'_>, text: &str, hex: &str, bytes: &[u8]) -> fmt::Result {
    match std::str::from_utf8(bytes) {
        Ok(readable) if !readable.contains(char::is_control) => write!(f, "{text}:{readable}"),
        _ => {
            write!(f, "{hex}:")?;
            bytes.iter().try_for_each(|byte| write!(f, "{byte:02X}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn checklist_22_literals_are_decoded() {
        for (text, bytes) in [
            ("hex:DEADbeef", &[0xde, 0xad, 0xbe, 0xef][..]),
            ("hex:", &[]),
            ("base64:aGVsbG8=", b"hello"),
            ("text:a:b", b"a:b"),
            ("text:", b""),
        ] {
            assert_eq!(text.parse(), Ok(BodyPlan::Fixed(bytes.to_vec())), "{text}");
        }
    }

    #[test]
    fn checklist_22_senseless_payloads_are_errors_in_one_line() {
        for (text, part) in [
            ("hexx", "`hexx` is not a payload"),
            ("", "expected"),
            ("numbers:5", "`numbers:5`"),
            ("binary-text:5", "`binary-text:5`"),
            ("hex:ABC", "3 digits"),
            ("hex:\u{e9}\u{e9}", "no digit"),
            ("hex:0x12", "`x`"),
            ("base64:a", "not base64"),
            ("base64:****", "not base64"),
            ("pattern:", "behind the colon"),
            ("pattern-hex:", "behind the colon"),
            ("lines:", "behind the colon"),
            ("json:@", "behind the colon"),
            ("template:@", "behind the colon"),
            ("json:{", "no valid JSON"),
            ("template:%{x}", "unknown template field"),
            ("int:9..1", "not a range of int"),
        ] {
            let error = text.parse::<BodyPlan>().unwrap_err().to_string();
            assert!(error.contains(part) && !error.contains('\n'), "{text}: {error}");
        }
    }

    #[test]
    fn checklist_22_files_become_lines_bytes_or_templates() {
        let resolve = |text: &str, contents: &[u8]| {
            text.parse::<BodyPlan>().unwrap().resolve(contents.to_vec()).map_err(|error| error.to_string())
        };
        let lines = |lines: &[&str]| Ok(BodyPlan::Lines(lines.iter().map(|line| (*line).into()).collect()));
        assert_eq!(resolve("lines:f", b"a\r\n\nb"), lines(&["a", "", "b"]));
        assert_eq!(resolve("lines:f", b"a\n"), lines(&["a"]));
        assert_eq!(resolve("lines:f", b"\n"), lines(&[""]));
        assert_eq!(resolve("lines:f", b""), Err("payload file f is empty: there is no line to send".into()));
        assert_eq!(resolve("file:f", b""), Ok(BodyPlan::Fixed(vec![])));
        assert_eq!(resolve("json:@f", b"[%{seq}]\r\n"), Ok("json:[%{seq}]".parse().unwrap()));
        assert_eq!(resolve("template:@f", b"%{seq}\n\n"), Ok("template:%{seq}\n".parse().unwrap()));
        let broken = |text: &str, contents: &[u8], start: &str| {
            let error = resolve(text, contents).unwrap_err();
            assert!(error.starts_with(start) && !error.contains('\n'), "{error}");
        };
        broken("json:@f", b"{\n\"a\":\n1,}", "payload file f, line 3: gives no valid JSON");
        broken("json:@f", b"[\n%{seq},\n%{se}]", "payload file f, line 3: unknown template field `%{se}`");
        broken("template:@f", b"\n%{int:5", "payload file f, line 2: template field `%{int:5` is not closed");
        let error = resolve("json:@f", b"\"\xff\"").unwrap_err();
        assert!(error.contains("byte 1") && error.contains('f'), "{error}");
        assert_eq!(resolve("hex", b"x"), Ok(BodyPlan::MalariaHex));
    }

    proptest! {
        #[test]
        fn text_and_plan_are_the_same(bytes in proptest::collection::vec(any::<u8>(), 1..40), words: Vec<String>) {
            prop_assume!(!words.is_empty());
            let picks = words.into_iter().map(String::into_bytes).collect();
            for plan in [BodyPlan::Fixed(bytes.clone()), BodyPlan::Pattern(bytes), BodyPlan::Pick(picks)] {
                prop_assert_eq!(plan.to_string().parse::<BodyPlan>(), Ok(plan));
            }
        }
    }
}
