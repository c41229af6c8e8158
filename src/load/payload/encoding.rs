//! How bodies are written down.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::PayloadError;

/// How a body is written down. The stamp before it is not: it stays readable.
///
/// ```
/// use malaria_bench::load::{PayloadOf, PayloadPlan, Payloads};
///
/// let of = PayloadOf { client: 0, client_id: "c-0", sequence: 1, total: 1, unix_ns: 0 };
/// for (encoding, bytes) in [
///     ("none", &b"AB"[..]),
///     ("base64", b"QUI="),                 // RFC 4648, padded
///     ("hex", b"4142"),
///     ("bits", b"0100001001000001"),       // the last byte first, as Apache's BinaryCodec
///     ("utf-16", b"\xfe\xff\0A\0B"),       // with the byte order mark, big-endian, as Java
///     ("utf-16le", b"A\0B\0"),
///     ("utf-16be", b"\0A\0B"),
///     ("us-ascii", b"AB"),                 // what it lacks becomes `?`, as in Java
///     ("iso-8859-1", b"AB"),
/// ] {
///     let plan =
///         PayloadPlan { body: "text:AB".parse()?, encoding: encoding.parse()?, ..PayloadPlan::default() };
///     let mut out = Vec::new();
///     Payloads::prepare(plan, 1)?.write(&of, &mut out);
///     assert_eq!(out, bytes);
/// }
/// # Ok::<(), malaria_bench::load::PayloadError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Encoding {
    /// As it is; text is UTF-8.
    #[default]
    None,
    /// RFC 4648 with padding.
    Base64,
    /// Lower-case digits.
    Hex,
    /// Eight characters `0` and `1` for each byte, highest bit first and the last byte first: Apache
    /// commons-codec's `BinaryCodec`, which is what tuanhiep's JMeter sampler calls binary.
    Bits,
    /// Big-endian behind a byte order mark, as Java writes it.
    Utf16,
    Utf16Le,
    Utf16Be,
    UsAscii,
    Iso88591,
}

const NAMES: [(Encoding, &str); 9] = [
    (Encoding::None, "none"),
    (Encoding::Base64, "base64"),
    (Encoding::Hex, "hex"),
    (Encoding::Bits, "bits"),
    (Encoding::Utf16, "utf-16"),
    (Encoding::Utf16Le, "utf-16le"),
    (Encoding::Utf16Be, "utf-16be"),
    (Encoding::UsAscii, "us-ascii"),
    (Encoding::Iso88591, "iso-8859-1"),
];

impl FromStr for Encoding {
    type Err = PayloadError;

    /// In any case; `utf-8` counts as `none`.
    fn from_str(text: &str) -> Result<Encoding, PayloadError> {
        if text.eq_ignore_ascii_case("utf-8") {
            return Ok(Encoding::None);
        }
        let named = NAMES.iter().find(|named| named.1.eq_ignore_ascii_case(text));
        named.map(|named| named.0).ok_or_else(|| PayloadError::UnknownEncoding(text.into()))
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = NAMES.iter().find(|named| named.0 == *self);
        f.pad(named.expect("every encoding has a name").1)
    }
}

impl Encoding {
    /// Whether it takes characters, not bytes.
    pub(super) fn is_charset(self) -> bool {
        !matches!(self, Encoding::None | Encoding::Base64 | Encoding::Hex | Encoding::Bits)
    }

    /// No body of `plain` bytes is longer than this.
    pub(super) fn longest(self, plain: u64) -> u64 {
        match self {
            Encoding::None | Encoding::UsAscii | Encoding::Iso88591 => plain,
            Encoding::Base64 => plain.div_ceil(3).saturating_mul(4),
            Encoding::Hex | Encoding::Utf16Le | Encoding::Utf16Be => plain.saturating_mul(2),
            Encoding::Utf16 => plain.saturating_mul(2).saturating_add(2),
            Encoding::Bits => plain.saturating_mul(8),
        }
    }

    /// Every body of as many bytes is at most `room` bytes long: the inverse of [`longest`](Self::longest).
    pub(super) fn fits(self, room: u64) -> u64 {
        match self {
            Encoding::None | Encoding::UsAscii | Encoding::Iso88591 => room,
            Encoding::Base64 => room / 4 * 3,
            Encoding::Hex | Encoding::Utf16Le | Encoding::Utf16Be => room / 2,
            Encoding::Utf16 => room.saturating_sub(2) / 2,
            Encoding::Bits => room / 8,
        }
    }

    /// Encodes what stands in `out` from `start` on, in place. Uses room behind it, so it allocates
    /// nothing when plain and encoded body fit behind each other. A charset needs valid UTF-8 there.
    pub(super) fn apply(self, out: &mut Vec<u8>, start: usize) {
        if self == Encoding::None {
            return;
        }
        let end = out.len();
        let length = self.length(&out[start..]);
        out.resize(end + length, 0);
        let (plain, encoded) = out.split_at_mut(end);
        self.encode(&plain[start..], encoded);
        out.copy_within(end.., start);
        out.truncate(start + length);
    }

    fn length(self, plain: &[u8]) -> usize {
        match self {
            Encoding::UsAscii | Encoding::Iso88591 => text(plain).chars().count(),
            Encoding::Utf16Le | Encoding::Utf16Be => 2 * text(plain).encode_utf16().count(),
            Encoding::Utf16 => 2 + 2 * text(plain).encode_utf16().count(),
            Encoding::None | Encoding::Base64 | Encoding::Hex | Encoding::Bits => {
                self.longest(plain.len() as u64) as usize
            }
        }
    }

    /// `encoded` has exactly the length it needs.
    fn encode(self, plain: &[u8], encoded: &mut [u8]) {
        let latin =
            |most: u32| move |char: char| if u32::from(char) <= most { u32::from(char) as u8 } else { b'?' };
        let put = |to: &mut [u8], bytes: &mut dyn Iterator<Item = u8>| {
            to.iter_mut().zip(bytes).for_each(|(to, byte)| *to = byte);
        };
        let big = |plain| text(plain).encode_utf16().flat_map(u16::to_be_bytes);
        match self {
            Encoding::None => encoded.copy_from_slice(plain),
            Encoding::Base64 => {
                STANDARD.encode_slice(plain, encoded).expect("the room was worked out");
            }
            Encoding::Hex => put(encoded, &mut plain.iter().flat_map(|byte| hex(*byte))),
            Encoding::Bits => put(encoded, &mut plain.iter().rev().flat_map(|byte| bits(*byte))),
            Encoding::Utf16 => put(encoded, &mut [0xfe, 0xff].into_iter().chain(big(plain))),
            Encoding::Utf16Be => put(encoded, &mut big(plain)),
            Encoding::Utf16Le => {
                put(encoded, &mut text(plain).encode_utf16().flat_map(u16::to_le_bytes));
            }
            Encoding::UsAscii => put(encoded, &mut text(plain).chars().map(latin(0x7f))),
            Encoding::Iso88591 => put(encoded, &mut text(plain).chars().map(latin(0xff))),
        }
    }
}

fn text(plain: &[u8]) -> &str {
    std::str::from_utf8(plain).expect("charsets are refused for bodies that are not text")
}

fn hex(byte: u8) -> [u8; 2] {
    [byte >> 4, byte & 15].map(|digit| b"0123456789abcdef"[usize::from(digit)])
}

fn bits(byte: u8) -> [u8; 8] {
    [7, 6, 5, 4, 3, 2, 1, 0].map(|bit| b'0' + (byte >> bit & 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encoded(encoding: Encoding, plain: &[u8]) -> Vec<u8> {
        let mut out = [b"stamp", plain].concat();
        encoding.apply(&mut out, 5);
        assert!(out.starts_with(b"stamp"));
        out.split_off(5)
    }

    #[test]
    fn checklist_24_known_answers() {
        // Test vectors of RFC 4648, section 10.
        for (plain, base64) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foobar", "Zm9vYmFy")] {
            assert_eq!(encoded(Encoding::Base64, plain.as_bytes()), base64.as_bytes());
        }
        assert_eq!(encoded(Encoding::Hex, &[0, 0xde, 0xad]), b"00dead");
        assert_eq!(encoded(Encoding::Bits, &[0x80, 0x01]), b"0000000110000000");
        assert_eq!(encoded(Encoding::Utf16, "\u{e9}".as_bytes()), [0xfe, 0xff, 0, 0xe9]);
        assert_eq!(encoded(Encoding::Utf16Be, "\u{1f980}".as_bytes()), [0xd8, 0x3e, 0xdd, 0x80]);
        assert_eq!(encoded(Encoding::Utf16Le, "\u{20ac}x".as_bytes()), [0xac, 0x20, b'x', 0]);
        assert_eq!(encoded(Encoding::UsAscii, "a\u{e9}\u{20ac}".as_bytes()), b"a??");
        assert_eq!(encoded(Encoding::Iso88591, "a\u{e9}\u{20ac}".as_bytes()), b"a\xe9?");
    }

    #[test]
    fn names_are_read_back_and_others_refused() {
        for (encoding, name) in NAMES {
            assert_eq!(name.to_uppercase().parse(), Ok(encoding));
            assert_eq!(encoding.to_string(), name);
        }
        assert_eq!("UTF-8".parse(), Ok(Encoding::None));
        let error = "utf-7".parse::<Encoding>().unwrap_err().to_string();
        assert!(error.contains("`utf-7`") && error.contains("base64"), "{error}");
    }

    proptest! {
        #[test]
        fn checklist_24_what_is_encoded_can_be_decoded(plain: Vec<u8>, words: String) {
            prop_assert_eq!(STANDARD.decode(encoded(Encoding::Base64, &plain)).unwrap(), plain.clone());
            let hex = String::from_utf8(encoded(Encoding::Hex, &plain)).unwrap();
            let digits = (0..plain.len()).map(|at| u8::from_str_radix(&hex[2 * at..][..2], 16).unwrap());
            prop_assert_eq!(digits.collect::<Vec<_>>(), plain);
            let units: Vec<u16> = encoded(Encoding::Utf16Le, words.as_bytes())
                .chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]])).collect();
            prop_assert_eq!(String::from_utf16(&units).unwrap(), words);
        }

        #[test]
        fn lengths_are_bounds(words: String, room in 0..1_000_000u64) {
            for (encoding, _) in NAMES {
                let length = encoded(encoding, words.as_bytes()).len() as u64;
                prop_assert!(length <= encoding.longest(words.len() as u64));
                prop_assert!(room < 2 || encoding.longest(encoding.fits(room)) <= room, "{}", encoding);
            }
        }
    }
}
