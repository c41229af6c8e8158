//! Text with typed random fields.

use std::fmt;
use std::io::Write;
use std::time::{Duration, UNIX_EPOCH};

use super::list::{join, split};
use super::{NumberKind, NumberRange, PAYLOAD, PayloadError, PayloadOf};
use crate::clock::{MILLISECOND, SECOND};
use crate::seed::Draw;

/// Text, often JSON, with fields that are filled in for each message. A field is `%{name}` or
/// `%{name:arguments}`; any other percent sign stands for itself, and `%%{` for `%{`.
///
/// | field | filled in with |
/// | --- | --- |
/// | `%{uuid}` | a random UUID (version 4) |
/// | `%{int:0..100}` | a whole number of 64 bits from 0 to 99; `%{int:7}` is always 7 |
/// | `%{float:-1..1}` | a number of 64 bits from -1 to below 1; `%{float:0..50:2}` has two decimals |
/// | `%{bool}` | `true` or `false` |
/// | `%{seq}`, `%{total}` | number of the message (from 1); messages its client sends, 0 without an end |
/// | `%{client}`, `%{index}` | id and number (from 0) of the client |
/// | `%{s}`, `%{ms}`, `%{ns}` | unix time: seconds with 6 decimals, milliseconds, nanoseconds |
/// | `%{time}` | the same as RFC 3339 in UTC, with milliseconds |
/// | `%{hex:8}` | 8 random digits of 0-9a-f |
/// | `%{text:8}` | 8 random letters and digits |
/// | `%{pick:a,b,c}` | one of these; `\,` and `\}` stand for the character, `\\` for a backslash |
///
/// ```
/// use malaria_bench::load::{FieldTemplate, PayloadOf, PayloadPlan, Payloads};
///
/// let text = r#"{"id":"%{uuid}","t":%{int:0..100},"x":%{float:-1..1},"on":%{bool},"n":%{seq},
///                "c":"%{client}","w":%{ms},"s":"%{hex:8}","k":"%{pick:a,b,c}"}"#;
/// let plan = PayloadPlan { body: format!("json:{text}").parse()?, ..PayloadPlan::default() };
/// let mut out = Vec::new();
/// let of = PayloadOf { client: 0, client_id: "c-0", sequence: 7, total: 9, unix_ns: 5_000_000_000 };
/// Payloads::prepare(plan, 1)?.write(&of, &mut out);
/// let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
/// assert_eq!((&value["n"], &value["c"], &value["w"]), (&7.into(), &"c-0".into(), &5000.into()));
///
/// let error = FieldTemplate::text("%{temperature}").unwrap_err().to_string();
/// assert!(error.starts_with("unknown template field `%{temperature}`"));
/// # Ok::<(), malaria_bench::load::PayloadError>(())
/// ```
#[derive(Clone, PartialEq, Debug)]
pub struct FieldTemplate {
    pieces: Vec<Piece>,
    /// Client ids are escaped as inside a JSON string.
    json: bool,
}

#[derive(Clone, PartialEq, Debug)]
enum Piece {
    Text(String),
    Uuid,
    Number(NumberRange),
    Bool,
    Sequence,
    Total,
    Client,
    Index,
    Seconds,
    Millis,
    Nanos,
    Time,
    Hex(u32),
    Letters(u32),
    Pick(Vec<String>),
}

const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const LONGEST_U64: u64 = 20;
/// Of a client id in MQTT.
const LONGEST_ID: u64 = 65_535;

impl FieldTemplate {
    /// Any text.
    pub fn text(text: &str) -> Result<FieldTemplate, PayloadError> {
        Ok(FieldTemplate { pieces: pieces(text)?, json: false })
    }

    /// Text that is JSON once its fields are filled in: that is tried with each of the texts to pick from.
    pub fn json(text: &str) -> Result<FieldTemplate, PayloadError> {
        let template = FieldTemplate { pieces: pieces(text)?, json: true };
        let of = PayloadOf { client: 0, client_id: "client", sequence: 1, total: 1, unix_ns: 0 };
        let picks =
            template.pieces.iter().map(|piece| if let Piece::Pick(picks) = piece { picks.len() } else { 1 });
        let mut out = Vec::new();
        for choice in 0..picks.max().unwrap_or(1) {
            out.clear();
            template.fill(&of, &mut Draw::of(0, PAYLOAD, 0, 0), Some(choice), &mut out);
            serde_json::from_slice::<serde::de::IgnoredAny>(&out).map_err(|error| PayloadError::NotJson {
                template: text.into(),
                line: error.line(),
                why: error.to_string(),
            })?;
        }
        Ok(template)
    }

    pub(super) fn is_json(&self) -> bool {
        self.json
    }

    pub(super) fn write(&self, of: &PayloadOf<'_>, draw: &mut Draw, out: &mut Vec<u8>) {
        self.fill(of, draw, None, out);
    }

    /// `choice` is what to pick instead of a random one, modulo how many there are.
    fn fill(&self, of: &PayloadOf<'_>, draw: &mut Draw, choice: Option<usize>, out: &mut Vec<u8>) {
        for piece in &self.pieces {
            let written = match piece {
                Piece::Text(text) => out.write_all(text.as_bytes()),
                Piece::Uuid => uuid(draw, out),
                Piece::Number(range) => {
                    range.write_text(draw, out);
                    Ok(())
                }
                Piece::Bool => write!(out, "{}", draw.below(2) == 1),
                Piece::Sequence => write!(out, "{}", of.sequence),
                Piece::Total => write!(out, "{}", of.total),
                Piece::Client if self.json => escape(of.client_id, out),
                Piece::Client => out.write_all(of.client_id.as_bytes()),
                Piece::Index => write!(out, "{}", of.client),
                Piece::Seconds => {
                    write!(out, "{}.{:06}", of.unix_ns / SECOND, of.unix_ns % SECOND / 1000)
                }
                Piece::Millis => write!(out, "{}", of.unix_ns / MILLISECOND),
                Piece::Nanos => write!(out, "{}", of.unix_ns),
                Piece::Time => {
                    let time = UNIX_EPOCH + Duration::from_nanos(of.unix_ns);
                    write!(out, "{}", humantime::format_rfc3339_millis(time))
                }
                Piece::Hex(count) => {
                    out.extend((0..*count).map(|_| LETTERS[draw.below(16) as usize].to_ascii_lowercase()));
                    Ok(())
                }
                Piece::Letters(count) => {
                    out.extend((0..*count).map(|_| LETTERS[draw.below(62) as usize]));
                    Ok(())
                }
                Piece::Pick(picks) => {
                    let choice = choice.unwrap_or_else(|| draw.below(picks.len() as u64) as usize);
                    out.write_all(picks[choice % picks.len()].as_bytes())
                }
            };
            written.expect("writing to memory");
        }
    }

    /// No message is longer, in bytes.
    pub(super) fn longest(&self) -> u64 {
        let lengths = self.pieces.iter().map(|piece| match piece {
            Piece::Text(text) => text.len() as u64,
            Piece::Uuid => 36,
            Piece::Number(range) => range.longest_text(),
            Piece::Bool => 5,
            Piece::Sequence | Piece::Total | Piece::Index | Piece::Millis | Piece::Nanos => LONGEST_U64,
            Piece::Seconds | Piece::Time => 24,
            // Control characters become six bytes in JSON.
            Piece::Client => LONGEST_ID * if self.json { 6 } else { 1 },
            Piece::Hex(count) | Piece::Letters(count) => u64::from(*count),
            Piece::Pick(picks) => picks.iter().map(|pick| pick.len() as u64).max().unwrap_or(0),
        });
        lengths.sum()
    }
}

/// RFC 9562, section 5.4.
fn uuid(draw: &mut Draw, out: &mut Vec<u8>) -> std::io::Result<()> {
    let (high, low) = (draw.bits(), draw.bits());
    write!(
        out,
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xfff,
        low >> 48 & 0x3fff | 0x8000,
        low & 0xffff_ffff_ffff
    )
}

/// As inside a JSON string.
fn escape(text: &str, out: &mut Vec<u8>) -> std::io::Result<()> {
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => out.extend([b'\\', byte]),
            0..0x20 => write!(out, "\\u{byte:04x}")?,
            _ => out.push(byte),
        }
    }
    Ok(())
}

fn pieces(text: &str) -> Result<Vec<Piece>, PayloadError> {
    let (mut pieces, mut plain, mut rest) = (Vec::new(), String::new(), text);
    while let Some(at) = rest.find("%{") {
        plain.push_str(&rest[..at]);
        rest = &rest[at + 2..];
        if plain.ends_with('%') {
            plain.push('{');
            continue;
        }
        let end = closing(rest).ok_or_else(|| PayloadError::OpenField(rest.into()))?;
        if !plain.is_empty() {
            pieces.push(Piece::Text(std::mem::take(&mut plain)));
        }
        pieces.push(field(&rest[..end])?);
        rest = &rest[end + 1..];
    }
    plain.push_str(rest);
    if !plain.is_empty() {
        pieces.push(Piece::Text(plain));
    }
    Ok(pieces)
}

/// Where the brace is that closes a field: the first without a backslash before it.
fn closing(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let closes = byte == b'}' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    })
}

fn field(field: &str) -> Result<Piece, PayloadError> {
    let error = |why: String| PayloadError::Field { field: field.into(), why };
    let (name, arguments) = match field.split_once(':') {
        Some((name, arguments)) => (name, Some(arguments)),
        None => (field, None),
    };
    let plain = match name {
        "uuid" => Some(Piece::Uuid),
        "bool" => Some(Piece::Bool),
        "seq" => Some(Piece::Sequence),
        "total" => Some(Piece::Total),
        "client" => Some(Piece::Client),
        "index" => Some(Piece::Index),
        "s" => Some(Piece::Seconds),
        "ms" => Some(Piece::Millis),
        "ns" => Some(Piece::Nanos),
        "time" => Some(Piece::Time),
        _ => None,
    };
    if let Some(piece) = plain {
        return match arguments {
            None => Ok(piece),
            Some(_) => Err(error(format!("{name} takes nothing behind a colon"))),
        };
    }
    let kind = match name {
        "int" => Some(NumberKind::Long),
        "float" => Some(NumberKind::Double),
        "hex" | "text" | "pick" => None,
        _ => return Err(PayloadError::UnknownField(field.into())),
    };
    let arguments =
        arguments.ok_or_else(|| error(format!("{name} needs a colon and what comes behind it")))?;
    if let Some(kind) = kind {
        let range = NumberRange::parse(kind, arguments);
        return range.map(Piece::Number).map_err(|why| error(why.to_string()));
    }
    if name == "pick" {
        return Ok(Piece::Pick(split(arguments, &[',', '}'])));
    }
    // Drawn one by one for each message; the bodies `hex` and `text` are prepared and have no such bound.
    let count = arguments.trim().parse().ok().filter(|count| *count <= 65_535);
    let count = count.ok_or_else(|| error(format!("`{arguments}` is not a length of 0 to 65535")))?;
    Ok(if name == "hex" { Piece::Hex(count) } else { Piece::Letters(count) })
}

impl fmt::Display for FieldTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => f.write_str(&text.replace("%{", "%%{"))?,
                Piece::Uuid => f.write_str("%{uuid}")?,
                Piece::Number(range) if range.kind() == NumberKind::Long => write!(f, "%{{int:{range}}}")?,
                Piece::Number(range) => write!(f, "%{{float:{range}}}")?,
                Piece::Bool => f.write_str("%{bool}")?,
                Piece::Sequence => f.write_str("%{seq}")?,
                Piece::Total => f.write_str("%{total}")?,
                Piece::Client => f.write_str("%{client}")?,
                Piece::Index => f.write_str("%{index}")?,
                Piece::Seconds => f.write_str("%{s}")?,
                Piece::Millis => f.write_str("%{ms}")?,
                Piece::Nanos => f.write_str("%{ns}")?,
                Piece::Time => f.write_str("%{time}")?,
                Piece::Hex(count) => write!(f, "%{{hex:{count}}}")?,
                Piece::Letters(count) => write!(f, "%{{text:{count}}}")?,
                Piece::Pick(picks) => write!(f, "%{{pick:{}}}", join(picks, &[',', '}']))?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn filled(template: &FieldTemplate, client_id: &str, sequence: u64) -> String {
        let of = PayloadOf { client: 4, client_id, sequence, total: 9, unix_ns: 1_795_325_252_451_342_000 };
        let mut out = Vec::new();
        template.write(&of, &mut Draw::of(1, PAYLOAD, of.client, sequence), &mut out);
        assert!(out.len() as u64 <= template.longest());
        String::from_utf8(out).unwrap()
    }

    fn text(template: &str) -> String {
        filled(&FieldTemplate::text(template).unwrap(), "c-4", 7)
    }

    #[test]
    fn checklist_22_fields_are_filled_in() {
        for (template, expected) in [
            ("%{seq}/%{total} %{client} %{index}", "7/9 c-4 4"),
            ("%{s},%{ms},%{ns}", "1795325252.451342,1795325252451,1795325252451342000"),
            ("%{time}", "2026-11-22T05:27:32.451Z"),
            ("50% 100%% %d %%{seq}", "50% 100%% %d %{seq}"),
            ("%{int:5}%{float:2.5}%{float:1:2}", "52.51.00"),
            (r"%{pick:a\,b\}\\}", r"a,b}\"),
            ("%{hex:0}", ""),
            ("", ""),
        ] {
            assert_eq!(text(template), expected, "{template}");
            assert_eq!(text(&FieldTemplate::text(template).unwrap().to_string()), expected);
        }
        let hex = text("%{hex:32}");
        assert!(hex.len() == 32 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')), "{hex}");
        assert!(text("%{text:40}").bytes().all(|byte| byte.is_ascii_alphanumeric()));
    }

    #[test]
    fn checklist_22_a_uuid_is_of_version_4() {
        let uuid = text("%{uuid}");
        let parts: Vec<_> = uuid.split('-').map(str::len).collect();
        assert_eq!(parts, [8, 4, 4, 4, 12]);
        assert_eq!(&uuid[14..15], "4");
        assert!("89ab".contains(&uuid[19..20]), "{uuid}");
    }

    #[test]
    fn checklist_22_unknown_fields_are_errors_in_one_line() {
        for (template, part) in [
            ("%{temperature}", "unknown template field `%{temperature}`"),
            ("%{}", "unknown template field `%{}`"),
            ("a %{seq", "`%{seq` is not closed"),
            ("%{seq:5}", "takes nothing"),
            ("%{int}", "needs a colon"),
            ("%{int:9..1}", "no number"),
            ("%{hex:-1}", "`-1`"),
            ("%{hex:70000}", "65535"),
        ] {
            let error = FieldTemplate::text(template).unwrap_err().to_string();
            assert!(error.contains(part) && !error.contains('\n'), "{template}: {error}");
        }
    }

    #[test]
    fn checklist_22_what_is_no_json_is_an_error() {
        for template in ["{", r#"{"a":%{hex:8}x}"#, r#"{"a":%{pick:1,x}}"#, "{} {}", ""] {
            let error = FieldTemplate::json(template).unwrap_err().to_string();
            assert!(error.contains("no valid JSON") && !error.contains('\n'), "{template}: {error}");
        }
        assert!(FieldTemplate::json(r#"{"a":%{pick:1,true,"x"}}"#).is_ok());
    }

    proptest! {
        #[test]
        fn client_ids_do_not_break_json(id: String, sequence: u64) {
            let template = FieldTemplate::json(r#"{"c":"%{client}","u":"%{uuid}","f":%{float:-1..1}}"#).unwrap();
            let value: serde_json::Value = serde_json::from_str(&filled(&template, &id, sequence)).unwrap();
            prop_assert_eq!(value["c"].as_str(), Some(id.as_str()));
            prop_assert!((-1.0..1.0).contains(&value["f"].as_f64().unwrap()));
        }

        #[test]
        fn any_template_is_read_or_refused(template in "[%{}a-z:0-9.,\\\\]{0,40}") {
            if let Ok(parsed) = FieldTemplate::text(&template) {
                let again = FieldTemplate::text(&parsed.to_string());
                prop_assert_eq!(again, Ok(parsed));
            }
        }
    }
}
